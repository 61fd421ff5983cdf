//! The leases of jobs: session-level advisory locks on one connection of its own. They end with the connection. PostgreSQL ends it when
//! it heard nothing for 4 s, so a node that is paused or cut off loses its leases; the node itself counts on them for 3 s after the
//! last answer.

use super::error::no_answer;
use super::keeper::Keeper;
use super::open::connect;
use crate::server::storage::{Job, StoreState};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// The class of these advisory locks; the job is the second number.
const CLASS: i32 = 1_919_902_818;
/// Time between two questions, and the time of one.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_WITHIN: Duration = Duration::from_millis(1_000);
/// Time for which a lease holds after the question that had an answer.
const HOLDS_FOR: Duration = Duration::from_secs(3);
/// Time after which PostgreSQL ends a connection that is silent, in milliseconds.
const SILENT_MS: u64 = 4_000;
/// Time for an orderly end of the connection.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The leases of this process. Cheap to clone; the task ends when all clones are dropped, or after [`Leases::close`].
#[derive(Clone)]
pub(super) struct Leases {
    held: Arc<Mutex<Held>>,
    closing: CancellationToken,
    _guard: Arc<DropGuard>,
    task: TaskTracker,
}

#[derive(Default)]
struct Held {
    jobs: HashSet<i32>,
    until: Option<Instant>,
}

struct Asking {
    options: PgConnectOptions,
    keeper: Keeper,
    held: Arc<Mutex<Held>>,
    connection: Option<PgConnection>,
    /// Whether the last question failed while the store served.
    fails: bool,
}

impl Leases {
    /// Starts the task, which has leases only while the keeper says that this process serves.
    pub(super) fn start(options: &PgConnectOptions, keeper: Keeper) -> Self {
        let (held, closing, task) = (Arc::<Mutex<Held>>::default(), CancellationToken::new(), TaskTracker::new());
        let silent = [("idle_session_timeout", SILENT_MS), ("tcp_user_timeout", SILENT_MS)];
        let options = options.clone().application_name("roomcast jobs").options(silent);
        let asking = Asking { options, keeper, held: held.clone(), connection: None, fails: false };
        task.spawn(asking.run(closing.clone()));
        task.close();
        Self { held, _guard: Arc::new(closing.clone().drop_guard()), closing, task }
    }

    pub(super) fn holds(&self, job: Job) -> bool {
        let held = lock(&self.held);
        held.until.is_some_and(|until| Instant::now() < until) && held.jobs.contains(&(job as i32))
    }

    /// Gives the leases up.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.task.wait().await;
    }
}

impl Asking {
    async fn run(mut self, closing: CancellationToken) {
        let mut status = self.keeper.status();
        loop {
            let is_serving = status.borrow_and_update().state == StoreState::Serving;
            let asked = Instant::now();
            let taken = if is_serving { Some(self.ask().await) } else { None };
            self.log(taken.as_ref());
            match taken {
                Some(Ok(taken)) => {
                    let mut held = lock(&self.held);
                    held.jobs.extend(taken);
                    held.until = Some(asked + HOLDS_FOR);
                }
                Some(Err(_)) | None => self.give_up(),
            }
            tokio::select! {
                () = sleep(ASK_EVERY) => {}
                _ = status.changed() => {}
                () = closing.cancelled() => break,
            }
        }
        self.give_up();
    }

    /// Logs the first failure of several, and the end of them.
    fn log(&mut self, taken: Option<&sqlx::Result<Vec<i32>>>) {
        match taken {
            Some(Err(error)) if !self.fails => {
                tracing::warn!(%error, "PostgreSQL gives no lease of the jobs: this node removes no old rows until it does");
            }
            Some(Ok(_)) if self.fails => tracing::info!("PostgreSQL gives leases of the jobs again"),
            _ => {}
        }
        self.fails = matches!(taken, Some(Err(_)));
    }

    /// Asks for the leases that this process does not have, and returns those that it got. The question also keeps the others.
    async fn ask(&mut self) -> sqlx::Result<Vec<i32>> {
        let missing: Vec<i32> = {
            let held = lock(&self.held);
            Job::ALL.into_iter().map(|job| job as i32).filter(|job| !held.jobs.contains(job)).collect()
        };
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.options).await.map_err(|_| no_answer())?),
        };
        let ask = "SELECT job FROM unnest($2::integer[]) AS job WHERE pg_try_advisory_lock($1, job)";
        let taken = sqlx::query_scalar(ask).bind(CLASS).bind(missing).fetch_all(connection);
        timeout(ASK_WITHIN, taken).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// The end of the connection is the end of its locks.
    fn give_up(&mut self) {
        *lock(&self.held) = Held::default();
        if let Some(connection) = self.connection.take() {
            tokio::spawn(timeout(CLOSE_WITHIN, connection.close()));
        }
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
