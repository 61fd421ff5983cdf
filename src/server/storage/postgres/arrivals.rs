//! The rows of arriving people: guests, nicknames, sessions and their extensions. A task writes those that wait in one statement,
//! so that a crowd costs a few commits. Writes that arrive meanwhile form the next batch, so a lone write waits for nobody.

use super::error::is_conflict;
use super::pool::Pool;
use super::{PostgresStore, to_sql};
use crate::domain::id::Uid;
use crate::server::storage::{NewSessionRow, Result, StorageError};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Writes that may be queued; further ones fail as busy.
const MAX_QUEUED: usize = 4096;
/// Writes per statement.
const MAX_BATCH: usize = 128;

/// One write of a person's rows.
#[derive(Clone, Default, Debug)]
pub(super) struct PersonWrite {
    /// Added, or, if the person is stored already, renamed.
    person: Option<PersonRow>,
    /// Added; the write fails if the person does not exist.
    session: Option<SessionRow>,
    /// Gets another last use and expiry, if it exists.
    extension: Option<Extension>,
}

#[derive(Clone, Debug)]
struct PersonRow {
    uid: String,
    nickname: String,
    created_at: i64,
}

#[derive(Clone, Debug)]
struct SessionRow {
    token_hash: Vec<u8>,
    uid: String,
    label: String,
    created_at: i64,
    expires_at: i64,
}

#[derive(Clone, Debug)]
struct Extension {
    token_hash: Vec<u8>,
    used_at: i64,
    expires_at: i64,
}

impl PostgresStore {
    pub(crate) async fn put_guest(&self, nickname: &str, new: NewSessionRow<'_>) -> Result<()> {
        let person = Some(PersonRow { uid: new.uid.to_string(), nickname: nickname.into(), created_at: to_sql(new.created_at) });
        self.arrivals.write(PersonWrite { person, session: Some(SessionRow::new(&new)), extension: None }).await
    }

    pub(crate) async fn put_nickname(&self, uid: &Uid, nickname: &str, now: u64) -> Result<()> {
        let person = Some(PersonRow { uid: uid.to_string(), nickname: nickname.into(), created_at: to_sql(now) });
        self.arrivals.write(PersonWrite { person, ..PersonWrite::default() }).await
    }

    pub(crate) async fn put_session(&self, new: NewSessionRow<'_>) -> Result<()> {
        self.arrivals.write(PersonWrite { session: Some(SessionRow::new(&new)), ..PersonWrite::default() }).await
    }

    pub(crate) async fn extend_session(&self, token_hash: &[u8], now: u64, expires_at: u64) -> Result<()> {
        let extension = Extension { token_hash: token_hash.into(), used_at: to_sql(now), expires_at: to_sql(expires_at) };
        self.arrivals.write(PersonWrite { extension: Some(extension), ..PersonWrite::default() }).await
    }
}

impl SessionRow {
    fn new(new: &NewSessionRow<'_>) -> Self {
        Self {
            token_hash: new.token_hash.into(),
            uid: new.uid.to_string(),
            label: new.label.into(),
            created_at: to_sql(new.created_at),
            expires_at: to_sql(new.expires_at),
        }
    }
}

/// The queue of the task. Cheap to clone; the task ends when all clones are dropped, or after [`Arrivals::close`].
#[derive(Clone)]
pub(super) struct Arrivals {
    queue: mpsc::Sender<Queued>,
    closing: CancellationToken,
    /// Ends the task with the last clone.
    _guard: Arc<DropGuard>,
    task: TaskTracker,
}

struct Queued {
    write: PersonWrite,
    answer: oneshot::Sender<Result<()>>,
    since: Instant,
}

impl Arrivals {
    /// Starts the task. A write that has waited for `busy_within` fails as busy.
    pub(super) fn start(pool: Pool, busy_within: Duration) -> Self {
        let (queue, queued) = mpsc::channel(MAX_QUEUED);
        let (closing, task) = (CancellationToken::new(), TaskTracker::new());
        task.spawn(Writer { pool, busy_within, queued, closing: closing.clone() }.run());
        task.close();
        let guard = Arc::new(closing.clone().drop_guard());
        Self { queue, closing, _guard: guard, task }
    }

    /// Refuses further writes, and returns when the queued ones are answered.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.task.wait().await;
    }

    async fn write(&self, write: PersonWrite) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Queued { write, answer, since: Instant::now() }).map_err(|_| busy())?;
        answered.await.map_err(|_| busy())?
    }
}

/// The error of a write that found no place or waited too long.
fn busy() -> StorageError {
    StorageError::Busy(Arc::new(sqlx::Error::PoolTimedOut))
}

struct Writer {
    pool: Pool,
    busy_within: Duration,
    queued: mpsc::Receiver<Queued>,
    closing: CancellationToken,
}

