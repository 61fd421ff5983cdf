//! Floor 4, the door of the pages: HTTP in, use cases below, refusals out. Decides who asks, how often, and in which
//! language they are answered; never what the chat's rules are, and never what a page looks like.

pub mod api;
mod asked;
mod assets;
pub mod caller;
mod forms;
mod limits;
mod origin;
mod pages;
mod refusals;
mod router;
mod serve;
mod socket;
mod stream;
mod telemetry;

pub use assets::are_there as has_site;
pub use router::router;
pub use serve::{Served, serve};
pub use telemetry::{init_metrics, init_tracing};

use crate::server::{
    accounts::{Accounts, ApiKeys},
    chat::Chat,
    config::Config,
    gateway::Gateway,
    storage::Store,
};
use api::Api;
use axum::extract::FromRef;
use forms::ReturnedForms;
use leptos::config::LeptosOptions;
use limits::Limits;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every request may need. Cheap to clone; all clones are one site.
#[derive(Clone)]
pub struct Site(Arc<Floors>);

pub struct Floors {
    pub config: Config,
    pub store: Store,
    pub gateway: Gateway,
    pub accounts: Accounts,
    pub chat: Chat,
    pub api_keys: ApiKeys,
    pub metrics: PrometheusHandle,
    /// Cancelled when the node begins to leave.
    pub leaving: CancellationToken,
    api: Api,
    limits: Limits,
    returned: ReturnedForms,
    /// Sockets whose handshake was answered, on their way to the gateway.
    handshakes: TaskTracker,
}

impl Site {
    pub fn new(
        config: Config,
        store: Store,
        gateway: Gateway,
        accounts: Accounts,
        chat: Chat,
        api_keys: ApiKeys,
        metrics: PrometheusHandle,
    ) -> Self {
        let limits = Limits::new(&config.limits, config.chat.cooldown_ms == 0);
        let (leaving, returned, handshakes) = (CancellationToken::new(), ReturnedForms::default(), TaskTracker::new());
        let api = Api::default();
        Self(Arc::new(Floors {
            config,
            store,
            gateway,
            accounts,
            chat,
            api_keys,
            metrics,
            leaving,
            api,
            limits,
            returned,
            handshakes,
        }))
    }

    /// Forgets addresses and sessions that no limit remembers, and folds the samples of the figures together.
    pub fn sweep(&self) {
        self.limits.sweep();
        self.metrics.run_upkeep();
    }
}

impl std::ops::Deref for Site {
    type Target = Floors;

    fn deref(&self) -> &Floors {
        &self.0
    }
}

impl FromRef<Site> for LeptosOptions {
    fn from_ref(site: &Site) -> Self {
        site.config.leptos.clone()
    }
}
