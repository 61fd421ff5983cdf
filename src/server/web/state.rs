//! What every request may need.

use super::rate_limit::RateLimits;
use super::returned_forms::ReturnedForms;
use super::tls::Tls;
use crate::server::{
    accounts::{Accounts, ApiKeys},
    chat::Chat,
    config::Config,
    gateway::Gateway,
    storage::Store,
};
use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every request may need. Cheap to clone: all clones share the same services.
#[derive(Clone)]
pub struct AppState {
    services: Arc<Services>,
    pub rate_limits: Arc<RateLimits>,
    pub returned_forms: ReturnedForms,
    /// Sockets whose handshake was answered, on their way to the gateway.
    pub handshakes: TaskTracker,
}

/// What the door stands on.
pub struct Services {
    pub config: Config,
    pub store: Store,
    pub gateway: Gateway,
    pub accounts: Accounts,
    pub api_keys: ApiKeys,
    pub chat: Chat,
    pub metrics: PrometheusHandle,
    /// `None`: plain.
    pub tls: Option<Tls>,
    /// False while another process takes over: the doors beside this one see whoever is there off.
    pub accepting: watch::Sender<bool>,
    /// Cancelled when the node begins to leave.
    pub shutdown: CancellationToken,
}

impl AppState {
    pub fn new(services: Services) -> Self {
        let rate_limits = RateLimits::new(&services.config.limits, services.config.chat.cooldown_ms == 0);
        Self {
            services: Arc::new(services),
            rate_limits: Arc::new(rate_limits),
            returned_forms: ReturnedForms::default(),
            handshakes: TaskTracker::new(),
        }
    }

    /// Forgets addresses and sessions that no limit remembers, folds the samples of the figures together, and looks whether
    /// there is a new certificate.
    pub fn sweep(&self) {
        self.rate_limits.remove_idle();
        self.metrics.run_upkeep();
        if let Some(tls) = &self.tls {
            tls.reload_if_changed();
        }
    }
}

impl std::ops::Deref for AppState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.config.leptos.clone()
    }
}
