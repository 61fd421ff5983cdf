//! What every request may need.

use super::rate_limit::Limits;
use super::returned_forms::ReturnedForms;
use super::tls::Encryption;
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

/// What every request may need. Cheap to clone; all clones are one site.
#[derive(Clone)]
pub struct Site(pub Arc<Inner>);

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
    pub limits: Limits,
    pub returned: ReturnedForms,
    /// Sockets whose handshake was answered, on their way to the gateway.
    pub handshakes: TaskTracker,
}

impl Site {
    pub fn new(floors: Floors) -> Self {
        let limits = Limits::new(&floors.config.limits, floors.config.chat.cooldown_ms == 0);
        let (returned, handshakes) = (ReturnedForms::default(), TaskTracker::new());
        Self(Arc::new(Inner { floors, limits, returned, handshakes }))
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
