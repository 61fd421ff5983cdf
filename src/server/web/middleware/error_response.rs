//! Refusals as HTTP responses: status, JSON in the client's language, `Retry-After`. All refusals are rendered here.

use crate::domain::{
    lang::Lang,
    refusal::{Refusal, whole_seconds},
};
use crate::server::web::request_context::RequestContext;
use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leptos::server_fn::error::SERVER_FN_ERROR_HEADER;
use serde_json::Value;

/// Longest body of a server function's error that is parsed, in bytes.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;

/// A refusal as a handler returns it, without a body; [`render_errors`] adds the body.
pub(crate) struct Refused(pub Refusal);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = status_code(&self.0).into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

fn status_code(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Gives every refusal from below one form, whether it comes from a handler, a server function or the router (405). Other
/// responses pass unchanged.
pub(crate) async fn render_errors(request: Request, next: Next) -> Response {
    let lang = request.extensions().get::<RequestContext>().map_or(Lang::default(), |context| context.preferences.lang);
    let response = next.run(request).await;
    if response.extensions().get::<Rendered>().is_some() {
        return response;
    }
    let refusal = match response.extensions().get::<Refusal>() {
        Some(refusal) => refusal.clone(),
        None if response.headers().contains_key(SERVER_FN_ERROR_HEADER) => {
            match to_bytes(response.into_body(), MAX_REFUSAL_BYTES).await {
                Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or(Refusal::Busy),
                Err(_) => Refusal::Busy,
            }
        }
        None if response.status() == StatusCode::METHOD_NOT_ALLOWED => {
            let mut rendered = refusal_response(&Refusal::malformed("method"), lang);
            *rendered.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            rendered.headers_mut().extend(response.headers().get(header::ALLOW).cloned().map(|allow| (header::ALLOW, allow)));
            return rendered;
        }
        None => return response,
    };
    refusal_response(&refusal, lang)
}

/// The response of a refusal in `lang`.
pub(crate) fn refusal_response(refusal: &Refusal, lang: Lang) -> Response {
    refusal_response_with_detail(refusal, lang, "")
}

/// The response of a refusal with a `detail` in English for developers: the exact error in their input. Empty: no detail.
pub(crate) fn refusal_response_with_detail(refusal: &Refusal, lang: Lang, detail: &str) -> Response {
    let mut response = (status_code(refusal), Json(refusal_body(refusal, lang, detail))).into_response();
    if let Refusal::TooFast { retry_after_ms } = refusal {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*retry_after_ms)));
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(refusal.clone());
    response.extensions_mut().insert(Rendered);
    response
}

/// Marks a response whose body is complete.
#[derive(Clone)]
struct Rendered;

/// The JSON body of a refusal: its own fields, `status: false`, `message` in `lang`, and `detail` unless that is empty.
pub(crate) fn refusal_body(refusal: &Refusal, lang: Lang, detail: &str) -> Value {
    let mut body = serde_json::to_value(refusal).unwrap_or_default();
    body["status"] = false.into();
    body["message"] = refusal.message(lang).into();
    if !detail.is_empty() {
        body["detail"] = detail.into();
    }
    body
}
