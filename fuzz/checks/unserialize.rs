//! PHP's values: whatever bytes come, they are read or refused, at a cost in proportion to them; and what was read once is
//! written, and then read and written, the same.

#[expect(dead_code, unused_imports, reason = "only its reading is fuzzed")]
#[path = "../../src/server/php/mod.rs"]
mod php;

const MAX_JSON: usize = 16 * 1024;

pub fn check(bytes: &[u8]) {
    let Ok(document) = php::Document::read(bytes) else { return };
    if let Ok(json) = document.to_json(MAX_JSON) {
        let value = serde_json::from_str(&json).expect("what is written is JSON");
        php::from_json(&value, &mut php::Writer::default());
    }
    if let Ok(once) = php::replace_recursive(bytes, b"a:0:{}") {
        let again = php::replace_recursive(&once, b"a:0:{}").expect("what is written can be read");
        assert_eq!(once, again);
    }
    let _ = php::replace_recursive(bytes, bytes);
}
