//! Endpoints for operators: liveness, readiness, metrics.

use super::middleware::error_response::Refused;
use super::request_context::RequestContext;
use super::state::AppState;
use crate::domain::refusal::Refusal;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for which `/readyz` repeats the result of a read.
const RESULT_KEPT_FOR: Duration = Duration::from_secs(1);

/// `GET /healthz`: 200 while the process can answer.
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: 200 if a load balancer may send traffic; 503 `draining` during shutdown, 503 `storage` if the database in the
/// data folder does not answer. A server answered by the time that this one listens; while it is away, all nodes would leave the
/// balancer at once, so it does not count.
pub(super) async fn readyz(State(state): State<AppState>) -> Response {
    if state.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining").into_response();
    }
    if state.store.status().is_some() || store_answers(&state).await {
        "ready".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "storage").into_response()
    }
}

/// Reads the database, unless it was read within the last second.
pub(super) async fn store_answers(state: &AppState) -> bool {
    if let Some(answered) = state.store_health.recent(Instant::now()) {
        return answered;
    }
    let answered = state.store.ping().await;
    let line_is_due = state.store_health.set(answered.is_ok());
    match &answered {
        Err(error) if line_is_due => tracing::warn!(%error, "not ready: the database does not answer"),
        Ok(()) if line_is_due => tracing::info!("ready again: the database answers"),
        _ => {}
    }
    metrics::gauge!("roomcast_store_up").set(f64::from(answered.is_ok()));
    answered.is_ok()
}

/// The result of the last read for `/readyz`, which probes may call as often as they like.
#[derive(Default)]
pub struct StoreHealth(Mutex<Option<LastRead>>);

struct LastRead {
    /// When the last read began.
    at: Instant,
    answered: bool,
}

impl StoreHealth {
    /// The result of a read that began within [`RESULT_KEPT_FOR`] before `now`. When it is older, one caller gets `None` and reads;
    /// the others get the old result meanwhile. Before the first result everyone gets `None`.
    fn recent(&self, now: Instant) -> Option<bool> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_mut()?;
        if now.duration_since(last.at) < RESULT_KEPT_FOR {
            return Some(last.answered);
        }
        last.at = now;
        None
    }

    /// Keeps a result. Returns whether a line of the log is due: it differs from the one before, or the first one is a failure.
    fn set(&self, answered: bool) -> bool {
        let read = LastRead { at: Instant::now(), answered };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(read)
            .map_or(!answered, |before| before.answered != answered)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f17_the_database_is_read_once_a_second_for_readyz() {
        let (health, start) = (StoreHealth::default(), Instant::now());
        assert_eq!(health.recent(start), None);
        assert!(!health.set(true), "a database that answers is no news");
        let after = Instant::now() + RESULT_KEPT_FOR;
        assert_eq!((health.recent(start), health.recent(after), health.recent(after)), (Some(true), None, Some(true)));
        assert_eq!([false, false, true, true].map(|answered| health.set(answered)), [true, false, true, false]);
        assert!(StoreHealth::default().set(false));
        health.set(false);
        assert_eq!(health.recent(Instant::now()), Some(false));
    }
}
