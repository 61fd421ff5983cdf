//! The keeper of a server: one connection of its own that holds the lock of the node that serves from the database, and looks at the
//! database every second. What it sees decides whether this process writes.
//!
//! The lock ends with the connection. After a lost one it is taken again as soon as PostgreSQL answers; if another server has
//! it by then, this process writes nothing and tries again every second.

use super::error::no_answer;
use super::lock::{LOOK_WITHIN, Sharing, is_free, try_lock};
use super::open::connect;
use super::pool::{Pool, busy};
use super::problem::PostgresProblem;
use crate::server::storage::{Result, StoreState, StoreStatus};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pause before the first new attempt after a failed look; it doubles up to [`LOOK_EVERY`].
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Longest wait of a write for a database that went away just now. Later writes fail at once.
const GRACE: Duration = Duration::from_millis(1_500);
/// Time in which a starting server must reach the database, and then the lock: a predecessor on a machine that lost its power
/// holds it until [`KEEPALIVE`] ends its session.
const REACH_WITHIN: Duration = Duration::from_secs(10);
const TAKE_WITHIN: Duration = Duration::from_secs(8);
const START_RETRY: Duration = Duration::from_millis(200);
/// Time for which the lock must be free before another server takes it: a server whose connection broke takes it back by then, or
/// knows that it is lost.
const FREE_FOR: Duration = Duration::from_millis(2_500);
/// Attempts to take the lock on a new connection, while the session of the lost one ends.
const TAKE_ATTEMPTS: u32 = 10;
const TAKE_RETRY: Duration = Duration::from_millis(50);
/// Time for the lock to be released, which may wait for a look.
const RELEASE_WITHIN: Duration = Duration::from_secs(4);
/// Time for an orderly end of the connection.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// Settings of the session, by which PostgreSQL ends it about 5 s after this machine is gone.
const KEEPALIVE: [(&str, &str); 4] =
    [("tcp_keepalives_idle", "2"), ("tcp_keepalives_interval", "1"), ("tcp_keepalives_count", "3"), ("tcp_user_timeout", "5000")];
/// Whether the server is read-only, as a standby is, and its timeline.
const LOOK: &str = "SELECT current_setting('transaction_read_only') = 'on', \
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END";

/// The store's view of its keeper. Cheap to clone; all clones are one keeper.
#[derive(Clone)]
pub(super) struct Keeper(Arc<Shared>);

#[derive(Default)]
struct Broken {
    seen: u64,
    settled: u64,
}

struct Shared {
    status: watch::Sender<StoreStatus>,
    /// Whether this process is to serve: false after a hand-over.
    wanted: watch::Sender<bool>,
    /// Asks for a look at once.
    look: Notify,
    /// The connections that broke, and how many of them a look has followed: another server may answer since.
    broken: watch::Sender<Broken>,
    closing: CancellationToken,
    task: TaskTracker,
}

/// Ends the keeper when the last clone of the store is dropped.
pub(super) type KeeperGuard = Arc<DropGuard>;

/// The keeper's task.
pub(super) struct Watching {
    keeper: Keeper,
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    holds_lock: bool,
    sharing: Sharing,
}

impl Keeper {
    /// Connects and takes the lock. Waits for a database that starts or fails over, and for a predecessor that lingers, and fails
    /// after [`REACH_WITHIN`] and [`TAKE_WITHIN`].
    pub(super) async fn open(
        options: &PgConnectOptions,
        sharing: Sharing,
    ) -> std::result::Result<(Self, Watching), PostgresProblem> {
        // A name of its own, so that the session of a lost connection is found.
        let name = format!("roomcast keeper {:08x}", rand::random::<u32>());
        let options = options.clone().application_name(&name).options(KEEPALIVE);
        let (mut connection, timeline) = reach(&options).await?;
        take(&mut connection, sharing).await?;
        let status = StoreStatus { state: StoreState::Serving, since: Instant::now(), timeline: Some(timeline) };
        let keeper = Self(Arc::new(Shared {
            status: watch::Sender::new(status),
            wanted: watch::Sender::new(true),
            look: Notify::new(),
            broken: watch::Sender::new(Broken::default()),
            closing: CancellationToken::new(),
            task: TaskTracker::new(),
        }));
        let watching = Watching { keeper: keeper.clone(), options, connection: Some(connection), holds_lock: true, sharing };
        Ok((keeper, watching))
    }

    pub(super) fn status(&self) -> watch::Receiver<StoreStatus> {
        self.0.status.subscribe()
    }

