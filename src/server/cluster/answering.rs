//! The calls of other nodes: each is carried out by its handler, and answered. They start in the order in which they arrive.

use super::parcels::Parcels;
use super::wire::{Answer, Call, ParcelId, Part, decode};
use super::{Handler, Joined};
use crate::server::bus::Subscription;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Calls that may be carried out at the same time.
const CALLS: usize = 1_024;

/// The handlers by the names of their calls.
pub(super) struct Handlers {
    by_call: RwLock<HashMap<&'static str, Handler>>,
    places: Arc<Semaphore>,
}

impl Default for Handlers {
    fn default() -> Self {
        for why in ["busy", "late", "unknown"] {
            metrics::counter!("roomcast_cluster_refused_calls_total", "why" => why).absolute(0);
        }
        Self { by_call: RwLock::default(), places: Arc::new(Semaphore::new(CALLS)) }
    }
}

impl Handlers {
    pub(super) fn set(&self, call: &'static str, handler: Handler) {
        self.by_call.write().unwrap_or_else(PoisonError::into_inner).insert(call, handler);
    }

    pub(super) fn get(&self, call: &str) -> Option<Handler> {
        self.by_call.read().unwrap_or_else(PoisonError::into_inner).get(call).cloned()
    }
}

/// Carries out the calls to this node and to all, until the bus is closed.
pub(super) async fn carry_out(joined: Arc<Joined>, mut to_me: Subscription, mut to_all: Subscription) {
    let mut parcels = Parcels::default();
    loop {
        let received = tokio::select! {
            received = to_me.next() => received,
            received = to_all.next() => received,
        };
        let Some(received) = received else { return };
        let whole = Part::decode(received.payload).and_then(|part| parcels.add(part, Instant::now()));
        if let Some((id, whole)) = whole {
            begin(&joined, id, whole).await;
        }
    }
}

/// Starts a call, unless it is refused.
async fn begin(joined: &Arc<Joined>, id: ParcelId, whole: Bytes) {
    let Some((Call { call, process, at, within }, body)) = decode::<Call>(whole) else { return };
    // The caller does not wait any more: this node slept.
    if joined.members().age(id.from, process, at, joined.now()).is_some_and(|age| age > within) {
        return refused("late");
    }
    let Some(handler) = joined.handlers.get(&call) else {
        refused("unknown");
        return joined.answer(id, Answer::Unknown, Bytes::new());
    };
    let Ok(place) = joined.handlers.places.clone().try_acquire_owned() else {
        refused("busy");
        return joined.answer(id, Answer::Refused, Bytes::new());
    };
    match start(&handler, body).await {
        Some(Started::Done(answer)) => joined.answer(id, Answer::Done, answer),
        Some(Started::Running(running)) => {
            let joined = joined.clone();
            tokio::spawn(async move {
                let answer = running.await;
                joined.answer(id, Answer::Done, answer);
                drop(place);
            });
        }
        None => {}
    }
}

enum Started {
    Done(Bytes),
    Running(BoxFuture<'static, Bytes>),
}

/// Runs a handler until it waits for the first time: in that time it takes its place in the queues behind it. `None`: it panicked, and
/// the panic is logged.
async fn start(handler: &Handler, body: Bytes) -> Option<Started> {
    let mut running = catch_unwind(AssertUnwindSafe(|| handler(body))).ok()?;
    let polled = poll_fn(|context| Poll::Ready(catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))))).await;
    match polled.ok()? {
        Poll::Ready(answer) => Some(Started::Done(answer)),
        Poll::Pending => Some(Started::Running(running)),
    }
}

fn refused(why: &'static str) {
    metrics::counter!("roomcast_cluster_refused_calls_total", "why" => why).increment(1);
}
