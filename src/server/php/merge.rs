//! `serialize(array_replace_recursive(unserialize($before), unserialize($update)))`, the operation of `UPDATE_SESSION`, and the
//! same with `array_replace`.
//! Objects pass through unchanged, and two references to one value stay two references to one value.

use super::document::{MAX_DEPTH, NodeId};
use super::{Document, Key, Node, Serializer, UnserializeError};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// Why two values cannot be merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MergeError {
    /// One of the texts is malformed.
    #[error(transparent)]
    Unserialize(#[from] UnserializeError),
    /// One of the values is not an array.
    #[error("not an array")]
    NotArray,
    /// References make the result endless, or nested too deeply.
    #[error("references make the result endless")]
    Endless,
    /// The result exceeds the limit of the caller.
    #[error("the result is too long")]
    TooLong,
}

/// Returns the merged value, of at most `max_bytes`: references can expand a short text to a long one.
pub fn replace_recursive(before: &[u8], update: &[u8], max_bytes: usize) -> Result<Vec<u8>, MergeError> {
    merged(before, update, usize::MAX, max_bytes)
}

/// The same with PHP's `array_replace`: arrays within the array are replaced, not merged.
pub fn replace(before: &[u8], update: &[u8], max_bytes: usize) -> Result<Vec<u8>, MergeError> {
    merged(before, update, 0, max_bytes)
}

/// Merges the arrays down to `levels` below the outermost; deeper ones are replaced.
fn merged(before: &[u8], update: &[u8], levels: usize, max_bytes: usize) -> Result<Vec<u8>, MergeError> {
    let documents = [Document::read(before)?, Document::read(update)?];
    // Without cycles, a merge visits each entry a few times at most. References can form cycles, which exceed this number.
    let mut steps = documents.iter().map(Document::len).sum::<usize>() * 4;
    let merged = merge(&documents, (0, 0), 0, levels, &mut steps)?;
    let mut text = MergeWriter {
        documents: &documents,
        out: Serializer::default(),
        max_bytes,
        values: 0,
        written: HashMap::new(),
        open_arrays: HashSet::new(),
    };
    text.write_merged(&merged, 0)?;
    text.fits()?;
    Ok(text.out.into_bytes())
}

/// A part of the result: a value of one of the two documents, or an array merged from both.
enum Merged<'a> {
    /// A node of the document with this index.
    Value(usize, NodeId),
    Array(IndexMap<Key<'a>, Merged<'a>>),
}

/// Merges `from` of the second document into `into` of the first. References are followed, so `steps` limits the entries visited.
fn merge<'a>(
    documents: &'a [Document<'a>; 2],
    (into, from): (NodeId, NodeId),
    depth: usize,
    levels: usize,
    steps: &mut usize,
) -> Result<Merged<'a>, MergeError> {
    let [before, update] = documents;
    let (Node::Array(into), Node::Array(from)) = (before.at(into), update.at(from)) else { return Err(MergeError::NotArray) };
    *steps = steps.checked_sub(into.len() + from.len()).filter(|_| depth <= MAX_DEPTH).ok_or(MergeError::Endless)?;
    let mut merged: IndexMap<_, _> = into.iter().map(|(key, id)| (*key, Merged::Value(0, *id))).collect();
    for (key, id) in from {
        let part = match merged.get(key) {
            Some(Merged::Value(_, present))
                if depth < levels && matches!((before.at(*present), update.at(*id)), (Node::Array(_), Node::Array(_))) =>
            {
                merge(documents, (*present, *id), depth + 1, levels, steps)?
            }
            _ => Merged::Value(1, *id),
        };
        merged.insert(*key, part);
    }
    Ok(Merged::Array(merged))
}

/// Writes the result. `R:n;` and `r:n;` refer to the n-th value of the text, so the writer counts values as `serialize` does.
struct MergeWriter<'a> {
    documents: &'a [Document<'a>; 2],
    out: Serializer,
    max_bytes: usize,
    /// Values that are written.
    values: usize,
    /// The number of each value with several references, by document and node.
    written: HashMap<(usize, NodeId), usize>,
    /// Arrays that are being written and have no number, so that no reference can name them. Inside itself such an array is
    /// written as null.
    open_arrays: HashSet<(usize, NodeId)>,
}

impl<'a> MergeWriter<'a> {
    fn write_merged(&mut self, part: &Merged<'a>, depth: usize) -> Result<(), MergeError> {
        match part {
            Merged::Value(document, id) => self.write_value(*document, *id, depth)?,
            Merged::Array(entries) => {
                self.values += 1;
                self.out.array(entries.len());
                for (key, part) in entries {
                    self.out.key(*key);
                    self.write_merged(part, depth + 1)?;
                }
                self.out.end();
            }
        }
        Ok(())
    }

