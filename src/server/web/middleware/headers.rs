//! Request headers as text.

use axum::http::{HeaderMap, HeaderName};

/// Returns the first header called `name`, or `None` if it is absent or not visible ASCII.
pub(crate) fn header_str<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
