//! The commands of one connection that are under way: begun in the order they came, and answered in it.

use super::decoder::MemoryPermit;
use crate::server::gateway::Gateway;
use crate::server::gatewayworker::commands::dispatch::dispatch;
use crate::server::gatewayworker::commands::outcome::{CommandError, Outcome};
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
    in_flight: FuturesOrdered<BoxFuture<'static, Completed>>,
    bytes: usize,
    /// The last that was begun is a list: nothing is begun behind it, since it may have to wait.
    has_list: bool,
}

pub struct Completed {
    pub command: u8,
    pub outcome: Result<Outcome, CommandError>,
    bytes: usize,
}

impl Pipeline {
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    pub fn can_start(&self) -> bool {
        !self.has_list && !self.is_at_command_limit() && self.bytes < MAX_BYTES
    }

    /// So many are under way that no more is begun; a few of them are done in a moment.
    pub fn is_at_command_limit(&self) -> bool {
        self.in_flight.len() >= MAX_COMMANDS
    }

    /// `share` is kept until the packet is done with. A list waits for its turn among all connections' `lists`: what its answer
    /// will weigh is not known before.
    pub fn start(
        &mut self,
        gateway: Gateway,
        lan_addr: SocketAddrV4,
        lists: &Arc<Semaphore>,
        packet: Packet,
        memory: Option<MemoryPermit>,
    ) {
        let (command, bytes) = (packet.command, packet.ext.len() + packet.body.len());
        self.has_list = opcode::is_list(command);
        let lists = self.has_list.then(|| lists.clone());
        let dispatched = dispatch(gateway, lan_addr, packet);
        self.bytes += bytes;
        self.in_flight.push_back(Box::pin(async move {
            let _list_permit = match lists {
                Some(lists) => lists.acquire_owned().await.ok(),
                None => None,
            };
            let outcome = dispatched.await;
            drop(memory);
            Completed { command, outcome, bytes }
        }));
    }

    /// The first of those under way, once it is done; `None`: there is none. Nothing is lost when it is dropped before.
    pub async fn next_completed(&mut self) -> Option<Completed> {
        let done = self.in_flight.next().await;
        if let Some(Completed { command, bytes, .. }) = &done {
            self.bytes -= bytes;
            // The list is the last there is.
            self.has_list &= !opcode::is_list(*command);
        }
        done
    }

    /// The same, if it is done already.
    pub fn try_next_completed(&mut self) -> Option<Completed> {
        self.next_completed().now_or_never().flatten()
    }
}
