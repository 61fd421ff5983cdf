//! A query string as PHP's `parse_str` reads it: names decoded, `a[]` and `a[k]` made arrays.

use crate::server::php::{Key, Writer};
use indexmap::IndexMap;

/// PHP's max_input_vars and max_input_nesting_level.
const MAX_FIELDS: usize = 1000;
const MAX_DEPTH: usize = 64;

enum Value {
    Text(Vec<u8>),
    Array(IndexMap<Vec<u8>, Value>),
}

pub fn write(query: &str, out: &mut Writer) {
    let mut root = IndexMap::new();
    for field in query.split('&').filter(|field| !field.is_empty()).take(MAX_FIELDS) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        put(&mut root, &decoded(name), decoded(value));
    }
    write_array(&root, out);
}

fn write_array(array: &IndexMap<Vec<u8>, Value>, out: &mut Writer) {
    out.array(array.len());
    for (name, value) in array {
        out.key(Key::of(name));
        match value {
            Value::Text(text) => out.text(text),
            Value::Array(array) => write_array(array, out),
        }
    }
    out.end();
}

/// `a[b][]=1`: the name before the first bracket, then what stands in brackets as long as they follow each other.
fn put(mut array: &mut IndexMap<Vec<u8>, Value>, name: &[u8], value: Vec<u8>) {
    let name = name.trim_ascii_start();
    let opens = name.iter().position(|byte| *byte == b'[').filter(|at| name[*at..].contains(&b']'));
    let (first, mut rest) = name.split_at(opens.unwrap_or(name.len()));
    // Names that were variables once.
    let mut key: Vec<u8> = first.iter().map(|byte| if b" .[".contains(byte) { b'_' } else { *byte }).collect();
    if key.is_empty() {
        return;
    }
    for _ in 0..MAX_DEPTH {
        let Some(inner) =
            rest.strip_prefix(b"[").and_then(|rest| rest.iter().position(|byte| *byte == b']').map(|end| &rest[..end]))
        else {
            break;
        };
        rest = &rest[inner.len() + 2..];
        let slot = array.entry(key).or_insert_with(|| Value::Array(IndexMap::new()));
        if let Value::Text(_) = slot {
            *slot = Value::Array(IndexMap::new());
        }
        let Value::Array(within) = slot else { return };
        key = if inner.is_empty() { next_number(within) } else { inner.to_vec() };
        array = within;
    }
    array.insert(key, Value::Text(value));
}

fn next_number(array: &IndexMap<Vec<u8>, Value>) -> Vec<u8> {
    let numbers = array.keys().filter_map(|key| match Key::of(key) {
        Key::Int(number) => Some(number.saturating_add(1)),
        Key::Text(_) => None,
    });
    numbers.max().unwrap_or(0).max(0).to_string().into()
}

fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_are_read_as_php_reads_them() {
        let check = |query: &str, expected: &str| {
            let mut out = Writer::default();
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
    }
}
