//! Request headers as text.

use axum::http::{HeaderMap, HeaderName};
use std::borrow::Cow;

/// Returns the first header called `name`, or `None` if it is absent or not visible ASCII.
pub(crate) fn header_str<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the first header called `name`, with a replacement character for each byte that is not UTF-8, so that one foreign byte
/// does not hide the rest. Empty: no such header.
pub(crate) fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Cow<'a, str> {
    headers.get(name).map_or(Cow::Borrowed(""), |value| String::from_utf8_lossy(value.as_bytes()))
}
