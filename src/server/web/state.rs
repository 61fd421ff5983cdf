//! The state of the router: the services that every request may use.

use super::health::StoreHealth;
use super::log_limit::LogLimits;
use super::middleware::cookies::OldCookieNames;
use super::rate_limit::RateLimits;
use super::returned_forms::ReturnedForms;
use super::tls::Tls;
use super::unknown_tokens::UnknownTokens;
use crate::server::{
    accounts::{Accounts, ApiKeys},
    chat::Chat,
    cluster::Cluster,
    config::Config,
    gateway::Gateway,
    kicks::Kicks,
    security_log::SecurityLog,
    storage::{DataDirLock, Store},
};
use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The router's state. Cheap to clone: all clones share the same services.
#[derive(Clone)]
pub struct AppState(Arc<SharedState>);

/// The state that all clones share: one allocation, so that a request clones one pointer. It derefs to [`Services`].
pub struct SharedState {
    services: Services,
    /// Rate limits per address and session.
    pub rate_limits: RateLimits,
    /// Session tokens that are looked up over the limits.
    pub unknown_tokens: UnknownTokens,
    /// Log lines that clients can cause.
    pub log_limits: LogLimits,
    /// The database, as `/readyz` last saw it.
    pub store_health: StoreHealth,
    /// Refused forms that wait for their page.
    pub returned_forms: ReturnedForms,
    /// Tasks that hand a connection over to the gateway after its handshake response.
    pub handshakes: TaskTracker,
}

/// The services below the web floor, as `serve` starts them.
pub struct Services {
    /// The whole configuration.
    pub config: Config,
    /// The hold on the data folder, which a reload hands over.
    pub data_dir: DataDirLock,
    /// The database.
    pub store: Store,
    /// Connections and groups.
    pub gateway: Gateway,
    /// The other nodes.
    pub cluster: Cluster,
    /// Closes sockets on all nodes.
    pub kicks: Kicks,
    /// People and their sessions.
    pub accounts: Accounts,
    /// Keys of the HTTP API.
    pub api_keys: ApiKeys,
    /// Sign-ins, ended sessions, keys.
    pub security_log: SecurityLog,
    /// Rooms and messages.
    pub chat: Chat,
    /// Renders the Prometheus metrics.
    pub metrics: PrometheusHandle,
    /// The period in which cookies of earlier versions are read.
    pub old_cookie_names: OldCookieNames,
    /// `None`: HTTP without TLS.
    pub tls: Option<Tls>,
    /// False while another process takes over: other listeners of this node then close their connections and accept none.
    pub accepting: watch::Sender<bool>,
    /// Cancelled when the shutdown starts.
    pub shutdown: CancellationToken,
}

impl AppState {
    /// Wraps the services, with new rate limits and no returned forms.
    pub fn new(services: Services) -> Self {
        let rate_limits = RateLimits::new(&services.config.limits, services.config.chat.cooldown_ms == 0);
        let shared = (!services.cluster.is_alone()).then(|| services.store.clone());
        let (returned_forms, handshakes) = (ReturnedForms::new(shared), TaskTracker::new());
        let (log_limits, store_health) = (LogLimits::default(), StoreHealth::default());
        let unknown_tokens = UnknownTokens::default();
        Self(Arc::new(SharedState {
            services,
            rate_limits,
            unknown_tokens,
            log_limits,
            store_health,
            returned_forms,
            handshakes,
        }))
    }

    /// Periodic maintenance: frees idle rate limiters, compacts the samples of histograms, reloads a changed certificate.
    pub fn sweep(&self) {
        self.rate_limits.remove_idle();
        self.metrics.run_upkeep();
        if let Some(tls) = &self.tls {
            tls.reload_if_changed();
        }
    }
}

impl std::ops::Deref for AppState {
    type Target = SharedState;

    fn deref(&self) -> &SharedState {
        &self.0
    }
}

impl std::ops::Deref for SharedState {
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
