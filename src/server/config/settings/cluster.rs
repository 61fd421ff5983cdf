//! `[cluster]`: several nodes that serve one site.

use super::{GatewaySettings, StorageSettings, Switch};
use crate::server::config::{NatsUrl, NatsUrlError};
use serde::{Deserialize, Serialize};
use std::net::SocketAddrV4;
use std::ops::RangeInclusive;

/// The limits of `cluster.answer_within_ms`.
const ANSWER_WITHIN_MS: RangeInclusive<u64> = 20..=30_000;

/// `[cluster]`: the nodes of one site and the NATS server between them. Without `nats` there is one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterSettings {
    /// Addresses of NATS servers with commas, `nats://[USER:PASSWORD@ or TOKEN@]HOST[:PORT]`, or `tls://…`. Default: empty, one node.
    /// It needs `storage.url`. An address off loopback needs credentials.
    pub nats: NatsUrl,
    /// Name of the cluster, in the subjects on NATS: sites that share a NATS server have different ones. 1-32 letters, digits, `_`
    /// and `-`. Default: `roomcast`.
    pub name: String,
    /// `on` permits a loopback `gateway.lan_addr`, for several nodes on one machine. Default: `off`.
    pub loopback: Switch,
    /// Time in which other nodes must answer a call, 20 ms to 30 s. Default: 1,000 ms.
    pub answer_within_ms: u64,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self { nats: NatsUrl::default(), name: "roomcast".into(), loopback: Switch::Off, answer_within_ms: 1_000 }
    }
}

/// Why the settings of a cluster are rejected.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// `cluster.nats` is wrong.
    #[error(transparent)]
    Nats(#[from] NatsUrlError),
    /// `cluster.nats` without `storage.url`.
    #[error("cluster.nats needs storage.url: several nodes have one PostgreSQL database")]
    NoDatabase,
    /// `cluster.name` is no word of a subject.
    #[error("cluster.name is 1-32 letters, digits, `_` and `-`: it is a part of the subjects on NATS")]
    Name,
    /// `cluster.answer_within_ms` leaves no time for an answer, or holds requests up for too long.
    #[error("cluster.answer_within_ms must be {} to {} ms", ANSWER_WITHIN_MS.start(), ANSWER_WITHIN_MS.end())]
    AnswerWithin,
    /// The inner address names no machine to the other nodes.
    #[error(
        "gateway.lan_addr is {0}: a node's client_ids begin with this address, so each node needs its own. Set it to this machine's \
         address, or cluster.loopback = \"on\" for several nodes on one machine"
    )]
    Loopback(SocketAddrV4),
}

impl ClusterSettings {
    /// Fails unless the settings are those of one node, or of a cluster that is whole and closed to strangers.
    pub(in crate::server::config) fn check(
        &self,
        storage: &StorageSettings,
        gateway: &GatewaySettings,
    ) -> Result<(), ClusterError> {
        let is_word = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !(1..=32).contains(&self.name.len()) || !is_word(&self.name) {
            return Err(ClusterError::Name);
        }
        if !ANSWER_WITHIN_MS.contains(&self.answer_within_ms) {
            return Err(ClusterError::AnswerWithin);
        }
        if self.nats.is_empty() {
            return Ok(());
        }
        self.nats.servers()?;
        if storage.url.is_empty() {
            return Err(ClusterError::NoDatabase);
        }
        let address = gateway.lan_addr;
        if address.ip().is_unspecified() || address.ip().is_loopback() && self.loopback == Switch::Off {
            return Err(ClusterError::Loopback(address));
        }
        Ok(())
    }
}
