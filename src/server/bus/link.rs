//! The state of the connection to NATS, as its events tell it: whether it is there, and whether messages may have been lost.

use async_nats::Event;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Whether NATS is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// Connected.
    Up,
    /// Not connected: messages are dropped.
    Away,
}

/// Why a message was dropped, as the label of the metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dropped {
    /// NATS is away, or was when the message was queued.
    Away,
    /// The outbox is full.
    Full,
    /// The message is longer than the bound.
    TooLong,
    /// A receiver in this process does not keep up.
    Slow,
}

impl Dropped {
    fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Full => "full",
            Self::TooLong => "too_long",
            Self::Slow => "slow",
        }
    }
}

pub(super) struct State {
    link: watch::Sender<Link>,
    losses: watch::Sender<u64>,
    /// The error that was logged last: one line for each.
    error: Mutex<String>,
}

impl Default for State {
    fn default() -> Self {
        metrics::gauge!("roomcast_bus_up").set(0.0);
        for why in [Dropped::Away, Dropped::Full, Dropped::TooLong, Dropped::Slow] {
            metrics::counter!("roomcast_bus_dropped_total", "why" => why.word()).absolute(0);
        }
        Self { link: watch::Sender::new(Link::Away), losses: watch::Sender::new(0), error: Mutex::default() }
    }
}

impl State {
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// Takes a message for lost. Messages that are dropped while NATS is away are told as one loss, when it is back.
    pub(super) fn dropped(&self, why: Dropped) {
        metrics::counter!("roomcast_bus_dropped_total", "why" => why.word()).increment(1);
        if why != Dropped::Away {
            self.lost();
        }
    }

    /// Tells the users that messages may be missing.
    pub(super) fn lost(&self) {
        self.losses.send_modify(|losses| *losses += 1);
    }

    pub(super) fn set(&self, link: Link) {
        let is_other = self.link.send_if_modified(|now| std::mem::replace(now, link) != link);
        metrics::gauge!("roomcast_bus_up").set(f64::from(u8::from(link == Link::Up)));
        match link {
            Link::Up if is_other => tracing::info!("NATS: connected"),
            Link::Away if is_other => tracing::warn!("NATS: the connection is lost; messages of other nodes are late meanwhile"),
            _ => {}
        }
    }

    pub(super) fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.error().clear();
                self.set(Link::Up);
                self.lost();
            }
            Event::Disconnected | Event::Closed => self.set(Link::Away),
            Event::SlowConsumer(_) => self.dropped(Dropped::Slow),
            Event::ServerError(error) => self.warn(error.to_string()),
            Event::ClientError(error) => self.warn(error.to_string()),
            Event::LameDuckMode | Event::Draining => {}
        }
    }

    /// Logs an error, once until another one comes or the connection is there.
    fn warn(&self, error: String) {
        let mut known = self.error();
        if *known != error {
            tracing::warn!(error, "NATS");
            *known = error;
        }
    }

    fn error(&self) -> std::sync::MutexGuard<'_, String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
