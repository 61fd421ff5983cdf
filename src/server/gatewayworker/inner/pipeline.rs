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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most commands in flight per connection.
const MAX_COMMANDS: usize = 256;
/// Bytes of the packets in flight, beyond which no further command is started.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// A reply longer than this counts against the memory for long replies.
const LONG_REPLY_BYTES: usize = 1024;

/// Memory that long replies of all connections may use until they are sent, in KiB. Lists that are being written come on top:
/// a few at a time, each of `MAX_REPLY_BYTES` of the queries at most.
pub(crate) const REPLY_BUDGET_KIB: usize = 256 * 1024;

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
    /// The share of a long reply in the memory for replies, to be held until it is sent.
    pub reply_memory: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

/// The semaphores that the commands of all connections share.
#[derive(Clone)]
pub(crate) struct Budgets {
    /// List queries at the same time, because the size of their reply is unknown in advance.
    pub lists: Arc<Semaphore>,
    /// Memory for long replies, in KiB.
    pub replies: Arc<Semaphore>,
}

impl Budgets {
    /// Returns the budgets with `lists` list queries at the same time.
    pub(crate) fn new(lists: usize) -> Self {
        Self { lists: Arc::new(Semaphore::new(lists)), replies: Arc::new(Semaphore::new(REPLY_BUDGET_KIB)) }
    }

    /// Reserves the memory of a long reply. Fails if it is used up.
    fn reserve(&self, outcome: &CommandOutcome) -> Result<Option<OwnedSemaphorePermit>, CommandError> {
        match outcome {
            CommandOutcome::Reply(reply) if reply.len() > LONG_REPLY_BYTES => {
                let kib = u32::try_from(reply.len().div_ceil(1024)).map_err(|_| CommandError::ReplyTooLong)?;
                self.replies.clone().try_acquire_many_owned(kib).map(Some).map_err(|_| CommandError::ReplyBudget)
            }
            _ => Ok(None),
        }
    }
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

    /// Starts a command. `memory` is released when it is completed. List queries wait for a permit of [`Budgets::lists`].
    pub(super) fn start(
        &mut self,
        gateway: Gateway,
        lan_addr: SocketAddrV4,
        caller: Caller,
        budgets: Budgets,
        packet: Packet,
        memory: Option<MemoryPermit>,
    ) {
        let (command, bytes) = (packet.command, packet.ext.len() + packet.body.len());
        self.has_list = opcode::is_list(command);
        let is_list = self.has_list;
        let dispatched = dispatch(gateway, lan_addr, caller, packet);
        self.bytes += bytes;
        self.in_flight.push_back(Box::pin(async move {
            let _list_permit = if is_list { budgets.lists.clone().acquire_owned().await.ok() } else { None };
            let outcome = dispatched.await;
            drop(memory);
            let reserved = outcome.and_then(|outcome| Ok((budgets.reserve(&outcome)?, outcome)));
            match reserved {
                Ok((reply_memory, outcome)) => Completed { command, outcome: Ok(outcome), reply_memory, bytes },
                Err(error) => Completed { command, outcome: Err(error), reply_memory: None, bytes },
            }
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
