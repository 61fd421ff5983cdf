//! PHP's values: any bytes are read or rejected, with time and memory in proportion to their length. A value that was read and
//! written once stays the same when it is read and written again.

#[expect(dead_code, unused_imports, reason = "only its reading is fuzzed")]
#[path = "../../src/server/php/mod.rs"]
mod php;

const MAX_JSON: usize = 16 * 1024;
const MAX_MERGED: usize = 16 * 1024;

/// Converts the value to JSON, and merges it.
pub fn check(bytes: &[u8]) {
    let Ok(document) = php::Document::read(bytes) else { return };
    if let Ok(json) = document.to_json(MAX_JSON) {
        let value = serde_json::from_str(&json).expect("the output is JSON");
        php::from_json(&value, &mut php::Serializer::default());
    }
    if let Ok(once) = merged(bytes, b"a:0:{}") {
        let again = merged(&once, b"a:0:{}").expect("written values can be read");
        assert_eq!(once, again);
    }
    let _ = merged(bytes, bytes);
    // The input may hold two values, since bytes behind the first are ignored.
    for at in bytes.windows(2).enumerate().filter(|(_, two)| *two == b"}a").map(|(at, _)| at + 1).take(4) {
        let _ = merged(bytes, &bytes[at..]);
    }
}

fn merged(before: &[u8], update: &[u8]) -> Result<Vec<u8>, php::MergeError> {
    let merged = php::replace_recursive(before, update, MAX_MERGED)?;
    assert!(merged.len() <= MAX_MERGED);
    Ok(merged)
}
