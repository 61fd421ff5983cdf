//! A form posted without JavaScript is answered with a page to go to; if it was refused, what was typed waits there.

use super::cookies::{RETURNED_COOKIE, set_cookie};
use super::headers::header_str;
use crate::domain::{
    paths,
    refusal::Refusal,
    reply::{OpenRoomReply, ReturnedForm},
};
use crate::server::web::returned_forms::RETURNED_FORM_TTL;
use crate::server::web::state::AppState;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use leptos::server_fn::error::SERVER_FN_ERROR_HEADER;
use std::collections::HashMap;

/// Where a page without JavaScript goes after its form was posted.
pub async fn redirect_after_post(
    state: &AppState,
    path: &str,
    headers: &HeaderMap,
    mut fields: HashMap<String, String>,
    response: Response,
    is_https: bool,
) -> Response {
    let referer_path = || header_str(headers, &header::REFERER).and_then(local_path).unwrap_or("/").to_owned();
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, state.config.web.body_bytes * 4).await.unwrap_or_default();
    if parts.status.is_success() {
        let next = fields.get("next").and_then(|next| local_path(next)).map(str::to_owned);
        let to = match path {
            paths::OPEN_ROOM => serde_json::from_slice::<OpenRoomReply>(&body).ok().map(|opened| paths::room_page(&opened.room)),
            paths::GUEST | paths::REGISTER | paths::LOGIN => Some(next.unwrap_or_else(|| "/".into())),
            _ => next,
        };
        redirect(&mut parts.headers, &to.unwrap_or_else(referer_path));
    } else {
        let refusal = parts.extensions.remove::<Refusal>().or_else(|| serde_json::from_slice(&body).ok());
        // Not a form of ours: no such address, or not by this method.
        let Some(refusal) = refusal else { return Response::from_parts(parts, Body::from(body)) };
        let field = match path {
            paths::SEND => "message",
            paths::OPEN_ROOM => "title",
            paths::GUEST => "nickname",
            _ => "name",
        };
        let text = fields.remove(field).unwrap_or_default();
        let name = state.returned_forms.insert(ReturnedForm { form: path.into(), refusal, text });
        let seconds = i64::try_from(RETURNED_FORM_TTL.as_secs()).unwrap_or(i64::MAX);
        if let Ok(cookie) = HeaderValue::from_str(&set_cookie(RETURNED_COOKIE, &name, seconds, is_https, true)) {
            parts.headers.append(header::SET_COOKIE, cookie);
        }
        redirect(&mut parts.headers, &referer_path());
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
