//! Closing the sockets of a person or of sessions, on all nodes at once. A node that does not answer learns of an ended session from
//! the store.

use crate::domain::{id::Uid, push::CloseCode};
use crate::server::cluster::Cluster;
use crate::server::gateway::{Gateway, SocketOwner};
use bytes::Bytes;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The name of the call.
const CALL: &str = "close";

/// Whose sockets to close.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Whose {
    /// Those that are bound to this uid.
    pub uid: Option<Uid>,
    /// Those that belong to these sessions.
    pub owners: Vec<SocketOwner>,
}

/// A call to the other nodes.
#[derive(Serialize, Deserialize)]
struct Close {
    whose: Whose,
    code: u16,
}

/// Closes sockets here and on the other nodes. Cheap to clone.
#[derive(Clone)]
pub struct Kicks {
    gateway: Gateway,
    cluster: Cluster,
}

impl Kicks {
    /// Closes the sockets of this node for the others from now on, too.
    pub fn start(gateway: Gateway, cluster: Cluster) -> Self {
        let of_node = gateway.clone();
        let handler = move |body: Bytes| {
            let gateway = of_node.clone();
            async move {
                let closed = match serde_json::from_slice(&body) {
                    Ok(Close { whose, code }) => close_here(&gateway, whose, CloseCode(code)).await,
                    Err(_) => 0,
                };
                Bytes::from(closed.to_string())
            }
            .boxed()
        };
        cluster.answer(CALL, Arc::new(handler));
        Self { gateway, cluster }
    }

    /// Closes the sockets and returns their number on the nodes that answered.
    pub async fn close(&self, whose: Whose, code: CloseCode) -> usize {
        let call = Close { whose: whose.clone(), code: code.0 };
        let body = serde_json::to_vec(&call).unwrap_or_default();
        let (here, others) = tokio::join!(close_here(&self.gateway, whose, code), self.cluster.call_others(CALL, body.into()));
        let elsewhere = others.answers.iter().filter_map(|(_, answer)| std::str::from_utf8(answer).ok()?.parse::<usize>().ok());
        here + elsewhere.sum::<usize>()
    }
}

async fn close_here(gateway: &Gateway, Whose { uid, owners }: Whose, code: CloseCode) -> usize {
    let of_uid = match uid {
        Some(uid) => gateway.close_uid((&uid).into(), None, code.into()).await,
        None => 0,
    };
    of_uid + gateway.close_owners(owners, code).await
}
