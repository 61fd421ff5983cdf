//! Connections that are used again, and the time limit of every query. sqlx's own pool waits without a limit for the server
//! when a connection comes back, so a server that is silent would keep its places.
//!
//! A connection goes back only after an answer. In every other case (an error of the connection, no answer in time, a caller
//! that is gone) it is closed, and the server rolls back.

use super::error::{Lost, is_lost, is_read_only, no_answer, storage_error};
use super::keeper::Keeper;
use crate::server::storage::{Result, StorageError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres, Transaction};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// Time for the check of a connection that was idle. After it a new one is made.
const CHECK_WITHIN: Duration = Duration::from_millis(500);
/// Time for an orderly end of a connection.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// A pool. Cheap to clone; all clones are one pool.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    options: PgConnectOptions,
    limits: Limits,
    /// `None` beside a running server.
    keeper: Option<Keeper>,
    /// Notified after a write that may have news. `None`: its writes have none.
    written: Option<Arc<Notify>>,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    /// Grows by one when the connections until then are not to be used again.
    generation: AtomicU64,
}

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections.
    pub(super) connections: u32,
    /// Time of a query, with the wait for a connection.
    pub(super) within: Duration,
    /// A connection that was idle for longer is checked before its use, at the cost of one round trip.
    pub(super) check_after: Duration,
    /// Whether its queries write: they wait for the keeper then.
    pub(super) writes: bool,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

/// A connection in use. It is closed when it is dropped, unless it goes back.
pub(super) struct Lease {
    pub(super) connection: PgConnection,
    generation: u64,
    place: OwnedSemaphorePermit,
}

impl Pool {
    /// Makes a pool without connections; they are made when they are needed.
    pub(super) fn new(options: PgConnectOptions, limits: Limits, keeper: Option<Keeper>, written: Option<Arc<Notify>>) -> Self {
        let places = Arc::new(Semaphore::new(limits.connections as usize));
        Self(Arc::new(Inner { options, limits, keeper, written, places, idle: Mutex::default(), generation: AtomicU64::new(0) }))
    }

