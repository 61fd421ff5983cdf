//! Request headers as text.

use axum::http::{HeaderMap, HeaderName, header};
use std::borrow::Cow;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Prefix of a WebSocket subprotocol that is a secret of this site.
const BEARER_PREFIX: &[u8] = b"roomcast.bearer.";

/// Returns the first header called `name`, or `None` if it is absent or not visible ASCII.
pub(crate) fn header_str<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the first header called `name`, with a replacement character for each byte that is not UTF-8, so that one foreign byte
/// does not hide the rest. Empty: no such header.
pub(crate) fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Cow<'a, str> {
    headers.get(name).map_or(Cow::Borrowed(""), |value| String::from_utf8_lossy(value.as_bytes()))
}

/// Whether a script loads the page, and no tab or frame.
pub(crate) fn is_loaded_by_script(headers: &HeaderMap) -> bool {
    header_str(headers, &SEC_FETCH_DEST) == Some("empty")
}

/// Whether a request has a bearer token, valid or not: as `Authorization`, or as a subprotocol of a handshake.
pub(crate) fn has_bearer(headers: &HeaderMap) -> bool {
    let scheme = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().split(|byte| *byte == b' ').next());
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let is_offered = || offered.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).any(is_bearer_subprotocol);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer")) || is_offered()
}

/// Whether a subprotocol is a bearer token.
pub(crate) fn is_bearer_subprotocol(subprotocol: &[u8]) -> bool {
    let start = subprotocol.trim_ascii().get(..BEARER_PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(BEARER_PREFIX))
}
