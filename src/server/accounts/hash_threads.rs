//! The threads that hash passwords: at most two, started when a job arrives. Each has one block of memory, which it reuses for
//! every job and frees when it ends, after [`IDLE`] without a job.
//!
//! A job belongs to its thread from the start to the end: a client that disconnects cannot make more of them run. The job of a
//! client that disconnected before the start is skipped.

use crate::domain::refusal::Refusal;
use crate::server::incident::incident;
use argon2::{Block, Params};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Threads, and so hashes computed at the same time. Each takes a core and 19 MiB.
pub(super) const MAX_THREADS: usize = 2;
/// Jobs that wait in each of the two queues; a further one is refused as busy.
const MAX_QUEUED: [usize; 2] = [32, 64];
/// Time without a job after which a thread ends and frees its memory.
const IDLE: Duration = Duration::from_secs(5);

/// Each fourth job is taken from the strangers first: however many known clients there are, a log-in of a new device ends.
const STRANGERS_FIRST_EVERY: usize = 4;

/// The queue of a job. Known clients do not wait behind strangers, whose guesses may fill their own queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queue {
    /// A device that signed in before, or a person with a session. Taken first, three times of four.
    Known = 0,
    /// Everyone else.
    Strangers = 1,
}

/// The memory of one hash, kept by its thread.
pub(super) type Memory = [Block];

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// The two queues and their threads. A clone shares them.
#[derive(Clone, Default)]
pub(super) struct HashThreads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    queues: [VecDeque<Job>; 2],
    threads: usize,
    idle: usize,
    /// Jobs that were taken, for the turn of the strangers.
    taken: usize,
}

impl HashThreads {
    /// Runs `job` on a thread and returns its result.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if the queue is full; an incident if no thread could be started, or if the job panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        queue: Queue,
        job: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (sender, result) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            if !sender.is_closed() {
                let _ = sender.send(job(memory));
            }
        });
        self.0.submit(queue, job)?;
        result.await.map_err(|error| incident(&error, "password"))
    }
}

impl Shared {
    fn submit(self: &Arc<Self>, queue: Queue, job: Job) -> Result<(), Refusal> {
        let mut state = self.lock();
        let index = queue as usize;
        if state.queues[index].len() >= MAX_QUEUED[index] {
            return Err(Refusal::Busy);
        }
        let waiting: usize = state.queues.iter().map(VecDeque::len).sum();
        if waiting >= state.idle && state.threads < MAX_THREADS {
            let shared = self.clone();
            match std::thread::Builder::new().name("password".into()).spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(incident(&error, "password")),
                Err(_) => {}
            }
        }
        state.queues[index].push_back(job);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Runs jobs until none has come for [`IDLE`].
    fn serve(&self) {
        let mut memory = vec![Block::new(); Params::DEFAULT.block_count()];
        while let Some(job) = self.next() {
            // A job that panics drops its sender, and its caller reports the incident. The thread goes on.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| job(&mut memory)));
        }
    }

    /// Waits for a job. `None`: none came, and the thread is no longer counted, so that the next job starts another.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.idle += 1;
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, IDLE, |state| state.queues.iter().all(VecDeque::is_empty))
            .unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let state = &mut *state;
        let [known, strangers] = &mut state.queues;
        let job = match (state.taken + 1).is_multiple_of(STRANGERS_FIRST_EVERY) {
            true => strangers.pop_front().or_else(|| known.pop_front()),
            false => known.pop_front().or_else(|| strangers.pop_front()),
        };
        state.taken = state.taken.wrapping_add(usize::from(job.is_some()));
        state.threads -= usize::from(job.is_none());
        job
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn f8_jobs_of_clients_that_hung_up_never_run_more_than_two_at_once() {
        let threads = HashThreads::default();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let job = || {
            let (running, most) = (running.clone(), most.clone());
            move |memory: &mut Memory| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(2));
                running.fetch_sub(1, Ordering::SeqCst);
                memory.len()
            }
        };
        // Queued and dropped, as hyper drops a request whose client hung up: before its job begins, and while jobs run.
        for _ in 0..30 {
            assert!(threads.run(Queue::Strangers, job()).now_or_never().is_none());
        }
        let mut patient: Vec<_> = (0..30).map(|_| Box::pin(threads.run(Queue::Strangers, job()))).collect();
        for run in &mut patient {
            assert!(run.as_mut().now_or_never().is_none());
        }
        patient.pop().unwrap().await.unwrap();
        drop(patient);
        let blocks = threads.run(Queue::Strangers, job()).await.unwrap();
        assert_eq!(blocks, Params::DEFAULT.block_count());
        assert!(most.load(Ordering::SeqCst) <= 2, "{most:?} ran at once");
        assert!(threads.0.lock().threads <= 2);
    }

    #[tokio::test]
    async fn f8_a_full_queue_of_strangers_refuses_them_and_leaves_the_known_their_own() {
        let threads = HashThreads::default();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let blocking = || {
            let held = held.clone();
            move |_: &mut Memory| held.lock().unwrap().recv().is_ok()
        };
        let mut waiting = Vec::new();
        loop {
            let mut run = Box::pin(threads.run(Queue::Strangers, blocking()));
            match run.as_mut().now_or_never() {
                None => waiting.push(run),
                Some(refused) => break assert_eq!(refused, Err(Refusal::Busy)),
            }
        }
        assert!((64..=64 + MAX_THREADS).contains(&waiting.len()), "{}", waiting.len());
        let mut known = Box::pin(threads.run(Queue::Known, |_| "known"));
        assert!(known.as_mut().now_or_never().is_none(), "it waits, and is not refused");
        release.send(()).unwrap();
        assert_eq!(known.await, Ok("known"), "before the strangers");
        drop(release);
        for run in waiting {
            run.await.unwrap();
        }
    }

    #[tokio::test]
    async fn f8_known_clients_do_not_keep_strangers_waiting() {
        let threads = HashThreads::default();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let order = Arc::new(Mutex::new(Vec::new()));
        let job = |name: &'static str| {
            let (held, order) = (held.clone(), order.clone());
            move |_: &mut Memory| {
                let _ = held.lock().unwrap().recv();
                order.lock().unwrap().push(name);
            }
        };
        let mut runs: Vec<_> = (0..20).map(|_| Box::pin(threads.run(Queue::Known, job("known")))).collect();
        runs.push(Box::pin(threads.run(Queue::Strangers, job("stranger"))));
        for run in &mut runs {
            assert!(run.as_mut().now_or_never().is_none());
        }
        drop(release);
        for run in runs {
            run.await.unwrap();
        }
        let place = order.lock().unwrap().iter().position(|name| *name == "stranger").unwrap();
        // Two threads take the first jobs, and the fourth of the rest is the stranger's; they may end in another order.
        assert!(place < 8, "{place}");
    }
}
