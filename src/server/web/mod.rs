//! Floor 4, the door of the pages: HTTP in, use cases below, refusals out. Decides who asks, how often, and in which
//! language they are answered; never what the chat's rules are, and never what a page looks like.

pub mod actions;
mod api;
mod assets;
mod health;
mod listener;
mod middleware;
mod rate_limit;
mod request_context;
mod returned_forms;
mod router;
mod state;
mod telemetry;
mod tls;
mod ws_upgrade;

pub use assets::is_embedded as has_site;
pub use listener::lifecycle::{ServeOutcome, serve};
pub use router::router;
pub use state::{AppState, Services};
pub use telemetry::{init_metrics, init_tracing};
pub use tls::{Tls, TlsError};
