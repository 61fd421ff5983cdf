//! A request of the API: its key, its body, its limits.

use super::method::ApiError;
use crate::domain::refusal::Refusal;
use crate::server::accounts::ApiKey;
use crate::server::security_log::{Act, Event};
use crate::server::web::rate_limit::RequestKind;
use crate::server::web::request_context::RequestContext;
use crate::server::web::state::AppState;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// Largest request body, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Most calls in one batch.
pub(super) const MAX_CALLS: usize = 1_000;

/// Body of `POST /gateway/api/batch`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// Each to be parsed as a [`OneCall`].
    pub calls: Vec<Map<String, Value>>,
}

/// One call of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneCall {
    /// Name of the method.
    pub method: String,
    /// Its input.
    pub params: Value,
}

/// Returns the API key of the `Authorization` header. Without a valid key the error is `not_signed_in`, and the request counts
/// as a sign-in against the rate limit of its address. While no key exists the API is off: `no_such_method`.
pub(super) async fn authenticate(state: &AppState, context: &RequestContext, headers: &HeaderMap) -> Result<ApiKey, ApiError> {
    if !state.api_keys.any_exists().await? {
        return Err(Refusal::NoSuchMethod.into());
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let secret = bearer.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if let Some((_, secret)) = secret
        && let Some(key) =
            state.api_keys.authenticate(secret.trim(), || state.rate_limits.check(RequestKind::Request, context)).await?
    {
        return Ok(key);
    }
    state.rate_limits.check(RequestKind::SignIn, context)?;
    if secret.is_some() {
        state.security_log.record(&Event::new(Act::KeyRefused).network(context.client_addr));
    }
    Err(Refusal::NotSignedIn.into())
}

/// Reads and parses the body. Returns `too_long` over 1 MiB, and `malformed` if it is not JSON or takes longer than
/// `web.read_within_ms`.
pub(super) async fn read_body(state: &AppState, body: Body) -> Result<Value, ApiError> {
    let within = Duration::from_millis(state.config.web.read_within_ms);
    let bytes = match tokio::time::timeout(within, to_bytes(body, MAX_BODY_BYTES)).await {
        Err(_) => return Err(ApiError::malformed("body", "timeout: the body was not complete within web.read_within_ms")),
        Ok(Err(_)) => return Err(Refusal::TooLong { max: MAX_BODY_BYTES as u32 }.into()),
        Ok(Ok(bytes)) => bytes,
    };
    serde_json::from_slice(&bytes).map_err(|error| ApiError::malformed("body", error.to_string()))
}
