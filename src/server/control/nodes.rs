//! The nodes that the control socket shows and acts on: this one, and the others by calls.

use super::protocol::{NodeStatus, Response};
use crate::server::cluster::{CallError, Cluster, NodeName};
use crate::server::gateway::{ConnectionStatus, Gateway};
use crate::server::kicks::Kicks;
use bytes::Bytes;
use futures_util::FutureExt;
use std::net::SocketAddrV4;
use std::sync::Arc;

/// The name of the call that lists connections. Its body is the limit per shard.
const CALL: &str = "connections";

/// The sockets of this node and of the others.
pub struct ControlReach {
    /// The connections of this node.
    pub gateway: Gateway,
    /// The other nodes.
    pub cluster: Cluster,
    /// Closes sockets on all nodes.
    pub kicks: Kicks,
}

impl ControlReach {
    /// Lists the connections of this node for the others from now on.
    pub(super) fn answer(&self) {
        let gateway = self.gateway.clone();
        let handler = move |limit: Bytes| {
            let gateway = gateway.clone();
            async move {
                let limit = std::str::from_utf8(&limit).ok().and_then(|limit| limit.parse().ok()).unwrap_or_default();
                Bytes::from(serde_json::to_vec(&gateway.connection_statuses(limit).await).unwrap_or_default())
            }
            .boxed()
        };
        self.cluster.answer(CALL, Arc::new(handler));
    }

    /// The rows of the nodes, by name; none if there can be one node only.
    pub(super) fn nodes(&self, draining: bool) -> Vec<NodeStatus> {
        let Some(me) = self.cluster.me() else { return Vec::new() };
        let connections = self.gateway.connection_count();
        let here = (me, NodeStatus { name: me.to_string(), version: env!("CARGO_PKG_VERSION").into(), connections, draining });
        let others = self.cluster.others().into_iter().map(|node| {
            let (name, draining) = (node.name.to_string(), node.is_leaving);
            (node.name, NodeStatus { name, version: node.version, connections: node.connections, draining })
        });
        let mut nodes: Vec<_> = others.chain([here]).collect();
        nodes.sort_by_key(|(name, _)| *name);
        nodes.into_iter().map(|(_, node)| node).collect()
    }

    /// Lists the connections of a node, or of all nodes by name, at most `limit` per shard.
    pub(super) async fn connections(&self, limit: usize, node: Option<SocketAddrV4>) -> Response {
        let body = Bytes::from(limit.to_string());
        let me = self.cluster.me();
        let (mut lists, mut silent) = (Vec::new(), Vec::new());
        match node.map(NodeName::from).filter(|node| Some(*node) != me) {
            Some(_) if me.is_none() => return Response::Failed { reason: "there is one node: leave --node out".into() },
            Some(node) => match self.cluster.call(node, CALL, body).await {
                Ok(answer) => lists.push((Some(node), parsed(&answer))),
                Err(CallError::Silent(node) | CallError::Unknown(node) | CallError::TooLong(node)) => silent.push(node),
            },
            None => {
                lists.push((me, self.gateway.connection_statuses(limit).await));
                if node.is_none() {
                    let others = self.cluster.call_others(CALL, body).await;
                    lists.extend(others.answers.iter().map(|(node, answer)| (Some(*node), parsed(answer))));
                    silent.extend(others.silent);
                }
            }
        }
        lists.sort_by_key(|(node, _)| *node);
        let connections = lists.into_iter().flat_map(|(_, list)| list).collect();
        Response::Connections { connections, silent: silent.iter().map(ToString::to_string).collect() }
    }
}

/// The rows of another node; none if it is of a version with other rows.
fn parsed(answer: &[u8]) -> Vec<ConnectionStatus> {
    serde_json::from_slice(answer).unwrap_or_default()
}
