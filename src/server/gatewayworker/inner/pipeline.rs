//! The commands of one connection that are in flight. They are started in the order in which they arrived, and completed in the
//! same order.

use super::decoder::MemoryPermit;
use crate::server::gateway::Gateway;
use crate::server::gatewayworker::commands::dispatch::{Caller, dispatch};
use crate::server::gatewayworker::commands::outcome::{CommandError, CommandOutcome};
use crate::server::gatewayworker::protocol::opcode;
use crate::server::gatewayworker::protocol::packet::Packet;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use std::net::SocketAddrV4;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Most commands in flight per connection.
const MAX_COMMANDS: usize = 256;
/// Bytes of the packets in flight, beyond which no further command is started.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// The commands in flight, in their order.
#[derive(Default)]
pub(super) struct Pipeline {
    in_flight: FuturesOrdered<BoxFuture<'static, Completed>>,
    bytes: usize,
    /// Whether the last command is a list query. No command is started behind it, since it may have to wait for a permit.
    has_list: bool,
}

/// A completed command.
pub(super) struct Completed {
    /// Its number.
    pub command: u8,
    /// Its result.
    pub outcome: Result<CommandOutcome, CommandError>,
    bytes: usize,
}

impl Pipeline {
    /// Returns true if no command is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Returns true if a further command may be started.
    pub(super) fn can_start(&self) -> bool {
        !self.has_list && !self.is_at_command_limit() && self.bytes < MAX_BYTES
    }

    /// Returns true if [`MAX_COMMANDS`] are in flight. Unlike the wait for a list, this lasts a moment only.
    pub(super) fn is_at_command_limit(&self) -> bool {
        self.in_flight.len() >= MAX_COMMANDS
    }

    /// Starts a command. `memory` is released when it is completed. List queries of all connections share the semaphore
    /// `lists`, because the size of their reply is unknown in advance.
    pub(super) fn start(
        &mut self,
        gateway: Gateway,
        lan_addr: SocketAddrV4,
        caller: Caller,
        lists: &Arc<Semaphore>,
        packet: Packet,
        memory: Option<MemoryPermit>,
    ) {
        let (command, bytes) = (packet.command, packet.ext.len() + packet.body.len());
        self.has_list = opcode::is_list(command);
        let lists = self.has_list.then(|| lists.clone());
        let dispatched = dispatch(gateway, lan_addr, caller, packet);
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

    /// Waits for the first command in flight; `None` if there is none. Nothing is lost when the future is dropped.
    pub(super) async fn next_completed(&mut self) -> Option<Completed> {
        let completed = self.in_flight.next().await;
        if let Some(Completed { command, bytes, .. }) = &completed {
            self.bytes -= bytes;
            // A list is always the last command in flight.
            self.has_list &= !opcode::is_list(*command);
        }
        completed
    }

    /// Returns the first command in flight if it is completed already.
    pub(super) fn try_next_completed(&mut self) -> Option<Completed> {
        self.next_completed().now_or_never().flatten()
    }
}
