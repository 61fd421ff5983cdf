//! The calls that wait for answers.

use super::{CallError, NodeName};
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// The answer of one node.
pub(super) type Answered = (NodeName, Result<Bytes, CallError>);

/// Counts a call to a node.
pub(super) fn count(call: &str, answer: &Result<Bytes, CallError>) {
    let outcome = match answer {
        Ok(_) => "answered",
        Err(CallError::Silent(_)) => "silent",
        Err(CallError::Unknown(_)) => "unknown",
        Err(CallError::TooLong(_)) => "too_long",
    };
    metrics::counter!("roomcast_cluster_calls_total", "call" => call.to_owned(), "outcome" => outcome).increment(1);
}

pub(super) struct Calls {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
}

struct Open {
    waiting: BTreeSet<NodeName>,
    is_enough: fn(&Bytes) -> bool,
    answers: Vec<Answered>,
    done: Option<oneshot::Sender<()>>,
}

impl Default for Calls {
    /// The first number is random: a process that took over does not take an answer to the one before for its own.
    fn default() -> Self {
        Self { next: AtomicU64::new(rand::random()), open: Mutex::default() }
    }
}

impl Calls {
    /// Opens a call that waits for the answers of these nodes, or for one that is enough.
    pub(super) fn open(&self, waiting: BTreeSet<NodeName>, is_enough: fn(&Bytes) -> bool) -> Waiting<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, is_done) = oneshot::channel();
        let mut open = Open { waiting, is_enough, answers: Vec::new(), done: Some(done) };
        open.settle();
        self.lock().insert(number, open);
        Waiting { calls: self, number, is_done }
    }

    /// Takes an answer: the first one of a node.
    pub(super) fn answer(&self, number: u64, from: NodeName, answer: Result<Bytes, CallError>) {
        if let Some(open) = self.lock().get_mut(&number)
            && open.answers.iter().all(|(name, _)| *name != from)
        {
            open.waiting.remove(&from);
            if answer.as_ref().is_ok_and(open.is_enough) {
                open.waiting.clear();
            }
            open.answers.push((from, answer));
            open.settle();
        }
    }

    /// A node is gone: its answers are not waited for.
    pub(super) fn gone(&self, name: NodeName) {
        for open in self.lock().values_mut() {
            if open.waiting.remove(&name) {
                open.answers.push((name, Err(CallError::Silent(name))));
                open.settle();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn settle(&mut self) {
        if self.waiting.is_empty()
            && let Some(done) = self.done.take()
        {
            let _ = done.send(());
        }
    }
}

/// An open call. Dropping it closes it.
pub(super) struct Waiting<'a> {
    calls: &'a Calls,
    pub number: u64,
    is_done: oneshot::Receiver<()>,
}

impl Waiting<'_> {
    /// Waits until each node has answered or is gone, or until the deadline. Returns an answer for each node, by name; after one that is
    /// enough, of those that answered until then.
    pub(super) async fn answers(mut self, deadline: Instant) -> Vec<Answered> {
        let _ = timeout_at(deadline, &mut self.is_done).await;
        let open = self.calls.lock().remove(&self.number);
        let Some(Open { waiting, mut answers, .. }) = open else { return Vec::new() };
        answers.extend(waiting.into_iter().map(|name| (name, Err(CallError::Silent(name)))));
        answers.sort_by_key(|(name, _)| *name);
        answers
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddrV4;
    use std::time::Duration;

    fn name(last: u8) -> NodeName {
        SocketAddrV4::new([10, 0, 0, last].into(), 2900).into()
    }

    fn never(_: &Bytes) -> bool {
        false
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_with_the_last_answer_or_at_its_deadline() {
        let (calls, start) = (Calls::default(), Instant::now());
        let deadline = start + Duration::from_secs(1);
        let call = calls.open([name(1), name(2), name(3)].into(), never);
        for (from, answer) in [(2, "two"), (2, "again"), (9, "not asked"), (1, "one")] {
            calls.answer(call.number, name(from), Ok(answer.into()));
        }
        calls.gone(name(3));
        let answers = call.answers(deadline).await;
        assert_eq!(start, Instant::now(), "it did not wait");
        let silent = || Err(CallError::Silent(name(3)));
        assert_eq!(
            answers,
            [(name(1), Ok("one".into())), (name(2), Ok("two".into())), (name(3), silent()), (name(9), Ok("not asked".into()))]
        );
        assert!(calls.lock().is_empty());

        assert_eq!(calls.open([name(3)].into(), never).answers(deadline).await, [(name(3), silent())]);
        assert_eq!(deadline, Instant::now());
        assert_eq!(calls.open(BTreeSet::new(), never).answers(deadline + Duration::from_secs(9)).await, []);
        drop(calls.open([name(1)].into(), never));
        assert!(calls.lock().is_empty());

        let call = calls.open([name(1), name(2), name(3)].into(), |answer| &answer[..] == b"yes");
        calls.answer(call.number, name(3), Ok("no".into()));
        calls.answer(call.number, name(2), Ok("yes".into()));
        let answers = call.answers(deadline + Duration::from_secs(9)).await;
        assert_eq!(answers, [(name(2), Ok("yes".into())), (name(3), Ok("no".into()))]);
        assert_eq!(deadline, Instant::now(), "it did not wait for the others");
    }
}
