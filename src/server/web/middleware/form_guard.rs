//! Checks every POST of a page before a server function parses it: allowed origin, form encoding, size, UTF-8, no repeated
//! field. The HTTP API for back ends is exempt.

use super::cookies::CookieNames;
use super::error_response::Refused;
use super::form_redirect::redirect_after_post;
use super::form_target::Fields;
use super::headers::{header_str, header_text};
use super::origin;
use crate::domain::{paths, refusal::Refusal};
use crate::server::web::request_context::RequestContext;
use crate::server::web::state::AppState;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use percent_encoding::percent_decode;
use std::time::Duration;

const FORM_CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// Rejects a POST that fails a check, and passes the buffered body on otherwise. A form of a page without JavaScript, which
/// accepts `text/html`, gets a redirect as its response in both cases.
pub(crate) async fn check_form(State(state): State<AppState>, request: Request, next: Next) -> Response {
    // The API for back ends takes JSON and authenticates by key, without cookies.
    if request.method() != Method::POST || request.uri().path().starts_with("/gateway/api/") {
        return next.run(with_json_answer(request)).await;
    }
    let (mut parts, body) = request.into_parts();
    let (path, headers) = (parts.uri.path().to_owned(), parts.headers.clone());
    let cookies = parts.extensions.get::<RequestContext>().map(|context| context.cookies);
    let cookies = cookies.unwrap_or(CookieNames { is_https: false, reads_old: false });
    let wants_html = header_text(&headers, &header::ACCEPT).contains("text/html");
    // For text/html Leptos would redirect by itself and drop the input; with JSON the redirect is made here.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let Form { bytes, fields, refusal } = read_form(&state, &path, &headers, body, wants_html).await;
    let response = match refusal {
        None => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Some(refusal) => Refused(refusal).into_response(),
    };
    if wants_html { redirect_after_post(&state, &path, &headers, fields, response, cookies).await } else { response }
}

/// The staff's reads answer JSON to everybody: for `text/html` Leptos would redirect to the referring page.
fn with_json_answer(mut request: Request) -> Request {
    if paths::STAFF_READS.contains(&request.uri().path()) {
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    }
    request
}

#[derive(Default)]
struct Form {
    bytes: Bytes,
    /// Of a refused form those that were read, for the page that shows it again.
    fields: Fields,
    refusal: Option<Refusal>,
}

impl From<Refusal> for Form {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }
}

/// Reads and checks a form. Of a body over the limit the part below it is read for a page that shows the form again
/// (`keeps_text`), and nothing for a program.
async fn read_form(state: &AppState, path: &str, headers: &HeaderMap, body: Body, keeps_text: bool) -> Form {
    let web = &state.config.web;
    if let Err(refusal) = origin::check(headers, state) {
        return refusal.into();
    }
    let content_type = header_str(headers, &header::CONTENT_TYPE).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM_CONTENT_TYPE) {
        return Refusal::malformed("content-type").into();
    }
    // A body over the limit is reported as a message over its own limit, which the person can understand.
    let max =
        if path == paths::SEND { state.chat.rules().max_graphemes } else { u32::try_from(web.body_bytes).unwrap_or(u32::MAX) };
    let too_long = || Refusal::TooLong { max };
    if !keeps_text && body.size_hint().lower() > web.body_bytes as u64 {
        return too_long().into();
    }
    let read = tokio::time::timeout(Duration::from_millis(web.read_within_ms), read_up_to(body, web.body_bytes));
    let (bytes, is_whole) = match read.await {
        Err(_) => return Refusal::malformed("body").into(),
        Ok(Err(_)) => return too_long().into(),
        Ok(Ok(read)) => read,
    };
    if !is_whole {
        return Form { fields: parse(without_part_of_escape(&bytes)).0, refusal: Some(too_long()), bytes };
    }
    // Percent-encoded or not, the fields must be UTF-8.
    if percent_decode(&bytes).decode_utf8().is_err() {
        return Refusal::malformed("body").into();
    }
    let bytes = joined_seqs(path, &bytes).unwrap_or(bytes);
    let (fields, refusal) = parse(&bytes);
    Form { bytes, fields, refusal }
}

/// A removal may name several messages in fields of their own, as check boxes do: one field with commas takes their place. `None`: the
/// form has no such fields.
fn joined_seqs(path: &str, bytes: &[u8]) -> Option<Bytes> {
    if path != paths::REMOVE {
        return None;
    }
    let (seqs, others): (Vec<_>, Vec<_>) = form_urlencoded::parse(bytes).partition(|(name, _)| name == "seq");
    let seqs: Vec<_> = seqs.into_iter().map(|(_, seq)| seq).collect();
    let mut form = form_urlencoded::Serializer::new(String::new());
    (seqs.len() > 1).then(|| form.extend_pairs(others).append_pair("seq", &seqs.join(",")).finish().into())
}

/// Reads a body up to `most` bytes. `false`: it has more.
async fn read_up_to(body: Body, most: usize) -> Result<(Bytes, bool), axum::Error> {
    let mut stream = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        let free = most - read.len();
        if chunk.len() > free {
            read.extend_from_slice(&chunk[..free]);
            return Ok((read.into(), false));
        }
        read.extend_from_slice(&chunk);
    }
    Ok((read.into(), true))
}

/// The bytes of a form that was cut off, without the beginning of a `%XX` at their end.
fn without_part_of_escape(bytes: &[u8]) -> &[u8] {
    let end = bytes.len().saturating_sub(2);
    bytes[end..].iter().position(|byte| *byte == b'%').map_or(bytes, |at| &bytes[..end + at])
}

/// The fields of a form, and the refusal of a repeated one.
fn parse(bytes: &[u8]) -> (Fields, Option<Refusal>) {
    let (mut fields, mut refusal) = (Fields::new(), None);
    for (name, value) in form_urlencoded::parse(bytes) {
        // The end of a body that was cut off may be a part of a character.
        if fields.insert(name.to_string(), value.trim_end_matches('\u{fffd}').to_owned()).is_some() {
            refusal = Some(Refusal::malformed(name.chars().take(64).collect::<String>()));
        }
    }
    (fields, refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_a_form_that_is_cut_off_ends_with_a_whole_character() {
        let form = "room=1&message=%E5%AD%97%E5%AD%97";
        for cut in 0..9 {
            let (fields, refusal) = parse(without_part_of_escape(&form.as_bytes()[..form.len() - cut]));
            let expected = if cut == 0 { "字字" } else { "字" };
            assert_eq!((fields["message"].as_str(), fields["room"].as_str(), refusal), (expected, "1", None), "{cut}");
        }
        assert_eq!(without_part_of_escape(b""), b"");
    }

    #[test]
    fn several_seqs_of_a_removal_are_one_field() {
        let joined =
            |path, form: &'static str| joined_seqs(path, form.as_bytes()).map(|bytes| String::from_utf8(bytes.into()).unwrap());
        assert_eq!(joined(paths::REMOVE, "seq=1&room=a%2Bb&seq=7"), Some("room=a%2Bb&seq=1%2C7".into()));
        assert_eq!((joined(paths::REMOVE, "seq=1&room=1"), joined(paths::PIN, "seq=1&seq=2")), (None, None));
    }
}