    /// Whether this process holds the lock, as far as it knows.
    pub(super) fn is_serving(&self) -> bool {
        self.0.status.borrow().state == StoreState::Serving
    }

    /// Waits until this process may write: after a broken connection, until the keeper has looked. Fails as busy at `deadline`, and at once if it could not for longer than [`GRACE`].
    pub(super) async fn may_write(&self, deadline: Instant) -> Result<()> {
        let mut status = self.0.status.subscribe();
        let mut broken = self.0.broken.subscribe();
        let seen = broken.borrow().seen;
        if timeout_at(deadline, broken.wait_for(|broken| broken.settled >= seen)).await.is_err() {
            return Err(busy(self.why_not()));
        }
        let until = deadline.min(status.borrow().since + GRACE);
        match timeout_at(until, status.wait_for(|status| status.state == StoreState::Serving)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(busy(self.why_not())),
        }
    }

    /// Says why this process does not write.
    fn why_not(&self) -> sqlx::Error {
        let why = match &self.0.status.borrow().state {
            StoreState::Serving | StoreState::Away(_) => return no_answer(),
            StoreState::ReadOnly => "the server is read-only",
            StoreState::Taken => "another roomcast serves from this database",
            StoreState::Stopped => "this process handed the database over",
        };
        sqlx::Error::Io(std::io::Error::other(why))
    }

    /// Asks for a look at once, because a connection broke. Does not wait.
    pub(super) fn look_soon(&self) {
        self.0.broken.send_modify(|broken| broken.seen += 1);
        self.0.look.notify_one();
    }

    /// Releases the lock for a successor. A lock that cannot be released ends with the connection.
    pub(super) async fn release(&self) {
        self.0.wanted.send_replace(false);
        let mut status = self.status();
        let _ = timeout(RELEASE_WITHIN, status.wait_for(|status| status.state == StoreState::Stopped)).await;
    }

    /// Takes the lock back. After [`LOOK_WITHIN`] the attempts go on without the caller.
    pub(super) async fn resume(&self) {
        self.0.wanted.send_replace(true);
        let mut status = self.status();
        let _ = timeout(LOOK_WITHIN, status.wait_for(|status| status.state == StoreState::Serving)).await;
    }

    /// Releases the lock and closes the connection.
    pub(super) async fn close(&self) {
        self.0.closing.cancel();
        self.0.task.close();
        self.0.task.wait().await;
    }

    fn set(&self, state: StoreState, timeline: Option<&str>) {
        self.0.status.send_if_modified(|status| {
            let is_other = discriminant(&status.state) != discriminant(&state);
            if (status.state == StoreState::Serving) != (state == StoreState::Serving) {
                status.since = Instant::now();
            }
            status.state = state;
            let is_promoted = timeline.is_some() && status.timeline.as_deref() != timeline;
            if is_promoted {
                status.timeline = timeline.map(str::to_owned);
            }
            is_other || is_promoted
        });
    }
}

impl Watching {
    /// Starts the task. After a reconnect and while the server takes no writes it closes the connections of `pools`, since they
    /// may lead to another server than its own.
    pub(super) fn start(self, pools: Vec<Pool>) -> KeeperGuard {
        let Shared { closing, task, .. } = &*self.keeper.0;
        let guard = Arc::new(closing.clone().drop_guard());
        task.clone().spawn(self.run(pools));
        guard
    }

    async fn run(mut self, pools: Vec<Pool>) {
        let keeper = self.keeper.clone();
        let Shared { wanted, look, closing, broken, .. } = &*keeper.0;
        let mut wanted = wanted.subscribe();
        let mut retry = FIRST_RETRY;
        loop {
            let is_wanted = *wanted.borrow_and_update();
            let seen = broken.borrow().seen;
            let (state, timeline) = self.look(is_wanted, &pools).await;
            let is_well = matches!(state, StoreState::Serving | StoreState::Taken | StoreState::Stopped);
            let is_serving = state == StoreState::Serving;
            retry = if is_well { FIRST_RETRY } else { (retry * 2).min(LOOK_EVERY) };
            keeper.set(state, timeline.as_deref());
            broken.send_modify(|broken| broken.settled = seen);
            tokio::select! {
                () = closing.cancelled() => break,
                _ = wanted.changed() => {}
                () = look.notified(), if is_serving => {}
                () = sleep(if is_well { LOOK_EVERY } else { retry }) => {}
            }
        }
        if let Some(connection) = self.connection.take() {
            let _ = timeout(CLOSE_WITHIN, connection.close()).await;
        }
    }

