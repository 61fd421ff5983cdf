//! The gateway's API over HTTP, for foreign back ends (README, “push gateway”): who calls, with which key, what for. A door beside
//! the pages': it translates, the gateway does.

mod method;
mod methods;
mod names;
mod openapi;
mod takes;

use super::asked::Asked;
use super::{Site, limits::Kind, refusals};
use crate::domain::{lang::Lang, refusal::Refusal};
use crate::server::accounts::ApiKey;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures_util::future::join_all;
use method::{Method, NotDone};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Largest request, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Calls of one batch.
const MAX_CALLS: usize = 1_000;
/// A call that waits for the shards longer than this is refused as busy. It may still be done.
const DONE_WITHIN: Duration = Duration::from_secs(10);

/// Every method by its name.
pub struct Api(BTreeMap<&'static str, Method>);

impl Default for Api {
    fn default() -> Self {
        Self(methods::all().into_iter().map(|method| (method.name, method)).collect())
    }
}

pub fn routes() -> Router<Site> {
    Router::new()
        .route("/gateway/api/openapi.json", get(describe))
        .route("/gateway/api/batch", post(batch))
        .route("/gateway/api/{method}", post(call))
}

async fn describe(State(site): State<Site>, Extension(asked): Extension<Asked>) -> Response {
    match site.api_keys.any_exists().await {
        Ok(true) => Json(openapi::document(site.0.api.0.values())).into_response(),
        Ok(false) => said(Refusal::NoSuchMethod.into(), &asked),
        Err(refusal) => said(refusal.into(), &asked),
    }
}

async fn call(
    State(site): State<Site>,
    Extension(asked): Extension<Asked>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let outcome = async {
        let key = key(&site, &asked, &headers).await?;
        let input = read(&site, body).await?;
        done(&site, &key, &name, input).await
    };
    match outcome.await {
        Ok(result) => Json(json!({"status": true, "result": result})).into_response(),
        Err(not_done) => said(not_done, &asked),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    calls: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneCall {
    method: String,
    params: Value,
}

/// Begun in their order, so that what goes to one shard is done in it; answered when all are done.
async fn batch(State(site): State<Site>, Extension(asked): Extension<Asked>, headers: HeaderMap, body: Body) -> Response {
    let outcome = async {
        let key = key(&site, &asked, &headers).await?;
        let Batch { calls } = method::read(read(&site, body).await?)?;
        if calls.len() > MAX_CALLS {
            return Err(NotDone::malformed("calls", format!("at most {MAX_CALLS} calls")));
        }
        let calls = calls.into_iter().map(|call| method::read(call.into()));
        let calls: Vec<OneCall> =
            calls.collect::<Result<_, _>>().map_err(|not_done| NotDone::malformed("calls", not_done.detail))?;
        let results = calls.into_iter().map(|OneCall { method, params }| {
            let (site, key) = (&site, &key);
            async move { done(site, key, &method, params).await }
        });
        Ok(join_all(results).await)
    };
    match outcome.await {
        Ok(results) => {
            let lang = asked.preferences.lang;
            let results: Vec<_> = results.into_iter().map(|result| in_batch(result, lang)).collect();
            Json(json!({"status": true, "results": results})).into_response()
        }
        Err(not_done) => said(not_done, &asked),
    }
}

/// Whose call it is. Wrong keys are counted by address: nobody tries them for long.
async fn key(site: &Site, asked: &Asked, headers: &HeaderMap) -> Result<ApiKey, NotDone> {
    if !site.api_keys.any_exists().await? {
        return Err(Refusal::NoSuchMethod.into());
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let secret = bearer.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if let Some((_, secret)) = secret
        && let Some(key) = site.api_keys.authenticate(secret.trim(), || site.0.limits.check(Kind::Request, asked)).await?
    {
        return Ok(key);
    }
    site.0.limits.check(Kind::SignIn, asked)?;
    Err(Refusal::NotSignedIn.into())
}

async fn read(site: &Site, body: Body) -> Result<Value, NotDone> {
    let within = Duration::from_millis(site.config.web.read_within_ms);
    let bytes = match tokio::time::timeout(within, to_bytes(body, MAX_BODY_BYTES)).await {
        Err(_) => return Err(NotDone::malformed("body", "it did not arrive in time")),
        Ok(Err(_)) => return Err(Refusal::TooLong { max: MAX_BODY_BYTES as u32 }.into()),
        Ok(Ok(bytes)) => bytes,
    };
    serde_json::from_slice(&bytes).map_err(|error| NotDone::malformed("body", error.to_string()))
}

async fn done(site: &Site, key: &ApiKey, name: &str, input: Value) -> Result<Value, NotDone> {
    let method = site.0.api.0.get(name).ok_or(Refusal::NoSuchMethod)?;
    let outcome = if key.has_scope(method.scope) {
        let called = method.call(site.gateway.clone(), input);
        tokio::time::timeout(DONE_WITHIN, called).await.unwrap_or(Err(Refusal::Busy.into()))
    } else {
        Err(NotDone { refusal: Refusal::NotAllowed, detail: format!("the key {} lacks the scope {}", key.name, method.scope) })
    };
    let code = outcome.as_ref().map_or_else(|not_done| not_done.refusal.code(), |_| "done");
    metrics::counter!("roomcast_api_calls_total", "method" => method.name, "outcome" => code).increment(1);
    outcome
}

/// A refusal in words, with what exactly was wrong.
fn said(not_done: NotDone, asked: &Asked) -> Response {
    let NotDone { refusal, detail } = not_done;
    let mut response = refusals::in_words_with(&refusal, asked.preferences.lang, &detail);
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn in_batch(result: Result<Value, NotDone>, lang: Lang) -> Value {
    match result {
        Ok(result) => json!({"status": true, "result": result}),
        Err(NotDone { refusal, detail }) => refusals::body(&refusal, lang, &detail),
    }
}
