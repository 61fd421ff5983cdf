//! Logging and metrics: their set-up, and one log line per request.

use super::log_sink::{LogGuard, LogSink};
use crate::domain::refusal::Refusal;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::time::Instant;
use tracing_subscriber::EnvFilter;

/// Histogram buckets of all durations.
const DURATION_BUCKETS_SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];
/// Histogram buckets of the messages per commit.
const COMMIT_BUCKETS_MESSAGES: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0];

/// The default filter. The bus says itself how the connection to NATS is.
const FILTER: &str = "info,async_nats=off";

/// Starts logging on standard error: text on a terminal, JSON otherwise. `RUST_LOG` sets the level; the default is `info`. No
/// thread waits for the reader of the log. Panics are logged as well. The lines that are queued when the guard is dropped are
/// written within 500 ms. Fails if the thread that writes cannot be started.
pub fn init_tracing() -> io::Result<LogGuard> {
    let is_text = io::stderr().is_terminal();
    let sink = LogSink::start(io::stderr(), is_text, report_dropped)?;
    let guard = LogGuard(sink.clone());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || sink.clone()).with_target(false);
    // A log that cannot be written, as on a full disk, must not fail a request.
    let builder = builder.log_internal_errors(false);
    if is_text {
        builder.init()
    } else {
        builder.json().flatten_event(true).init()
    }
    // The default hook writes to standard error itself, and would wait for its reader.
    std::panic::set_hook(Box::new(log_panic));
    Ok(guard)
}

fn report_dropped(lines: u64) {
    tracing::warn!(lines, "log lines dropped: the reader of standard error did not keep up");
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let cause = info.payload_as_str().unwrap_or("no text");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, location, %backtrace, "panic: {cause}");
    } else {
        tracing::error!(thread, location, "panic: {cause}");
    }
}

/// Installs the process's metrics recorder and returns the handle that renders it. Returns an error if there is one already.
pub fn init_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &DURATION_BUCKETS_SECONDS)?
        .set_buckets_for_metric(Matcher::Full("roomcast_commit_messages".into()), &COMMIT_BUCKETS_MESSAGES)?
        .install_recorder()
}

/// Logs each request with its outcome and counts it in `roomcast_requests_total`. The query is left out, since it may hold a
/// person's input. Files, probes, accepted handshakes and calls of the API are logged at debug level.
pub(super) async fn log_request(request: Request, next: Next) -> Response {
    let (method, path, started) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let code = response.extensions().get::<Refusal>().map_or("", Refusal::code);
    let ms = started.elapsed().as_secs_f64() * 1000.0;
    let is_frequent = status == 101 || status == 200 && path.starts_with("/gateway/api/");
    if is_frequent
        || path.starts_with("/v/")
        || path.starts_with("/pkg/")
        || path == "/healthz"
        || path == "/readyz"
        || path == "/metrics"
    {
        tracing::debug!(%method, path, status, ms, "request");
    } else {
        tracing::info!(%method, path, status, code, ms, "request");
    }
    metrics::counter!("roomcast_requests_total", "status" => status.to_string()).increment(1);
    response
}
