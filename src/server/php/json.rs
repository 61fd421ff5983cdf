//! Converts PHP's values to JSON, as `json_encode($value, JSON_UNESCAPED_UNICODE)` after `unserialize` without classes, and
//! JSON to PHP's values, as `json_decode($text, true)`.

use super::document::{MAX_DEPTH, NodeId};
use super::{Document, Key, Node, Serializer, float};
use serde_json::Value;

/// Why a value has no JSON. `json_encode` fails at the same values, except for [`ToJsonError::TooLong`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ToJsonError {
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A float is infinite or not a number.
    #[error("a float is infinite or not a number")]
    NotFinite,
    /// Arrays are nested deeper than 512, or contain themselves.
    #[error("arrays are nested too deeply")]
    TooDeep,
    /// An object with a serialization of its own, or an enumeration's case.
    #[error("an object with a serialization of its own")]
    Opaque,
    /// The JSON exceeds the limit of the caller.
    #[error("the JSON is too long")]
    TooLong,
}

impl Document<'_> {
    /// Returns the JSON of the value as PHP writes it: `/` is escaped, characters beyond ASCII are not. At most about
    /// `max_bytes`, since references can expand a short text to a long one.
    pub fn to_json(&self, max_bytes: usize) -> Result<String, ToJsonError> {
        let mut json = JsonWriter { document: self, out: Vec::new(), max_bytes, hidden: 0 };
        json.value(0, 0)?;
        // Each string was checked, so this does not fail.
        String::from_utf8(json.out).map_err(|_| ToJsonError::NotUtf8)
    }
}

/// Writes the JSON of a document.
struct JsonWriter<'a> {
    document: &'a Document<'a>,
    out: Vec<u8>,
    max_bytes: usize,
    /// Hidden properties that were skipped. They add no bytes, but cost time at each reference to their object.
    hidden: usize,
}

