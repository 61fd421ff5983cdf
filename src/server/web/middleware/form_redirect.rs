//! Post/redirect/get for forms of pages without JavaScript. The input of a refused form is kept for the next page.

use super::cookies::{CookieNames, RETURNED_COOKIE};
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
use percent_encoding::{AsciiSet, percent_encode};
use std::collections::HashMap;

/// Encodes nothing of ASCII; `percent_encode` encodes all other bytes by itself.
const NON_ASCII: &AsciiSet = &AsciiSet::EMPTY;

/// Turns the response to a form into a 303. After success it leads to `next`, the new room or the form's page. After a
/// refusal it leads to the form's page, and the refusal waits for that page with the person's input. Another error, as for
/// an unknown path, is returned unchanged.
pub(crate) async fn redirect_after_post(
    state: &AppState,
    path: &str,
    headers: &HeaderMap,
    mut fields: HashMap<String, String>,
    response: Response,
    cookies: CookieNames,
) -> Response {
    let form_page = || referring_path(headers).unwrap_or_else(|| "/".to_owned());
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, state.config.web.body_bytes * 4).await.unwrap_or_default();
    let to = if parts.status.is_success() {
        target_after_success(path, &fields, &body).unwrap_or_else(form_page)
    } else {
        let refusal = parts.extensions.remove::<Refusal>().or_else(|| serde_json::from_slice(&body).ok());
        let Some(refusal) = refusal else { return Response::from_parts(parts, Body::from(body)) };
        let text = fields.remove(text_field(path)).unwrap_or_default();
        let key = state.returned_forms.insert(ReturnedForm { form: path.into(), refusal, text });
        let seconds = i64::try_from(RETURNED_FORM_TTL.as_secs()).unwrap_or(i64::MAX);
        if let Ok(cookie) = HeaderValue::from_str(&cookies.set(RETURNED_COOKIE, &key, seconds, true)) {
            parts.headers.append(header::SET_COOKIE, cookie);
        }
        form_page()
    };
    redirect(&mut parts.headers, &to);
    parts.status = StatusCode::SEE_OTHER;
    Response::from_parts(parts, Body::empty())
}

/// `None`: back to the form's page.
fn target_after_success(path: &str, fields: &HashMap<String, String>, body: &[u8]) -> Option<String> {
    let next = fields.get("next").and_then(|next| local_path(next)).map(str::to_owned);
    match path {
        paths::OPEN_ROOM => serde_json::from_slice::<OpenRoomReply>(body).ok().map(|opened| paths::room_page(&opened.room)),
        paths::GUEST | paths::REGISTER | paths::LOGIN => Some(next.unwrap_or_else(|| "/".into())),
        paths::PASSWORD => Some(paths::PASSWORD_CHANGED_PAGE.into()),
        paths::END_SESSION | paths::END_OTHER_SESSIONS => Some(paths::ACCOUNT_PAGE.into()),
        _ => next,
    }
}

/// The field of a form that holds the person's own text.
fn text_field(path: &str) -> &'static str {
    match path {
        paths::SEND => "message",
        paths::OPEN_ROOM | paths::TITLE => "title",
        paths::GUEST => "nickname",
        paths::MODE => "slow_ms",
        _ => "name",
    }
}

fn redirect(headers: &mut HeaderMap, to: &str) {
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    // The page shows the refusal; a redirect has no body for this header to describe.
    headers.remove(SERVER_FN_ERROR_HEADER);
    headers.insert(header::LOCATION, HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/")));
}

/// Path and query of the page that has the form. Bytes beyond ASCII are percent-encoded, as `Location` needs it.
fn referring_path(headers: &HeaderMap) -> Option<String> {
    let referer = headers.get(header::REFERER)?.as_bytes();
    local_path(&percent_encode(referer, NON_ASCII).to_string()).map(str::to_owned)
}

/// Returns path and query of a URL, without its host, so that no redirect leads to another site. `None`: not a path.
pub(crate) fn local_path(url: &str) -> Option<&str> {
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
    fn redirects_stay_on_this_site() {
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
