//! The order in which connections are read: that in which they became readable, whatever else they are looked at for meanwhile.
//! Whoever calls on two connections expects the first call to be done before the second.

use futures_util::task::AtomicWaker;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::net::TcpStream;

/// Those who are readable. Whoever is first is read, or leaves.
#[derive(Clone, Default)]
pub struct Row(Arc<Mutex<VecDeque<Arc<Place>>>>);

struct Place {
    row: Row,
    /// It stands in the row: changed only where that is locked.
    is_in: AtomicBool,
    /// The task that reads.
    task: AtomicWaker,
}

/// A connection's; given up when it is dropped.
pub struct Turn {
    place: Arc<Place>,
    waker: Waker,
}

impl Row {
    fn join(&self, place: &Arc<Place>) {
        let mut places = self.places();
        if !place.is_in.swap(true, Ordering::Relaxed) {
            places.push_back(place.clone());
        }
    }

    fn leave(&self, place: &Arc<Place>) {
        let mut places = self.places();
        if !place.is_in.swap(false, Ordering::Relaxed) {
            return;
        }
        let at = places.iter().position(|other| Arc::ptr_eq(other, place));
        at.and_then(|at| places.remove(at));
        if let Some(first) = places.front().filter(|_| at == Some(0)) {
            first.task.wake();
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
        let place = Arc::new(Place { row: row.clone(), is_in: AtomicBool::new(false), task: AtomicWaker::new() });
        Self { waker: place.clone().into(), place }
    }

    /// From now on it is noticed when there is something to read; if there is already, it lines up.
    pub fn watch(&self, stream: &TcpStream) {
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

    /// It was read, or will not be for now.
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
        assert!(!is_up(&one));
        for turn in [&two, &one, &two, &three] {
            turn.waker.wake_by_ref();
        }
        assert!(is_up(&two) && is_up(&two) && !is_up(&one) && !is_up(&three));
        // Who leaves lines up again at the end.
        two.leave();
        two.waker.wake_by_ref();
        assert!(is_up(&one) && !is_up(&two));
        // Who ends, or has no room, holds nobody up.
        three.leave();
        three.leave();
        drop(one);
        assert!(is_up(&two) && !is_up(&three));
        drop((two, three));
        assert!(row.places().is_empty());
    }
}