    /// Returns whether this process may write, and the timeline if it was seen. After an error the connection is dropped.
    async fn look(&mut self, is_wanted: bool, pools: &[Pool]) -> (StoreState, Option<String>) {
        let looked = timeout(LOOK_WITHIN, self.try_look(is_wanted, pools)).await;
        let looked = looked.unwrap_or_else(|_| Err(no_answer()));
        if !matches!(looked, Ok((StoreState::Serving | StoreState::Taken | StoreState::Stopped, _))) {
            (self.connection, self.holds_lock) = (None, false);
        }
        match looked {
            Ok(seen) => seen,
            Err(_) if !is_wanted => (StoreState::Stopped, None),
            Err(error) => (StoreState::Away(error.to_string().into()), None),
        }
    }

    async fn try_look(&mut self, is_wanted: bool, pools: &[Pool]) -> sqlx::Result<(StoreState, Option<String>)> {
        if !is_wanted {
            if let Some(connection) = self.connection.as_mut().filter(|_| self.holds_lock) {
                self.holds_lock = false;
                sqlx::query("SELECT pg_advisory_unlock_all()").execute(connection).await?;
            }
            return Ok((StoreState::Stopped, None));
        }
        let is_new = self.connection.is_none();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let (is_read_only, timeline) = sqlx::query_as::<_, (bool, Option<String>)>(LOOK).fetch_one(&mut *connection).await?;
        if is_new || is_read_only {
            pools.iter().for_each(Pool::renew);
        }
        if is_read_only {
            return Ok((StoreState::ReadOnly, None));
        }
        if !self.holds_lock {
            self.holds_lock =
                if is_new { take_back(connection, self.sharing).await? } else { try_lock(connection, self.sharing).await? };
        }
        Ok((if self.holds_lock { StoreState::Serving } else { StoreState::Taken }, timeline))
    }
}

/// Connects to a server that takes writes, and returns its timeline. Tries again for [`REACH_WITHIN`].
async fn reach(options: &PgConnectOptions) -> std::result::Result<(PgConnection, String), PostgresProblem> {
    let deadline = Instant::now() + REACH_WITHIN;
    loop {
        let reached = async {
            let mut connection = connect(options).await?;
            let look = sqlx::query_as::<_, (bool, Option<String>)>(LOOK).fetch_one(&mut connection);
            match timeout(LOOK_WITHIN, look).await.unwrap_or_else(|_| Err(no_answer()))? {
                (false, Some(timeline)) => Ok((connection, timeline)),
                _ => Err(PostgresProblem::ReadOnly),
            }
        };
        match reached.await {
            Err(PostgresProblem::Unreachable(_) | PostgresProblem::ReadOnly) if Instant::now() < deadline => {
                sleep(START_RETRY).await;
            }
            reached => return reached,
        }
    }
}

/// Takes the lock. One that another server held is taken after it was free for [`FREE_FOR`]; fails if it is held after
/// [`TAKE_WITHIN`].
async fn take(connection: &mut PgConnection, sharing: Sharing) -> std::result::Result<(), PostgresProblem> {
    let deadline = Instant::now() + TAKE_WITHIN;
    if try_lock(connection, sharing).await? {
        return Ok(());
    }
    let mut free_since = None;
    loop {
        let is_free = is_free(connection, sharing).await?;
        let now = Instant::now();
        free_since = is_free.then(|| free_since.unwrap_or(now));
        match free_since {
            Some(since) if now >= since + FREE_FOR => {
                if try_lock(connection, sharing).await? {
                    return Ok(());
                }
                free_since = None;
            }
            None if now > deadline => return Err(PostgresProblem::Taken),
            _ => {}
        }
        sleep(START_RETRY).await;
    }
}

/// Ends the session of this process's lost connection, which PostgreSQL may not have noticed, and takes the lock that it held.
async fn take_back(connection: &mut PgConnection, sharing: Sharing) -> sqlx::Result<bool> {
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE application_name = current_setting('application_name') AND pid <> pg_backend_pid()";
    sqlx::query(end).execute(&mut *connection).await?;
    for _ in 1..TAKE_ATTEMPTS {
        if try_lock(connection, sharing).await? {
            return Ok(true);
        }
        sleep(TAKE_RETRY).await;
    }
    try_lock(connection, sharing).await
}
