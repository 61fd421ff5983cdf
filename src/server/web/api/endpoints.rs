//! The addresses of the API: one for each method, one for several calls, one for the description.

use super::method::{self, NotDone};
use super::method_table::Api;
use super::openapi;
use super::request::{Batch, MAX_CALLS, OneCall, key, read};
use crate::domain::{lang::Lang, refusal::Refusal};
use crate::server::accounts::ApiKey;
use crate::server::web::middleware::error_response;
use crate::server::web::request_context::Asked;
use crate::server::web::state::Site;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A call that waits for the shards longer than this is refused as busy. It may still be done.
const DONE_WITHIN: Duration = Duration::from_secs(10);

pub fn routes() -> Router<Site> {
    Router::new()
        .route("/gateway/api/openapi.json", get(describe))
        .route("/gateway/api/batch", post(batch))
        .route("/gateway/api/{method}", post(call))
        .layer(Extension(Arc::new(Api::default())))
}

async fn describe(State(site): State<Site>, Extension(api): Extension<Arc<Api>>, Extension(asked): Extension<Asked>) -> Response {
    match site.api_keys.any_exists().await {
        Ok(true) => Json(openapi::document(api.0.values())).into_response(),
        Ok(false) => said(Refusal::NoSuchMethod.into(), &asked),
        Err(refusal) => said(refusal.into(), &asked),
    }
}

async fn call(
    State(site): State<Site>,
    Extension(api): Extension<Arc<Api>>,
    Extension(asked): Extension<Asked>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let outcome = async {
        let key = key(&site, &asked, &headers).await?;
        let input = read(&site, body).await?;
        done(&site, &api, &key, &name, input).await
    };
    match outcome.await {
        Ok(result) => Json(json!({"status": true, "result": result})).into_response(),
        Err(not_done) => said(not_done, &asked),
    }
}

/// Begun in their order, so that what goes to one shard is done in it; answered when all are done.
async fn batch(
    State(site): State<Site>,
    Extension(api): Extension<Arc<Api>>,
    Extension(asked): Extension<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
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
            let (site, api, key) = (&site, &api, &key);
            async move { done(site, api, key, &method, params).await }
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

async fn done(site: &Site, api: &Api, key: &ApiKey, name: &str, input: Value) -> Result<Value, NotDone> {
    let method = api.0.get(name).ok_or(Refusal::NoSuchMethod)?;
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
    let mut response = error_response::in_words_with(&refusal, asked.preferences.lang, &detail);
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn in_batch(result: Result<Value, NotDone>, lang: Lang) -> Value {
    match result {
        Ok(result) => json!({"status": true, "result": result}),
        Err(NotDone { refusal, detail }) => error_response::body(&refusal, lang, &detail),
    }
}
