//! The commands of one connection that are under way: begun in the order they came, and answered in it.

use super::arriving::Share;
use super::carry_out::{Odd, Outcome, carry_out};
use super::command;
use super::packet::Packet;
use crate::server::gateway::Gateway;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use std::net::SocketAddrV4;

/// Commands at once, and their bytes.
const MAX_COMMANDS: usize = 256;
pub const MAX_BYTES: usize = 1024 * 1024;

#[derive(Default)]
pub struct Pipeline {
    under_way: FuturesOrdered<BoxFuture<'static, Done>>,
    bytes: usize,
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
        self.under_way.len() < MAX_COMMANDS && self.bytes < MAX_BYTES
    }

    /// `share` is kept until the packet is done with.
    pub fn begin(&mut self, gateway: Gateway, here: SocketAddrV4, packet: Packet, share: Option<Share>) {
        let command = packet.command;
        // What its answer will weigh is not known yet: a few lists at once.
        let bytes = packet.ext.len() + packet.body.len() + if command::is_list(command) { MAX_BYTES / 4 } else { 0 };
        let carried_out = carry_out(gateway, here, packet);
        self.bytes += bytes;
        self.under_way.push_back(Box::pin(async move {
            let outcome = carried_out.await;
            drop(share);
            Done { command, outcome, bytes }
        }));
    }

    /// The first of those under way, once it is done; `None`: there is none. Nothing is lost when it is dropped before.
    pub async fn next(&mut self) -> Option<Done> {
        let done = self.under_way.next().await;
        self.bytes -= done.as_ref().map_or(0, |done| done.bytes);
        done
    }

    /// The same, if it is done already.
    pub fn next_if_done(&mut self) -> Option<Done> {
        self.next().now_or_never().flatten()
    }
}
