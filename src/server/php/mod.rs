//! PHP's values as they travel: `serialize`'s text read and written, arrays' keys, `json_encode`, `array_replace_recursive`.
//! Pure. Byte strings stay bytes, order is kept, objects and references are carried as they are; what cannot be read is an
//! error, never a panic, and costs no more than a few times its own bytes.
//!
//! Written by hand since no crate does it: php_serde and its forks know neither objects nor references, and none keeps the
//! order of an array with mixed keys.

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
pub use merge::{MergeError, replace_recursive};
pub use write::Writer;