impl Writer {
    async fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if !self.queued.is_closed() => self.queued.close(),
                taken = self.queued.recv_many(&mut batch, MAX_BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    self.answer(std::mem::take(&mut batch)).await;
                }
            }
        }
    }

    /// Writes a batch and answers it. Writes that waited too long are refused.
    async fn answer(&self, batch: Vec<Queued>) {
        let (late, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(|queued| queued.since.elapsed() > self.busy_within);
        late.into_iter().for_each(|queued| _ = queued.answer.send(Err(busy())));
        let (writes, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|queued| (queued.write, queued.answer)).unzip();
        if writes.is_empty() {
            return;
        }
        // A request that is gone has no receiver; its rows are stored all the same.
        match write(&self.pool, &writes).await {
            Ok(results) => results.into_iter().zip(answers).for_each(|(result, answer)| _ = answer.send(result)),
            Err(StorageError::Failed(_)) if writes.len() > 1 => self.answer_each(writes, answers).await,
            Err(error) => answers.into_iter().for_each(|answer| _ = answer.send(Err(error.clone()))),
        }
    }

    /// Writes the batch one by one, so that a write that fails by its own data leaves the others alone.
    async fn answer_each(&self, writes: Vec<PersonWrite>, answers: Vec<oneshot::Sender<Result<()>>>) {
        for (one, answer) in writes.into_iter().zip(answers) {
            let result = match write(&self.pool, &[one]).await {
                Ok(results) => results.into_iter().next().unwrap_or_else(|| Err(busy())),
                Err(error) => Err(error),
            };
            let _ = answer.send(result);
        }
    }
}

/// The rows of a batch, a list per column. Of two rows with one key the last one counts, since a statement changes a row once.
/// The keys are sorted, so that two servers mostly lock the rows in one order.
#[derive(Default)]
struct Columns<'w> {
    people: BTreeMap<&'w str, (&'w str, i64)>,
    sessions: Vec<&'w SessionRow>,
    extensions: BTreeMap<&'w [u8], (i64, i64)>,
}

impl<'w> Columns<'w> {
    fn new(batch: &'w [PersonWrite]) -> Self {
        let mut columns = Self::default();
        for PersonWrite { person, session, extension } in batch {
            columns.people.extend(person.iter().map(|row| (row.uid.as_str(), (row.nickname.as_str(), row.created_at))));
            columns.sessions.extend(session);
            columns.extensions.extend(extension.iter().map(|row| (row.token_hash.as_slice(), (row.used_at, row.expires_at))));
        }
        columns
    }
}

/// Writes a batch in one statement, which is repeated once if PostgreSQL chose it to end a deadlock, and returns the result of each write, in its order.
async fn write(pool: &Pool, batch: &[PersonWrite]) -> Result<Vec<Result<()>>> {
    let mut added = add(pool, &Columns::new(batch)).await?;
    let result = |write: &PersonWrite| match &write.session {
        // `remove`: of two sessions with one token the first is the one that was added.
        Some(session) if !added.remove(&session.token_hash) => Err(no_person(&session.uid)),
        _ => Ok(()),
    };
    Ok(batch.iter().map(result).collect())
}

/// Returns the tokens of the sessions that were added.
async fn add(pool: &Pool, columns: &Columns<'_>) -> Result<HashSet<Vec<u8>>> {
    let Columns { people, sessions, extensions } = columns;
    let uids: Vec<_> = people.keys().copied().collect();
    let (nicknames, created): (Vec<_>, Vec<_>) = people.values().copied().unzip();
    let tokens: Vec<_> = sessions.iter().map(|session| session.token_hash.as_slice()).collect();
    let session_uids: Vec<_> = sessions.iter().map(|session| session.uid.as_str()).collect();
    let labels: Vec<_> = sessions.iter().map(|session| session.label.as_str()).collect();
    let session_created: Vec<_> = sessions.iter().map(|session| session.created_at).collect();
    let expires: Vec<_> = sessions.iter().map(|session| session.expires_at).collect();
    let extended: Vec<_> = extensions.keys().copied().collect();
    let (used, extended_to): (Vec<_>, Vec<_>) = extensions.values().copied().unzip();
    let statement = async |db: &mut PgConnection| {
        sqlx::query_file_scalar!(
            "src/server/storage/postgres/arrivals.sql",
            &uids as &[&str],
            &nicknames as &[&str],
            &created,
            &tokens as &[&[u8]],
            &session_uids as &[&str],
            &labels as &[&str],
            &session_created,
            &expires,
            &extended as &[&[u8]],
            &used,
            &extended_to
        )
        .fetch_all(db)
        .await
    };
    let added = pool.write_by(pool.deadline(), async |db| match statement(&mut *db).await {
        Err(error) if is_conflict(&error) => statement(db).await,
        added => added,
    });
    Ok(added.await?.into_iter().collect())
}

fn no_person(uid: &str) -> StorageError {
    StorageError::Failed(Arc::new(sqlx::Error::InvalidArgument(format!("no person {uid}, or the token is in use"))))
}