    /// Writes a value at its first occurrence, and a reference to it at each further one. If the update replaced the first
    /// occurrence, the value is written at the next one, so the result may be nested deeper than its sources.
    fn write_value(&mut self, document: usize, id: NodeId, depth: usize) -> Result<(), MergeError> {
        if depth > 2 * MAX_DEPTH {
            return Err(MergeError::Endless);
        }
        self.fits()?;
        let source = &self.documents[document];
        let target = source.target(id);
        self.values += 1;
        let by_reference = source.is_shared(id);
        if by_reference || matches!(source.node(target), Node::Object { .. } | Node::Opaque(_)) {
            if let Some(number) = self.written.get(&(document, target)) {
                // `R:` is not counted as a value.
                self.values -= usize::from(by_reference);
                self.out.reference(if by_reference { b'R' } else { b'r' }, *number);
                return Ok(());
            }
            self.written.insert((document, target), self.values);
        }
        match source.node(target) {
            // `target` follows references.
            Node::Null | Node::Reference(_) | Node::SameObject(_) => self.out.null(),
            Node::Bool(value) => self.out.bool(*value),
            Node::Int(value) => self.out.int(*value),
            Node::Float(value) => self.out.float(*value),
            Node::Text(text) => self.out.text(text),
            Node::Array(_) if !by_reference && !self.open_arrays.insert((document, target)) => self.out.null(),
            Node::Array(entries) => {
                self.out.array(entries.len());
                self.write_entries(document, entries, depth)?;
                self.open_arrays.remove(&(document, target));
            }
            Node::Object { class, properties } => {
                self.out.object(class, properties.len());
                self.write_entries(document, properties, depth)?;
            }
            Node::Opaque(text) => self.out.raw(text),
        }
        Ok(())
    }

    fn fits(&self) -> Result<(), MergeError> {
        if self.out.written() > self.max_bytes { Err(MergeError::TooLong) } else { Ok(()) }
    }

