//! Checks every POST of a page before a server function parses it: allowed origin, form encoding, size, UTF-8, no repeated
//! field. The HTTP API for back ends is exempt.

use super::cookies::CookieNames;
use super::error_response::Refused;
use super::form_redirect::redirect_after_post;
use super::headers::{header_str, header_text};
use super::origin;
use crate::domain::{paths, refusal::Refusal};
use crate::server::web::request_context::RequestContext;
use crate::server::web::state::AppState;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode;
use std::collections::HashMap;
use std::time::Duration;

const FORM_CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// Rejects a POST that fails a check, and passes the buffered body on otherwise. A form of a page without JavaScript, which
/// accepts `text/html`, gets a redirect as its response in both cases.
pub(crate) async fn check_form(State(state): State<AppState>, request: Request, next: Next) -> Response {
    // The API for back ends takes JSON and authenticates by key, without cookies.
    if request.method() != Method::POST || request.uri().path().starts_with("/gateway/api/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let (path, headers) = (parts.uri.path().to_owned(), parts.headers.clone());
    let cookies = parts.extensions.get::<RequestContext>().map(|context| context.cookies);
    let cookies = cookies.unwrap_or(CookieNames { is_https: false, reads_old: false });
    let wants_html = header_text(&headers, &header::ACCEPT).contains("text/html");
    // For text/html Leptos would redirect by itself and drop the input; with JSON the redirect is made here.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let (fields, response) = match read_form(&state, &path, &headers, body).await {
        Ok(Form { bytes, fields }) => (fields, next.run(Request::from_parts(parts, Body::from(bytes))).await),
        Err(refusal) => (HashMap::new(), Refused(refusal).into_response()),
    };
    if wants_html { redirect_after_post(&state, &path, &headers, fields, response, cookies).await } else { response }
}

struct Form {
    bytes: Bytes,
    fields: HashMap<String, String>,
}

async fn read_form(state: &AppState, path: &str, headers: &HeaderMap, body: Body) -> Result<Form, Refusal> {
    let web = &state.config.web;
    origin::check(headers, state)?;
    let content_type = header_str(headers, &header::CONTENT_TYPE).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM_CONTENT_TYPE) {
        return Err(Refusal::malformed("content-type"));
    }
    let read = tokio::time::timeout(Duration::from_millis(web.read_within_ms), to_bytes(body, web.body_bytes));
    let bytes = match read.await {
        Err(_) => return Err(Refusal::malformed("body")),
        // A body over the limit is reported as a message over its own limit, which the person can understand.
        Ok(Err(_)) if path == paths::SEND => return Err(Refusal::TooLong { max: state.chat.rules().max_graphemes }),
        Ok(Err(_)) => return Err(Refusal::TooLong { max: u32::try_from(web.body_bytes).unwrap_or(u32::MAX) }),
        Ok(Ok(bytes)) => bytes,
    };
    // Percent-encoded or not, the fields must be UTF-8.
    if percent_decode(&bytes).decode_utf8().is_err() {
        return Err(Refusal::malformed("body"));
    }
    let mut fields = HashMap::new();
    for (name, value) in form_urlencoded::parse(&bytes) {
        if fields.insert(name.to_string(), value.to_string()).is_some() {
            return Err(Refusal::malformed(name.chars().take(64).collect::<String>()));
        }
    }
    Ok(Form { bytes, fields })
}
