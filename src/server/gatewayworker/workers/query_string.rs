//! Parses a query string as PHP's `parse_str` does: names are decoded, `a[]` and `a[k]` become arrays.

use crate::server::php::{Key, Serializer};
use indexmap::IndexMap;

/// PHP's `max_input_vars`.
const MAX_FIELDS: usize = 1000;
/// PHP's `max_input_nesting_level`.
const MAX_DEPTH: usize = 64;

enum Value {
    Text(Vec<u8>),
    Array(Array),
}

#[derive(Default)]
struct Array {
    entries: IndexMap<Vec<u8>, Value>,
    /// The largest number among the keys. The key of `a[]` is one more.
    last: Option<i64>,
}

/// Appends the array of a query string, serialized.
pub(super) fn write(query: &str, out: &mut Serializer) {
    let mut root = Array::default();
    for field in query.split('&').filter(|field| !field.is_empty()).take(MAX_FIELDS) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        put(&mut root, &decoded(name), decoded(value));
    }
    write_array(&root, out);
}

fn write_array(array: &Array, out: &mut Serializer) {
    out.array(array.entries.len());
    for (name, value) in &array.entries {
        out.key(Key::of(name));
        match value {
            Value::Text(text) => out.text(text),
            Value::Array(array) => write_array(array, out),
        }
    }
    out.end();
}

/// Assigns a value. The name `a[b][]` is split into the part before the first bracket, and the parts in adjacent brackets.
fn put(mut array: &mut Array, name: &[u8], value: Vec<u8>) {
    let blanks = name.iter().take_while(|byte| **byte == b' ').count();
    let name = name[blanks..].split(|byte| *byte == 0).next().unwrap_or_default();
    let opens = name.iter().position(|byte| *byte == b'[');
    if opens == Some(0) || name.is_empty() {
        return;
    }
    let (first, mut rest) = name.split_at(opens.filter(|at| name[*at..].contains(&b']')).unwrap_or(name.len()));
    // PHP replaces characters that a variable name cannot contain.
    let mut key: Vec<u8> = first.iter().map(|byte| if b" .[".contains(byte) { b'_' } else { *byte }).collect();
    for _ in 0..MAX_DEPTH {
        let Some(inner) =
            rest.strip_prefix(b"[").and_then(|rest| rest.iter().position(|byte| *byte == b']').map(|end| &rest[..end]))
        else {
            break;
        };
        rest = &rest[inner.len() + 2..];
        let slot = array.slot(key);
        if let Value::Text(_) = slot {
            *slot = Value::Array(Array::default());
        }
        let Value::Array(within) = slot else { return };
        key = match inner {
            b"" | b" " => match within.next() {
                Some(number) => number.to_string().into(),
                None => return,
            },
            name => name.to_vec(),
        };
        array = within;
    }
    *array.slot(key) = Value::Text(value);
}

impl Array {
    /// Returns the value of a key; an empty text for a new key.
    fn slot(&mut self, key: Vec<u8>) -> &mut Value {
        if let Key::Int(number) = Key::of(&key) {
            self.last = self.last.max(Some(number));
        }
        self.entries.entry(key).or_insert_with(|| Value::Text(Vec::new()))
    }

    /// Returns the key of `a[]`; `None` if the largest number is used.
    fn next(&self) -> Option<i64> {
        self.last.map_or(Some(0), |last| last.checked_add(1))
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_are_parsed_as_php_parses_them() {
        let check = |query: &str, expected: &str| {
            let mut out = Serializer::default();
            write(query, &mut out);
            assert_eq!(String::from_utf8(out.into_bytes()).unwrap(), expected, "{query}");
        };
        check("", "a:0:{}");
        check("a=1&a=2&b", "a:2:{s:1:\"a\";s:1:\"2\";s:1:\"b\";s:0:\"\";}");
        check("n=%E5%BC%A0+x&a.b=1", "a:2:{s:1:\"n\";s:5:\"张 x\";s:3:\"a_b\";s:1:\"1\";}");
        check("a[]=x&a[]=y&a[k]=z", "a:1:{s:1:\"a\";a:3:{i:0;s:1:\"x\";i:1;s:1:\"y\";s:1:\"k\";s:1:\"z\";}}");
        check("a[b][c]=1&a[b][d]=2", "a:1:{s:1:\"a\";a:1:{s:1:\"b\";a:2:{s:1:\"c\";s:1:\"1\";s:1:\"d\";s:1:\"2\";}}}");
        check("a=1&a[]=2", "a:1:{s:1:\"a\";a:1:{i:0;s:1:\"2\";}}");
        check("=1&[x]=2", "a:0:{}");
        check("a[b=1", "a:1:{s:3:\"a_b\";s:1:\"1\";}");
        check("[a=1&[]=1", "a:0:{}");
        check("a[-5]=x&a[ ]=y", "a:1:{s:1:\"a\";a:2:{i:-5;s:1:\"x\";i:-4;s:1:\"y\";}}");
        check("a[9223372036854775807]=1&a[]=2", "a:1:{s:1:\"a\";a:1:{i:9223372036854775807;s:1:\"1\";}}");
        check("+a%00b=1&%09b=2&a[x%00y]=3", "a:3:{s:1:\"a\";s:1:\"1\";s:2:\"\tb\";s:1:\"2\";s:3:\"a_x\";s:1:\"3\";}");
    }
}
