//! The commands of one connection that are under way: begun in the order they came, and answered in it.

use super::decoder::Share;
use crate::server::gateway::Gateway;
use crate::server::gatewayworker::commands::dispatch::carry_out;
use crate::server::gatewayworker::commands::outcome::{Odd, Outcome};
use crate::server::gatewayworker::protocol::opcode;
use crate::server::gatewayworker::protocol::packet::Packet;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use std::net::SocketAddrV4;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Commands at once, and their bytes.
const MAX_COMMANDS: usize = 256;
pub const MAX_BYTES: usize = 1024 * 1024;

#[derive(Default)]
pub struct Pipeline {
    under_way: FuturesOrdered<BoxFuture<'static, Done>>,
    bytes: usize,
    /// The last that was begun is a list: nothing is begun behind it, since it may have to wait.
    is_listing: bool,
}

pub struct Done {
    pub command: u8,
    pub outcome: Result<Outcome, Odd>,
    bytes: usize,
}

impl Pipeline {
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub fn has_room(&self) -> bool {
        !self.is_listing && !self.is_crowded() && self.bytes < MAX_BYTES
    }

    /// So many are under way that no more is begun; a few of them are done in a moment.
    pub fn is_crowded(&self) -> bool {
        self.under_way.len() >= MAX_COMMANDS
    }

    /// `share` is kept until the packet is done with. A list waits for its turn among all connections' `lists`: what its answer
    /// will weigh is not known before.
    pub fn begin(&mut self, gateway: Gateway, here: SocketAddrV4, lists: &Arc<Semaphore>, packet: Packet, share: Option<Share>) {
        let (command, bytes) = (packet.command, packet.ext.len() + packet.body.len());
        self.is_listing = opcode::is_list(command);
        let lists = self.is_listing.then(|| lists.clone());
        let carried_out = carry_out(gateway, here, packet);
        self.bytes += bytes;
        self.under_way.push_back(Box::pin(async move {
            let _turn = match lists {
                Some(lists) => lists.acquire_owned().await.ok(),
                None => None,
            };
            let outcome = carried_out.await;
            drop(share);
            Done { command, outcome, bytes }
        }));
    }

    /// The first of those under way, once it is done; `None`: there is none. Nothing is lost when it is dropped before.
    pub async fn next(&mut self) -> Option<Done> {
        let done = self.under_way.next().await;
        if let Some(Done { command, bytes, .. }) = &done {
            self.bytes -= bytes;
            // The list is the last there is.
            self.is_listing &= !opcode::is_list(*command);
        }
        done
    }

    /// The same, if it is done already.
    pub fn next_if_done(&mut self) -> Option<Done> {
        self.next().now_or_never().flatten()
    }
}
