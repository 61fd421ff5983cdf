//! The node's part in its cluster: joining it before the node serves, leaving it when it shuts down or its address is taken.

use roomcast::server::{
    cluster::{Cluster, JoinError, Joining},
    config::Config,
    control::{ServerCommand, Takeover},
    gateway::Gateway,
    storage::Store,
};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Joins the cluster, after a reload as the same node. Returns an error if another node has the address.
pub(super) async fn join(
    config: &Config,
    store: &Store,
    gateway: &Gateway,
    takeover: Option<&Takeover>,
) -> Result<Cluster, JoinError> {
    let gateway = gateway.clone();
    let joining = Joining {
        lan_addr: config.gateway.lan_addr,
        incarnation: takeover.and_then(Takeover::incarnation),
        data_dir: config.storage.data_dir.clone(),
        connections: Arc::new(move || gateway.connection_count()),
    };
    Cluster::join(&config.cluster, store, joining).await
}

/// Tells the other nodes when this one shuts down. Shuts it down when another node has its address.
pub(super) async fn follow(cluster: Cluster, commands: mpsc::Sender<ServerCommand>, shutdown: CancellationToken) {
    tokio::select! {
        () = cluster.lost() => {
            let _ = commands.send(ServerCommand::Shutdown { gracefully: false }).await;
        }
        () = shutdown.cancelled() => {}
    }
    cluster.begin_to_leave();
}