    /// Runs queries that read.
    pub(super) async fn read<T>(&self, queries: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T> {
        self.run(Lost::NotStored, self.deadline(), queries).await
    }

    /// Runs one statement that commits by itself.
    pub(super) async fn write<T>(&self, statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T> {
        let ran = self.run(Lost::MayBeStored, self.deadline(), statement).await;
        self.tell_written();
        ran
    }

    /// The same for a statement that has no news that must be known at once, with a time limit of the caller.
    pub(super) async fn write_by<T>(
        &self,
        deadline: Instant,
        statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T> {
        self.run(Lost::MayBeStored, deadline, statement).await
    }

    /// Runs queries in one transaction and commits it. An error of a query rolls back.
    pub(super) async fn transaction<T>(&self, queries: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T> {
        let deadline = self.deadline();
        let mut lease = self.lease(deadline).await?;
        let ran = run_transaction(&mut lease.connection, deadline, queries).await;
        self.tell_written();
        match ran {
            Ok(value) => {
                self.give_back(lease);
                Ok(value)
            }
            Err((error, lost)) => {
                self.roll_back(lease, &error, deadline).await;
                Err(self.failed(error, lost))
            }
        }
    }

    /// Ends a transaction that failed. Its connection goes back if it still answers.
    async fn roll_back(&self, mut lease: Lease, error: &sqlx::Error, deadline: Instant) {
        if !is_lost(error) && timeout_at(deadline, lease.connection.ping()).await.is_ok_and(|answer| answer.is_ok()) {
            self.give_back(lease);
        }
    }

    async fn run<T>(
        &self,
        lost: Lost,
        deadline: Instant,
        queries: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T> {
        let mut lease = self.lease(deadline).await?;
        let ran = timeout_at(deadline, queries(&mut lease.connection)).await.unwrap_or_else(|_| Err(no_answer()));
        if ran.as_ref().map_or_else(|error| !is_lost(error), |_| true) {
            self.give_back(lease);
        }
        ran.map_err(|error| self.failed(error, lost))
    }

    /// Also after an error: the write may be committed.
    fn tell_written(&self) {
        if let Some(written) = &self.0.written {
            written.notify_one();
        }
    }

    /// The time limit of a query that begins now.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.0.limits.within
    }

    /// Returns a connection that answers, or fails as busy: nothing was sent.
    pub(super) async fn lease(&self, deadline: Instant) -> Result<Lease> {
        let Inner { options, limits, keeper, places, .. } = &*self.0;
        let place = timeout_at(deadline, places.clone().acquire_owned()).await.map_err(|_| busy(sqlx::Error::PoolTimedOut))?;
        let place = place.map_err(|_| busy(sqlx::Error::PoolClosed))?;
        if let Some(keeper) = keeper.as_ref().filter(|_| limits.writes) {
            keeper.may_write(deadline).await?;
        }
        let generation = self.generation();
        let idle = self.idle().pop();
        if let Some(Idle { mut connection, since }) = idle {
            let check_by = deadline.min(Instant::now() + CHECK_WITHIN);
            let is_sound = since.elapsed() <= limits.check_after
                || timeout_at(check_by, connection.ping()).await.is_ok_and(|answer| answer.is_ok());
            if is_sound {
                return Ok(Lease { connection, generation, place });
            }
            self.broke();
            if let Some(keeper) = keeper.as_ref().filter(|_| limits.writes) {
                keeper.may_write(deadline).await?;
            }
        }
        let connected = timeout_at(deadline, options.connect()).await.unwrap_or_else(|_| Err(no_answer()));
        let connection = connected.map_err(|error| {
            self.broke();
            busy(error)
        })?;
        Ok(Lease { connection, generation, place })
    }

    pub(super) fn give_back(&self, lease: Lease) {
        let Lease { connection, generation, place } = lease;
        if !self.0.places.is_closed() && generation == self.generation() {
            self.idle().push(Idle { connection, since: Instant::now() });
        }
        drop(place);
    }

    /// Closes the idle connections, and those in use when they come back.
    pub(super) fn renew(&self) {
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        self.forget_idle();
    }

    /// A connection broke. The others lead to the same server, so they are not used again, and the keeper looks at once.
    fn broke(&self) {
        self.forget_idle();
        if let Some(keeper) = &self.0.keeper {
            keeper.look_soon();
        }
    }

    fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::SeqCst)
    }

    /// Returns the error's meaning.
    pub(super) fn failed(&self, error: sqlx::Error, lost: Lost) -> StorageError {
        if is_lost(&error) || is_read_only(&error) {
            self.broke();
        }
        storage_error(error, lost)
    }

    /// Waits for the queries that run, and lets no other one begin while the result lives. Fails as busy if they do not end in
    /// time.
    pub(super) async fn hold(&self) -> Result<Held> {
        let Inner { limits, places, .. } = &*self.0;
        let all = timeout(limits.within, places.acquire_many(limits.connections)).await.map_err(|_| sqlx::Error::PoolTimedOut);
        match all {
            Ok(Ok(all)) => all.forget(),
            Ok(Err(_)) => return Err(busy(sqlx::Error::PoolClosed)),
            Err(error) => return Err(busy(error)),
        }
        Ok(Held(self.clone()))
    }

    /// Waits for the queries that run, and closes the connections. Later queries fail as busy.
    pub(super) async fn close(&self) {
        let held = self.hold().await;
        self.0.places.close();
        let idle = std::mem::take(&mut *self.idle());
        let ends = idle.into_iter().map(|idle| timeout(CLOSE_WITHIN, idle.connection.close()));
        futures_util::future::join_all(ends).await;
        drop(held);
    }

    fn forget_idle(&self) {
        drop(std::mem::take(&mut *self.idle()));
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs queries in a transaction and commits it. Returns an error with the meaning of a lost answer.
async fn run_transaction<T>(
    connection: &mut PgConnection,
    deadline: Instant,
    queries: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> std::result::Result<T, (sqlx::Error, Lost)> {
    let run = async {
        let mut transaction = connection.begin().await?;
        let value = queries(&mut transaction).await?;
        Ok((transaction, value))
    };
    let ran: sqlx::Result<(Transaction<'_, Postgres>, T)> = timeout_at(deadline, run).await.unwrap_or_else(|_| Err(no_answer()));
    let (transaction, value) = ran.map_err(|error| (error, Lost::NotStored))?;
    let committed = timeout_at(deadline, transaction.commit()).await.unwrap_or_else(|_| Err(no_answer()));
    committed.map_err(|error| (error, Lost::MayBeStored))?;
    Ok(value)
}

/// The error of a query that was not sent.
pub(super) fn busy(error: sqlx::Error) -> StorageError {
    StorageError::Busy(error.into())
}

/// All places of a pool.
pub(super) struct Held(Pool);

impl Drop for Held {
    fn drop(&mut self) {
        let Inner { limits, places, .. } = &*self.0.0;
        places.add_permits(limits.connections as usize);
    }
}
