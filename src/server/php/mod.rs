//! PHP's values: `serialize` and `unserialize`, array keys, `json_encode`, `json_decode` and `array_replace_recursive`.
//!
//! There is no I/O. Strings are bytes, the order of arrays is kept, objects and references pass through unchanged. Malformed text
//! is an error, never a panic, and reading takes memory in proportion to the text.
//!
//! No crate does this: php_serde and its forks support neither objects nor references, and none keeps the order of an array with
//! mixed keys.

mod document;
mod float;
mod json;
mod key;
mod merge;
mod unserialize;
mod write;

pub use document::{Document, Node, UnserializeError};
pub use json::{ToJsonError, from_json};
pub use key::Key;
pub use merge::{MergeError, replace, replace_recursive};
pub use write::Serializer;
