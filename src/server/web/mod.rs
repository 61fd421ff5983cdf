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
mod spare;
mod stream;
mod telemetry;

pub use assets::are_there as has_site;
pub use router::router;
pub use serve::{Served, serve};
pub use stream::{Encryption, EncryptionError};
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
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every request may need. Cheap to clone; all clones are one site.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

/// What the door stands on.
pub struct Floors {
    pub config: Config,
    pub store: Store,
    pub gateway: Gateway,
    pub accounts: Accounts,
    pub api_keys: ApiKeys,
    pub chat: Chat,
    pub metrics: PrometheusHandle,
    /// `None`: plain.
    pub encryption: Option<Encryption>,
    /// False while another process takes over: the doors beside this one see whoever is there off.
    pub open: watch::Sender<bool>,
    /// Cancelled when the node begins to leave.
    pub leaving: CancellationToken,
}

pub struct Inner {
    floors: Floors,
    api: Api,
    limits: Limits,
    returned: ReturnedForms,
    /// Sockets whose handshake was answered, on their way to the gateway.
    handshakes: TaskTracker,
}

impl Site {
    pub fn new(floors: Floors) -> Self {
        let limits = Limits::new(&floors.config.limits, floors.config.chat.cooldown_ms == 0);
        let (api, returned, handshakes) = (Api::default(), ReturnedForms::default(), TaskTracker::new());
        Self(Arc::new(Inner { floors, api, limits, returned, handshakes }))
    }

    /// Forgets addresses and sessions that no limit remembers, folds the samples of the figures together, and looks whether
    /// there is a new certificate.
    pub fn sweep(&self) {
        self.0.limits.sweep();
        self.metrics.run_upkeep();
        if let Some(encryption) = &self.encryption {
            encryption.refresh();
        }
    }
}

impl std::ops::Deref for Site {
    type Target = Floors;

    fn deref(&self) -> &Floors {
        &self.0.floors
    }
}

impl FromRef<Site> for LeptosOptions {
    fn from_ref(site: &Site) -> Self {
        site.config.leptos.clone()
    }
}
