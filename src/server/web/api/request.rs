//! Whose call it is, and what is in it.

use super::method::ApiError;
use crate::domain::refusal::Refusal;
use crate::server::accounts::ApiKey;
use crate::server::web::rate_limit::RequestKind;
use crate::server::web::request_context::RequestContext;
use crate::server::web::state::AppState;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// Largest request, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Calls of one batch.
pub const MAX_CALLS: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    pub calls: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneCall {
    pub method: String,
    pub params: Value,
}

/// Whose call it is. Wrong keys are counted by address: nobody tries them for long.
pub async fn authenticate(state: &AppState, context: &RequestContext, headers: &HeaderMap) -> Result<ApiKey, ApiError> {
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
    Err(Refusal::NotSignedIn.into())
}

pub async fn read_body(state: &AppState, body: Body) -> Result<Value, ApiError> {
    let within = Duration::from_millis(state.config.web.read_within_ms);
    let bytes = match tokio::time::timeout(within, to_bytes(body, MAX_BODY_BYTES)).await {
        Err(_) => return Err(ApiError::malformed("body", "it did not arrive in time")),
        Ok(Err(_)) => return Err(Refusal::TooLong { max: MAX_BODY_BYTES as u32 }.into()),
        Ok(Ok(bytes)) => bytes,
    };
    serde_json::from_slice(&bytes).map_err(|error| ApiError::malformed("body", error.to_string()))
}
