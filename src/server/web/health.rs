//! Alive, ready, and the figures.

use super::middleware::error_response::Refused;
use super::request_context::Asked;
use super::state::Site;
use crate::domain::refusal::Refusal;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

pub async fn healthz() -> &'static str {
    "ok"
}

/// May this node get traffic?
pub async fn readyz(State(site): State<Site>) -> Response {
    if site.leaving.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining").into_response();
    }
    match site.store.ping().await {
        Ok(()) => "ready".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "storage").into_response()
        }
    }
}

pub async fn figures(State(site): State<Site>, Extension(asked): Extension<Asked>) -> Response {
    if asked.hidden || !site.config.web.metrics_from.iter().any(|network| network.contains(&asked.address)) {
        return Refused(Refusal::NotAllowed).into_response();
    }
    site.gateway.record_metrics();
    site.metrics.render().into_response()
}
