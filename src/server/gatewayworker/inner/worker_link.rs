//! The worker of an inner connection, if its peer is a BusinessWorker, and the pings to it.

use crate::server::gatewayworker::protocol::opcode::PING;
use crate::server::gatewayworker::protocol::packet::{PLAIN, WorkerPacket};
use crate::server::gatewayworker::workers::router::{Worker, Workers};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// The next task of a worker's connection.
pub(super) enum WorkerInput {
    /// Send an encoded event.
    Event(Bytes),
    /// Send a ping.
    PingDue,
    /// Close: another worker of the same name has connected.
    Replaced,
}

/// Connects the peer to the events of clients. Nothing happens until [`WorkerLink::connect`].
pub(super) struct WorkerLink {
    worker: Option<Worker>,
    /// The events in the send buffer: the number of bytes that are sent with the last one of each, and its length.
    unsent: VecDeque<(u64, usize)>,
    unsent_bytes: usize,
    /// Due times of pings; `None` if workers are not pinged.
    pings: Option<Interval>,
}

impl WorkerLink {
    /// A link without a worker.
    pub(super) fn new(ping_every: Option<Duration>) -> Self {
        Self { worker: None, unsent: VecDeque::new(), unsent_bytes: 0, pings: ping_every.map(ping_interval) }
    }

    /// Connects the peer as a worker. The worker that it may have been before disconnects first.
    pub(super) fn connect(&mut self, workers: &Workers, name: String) {
        // Its events in the send buffer go to the same peer.
        self.sent(u64::MAX);
        self.disconnect();
        self.worker = Some(workers.connect(name));
    }

    /// Removes the worker from the router, so that its clients get another one.
    pub(super) fn disconnect(&mut self) {
        self.worker = None;
        self.unsent.clear();
        self.unsent_bytes = 0;
    }

    /// Records an event in the send buffer, whose last byte is the last of `end` bytes of the connection.
    pub(super) fn buffered(&mut self, end: u64, bytes: usize) {
        self.unsent.push_back((end, bytes));
        self.unsent_bytes += bytes;
    }

    /// Records the number of bytes that the connection has sent. An event counts as sent with its last byte.
    pub(super) fn sent(&mut self, bytes: u64) {
        let count = self.unsent.partition_point(|(end, _)| *end <= bytes);
        if count > 0 {
            self.unsent_bytes -= self.unsent.drain(..count).map(|(_, bytes)| bytes).sum::<usize>();
            self.worker.iter().for_each(|worker| worker.sent(count));
        }
    }

    /// Bytes of the events that are not sent as a whole.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// Returns true if the peer is a worker.
    pub(super) fn is_connected(&self) -> bool {
        self.worker.is_some()
    }

    /// Returns true if events are queued.
    pub(super) fn has_events(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| !worker.is_drained())
    }

    /// Waits for the next input; for an event only if it fits into the send buffer. Waits forever without a worker. No event is
    /// lost when the future is dropped.
    pub(super) async fn next(&mut self, event_fits: bool, may_ping: bool) -> WorkerInput {
        let Some(worker) = &mut self.worker else { return std::future::pending().await };
        let replaced = worker.replaced();
        tokio::select! {
            biased;
            () = replaced.cancelled() => WorkerInput::Replaced,
            () = next_ping(&mut self.pings), if may_ping => WorkerInput::PingDue,
            event = worker.next_event(), if event_fits => WorkerInput::Event(event),
        }
    }
}

/// A packet without a content.
pub(super) fn ping() -> WorkerPacket<'static> {
    let unspecified = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    WorkerPacket {
        command: PING,
        local: unspecified,
        client: unspecified,
        connection: 0,
        flag: PLAIN,
        gateway_port: 0,
        ext: b"",
        body: b"",
    }
}

async fn next_ping(pings: &mut Option<Interval>) {
    match pings {
        Some(pings) => _ = pings.tick().await,
        None => std::future::pending().await,
    }
}

fn ping_interval(every: Duration) -> Interval {
    let mut pings = tokio::time::interval_at(Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}
