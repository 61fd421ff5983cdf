//! Request headers as text.

use axum::http::{HeaderMap, HeaderName};

pub fn header_str<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
