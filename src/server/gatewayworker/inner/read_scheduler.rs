//! The order in which connections are read: that in which they became readable, whatever else they are looked at for meanwhile.
//! Whoever calls on two connections expects the first call to be done before the second.

use futures_util::task::AtomicWaker;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::net::TcpStream;

/// Those who are readable. Whoever is first is read, or leaves.
#[derive(Clone, Default)]
pub struct Row(Arc<Mutex<VecDeque<Arc<Place>>>>);

struct Place {
    row: Row,
    /// What it may do; changed only where the row is locked.
    state: AtomicU8,
    /// The task that reads.
    task: AtomicWaker,
}

/// It is not read for now: were it in the row, it would hold everybody up.
const AWAY: u8 = 0;
/// It lines up when there is something to read.
const WATCHING: u8 = 1;
const IN_ROW: u8 = 2;

/// A connection's; given up when it is dropped.
pub struct Turn {
    place: Arc<Place>,
    waker: Waker,
}

impl Row {
    fn join(&self, place: &Arc<Place>) {
        let mut places = self.places();
        if place.state.load(Ordering::Relaxed) == WATCHING {
            place.state.store(IN_ROW, Ordering::Relaxed);
            places.push_back(place.clone());
        }
    }

    fn leave(&self, place: &Arc<Place>) {
        let mut places = self.places();
        if place.state.swap(AWAY, Ordering::Relaxed) != IN_ROW {
            return;
        }
        let at = places.iter().position(|other| Arc::ptr_eq(other, place));
        at.and_then(|at| places.remove(at));
        if let Some(first) = places.front().filter(|_| at == Some(0)) {
            first.task.wake();
        }
    }

    fn watch(&self, place: &Place) {
        let _places = self.places();
        if place.state.load(Ordering::Relaxed) == AWAY {
            place.state.store(WATCHING, Ordering::Relaxed);
        }
    }

    fn is_first(&self, place: &Arc<Place>) -> bool {
        self.places().front().is_some_and(|first| Arc::ptr_eq(first, place))
    }

    fn places(&self) -> MutexGuard<'_, VecDeque<Arc<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called where the system's news are taken in, in their order.
impl Wake for Place {
    fn wake(self: Arc<Self>) {
        self.row.join(&self);
        self.task.wake();
    }
}

impl Turn {
    pub fn new(row: &Row) -> Self {
        let place = Arc::new(Place { row: row.clone(), state: AtomicU8::new(AWAY), task: AtomicWaker::new() });
        Self { waker: place.clone().into(), place }
    }

    /// From now on it is noticed when there is something to read; if there is already, it lines up.
    pub fn watch(&self, stream: &TcpStream) {
        self.place.row.watch(&self.place);
        if stream.poll_read_ready(&mut Context::from_waker(&self.waker)).is_ready() {
            self.place.row.join(&self.place);
        }
    }

    /// Until it is first. It stays that until it leaves: nobody else is read before.
    pub async fn comes(&self) {
        poll_fn(|cx| {
            self.place.task.register(cx.waker());
            if self.place.row.is_first(&self.place) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// It was read, or will not be: until it watches again it does not line up, whatever comes.
    pub fn leave(&self) {
        self.place.row.leave(&self.place);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn is_up(turn: &Turn) -> bool {
        turn.comes().now_or_never().is_some()
    }

    #[test]
    fn whoever_became_readable_first_is_first() {
        let row = Row::default();
        let [one, two, three] = [(); 3].map(|()| Turn::new(&row));
        let watches = |turn: &Turn| row.watch(&turn.place);
        [&one, &two, &three].into_iter().for_each(watches);
        assert!(!is_up(&one));
        for turn in [&two, &one, &two, &three] {
            turn.waker.wake_by_ref();
        }
        assert!(is_up(&two) && is_up(&two) && !is_up(&one) && !is_up(&three));
        // Who leaves lines up again at the end, once it watches again.
        two.leave();
        two.waker.wake_by_ref();
        watches(&two);
        assert!(is_up(&one) && !is_up(&two));
        one.leave();
        assert!(is_up(&three) && !is_up(&two));
        two.waker.wake_by_ref();
        // Who has no room, or ends, holds nobody up, whatever comes for it then.
        three.leave();
        three.waker.wake_by_ref();
        let late = one.waker.clone();
        drop(one);
        late.wake();
        assert!(is_up(&two) && !is_up(&three));
        drop((two, three));
        assert!(row.places().is_empty());
    }
}
