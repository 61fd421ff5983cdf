//! Every POST comes through here: from an allowed origin, form-encoded, small, each field once. A form posted without
//! JavaScript is answered with a page to go to; if it was refused, what was typed waits there.

use super::asked::{Asked, cookie_of, set_cookie, text_of};
use super::{Site, origin, refusals::Refused};
use crate::domain::{
    paths,
    refusal::Refusal,
    reply::{OpenRoomReply, ReturnedForm},
};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leptos::server_fn::error::SERVER_FN_ERROR_HEADER;
use moka::sync::Cache;
use percent_encoding::percent_decode;
use std::collections::HashMap;
use std::time::Duration;

const RETURNED_COOKIE: &str = "roomcast_returned";
/// How long a refused form waits for its page to be loaded again.
const RETURNED_FOR: Duration = Duration::from_secs(120);
const FORM: &str = "application/x-www-form-urlencoded";

/// Refused forms that wait for their page, by a random name in a cookie. Bounded: the oldest go.
pub struct ReturnedForms(Cache<String, ReturnedForm>);

impl Default for ReturnedForms {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(2_000).time_to_live(RETURNED_FOR).build())
    }
}

impl ReturnedForms {
    fn keep(&self, returned: ReturnedForm) -> String {
        let name = uuid::Uuid::new_v4().simple().to_string();
        self.0.insert(name.clone(), returned);
        name
    }

    /// Once.
    pub fn take(&self, headers: &HeaderMap) -> Option<ReturnedForm> {
        self.0.remove(&cookie_of(headers, RETURNED_COOKIE)?)
    }
}

pub async fn admit(State(site): State<Site>, request: Request, next: Next) -> Response {
    // The API for back ends speaks JSON, and knows its callers by key.
    if request.method() != Method::POST || request.uri().path().starts_with("/gateway/api/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let (path, headers) = (parts.uri.path().to_owned(), parts.headers.clone());
    let secure = parts.extensions.get::<Asked>().is_some_and(|asked| asked.secure);
    let from_a_page = text_of(&headers, &header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    // Leptos has an answer of its own for those who accept HTML; the one here keeps what was typed.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let (fields, response) = match read(&site, &path, &headers, body).await {
        Ok(Form { bytes, fields }) => (fields, next.run(Request::from_parts(parts, Body::from(bytes))).await),
        Err(refusal) => (HashMap::new(), Refused(refusal).into_response()),
    };
    if from_a_page { go_on(&site, &path, &headers, fields, response, secure).await } else { response }
}

struct Form {
    bytes: Bytes,
    fields: HashMap<String, String>,
}

async fn read(site: &Site, path: &str, headers: &HeaderMap, body: Body) -> Result<Form, Refusal> {
    let web = &site.config.web;
    if !origin::is_allowed(headers, web) {
        return Err(Refusal::NotAllowed);
    }
    let content_type = text_of(headers, &header::CONTENT_TYPE).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM) {
        return Err(Refusal::malformed("content-type"));
    }
    let read = tokio::time::timeout(Duration::from_millis(web.read_within_ms), to_bytes(body, web.body_bytes));
    let bytes = match read.await {
        Err(_) => return Err(Refusal::malformed("body")),
        // What does not even fit the request is too long a message, to a person.
        Ok(Err(_)) if path == paths::SEND => return Err(Refusal::TooLong { max: site.chat.rules().max_graphemes }),
        Ok(Err(_)) => return Err(Refusal::TooLong { max: u32::try_from(web.body_bytes).unwrap_or(u32::MAX) }),
        Ok(Ok(bytes)) => bytes,
    };
    // Escaped or not, a form is text.
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

/// Where a page without JavaScript goes after its form was posted.
async fn go_on(
    site: &Site,
    path: &str,
    headers: &HeaderMap,
    mut fields: HashMap<String, String>,
    response: Response,
    secure: bool,
) -> Response {
    let came_from = || text_of(headers, &header::REFERER).and_then(local_path).unwrap_or("/").to_owned();
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, site.config.web.body_bytes * 4).await.unwrap_or_default();
    if parts.status.is_success() {
        let next = fields.get("next").and_then(|next| local_path(next)).map(str::to_owned);
        let to = match path {
            paths::OPEN_ROOM => serde_json::from_slice::<OpenRoomReply>(&body).ok().map(|opened| paths::room_page(&opened.room)),
            paths::GUEST | paths::REGISTER | paths::LOGIN => Some(next.unwrap_or_else(|| "/".into())),
            _ => next,
        };
        redirect(&mut parts.headers, &to.unwrap_or_else(came_from));
    } else {
        let said = parts.extensions.remove::<Refusal>().or_else(|| serde_json::from_slice(&body).ok());
        // Not a form of ours: no such address, or not by this method.
        let Some(refusal) = said else { return Response::from_parts(parts, Body::from(body)) };
        let field = match path {
            paths::SEND => "message",
            paths::OPEN_ROOM => "title",
            paths::GUEST => "nickname",
            _ => "name",
        };
        let text = fields.remove(field).unwrap_or_default();
        let name = site.0.returned.keep(ReturnedForm { form: path.into(), refusal, text });
        let seconds = i64::try_from(RETURNED_FOR.as_secs()).unwrap_or(i64::MAX);
        if let Ok(cookie) = HeaderValue::from_str(&set_cookie(RETURNED_COOKIE, &name, seconds, secure, true)) {
            parts.headers.append(header::SET_COOKIE, cookie);
        }
        redirect(&mut parts.headers, &came_from());
    }
    parts.status = StatusCode::SEE_OTHER;
    Response::from_parts(parts, Body::empty())
}

fn redirect(headers: &mut HeaderMap, to: &str) {
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    // The refusal is said by the page one goes to.
    headers.remove(SERVER_FN_ERROR_HEADER);
    headers.insert(header::LOCATION, HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/")));
}

/// The path of an address of ours; another site's is no place to send anyone.
fn local_path(url: &str) -> Option<&str> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map(|slash| &rest[slash..])?,
        None => url,
    };
    let local = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') && !path.chars().any(char::is_control);
    local.then(|| path.split('#').next().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(local_path("/rooms/1"), Some("/rooms/1"));
        assert_eq!(local_path("https://anywhere.example/rooms/1?a=b#c"), Some("/rooms/1?a=b"));
        for bad in [
            "//evil.example",
            "https://evil.example",
            "evil",
            "/\\evil.example",
            "javascript:alert(1)",
            "http://x//evil.example",
            "/a\nb",
        ] {
            assert_eq!(local_path(bad), None, "{bad}");
        }
    }
}
