//! The site's files, embedded in the binary (in a development build read from `target/site`): compressed at build time, with
//! ETags, and immutable under a URL that contains their version.

use super::middleware::headers::header_str;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/target/site"]
#[allow_missing = true]
struct Files;

/// 12 hex digits of a hash of all files, so that a page always loads the wasm of its own build.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for path in Files::iter() {
        digest.update(path.as_bytes());
        digest.update(Files::get(&path).map(|file| file.metadata.sha256_hash()).unwrap_or_default());
    }
    hex(&digest.finalize()[..6])
});

/// The prefix of `/pkg/…` in the URLs of a page: `/v/VERSION`, or nothing in a development build.
pub(super) fn versioned_root() -> String {
    // In development, files change while the server runs.
    if cfg!(debug_assertions) { String::new() } else { format!("/v/{}", *VERSION) }
}

/// Returns whether the binary contains the site's files.
pub fn is_embedded() -> bool {
    Files::iter().next().is_some()
}

/// Returns the response for a GET or HEAD of an existing file, else `None`. With other nodes, `has_others`, a file of another version
/// is on another node: it is answered 404 here, so that the balancer asks there.
pub(super) fn find(request: &Request, has_others: bool) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path();
    let versioned = path.strip_prefix("/v/").and_then(|rest| rest.split_once('/'));
    let (version, path) = match versioned {
        Some((version, path)) => (Some(version), path),
        None => (None, path.strip_prefix('/')?),
    };
    if has_others && version.is_some_and(|version| version != *VERSION) {
        return Some((StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")]).into_response());
    }
    if path.ends_with(".br") || path.ends_with(".gz") {
        return None;
    }
    let file = Files::get(path)?;
    // Under another version's URL the file must not be cached as that version's.
    let immutable = version == Some(VERSION.as_str());
    Some(respond(path, file, immutable, request.headers()))
}

fn respond(path: &str, plain: EmbeddedFile, immutable: bool, headers: &HeaderMap) -> Response {
    let accepted = header_str(headers, &header::ACCEPT_ENCODING).unwrap_or_default();
    let accepts = |name: &str| accepted.split(',').any(|coding| coding.trim().split(';').next() == Some(name));
    let compressed =
        |name, ending| Files::get(&format!("{path}.{ending}")).filter(|_| accepts(name)).map(|file| (Some(name), file));
    let (encoding, file) = compressed("br", "br").or_else(|| compressed("gzip", "gz")).unwrap_or((None, plain));
    let etag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..12]));

    let mut response = if header_str(headers, &header::IF_NONE_MATCH).is_some_and(|known| known.contains(&etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(file.data))
    };
    let cache = if immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let content_type = mime_guess::from_path(path).first_or_octet_stream();
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let (Ok(etag), Ok(content_type)) = (etag.parse(), content_type.as_ref().parse()) {
        out.insert(header::ETAG, etag);
        out.insert(header::CONTENT_TYPE, content_type);
    }
    if let Some(encoding) = encoding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str, has_others: bool) -> Option<Response> {
        find(&Request::builder().method(method).uri(path).body(Body::empty()).unwrap(), has_others)
    }

    #[test]
    fn a_file_of_another_version_is_404_and_not_kept_where_another_node_may_have_it() {
        for (path, method) in [("/v/0123456789ab/pkg/roomcast.js", Method::GET), ("/v/0123456789ab/new.css", Method::HEAD)] {
            let response = found(method, path, true).unwrap();
            assert_eq!(response.status(), StatusCode::NOT_FOUND);
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        }
        assert!(found(Method::POST, "/v/0123456789ab/pkg/roomcast.js", true).is_none());
        assert!(found(Method::GET, &format!("/v/{}/no-such-file", *VERSION), true).is_none());
        assert!(found(Method::GET, "/v/0123456789ab/no-such-file", false).is_none());
    }
}
