//! HTTP. Floor 4: it uses all other floors of the server, and does not import the pages.
//!
//! A request passes the layers of [`router()`], gets a request context (client address, session, preferences), and is rate
//! limited. Use cases and their rules are the floors' below; a use case that is not done is a refusal, rendered in one form.
//!
//! ```no_run
//! use axum::Router;
//! use roomcast::server::{control::ServerCommand, web::{self, AppState, Services}};
//! # async fn example(services: Services, router: Router) -> std::io::Result<()> {
//! let state = AppState::new(services);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let (commands, receiver) = tokio::sync::mpsc::channel::<ServerCommand>(1);
//! // Serves until a shutdown command, or until all senders are dropped.
//! let outcome = web::serve(listener, state, router, receiver).await;
//! assert!(!outcome.requests_cut_off);
//! # Ok(())
//! # }
//! ```

mod act_fields;
pub mod actions;
mod api;
mod assets;
mod health;
mod listener;
mod log_limit;
mod log_sink;
mod middleware;
mod news;
mod rate_limit;
mod request_context;
mod returned_forms;
mod router;
mod state;
mod store_watch;
mod telemetry;
mod tls;
mod unknown_tokens;
mod user_agent;
mod ws_upgrade;

pub use assets::is_embedded as has_site;
pub use listener::lifecycle::{ServeOutcome, serve};
pub use log_sink::{LogGuard, write_bounded};
pub use middleware::cookies::OldCookieNames;
pub use router::router;
pub use state::{AppState, Services};
pub use telemetry::{init_metrics, init_tracing};
pub use tls::{Tls, TlsError};
