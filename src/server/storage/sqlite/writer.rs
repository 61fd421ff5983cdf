//! The writer task: the messages and the arriving people that wait for the database become rows in one transaction, and are
//! answered after its commit. Writes that arrive during a commit form the next batch, so a lone write waits for nobody.
//!
//! A batch has at most [`MAX_PEOPLE`] people, so that messages never wait for a crowd: they are in the next batch whatever the
//! queue of people is.

use super::append::{AppendWrite, append};
use super::arrivals::{self, PersonWrite};
use super::high_water::{HighWater, count_commit};
use super::last_messages::{LastMessages, Savepoint};
use super::{SqliteStore, finish};
use crate::server::storage::{Appended, NewMessage, Result, StorageError};
use sqlx::{Connection, SqliteConnection, SqlitePool};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Batches of messages that may be queued. The chat has one under way at a time; a further one waits for a place.
const MAX_QUEUED_APPENDS: usize = 16;
/// Writes of people that may be queued; further ones fail as busy.
const MAX_QUEUED_PEOPLE: usize = 4096;
/// Writes of people per transaction.
const MAX_PEOPLE: usize = 128;

/// A write in the queue.
struct Queued<W, A> {
    write: W,
    answer: oneshot::Sender<Result<A>>,
    since: Instant,
}

impl<W, A> Queued<W, A> {
    fn new(write: W) -> (Self, oneshot::Receiver<Result<A>>) {
        let (answer, answered) = oneshot::channel();
        (Self { write, answer, since: Instant::now() }, answered)
    }
}

type QueuedAppend = Queued<AppendWrite, Vec<Appended>>;
type QueuedPerson = Queued<PersonWrite, ()>;

/// The queues of the writer task. Cheap to clone; the task ends when all clones are dropped, or after [`Writes::close`].
#[derive(Clone)]
pub(super) struct Writes {
    appends: mpsc::Sender<QueuedAppend>,
    people: mpsc::Sender<QueuedPerson>,
    closing: CancellationToken,
    /// The number of the newest commit of an act, which the task notes for the file `high-water`.
    act_commits: Arc<watch::Sender<u64>>,
    /// Ends the task with the last clone.
    _guard: Arc<DropGuard>,
    task: TaskTracker,
}

impl Writes {
    /// Starts the writer task. A write that has waited for `busy_within` fails as busy.
    pub(super) fn start(pool: SqlitePool, busy_within: Duration, high_water: HighWater) -> Self {
        let (appends, appends_queue) = mpsc::channel(MAX_QUEUED_APPENDS);
        let (people, people_queue) = mpsc::channel(MAX_QUEUED_PEOPLE);
        let (closing, task) = (CancellationToken::new(), TaskTracker::new());
        let (act_commits, acts) = watch::channel(0);
        let writer = Writer {
            pool,
            acts,
            busy_within,
            appends: appends_queue,
            people: people_queue,
            closing: closing.clone(),
            high_water,
            last: LastMessages::default(),
        };
        task.spawn(writer.run());
        task.close();
        let guard = Arc::new(closing.clone().drop_guard());
        Self { appends, people, closing, act_commits: Arc::new(act_commits), _guard: guard, task }
    }

    /// Takes the number of each commit of an act.
    pub(super) fn act_commits(&self) -> Arc<watch::Sender<u64>> {
        self.act_commits.clone()
    }

    /// Refuses further writes, and returns when the queued ones are committed.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.task.wait().await;
    }
}

impl SqliteStore {
    /// One: SQLite has one connection that writes.
    pub(crate) fn lanes(&self) -> usize {
        1
    }

    pub(crate) async fn append(&self, batch: Vec<NewMessage>, cooldown_ms: u64) -> Result<Vec<Appended>> {
        let (queued, answered) = Queued::new(AppendWrite { batch, cooldown_ms });
        self.writes.appends.send(queued).await.map_err(|_| busy())?;
        answered.await.map_err(|_| unanswered())?
    }

    pub(super) async fn write_person(&self, write: PersonWrite) -> Result<()> {
        let (queued, answered) = Queued::new(write);
        self.writes.people.try_send(queued).map_err(|_| busy())?;
        answered.await.map_err(|_| unanswered())?
    }
}

/// The error of a write that found no place or waited too long.
fn busy() -> StorageError {
    StorageError::Busy(Arc::new(sqlx::Error::PoolTimedOut))
}

/// The error of a queued write whose task ended: it may be stored.
fn unanswered() -> StorageError {
    StorageError::Uncertain(Arc::new(sqlx::Error::WorkerCrashed))
}

struct Writer {
    pool: SqlitePool,
    /// The newest commit of an act.
    acts: watch::Receiver<u64>,
    busy_within: Duration,
    appends: mpsc::Receiver<QueuedAppend>,
    people: mpsc::Receiver<QueuedPerson>,
    closing: CancellationToken,
    high_water: HighWater,
    last: LastMessages,
}

