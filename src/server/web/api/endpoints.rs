//! The endpoints of the API: one per method, one for a batch of calls, one for the description.

use super::answer::AnswerBudget;
use super::method::{self, ApiError, Caller};
use super::method_table::MethodTable;
use super::methods::note_sender;
use super::nodes::{self, Called};
use super::reach;
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
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Timeout of one call, which waits for the shards when their mailboxes are full. The call may still take effect: the caller gets
/// `uncertain` for a message or an act of moderation, and else `busy`.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A query of a batch counts as this many of [`MAX_CALLS`], so at most 40 of a batch's queries are in progress: their results are
/// in memory before they are written.
const QUERY_WEIGHT: u32 = 25;
/// A call that leaves this node counts as this many, so at most 125 of a batch wait for other nodes.
const NODE_WEIGHT: u32 = 8;

/// Returns the routes of the API, and carries out the calls of other nodes from now on.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let methods = Arc::new(MethodTable::default());
    nodes::answer(&state.cluster, state.gateway.clone(), methods.clone());
    Router::new()
        .route("/gateway/api/openapi.json", get(describe))
        .route("/gateway/api/batch", post(batch))
        .route("/gateway/api/{method}", post(call))
        .layer(Extension(methods))
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
        execute(&state, &methods, &key, &name, input, nodes::budget(&state.cluster)).await
    };
    match outcome.await {
        Ok(called) => json_response(success(&called)),
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
        Ok(execute_all(&state, &methods, &key, calls).await)
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

/// Runs the calls of a batch, those of a part at the same time. Parts that would begin after [`CALL_TIMEOUT`] are refused with `busy`:
/// a silent node must not hold the request up without end.
async fn execute_all(
    state: &AppState,
    methods: &MethodTable,
    key: &ApiKey,
    calls: Vec<OneCall>,
) -> Vec<Result<Called, ApiError>> {
    let (budget, in_progress) = (nodes::budget(&state.cluster), Semaphore::new(MAX_CALLS));
    let method = |name: &str| methods.methods.get(name);
    let ways: Vec<_> = calls.iter().map(|call| nodes::way(method(&call.method), &call.params, &state.cluster)).collect();
    let (mut calls, mut results, begun) = (calls.into_iter().zip(&ways), Vec::with_capacity(ways.len()), Instant::now());
    for part in reach::parts(&ways) {
        let part = calls.by_ref().take(part.len());
        if begun.elapsed() > CALL_TIMEOUT {
            results.extend(part.map(|_| Err(Refusal::Busy.into())));
            continue;
        }
        let part = part.map(|(OneCall { method: name, params }, way)| {
            let (budget, in_progress) = (budget.clone(), &in_progress);
            async move {
                let is_query = method(&name).is_some_and(|method| method.scope.is_read());
                let weight = if is_query { QUERY_WEIGHT } else { 1 };
                let weight = if *way == reach::Way::Here { weight } else { weight.max(NODE_WEIGHT) };
                // The semaphore is fair, so calls still start in their order. It is never closed.
                let _permit = in_progress.acquire_many(weight).await;
                execute(state, methods, key, &name, params, budget).await
            }
        });
        results.extend(join_all(part).await);
    }
    results
}

/// Runs a method within [`CALL_TIMEOUT`], if the key has its scope, and counts the outcome.
async fn execute(
    state: &AppState,
    methods: &MethodTable,
    key: &ApiKey,
    name: &str,
    input: Value,
    budget: AnswerBudget,
) -> Result<Called, ApiError> {
    let method = methods.methods.get(name).ok_or(Refusal::NoSuchMethod)?;
    // Raw bytes can be any frame, a close or a forged push too.
    let is_raw = input.get("raw") == Some(&Value::Bool(true));
    let needed = [Some(method.scope), is_raw.then_some(Scope::Admin)];
    let outcome = match needed.into_iter().flatten().find(|scope| !key.has_scope(*scope)) {
        None if key.is_limited() && !method.is_of_room() => {
            let detail = format!("API key {} is limited to rooms: it calls the methods of rooms only", key.name);
            Err(ApiError { refusal: Refusal::NotAllowed, detail })
        }
        None => {
            let (gateway, cluster, chat) = (state.gateway.clone(), state.cluster.clone(), state.chat.clone());
            let caller = Caller { gateway, cluster, chat, key: key.clone() };
            if method.name == "sendToGroup" {
                note_sender(&caller.gateway, &key.name, &input);
            }
            let called = nodes::call(method, methods, caller, input, budget);
            tokio::time::timeout(CALL_TIMEOUT, called).await.unwrap_or_else(|_| Err(late(method.scope).into()))
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
    if outcome.is_err() || matches!(method.scope, Scope::Admin | Scope::ModAct | Scope::ModRules) {
        state.security_log.record_call(&key.name, method.name, code);
    }
    outcome
}

/// The refusal of a call that did not end in time: a message or an act may have been stored.
fn late(scope: Scope) -> Refusal {
    match scope {
        Scope::ChatSend | Scope::ModAct | Scope::ModRules => Refusal::Uncertain,
        _ => Refusal::Busy,
    }
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

/// The JSON of a call that was carried out, with the names of the nodes that are silent.
fn success(Called { result, silent }: &Called) -> Vec<u8> {
    let silent = match silent[..] {
        [] => String::new(),
        _ => format!(r#","silent":{}"#, json!(nodes::names(silent))),
    };
    [br#"{"status":true,"result":"#, &result[..], silent.as_bytes(), b"}"].concat()
}

/// The JSON of one call's outcome in a batch.
fn batch_result(result: Result<Called, ApiError>, lang: Lang) -> Vec<u8> {
    match result {
        Ok(called) => success(&called),
        Err(ApiError { refusal, detail }) => error_response::refusal_body(&refusal, lang, &detail).to_string().into_bytes(),
    }
}

fn json_response(json: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
}
