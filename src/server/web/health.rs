//! Endpoints for operators: liveness, readiness, metrics.

use super::middleware::error_response::Refused;
use super::request_context::RequestContext;
use super::state::AppState;
use crate::domain::refusal::Refusal;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// `GET /healthz`: 200 while the process can answer.
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: 200 if a load balancer may send traffic; 503 `draining` during shutdown, 503 `storage` if the database does
/// not answer.
pub(super) async fn readyz(State(state): State<AppState>) -> Response {
    if state.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining").into_response();
    }
    match state.store.ping().await {
        Ok(()) => "ready".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "storage").into_response()
        }
    }
}

/// `GET /metrics`: Prometheus text, for clients in `web.metrics_from` only. A request through an untrusted proxy is refused,
/// since its address is the proxy's.
pub(super) async fn metrics(State(state): State<AppState>, Extension(context): Extension<RequestContext>) -> Response {
    if context.behind_untrusted_proxy
        || !state.config.web.metrics_from.iter().any(|network| network.contains(&context.client_addr))
    {
        return Refused(Refusal::NotAllowed).into_response();
    }
    state.gateway.record_metrics();
    state.metrics.render().into_response()
}
