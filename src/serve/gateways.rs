//! The other nodes that PHP connects to: those that live and do not leave.

use roomcast::server::cluster::Cluster;
use std::net::SocketAddrV4;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Returns the inner addresses of the other nodes, by name. They change until `closed` is cancelled; with one node they never do.
pub(super) fn other_gateways(cluster: &Cluster, closed: CancellationToken) -> watch::Receiver<Vec<SocketAddrV4>> {
    let (sender, receiver) = watch::channel(Vec::new());
    if let Some(mut changes) = cluster.changes() {
        let cluster = cluster.clone();
        tokio::spawn(closed.run_until_cancelled_owned(async move {
            loop {
                changes.borrow_and_update();
                let serving = cluster.others().into_iter().filter(|node| !node.is_leaving);
                let now: Vec<_> = serving.map(|node| node.name.address()).collect();
                sender.send_if_modified(|before| {
                    let is_changed = *before != now;
                    *before = now;
                    is_changed
                });
                if changes.changed().await.is_err() {
                    return;
                }
            }
        }));
    }
    receiver
}
