//! Post/redirect/get for forms of pages without JavaScript. The input of a refused form is kept for the next page. A form tells
//! by its own fields where it stands and where it leads (`form_target`), since browsers may send no `Referer`.

use super::cookies::{CookieNames, RETURNED_COOKIE};
use super::form_target::{self, Fields, local_path};
use crate::domain::{
    paths::{self, COOKIES_FIELD},
    refusal::Refusal,
    reply::ReturnedForm,
};
use crate::server::web::request_context::RequestContext;
use crate::server::web::returned_forms::{KeptForm, RETURNED_FORM_TTL};
use crate::server::web::state::AppState;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leptos::server_fn::error::SERVER_FN_ERROR_HEADER;

/// Most bytes of a server function's answer to a form.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Turns the response to a form into a 303. After success it leads to `next`, the new room or the form's page. After a
/// refusal it leads to the form's page, and the refusal waits for that page with the person's input. Another error, as for
/// an unknown path, is returned unchanged.
///
/// Without any cookie of this site, which each page sets, the browser may keep none: the key of the waiting form then stands
/// in the address, and a form whose only result is a cookie leads to its own page first ([`settle_cookies`]).
pub(crate) async fn redirect_after_post(
    state: &AppState,
    path: &str,
    headers: &HeaderMap,
    mut fields: Fields,
    response: Response,
    cookies: CookieNames,
) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ANSWER_BYTES).await.unwrap_or_default();
    let has_cookies = cookies.read(headers).is_any();
    let to = if parts.status.is_success() {
        let to = form_target::after_success(path, &fields, headers, &body);
        if has_cookies || !needs_cookies(path) {
            to
        } else {
            let page = form_target::form_page(path, &fields, headers);
            let form = returned_form(path, Refusal::NoCookies, &mut fields);
            with_key(&page, &state.returned_forms.insert(KeptForm { form, then: Some(to) }).await)
        }
    } else {
        let refusal = parts.extensions.remove::<Refusal>().or_else(|| serde_json::from_slice(&body).ok());
        let Some(refusal) = refusal.filter(|_| form_target::is_form(path)) else {
            return Response::from_parts(parts, Body::from(body));
        };
        let page = form_target::form_page(path, &fields, headers);
        let form = returned_form(path, refusal, &mut fields);
        let key = state.returned_forms.insert(KeptForm { form, then: None }).await;
        let seconds = i64::try_from(RETURNED_FORM_TTL.as_secs()).unwrap_or(i64::MAX);
        if let Ok(cookie) = HeaderValue::from_str(&cookies.set(RETURNED_COOKIE, &key, seconds, true)) {
            parts.headers.append(header::SET_COOKIE, cookie);
        }
        if has_cookies { page } else { with_key(&page, &key) }
    };
    redirect(&mut parts.headers, &to);
    parts.status = StatusCode::SEE_OTHER;
    Response::from_parts(parts, Body::empty())
}

/// Answers a page whose address has the key of a waiting form. A browser that came with cookies is sent on, to the page that
/// the form leads to or to the address without the key. For another the page is rendered, and shows the form.
pub(crate) async fn settle_cookies(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Some(key) = key_in_address(&request).filter(|_| request.method() == Method::GET) else { return next.run(request).await };
    // Of another node it comes into this one's memory, where the page finds it.
    let kept = state.returned_forms.peek(&key).await;
    let context = request.extensions().get::<RequestContext>();
    if !context.is_some_and(|context| context.cookies.read(request.headers()).is_any()) {
        return next.run(request).await;
    }
    let then = kept.and_then(|kept| kept.then);
    let to = then.unwrap_or_else(|| without_key(&request));
    match HeaderValue::from_str(&to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to), (header::CACHE_CONTROL, NO_STORE)]).into_response(),
        Err(_) => next.run(request).await,
    }
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The key of a waiting form in the address of a page.
pub(crate) fn key_in_address(request: &Request) -> Option<String> {
    key_in_query(request.uri().query().unwrap_or_default())
}

/// The key of a waiting form in a query.
pub(crate) fn key_in_query(query: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == COOKIES_FIELD).map(|(_, key)| key.into_owned())
}

fn with_key(page: &str, key: &str) -> String {
    let joint = if page.contains('?') { '&' } else { '?' };
    format!("{page}{joint}{COOKIES_FIELD}={key}")
}

/// Path and query of a request, without the key of a waiting form.
fn without_key(request: &Request) -> String {
    let path = local_path(request.uri().path()).unwrap_or("/");
    let is_key = |field: &&str| key_in_query(field).is_some();
    let query: Vec<_> = request.uri().query().unwrap_or_default().split('&').filter(|field| !is_key(field)).collect();
    let query = query.join("&");
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Whether a cookie is the only result of the form.
fn needs_cookies(path: &str) -> bool {
    matches!(path, paths::GUEST | paths::REGISTER | paths::LOGIN | paths::PREFERENCES)
}

/// The form as its page shows it again: with everything that was typed but passwords.
fn returned_form(path: &str, refusal: Refusal, fields: &mut Fields) -> ReturnedForm {
    let more = if path == paths::REGISTER { fields.remove("nickname").unwrap_or_default() } else { String::new() };
    ReturnedForm { form: path.into(), refusal, text: fields.remove(text_field(path)).unwrap_or_default(), more }
}

/// The field of a form that holds the person's own text.
fn text_field(path: &str) -> &'static str {
    match path {
        paths::SEND => "message",
        paths::GUEST => "nickname",
        paths::MODE => "slow_ms",
        paths::NOTE => "text",
        paths::ROLE => "user",
        path if path != paths::TITLE && paths::ACTS.contains(&path) => "reason",
        paths::REGISTER | paths::LOGIN => "name",
        _ => "title",
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