    fn write_entries(&mut self, document: usize, entries: &[(Key<'a>, NodeId)], depth: usize) -> Result<(), MergeError> {
        for (key, id) in entries {
            self.out.key(*key);
            self.write_value(document, *id, depth + 1)?;
        }
        self.out.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 1024 * 1024;

    fn check(before: &str, update: &str, merged: &str) {
        let found = replace_recursive(before.as_bytes(), update.as_bytes(), MAX).unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), merged);
    }

    #[test]
    fn arrays_are_merged_and_other_values_are_replaced() {
        check("a:1:{s:1:\"a\";i:1;}", "a:1:{s:1:\"b\";i:2;}", "a:2:{s:1:\"a\";i:1;s:1:\"b\";i:2;}");
        check("a:2:{s:1:\"a\";i:1;i:5;i:2;}", "a:1:{s:1:\"a\";N;}", "a:2:{s:1:\"a\";N;i:5;i:2;}");
        check(
            "a:1:{s:1:\"a\";a:2:{i:0;i:1;i:1;i:2;}}",
            "a:1:{s:1:\"a\";a:1:{i:1;a:0:{}}}",
            "a:1:{s:1:\"a\";a:2:{i:0;i:1;i:1;a:0:{}}}",
        );
        check("a:1:{s:1:\"a\";a:1:{i:0;i:1;}}", "a:1:{s:1:\"a\";a:0:{}}", "a:1:{s:1:\"a\";a:1:{i:0;i:1;}}");
        check("a:1:{i:0;d:1.50;}", "a:0:{}", "a:1:{i:0;d:1.5;}");
    }

    #[test]
    fn references_to_one_value_stay_references_to_one_value() {
        let shared = "a:3:{s:1:\"x\";i:0;s:1:\"a\";a:1:{i:0;i:7;}s:1:\"b\";R:3;}";
        // Values before the target are counted.
        check(shared, "a:1:{s:1:\"x\";a:1:{i:0;i:1;}}", "a:3:{s:1:\"x\";a:1:{i:0;i:1;}s:1:\"a\";a:1:{i:0;i:7;}s:1:\"b\";R:4;}");
        // If the first occurrence is replaced, the value is written at the second.
        check(shared, "a:1:{s:1:\"a\";i:9;}", "a:3:{s:1:\"x\";i:0;s:1:\"a\";i:9;s:1:\"b\";a:1:{i:0;i:7;}}");
        check("a:2:{i:0;O:1:\"A\":0:{}i:1;r:2;}", "a:1:{i:2;s:0:\"\";}", "a:3:{i:0;O:1:\"A\":0:{}i:1;r:2;i:2;s:0:\"\";}");
        check("a:1:{i:0;R:1;}", "a:1:{i:1;N;}", "a:2:{i:0;a:1:{i:0;R:2;}i:1;N;}");
    }

    #[test]
    fn values_that_cannot_be_merged_are_rejected() {
        let refused = |before: &str, update: &str| replace_recursive(before.as_bytes(), update.as_bytes(), MAX).unwrap_err();
        assert_eq!(refused("garbage", "a:0:{}"), MergeError::Unserialize(UnserializeError { at: 2 }));
        assert_eq!(refused("i:1;", "a:0:{}"), MergeError::NotArray);
        assert_eq!(refused("a:1:{i:0;R:1;}", "a:1:{i:0;R:1;}"), MergeError::Endless);
        // Each value contains the one before it, and all first occurrences except the last are replaced.
        let chain: String = (1..20_000).map(|n| format!("i:{n};a:1:{{i:0;R:{};}}", n + 1)).collect();
        let replaced: String = (0..19_999).map(|n| format!("i:{n};i:0;")).collect();
        let (before, update) = (format!("a:20000:{{i:0;a:0:{{}}{chain}}}"), format!("a:19999:{{{replaced}}}"));
        assert_eq!(refused(&before, &update), MergeError::Endless);
        // Each reference to one long value becomes a copy of it.
        let names: String = (1..100).map(|n| format!("i:{n};R:2;")).collect();
        let updates: String = (0..100).map(|n| format!("i:{n};a:1:{{i:0;N;}}")).collect();
        let long = "x".repeat(MAX / 50);
        let before = format!("a:100:{{i:0;a:1:{{s:1:\"x\";s:{}:\"{long}\";}}{names}}}", long.len());
        assert_eq!(refused(&before, &format!("a:100:{{{updates}}}")), MergeError::TooLong);
    }

    /// An arbitrary value.
    #[derive(Clone, Debug)]
    enum Value {
        Null,
        Bool(bool),
        Int(i64),
        Float(f64),
        Text(Vec<u8>),
        Array(Vec<(Vec<u8>, Value)>),
        Object(Vec<(Vec<u8>, Value)>),
    }

    impl Value {
        fn write(&self, out: &mut Serializer) {
            match self {
                Self::Null => out.null(),
                Self::Bool(value) => out.bool(*value),
                Self::Int(value) => out.int(*value),
                Self::Float(value) => out.float(*value),
                Self::Text(text) => out.text(text),
                Self::Array(entries) => {
                    // Each key once.
                    let entries: IndexMap<_, _> = entries.iter().map(|(key, value)| (Key::of(key), value)).collect();
                    out.array(entries.len());
                    for (key, value) in entries {
                        out.key(key);
                        value.write(out);
                    }
                    out.end();
                }
                Self::Object(properties) => {
                    out.object(b"A", properties.len());
                    for (name, value) in properties {
                        out.text(name);
                        value.write(out);
                    }
                    out.end();
                }
            }
        }
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![any::<i64>().prop_map(|number| number.to_string().into_bytes()), prop::collection::vec(any::<u8>(), 0..6)]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let entries = prop::collection::vec((key(), inner), 0..6).boxed();
            prop_oneof![entries.clone().prop_map(Value::Array), entries.prop_map(Value::Object)]
        })
    }

    proptest! {
        #[test]
        fn written_values_are_read_and_written_unchanged(entries in prop::collection::vec((key(), value()), 0..8)) {
            let mut out = Serializer::default();
            Value::Array(entries).write(&mut out);
            let text = out.into_bytes();
            // Merging with an empty array changes nothing, in either order.
            prop_assert_eq!(replace_recursive(&text, b"a:0:{}", MAX), Ok(text.clone()));
            prop_assert_eq!(replace_recursive(b"a:0:{}", &text, MAX), Ok(text));
        }

        #[test]
        fn arbitrary_bytes_are_read_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Document::read(&bytes).map(|document| document.to_json(1000).is_ok());
        }

        /// Fragments of serialized text get further into the parser than arbitrary bytes.
        #[test]
        fn fragments_are_read_or_rejected(words in "([NbidsaOCERr]:?|[0-9]{1,3}|[:;\"{}]|i:0;|s:1:\"a\";|a:1:\\{){0,60}") {
            let _ = replace_recursive(words.as_bytes(), words.as_bytes(), MAX);
        }
    }
}