/// The writes of one transaction.
#[derive(Default)]
struct Batch {
    appends: Vec<QueuedAppend>,
    people: Vec<QueuedPerson>,
}

/// Results of a committed batch, in the order of its writes.
struct Written {
    appends: Vec<Result<Vec<Appended>>>,
    people: Vec<Result<()>>,
    /// Write batches that the database contains, with this one.
    commits: u64,
}

impl Writer {
    async fn run(mut self) {
        while let Some(batch) = self.next().await {
            self.commit(batch).await;
        }
        let newest = *self.acts.borrow();
        self.high_water.note(newest);
        self.high_water.flush().await;
    }

    /// Returns the writes that wait; `None` when the queues are closed and empty.
    async fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        loop {
            self.take_waiting(&mut batch);
            if !batch.appends.is_empty() || !batch.people.is_empty() {
                return Some(batch);
            }
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if !self.appends.is_closed() => {
                    self.appends.close();
                    self.people.close();
                }
                Some(append) = self.appends.recv() => batch.appends.push(append),
                Some(person) = self.people.recv() => batch.people.push(person),
                Ok(()) = self.acts.changed(), if !self.appends.is_closed() => {
                    let newest = *self.acts.borrow_and_update();
                    self.high_water.note(newest);
                }
                () = self.high_water.due(), if !self.appends.is_closed() => self.high_water.write(),
                else => return None,
            }
        }
    }

    /// Takes the writes that wait, up to the limits of a batch. Those that waited too long are answered.
    fn take_waiting(&mut self, batch: &mut Batch) {
        while let Ok(append) = self.appends.try_recv() {
            batch.appends.push(append);
        }
        while batch.people.len() < MAX_PEOPLE
            && let Ok(person) = self.people.try_recv()
        {
            batch.people.push(person);
        }
        refuse_late(&mut batch.appends, self.busy_within);
        refuse_late(&mut batch.people, self.busy_within);
    }

    async fn commit(&mut self, batch: Batch) {
        let (appends, append_answers): (Vec<_>, Vec<_>) =
            batch.appends.into_iter().map(|queued| (queued.write, queued.answer)).unzip();
        let (people, person_answers): (Vec<_>, Vec<_>) =
            batch.people.into_iter().map(|queued| (queued.write, queued.answer)).unzip();
        match self.write(appends, &people).await {
            Ok(written) => {
                self.last.commit();
                self.high_water.note(written.commits);
                // A request that is gone has no receiver; its rows are stored all the same.
                written.appends.into_iter().zip(append_answers).for_each(|(result, answer)| _ = answer.send(result));
                written.people.into_iter().zip(person_answers).for_each(|(result, answer)| _ = answer.send(result));
            }
            Err(error) => {
                self.last.rollback(Savepoint::default());
                append_answers.into_iter().for_each(|answer| _ = answer.send(Err(error.clone())));
                person_answers.into_iter().for_each(|answer| _ = answer.send(Err(error.clone())));
            }
        }
    }

    async fn write(&mut self, appends: Vec<AppendWrite>, people: &[PersonWrite]) -> Result<Written> {
        let mut connection = self.pool.acquire().await?;
        let written = write(&mut connection, appends, people, &mut self.last).await;
        finish(connection, written)
    }
}

/// Answers the writes that have waited for `busy_within`, and removes them.
fn refuse_late<W, A>(queue: &mut Vec<Queued<W, A>>, busy_within: Duration) {
    for late in queue.extract_if(.., |queued| queued.since.elapsed() > busy_within) {
        let _ = late.answer.send(Err(busy()));
    }
}

/// Writes a batch in one transaction and commits it.
async fn write(
    connection: &mut SqliteConnection,
    appends: Vec<AppendWrite>,
    people: &[PersonWrite],
    last: &mut LastMessages,
) -> Result<Written> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let people = arrivals::write(&mut transaction, people).await?;
    let is_shared = appends.len() > 1 || !people.is_empty();
    let mut results = Vec::with_capacity(appends.len());
    for write in appends {
        let result = if is_shared {
            append_in_savepoint(&mut transaction, write, last).await?
        } else {
            Ok(append(&mut transaction, write, last).await?)
        };
        results.push(result);
    }
    let commits = count_commit(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Written { appends: results, people, commits })
}

/// Appends messages so that their failure leaves the other writes of the transaction alone. An error of the outer result
/// means that the whole transaction failed.
async fn append_in_savepoint(
    connection: &mut SqliteConnection,
    write: AppendWrite,
    last: &mut LastMessages,
) -> Result<Result<Vec<Appended>>> {
    let before = last.savepoint();
    let mut savepoint = connection.begin().await?;
    match append(&mut savepoint, write, last).await {
        Ok(appended) => {
            savepoint.commit().await?;
            Ok(Ok(appended))
        }
        Err(StorageError::Busy(error)) => Err(StorageError::Busy(error)),
        Err(error) => {
            last.rollback(before);
            savepoint.rollback().await?;
            Ok(Err(error))
        }
    }
}
