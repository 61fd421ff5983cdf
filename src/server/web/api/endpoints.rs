//! The endpoints of the API: one per method, one for a batch of calls, one for the description.

use super::answer::AnswerBudget;
use super::method::{self, ApiError};
use super::method_table::MethodTable;
use super::request::{Batch, MAX_CALLS, OneCall, authenticate, read_body};
use crate::domain::{lang::Lang, refusal::Refusal};
use crate::server::accounts::{ApiKey, Scope};
use crate::server::web::middleware::error_response;
use crate::server::web::rate_limit::RequestKind;
use crate::server::web::request_context::RequestContext;
use crate::server::web::state::AppState;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::future::join_all;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Timeout of one call, which waits for the shards when their mailboxes are full. The caller gets `busy`; the call may still
/// take effect.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A query of a batch counts as this many of [`MAX_CALLS`], so at most 40 of a batch's queries are in progress: their results are
/// in memory before they are written.
const QUERY_WEIGHT: u32 = 25;

/// Returns the routes of the API.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/gateway/api/openapi.json", get(describe))
        .route("/gateway/api/batch", post(batch))
        .route("/gateway/api/{method}", post(call))
        .layer(Extension(Arc::new(MethodTable::default())))
}

/// `GET /gateway/api/openapi.json`, without a key, but only while the API is on.
async fn describe(
    State(state): State<AppState>,
    Extension(methods): Extension<Arc<MethodTable>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
) -> Response {
    let outcome = async {
        state.rate_limits.check(RequestKind::Request, &context)?;
        if state.api_keys.any_exists().await? { Ok(()) } else { Err(Refusal::NoSuchMethod) }
    };
    match outcome.await {
        Ok(()) => methods.description().response(&headers),
        Err(refusal) => error_response(refusal.into(), &context),
    }
}

/// `POST /gateway/api/{method}`. The body is read only after the key was accepted.
async fn call(
    State(state): State<AppState>,
    Extension(methods): Extension<Arc<MethodTable>>,
    Extension(context): Extension<RequestContext>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let outcome = async {
        let key = authenticate(&state, &context, &headers).await?;
        let input = read_body(&state, body).await?;
        execute(&state, &methods, &key, &name, input, AnswerBudget::new()).await
    };
    match outcome.await {
        Ok(result) => json_response([br#"{"status":true,"result":"#, &result[..], b"}"].concat()),
        Err(error) => error_response(error, &context),
    }
}

/// `POST /gateway/api/batch`. Calls start in their order, so calls to one shard also take effect in it. The response follows
/// when all have ended; each call has a result or an error of its own.
async fn batch(
    State(state): State<AppState>,
    Extension(methods): Extension<Arc<MethodTable>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let outcome = async {
        let key = authenticate(&state, &context, &headers).await?;
        let Batch { calls } = method::parse_input(read_body(&state, body).await?)?;
        if calls.len() > MAX_CALLS {
            return Err(ApiError::malformed("calls", format!("more than {MAX_CALLS} calls")));
        }
        let calls = calls.into_iter().map(|call| method::parse_input(call.into()));
        let calls: Vec<OneCall> = calls.collect::<Result<_, _>>().map_err(|error| ApiError::malformed("calls", error.detail))?;
        let (budget, in_progress) = (AnswerBudget::new(), Semaphore::new(MAX_CALLS));
        let results = calls.into_iter().map(|OneCall { method, params }| {
            let (state, methods, key, budget, in_progress) = (&state, &methods, &key, budget.clone(), &in_progress);
            async move {
                // The semaphore is fair, so calls still start in their order. It is never closed.
                let is_query = methods.methods.get(method.as_str()).is_some_and(|method| method.scope == Scope::Query);
                let _permit = in_progress.acquire_many(if is_query { QUERY_WEIGHT } else { 1 }).await;
                execute(state, methods, key, &method, params, budget).await
            }
        });
        Ok(join_all(results).await)
    };
    match outcome.await {
        Ok(results) => {
            let lang = context.preferences.lang;
            let results: Vec<_> = results.into_iter().map(|result| batch_result(result, lang)).collect();
            json_response([br#"{"status":true,"results":["#, &results.join(&b',')[..], b"]}"].concat())
        }
        Err(error) => error_response(error, &context),
    }
}

/// Runs a method within [`CALL_TIMEOUT`], if the key has its scope, and counts the outcome.
async fn execute(
    state: &AppState,
    methods: &MethodTable,
    key: &ApiKey,
    name: &str,
    input: Value,
    budget: AnswerBudget,
) -> Result<Vec<u8>, ApiError> {
    let method = methods.methods.get(name).ok_or(Refusal::NoSuchMethod)?;
    // Raw bytes can be any frame, a close or a forged push too.
    let is_raw = input.get("raw") == Some(&Value::Bool(true));
    let needed = [Some(method.scope), is_raw.then_some(Scope::Admin)];
    let outcome = match needed.into_iter().flatten().find(|scope| !key.has_scope(*scope)) {
        None => {
            let called = method.call(state.gateway.clone(), input, budget);
            tokio::time::timeout(CALL_TIMEOUT, called).await.unwrap_or(Err(Refusal::Busy.into()))
        }
        Some(scope) => {
            let what = if scope == method.scope { "" } else { ", which raw needs" };
            let detail = format!("API key {} lacks the scope {scope}{what}", key.name);
            Err(ApiError { refusal: Refusal::NotAllowed, detail })
        }
    };
    let code = outcome.as_ref().map_or_else(|error| error.refusal.code(), |_| "done");
    let by_key = key.name.clone();
    metrics::counter!("roomcast_api_calls_total", "key" => by_key, "method" => method.name, "outcome" => code).increment(1);
    tracing::debug!(key = key.name, method = method.name, outcome = code, "api call");
    if outcome.is_err() || method.scope == Scope::Admin {
        state.security_log.record_call(&key.name, method.name, code);
    }
    outcome
}

/// The response of an error, with `WWW-Authenticate` if the key is missing.
fn error_response(error: ApiError, context: &RequestContext) -> Response {
    let ApiError { refusal, detail } = error;
    let mut response = error_response::refusal_response_with_detail(&refusal, context.preferences.lang, &detail);
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The JSON of one call's outcome in a batch.
fn batch_result(result: Result<Vec<u8>, ApiError>, lang: Lang) -> Vec<u8> {
    match result {
        Ok(result) => [br#"{"status":true,"result":"#, &result[..], b"}"].concat(),
        Err(ApiError { refusal, detail }) => error_response::refusal_body(&refusal, lang, &detail).to_string().into_bytes(),
    }
}

fn json_response(json: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
}