impl JsonWriter<'_> {
    fn value(&mut self, id: NodeId, depth: usize) -> Result<(), ToJsonError> {
        if depth > MAX_DEPTH {
            return Err(ToJsonError::TooDeep);
        }
        if self.out.len() + self.hidden > self.max_bytes {
            return Err(ToJsonError::TooLong);
        }
        match self.document.at(id) {
            Node::Bool(value) => self.raw(if *value { "true" } else { "false" }),
            Node::Int(value) => self.raw(&value.to_string()),
            Node::Float(value) if !value.is_finite() => return Err(ToJsonError::NotFinite),
            Node::Float(value) => float::write(*value, 'e', &mut self.out),
            Node::Text(text) => self.text(text)?,
            Node::Array(entries) if is_list(entries) => {
                self.raw("[");
                for (at, (_, id)) in entries.iter().enumerate() {
                    self.raw(if at > 0 { "," } else { "" });
                    self.value(*id, depth + 1)?;
                }
                self.raw("]");
            }
            Node::Array(entries) => self.object(None, entries, depth)?,
            Node::Object { class, properties } => self.object(Some(class), properties, depth)?,
            Node::Opaque(_) => return Err(ToJsonError::Opaque),
            // `at` follows references.
            Node::Null | Node::Reference(_) | Node::SameObject(_) => self.raw("null"),
        }
        Ok(())
    }

    /// Writes an array as an object, or an object with the name of its class and without its private and protected properties.
    fn object(&mut self, class: Option<&[u8]>, entries: &[(Key<'_>, NodeId)], depth: usize) -> Result<(), ToJsonError> {
        self.raw("{");
        let mut is_first = true;
        if let Some(class) = class {
            self.raw("\"__PHP_Incomplete_Class_Name\":");
            self.text(class)?;
            is_first = false;
        }
        for (key, id) in entries {
            if class.is_some() && matches!(key, Key::Text([0, ..])) {
                self.hidden += 1;
                continue;
            }
            self.raw(if std::mem::take(&mut is_first) { "" } else { "," });
            match key {
                Key::Int(number) => self.raw(&format!("\"{number}\"")),
                Key::Text(text) => self.text(text)?,
            }
            self.raw(":");
            self.value(*id, depth + 1)?;
        }
        self.raw("}");
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) -> Result<(), ToJsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ToJsonError::NotUtf8)?;
        self.raw("\"");
        for c in text.chars() {
            match c {
                '"' => self.raw("\\\""),
                '\\' => self.raw("\\\\"),
                '/' => self.raw("\\/"),
                '\u{8}' => self.raw("\\b"),
                '\u{c}' => self.raw("\\f"),
                '\n' => self.raw("\\n"),
                '\r' => self.raw("\\r"),
                '\t' => self.raw("\\t"),
                // U+2028 and U+2029 were line ends in JavaScript before 2019.
                '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => self.raw(&format!("\\u{:04x}", u32::from(c))),
                c => self.raw(c.encode_utf8(&mut [0; 4])),
            }
        }
        self.raw("\"");
        Ok(())
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// Returns true for the keys 0, 1, 2 and so on.
fn is_list(entries: &[(Key<'_>, NodeId)]) -> bool {
    entries.iter().enumerate().all(|(at, (key, _))| *key == Key::Int(at as i64))
}

/// Appends `serialize(json_decode($json, true))`.
pub fn from_json(value: &Value, out: &mut Serializer) {
    match value {
        Value::Null => out.null(),
        Value::Bool(value) => out.bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => out.int(number),
            None => out.float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => out.text(text.as_bytes()),
        Value::Array(items) => {
            out.array(items.len());
            for (at, item) in items.iter().enumerate() {
                out.int(at as i64);
                from_json(item, out);
            }
            out.end();
        }
        Value::Object(object) => {
            out.array(object.len());
            for (key, value) in object {
                out.key(Key::of(key.as_bytes()));
                from_json(value, out);
            }
            out.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str, json: Result<&str, ToJsonError>) {
        assert_eq!(Document::read(text.as_bytes()).unwrap().to_json(1000), json.map(str::to_owned), "{text}");
    }

    #[test]
    fn values_become_the_json_that_json_encode_writes() {
        check("N;", Ok("null"));
        check("d:1;", Ok("1"));
        check("d:1.0E+25;", Ok("1.0e+25"));
        check("s:14:\"张/\"\\\n\u{1f}\u{2028}\u{7f}é\";", Ok("\"张\\/\\\"\\\\\\n\\u001f\\u2028\u{7f}é\""));
        check("a:0:{}", Ok("[]"));
        check("a:2:{i:0;b:1;i:1;N;}", Ok("[true,null]"));
        check("a:2:{i:1;b:1;i:0;N;}", Ok(r#"{"1":true,"0":null}"#));
        check("a:1:{s:1:\"a\";a:1:{i:0;i:1;}}", Ok(r#"{"a":[1]}"#));
        check(
            "O:1:\"A\":3:{s:1:\"x\";i:1;s:4:\"\0*\0y\";i:2;s:4:\"\0A\0z\";i:3;}",
            Ok(r#"{"__PHP_Incomplete_Class_Name":"A","x":1}"#),
        );
        check("a:2:{i:0;a:1:{i:0;i:7;}i:1;R:2;}", Ok("[[7],[7]]"));
        check("a:1:{i:0;R:1;}", Err(ToJsonError::TooDeep));
        check("d:INF;", Err(ToJsonError::NotFinite));
        check("E:6:\"Suit:H\";", Err(ToJsonError::Opaque));
        let not_utf8 = Document::read(b"s:1:\"\xff\";").unwrap().to_json(1000);
        assert_eq!(not_utf8, Err(ToJsonError::NotUtf8));
    }

    #[test]
    fn references_cannot_expand_a_short_text_without_limit() {
        // Each array contains the one before it ten times.
        let mut text = "a:1:{i:0;i:1;}".to_owned();
        for _ in 0..40 {
            let again: String = (1..10).map(|place| format!("i:{place};R:2;")).collect();
            text = format!("a:10:{{i:0;{text}{again}}}");
        }
        let document = Document::read(text.as_bytes()).unwrap();
        assert!(matches!(document.to_json(100_000), Err(ToJsonError::TooLong | ToJsonError::TooDeep)));
        // Time is limited, too: one object with many hidden properties, and many references to it.
        let (hidden, again) = ("s:2:\"\0x\";N;", |n| format!("i:{n};R:2;"));
        let text =
            format!("a:1000:{{i:0;O:1:\"A\":1000:{{{}}}{}}}", hidden.repeat(1000), (1..1000).map(again).collect::<String>());
        assert_eq!(Document::read(text.as_bytes()).unwrap().to_json(100_000), Err(ToJsonError::TooLong));
    }

    #[test]
    fn json_becomes_the_values_that_json_decode_returns() {
        let mut out = Serializer::default();
        from_json(&json!({"a": [1, 2.5, "张"], "7": null, "o": {}, "big": 18446744073709551615u64, "t": true}), &mut out);
        let text = String::from_utf8(out.into_bytes()).unwrap();
        assert_eq!(
            text,
            "a:5:{s:1:\"a\";a:3:{i:0;i:1;i:1;d:2.5;i:2;s:3:\"张\";}i:7;N;s:1:\"o\";a:0:{}s:3:\"big\";d:1.8446744073709552E+19;s:1:\"t\";b:1;}"
        );
    }
}
