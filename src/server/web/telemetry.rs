//! Logging and metrics: their set-up, and one log line per request.

use crate::domain::refusal::Refusal;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::time::Instant;
use tracing_subscriber::EnvFilter;

/// Histogram buckets of all durations.
const DURATION_BUCKETS_SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];
/// Histogram buckets of the messages per commit.
const COMMIT_BUCKETS_MESSAGES: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0];

/// Starts logging on standard error: text on a terminal, JSON otherwise. `RUST_LOG` sets the level; the default is `info`.
pub fn init_tracing() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A log that cannot be written, as on a full disk, must not fail a request.
    let builder = builder.log_internal_errors(false);
    if std::io::stderr().is_terminal() { builder.init() } else { builder.json().flatten_event(true).init() }
}

/// Installs the process's metrics recorder and returns the handle that renders it. Returns an error if there is one already.
pub fn init_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &DURATION_BUCKETS_SECONDS)?
        .set_buckets_for_metric(Matcher::Full("roomcast_commit_messages".into()), &COMMIT_BUCKETS_MESSAGES)?
        .install_recorder()
}

/// Logs each request with its outcome and counts it in `roomcast_requests_total`. The query is left out, since it may hold a
/// person's input. Files and probes are logged at debug level.
pub(super) async fn log_request(request: Request, next: Next) -> Response {
    let (method, path, started) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let code = response.extensions().get::<Refusal>().map_or("", Refusal::code);
    let ms = started.elapsed().as_secs_f64() * 1000.0;
    if path.starts_with("/v/") || path.starts_with("/pkg/") || path == "/healthz" || path == "/readyz" || path == "/metrics" {
        tracing::debug!(%method, path, status, ms, "request");
    } else {
        tracing::info!(%method, path, status, code, ms, "request");
    }
    metrics::counter!("roomcast_requests_total", "status" => status.to_string()).increment(1);
    response
}
