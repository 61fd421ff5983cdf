//! Opening the PostgreSQL store: the URL, the settings of its sessions, its pools, and facts about the installation.

use super::arrivals::Arrivals;
use super::error::no_answer;
use super::keeper::{Keeper, KeeperGuard};
use super::leases::Leases;
use super::lock::Sharing;
use super::pool::{Held, Limits, Pool};
use super::problem::{PostgresProblem, SSL_MODES};
use super::settings::SettingsCache;
use super::{identity, moving, schema};
use crate::server::config::StorageSettings as Settings;
use crate::server::storage::{DataDirLock, Job, OpenError, OpenNotice, Result, StoreStatus, data_dir};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// Connections that read; they run in parallel.
const READERS: u32 = 8;
/// Connections for messages: one for each lane of the chat.
pub(super) const LANES: u32 = 4;
/// Connections for writes other than messages.
const WRITERS: u32 = 4;
/// A connection for reads or messages that was idle for longer is checked before its use. One for other writes is always checked,
/// since the answer of a write on a dead connection would be uncertain; a message is sent again under its nonce.
const CHECK_AFTER: Duration = Duration::from_secs(1);
/// Time for the connection that opens the store.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Time of a query beyond the wait for a lock, so that PostgreSQL's error comes first.
const ANSWER_EXTRA_MS: u64 = 500;
/// Time after which PostgreSQL ends a transaction whose client does nothing, in milliseconds.
const IDLE_IN_TRANSACTION_MS: u64 = 5_000;
/// Interval at which PostgreSQL looks whether the client of a running query is still there, in milliseconds.
const CLIENT_CHECK_MS: u64 = 1_000;
/// The URL's parameters that the driver knows and Roomcast does not set itself.
const PARAMETERS: [&str; 11] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "hostaddr", "port", "dbname", "user", "password", "options"];

/// An open PostgreSQL store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) readers: Pool,
    pub(super) writers: Pool,
    pub(super) lanes: Pool,
    pub(super) settings: SettingsCache,
    pub(super) arrivals: Arrivals,
    /// Notified after each write that may have news.
    pub(super) written: Arc<Notify>,
    /// `None` beside a running server, as the three that follow.
    keeper: Option<Keeper>,
    leases: Option<Leases>,
    _guard: Option<KeeperGuard>,
    _lock: Option<DataDirLock>,
    /// The places of writers and lanes, while writes are stopped: every write of this process fails as busy.
    held_writers: Arc<Mutex<Vec<Held>>>,
    notices: Arc<[OpenNotice]>,
}

impl PostgresStore {
    /// Takes the database's lock, creates the schema if it is missing, and brings it up to date. Waits some seconds for a database
    /// that starts, and for a server that ends.
    pub(in crate::server::storage) async fn open(
        settings: &Settings,
        lock: DataDirLock,
        sharing: Sharing,
    ) -> std::result::Result<Self, OpenError> {
        let options = options(settings)?;
        let failed = |problem| open_error(&options, problem);
        let (keeper, watching) = Keeper::open(&options, sharing).await.map_err(failed)?;
        schema::migrate(&options).await.map_err(failed)?;
        refuse_unfinished_move(&options).await.map_err(failed)?;
        let mut store = Self::new(settings, &options, Some(keeper.clone()));
        let guard = watching.start(vec![store.readers.clone(), store.writers.clone(), store.lanes.clone()]);
        (store._guard, store._lock) = (Some(guard), Some(lock));
        store.leases = Some(Leases::start(&options, keeper));
        let restored = identity::check(&options).await.map_err(failed)?;
        store.notices = restored.map(|rooms| OpenNotice::Restored { rooms }).into_iter().collect();
        Ok(store)
    }

    /// Opens the database for a command, beside a running server. Fails if the schema is older than this program's.
    pub(crate) async fn open_unlocked(settings: &Settings) -> std::result::Result<Self, OpenError> {
        let options = options(settings)?;
        // For the security log. Where it cannot be written, the command says so.
        let _ = data_dir::create(&settings.data_dir);
        let checked = async {
            let mut connection = connect(&options).await?;
            schema::check(&mut connection).await?;
            moving::refuse_unfinished(&mut connection).await
        };
        let checked = timeout(CONNECT_WITHIN * 2, checked).await.unwrap_or_else(|_| Err(no_answer().into()));
        checked.map_err(|problem| open_error(&options, problem))?;
        Ok(Self::new(settings, &options, None))
    }

    fn new(settings: &Settings, options: &PgConnectOptions, keeper: Option<Keeper>) -> Self {
        let within = Duration::from_millis(settings.busy_within_ms + ANSWER_EXTRA_MS);
        let readers = Limits { connections: READERS, within, check_after: CHECK_AFTER, writes: false };
        let writers = Limits { connections: WRITERS, within, check_after: Duration::ZERO, writes: true };
        let lanes = Limits { connections: LANES, within, check_after: CHECK_AFTER, writes: true };
        let written = Arc::new(Notify::new());
        let pool = |limits, written| Pool::new(options.clone(), limits, keeper.clone(), written);
        let (readers, writers, lanes) = (pool(readers, None), pool(writers, Some(written.clone())), pool(lanes, None));
        let arrivals = Arrivals::start(writers.clone(), Duration::from_millis(settings.busy_within_ms));
        let settings = SettingsCache::default();
        let (held_writers, notices) = (Arc::default(), Arc::default());
        Self {
            readers,
            writers,
            lanes,
            settings,
            arrivals,
            written,
            keeper,
            leases: None,
            _guard: None,
            _lock: None,
            held_writers,
            notices,
        }
    }

    pub(crate) fn notices(&self) -> &[OpenNotice] {
        &self.notices
    }

    pub(crate) fn status(&self) -> Option<watch::Receiver<StoreStatus>> {
        self.keeper.as_ref().map(Keeper::status)
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.keeper.as_ref().is_some_and(Keeper::is_serving)
    }

    pub(crate) fn holds(&self, job: Job) -> bool {
        self.leases.as_ref().is_some_and(|leases| leases.holds(job))
    }

    /// Waits for the writes that are under way, lets no other one begin, and releases the database's lock. Fails if they do not
    /// end in time.
    pub(crate) async fn stop_writes(&self) -> Result<()> {
        let held = vec![self.writers.hold().await?, self.lanes.hold().await?];
        *self.held_writers() = held;
        if let Some(keeper) = &self.keeper {
            keeper.release().await;
        }
        Ok(())
    }

    /// Takes the database's lock back. If it is not to be had at once, the keeper goes on trying, and writes fail meanwhile.
    pub(crate) async fn resume_writes(&self) {
        self.held_writers().clear();
        if let Some(keeper) = &self.keeper {
            keeper.resume().await;
        }
    }

    pub(crate) async fn close(&self) {
        self.held_writers().clear();
        if let Some(leases) = &self.leases {
            leases.close().await;
        }
        self.arrivals.close().await;
        self.lanes.close().await;
        self.writers.close().await;
        self.readers.close().await;
        if let Some(keeper) = &self.keeper {
            keeper.close().await;
        }
    }

    fn held_writers(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held_writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn fact(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let fact = async |db: &mut PgConnection| {
            sqlx::query_scalar!("SELECT value FROM roomcast.facts WHERE name = $1", name).fetch_optional(db).await
        };
        self.readers.read(fact).await
    }

    pub(crate) async fn set_fact(&self, name: &str, value: &[u8]) -> Result<()> {
        let set = async |db: &mut PgConnection| {
            sqlx::query!(
                "INSERT INTO roomcast.facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2",
                name,
                value
            )
            .execute(db)
            .await
        };
        self.writers.write(set).await?;
        Ok(())
    }

    pub(crate) async fn raise_fact(&self, name: &str, value: &[u8], below: &[u8]) -> Result<bool> {
        let raise = async |db: &mut PgConnection| {
            sqlx::query!(
                "INSERT INTO roomcast.facts AS fact (name, value) VALUES ($1, $2)
                ON CONFLICT (name) DO UPDATE SET value = $2 WHERE fact.value < $3",
                name,
                value,
                below
            )
            .execute(db)
            .await
        };
        Ok(self.writers.write(raise).await?.rows_affected() == 1)
    }

    /// Of several nodes that draw at once, the value of one holds for all.
    pub(crate) async fn fact_or_set(&self, name: &str, value: &[u8]) -> Result<Vec<u8>> {
        let set = async |db: &mut PgConnection| {
            sqlx::query_scalar!(
                "INSERT INTO roomcast.facts (name, value) VALUES ($1, $2)
                ON CONFLICT (name) DO UPDATE SET value = facts.value RETURNING value",
                name,
                value
            )
            .fetch_one(db)
            .await
        };
        self.writers.write(set).await
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        let ping = async |db: &mut PgConnection| {
            sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM roomcast.facts) AS "any!""#).fetch_one(db).await
        };
        self.readers.read(ping).await?;
        Ok(())
    }
}

/// The options of every connection: what the URL says, and the settings of Roomcast's sessions.
pub(super) fn options(settings: &Settings) -> std::result::Result<PgConnectOptions, OpenError> {
    let invalid = |problem| OpenError::Postgres { server: "of storage.url".into(), problem };
    let url = settings.url.as_str();
    let parameters = url::Url::parse(url).ok();
    let mut names = parameters.iter().flat_map(|url| url.query_pairs().map(|(name, _)| name.into_owned()));
    // The driver would log an unknown one, with its value.
    if let Some(unknown) = names.find(|name| !PARAMETERS.contains(&name.as_str())) {
        let is_name = unknown.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        return Err(invalid(PostgresProblem::UnknownParameter(if is_name { unknown } else { "…".into() })));
    }
    // Its error would show the value.
    let mut modes = parameters.iter().flat_map(|url| url.query_pairs().filter(|(name, _)| name == "sslmode"));
    if modes.any(|(_, mode)| !SSL_MODES.contains(&mode.to_lowercase().as_str())) {
        return Err(invalid(PostgresProblem::SslMode));
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| invalid(PostgresProblem::Url))?;
    Ok(options.application_name("roomcast").options([
        ("search_path", "roomcast".to_owned()),
        ("lock_timeout", settings.busy_within_ms.to_string()),
        ("statement_timeout", (2 * settings.busy_within_ms).to_string()),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS.to_string()),
        ("client_connection_check_interval", CLIENT_CHECK_MS.to_string()),
        ("client_min_messages", "warning".to_owned()),
        // Queries are short: compiling one would take longer than running it.
        ("jit", "off".to_owned()),
    ]))
}

/// Opens one connection beside the pools.
pub(super) async fn connect(options: &PgConnectOptions) -> std::result::Result<PgConnection, PostgresProblem> {
    let connected = timeout(CONNECT_WITHIN, options.connect()).await;
    connected.unwrap_or_else(|_| Err(no_answer())).map_err(PostgresProblem::from)
}

async fn refuse_unfinished_move(options: &PgConnectOptions) -> std::result::Result<(), PostgresProblem> {
    let mut connection = connect(options).await?;
    moving::refuse_unfinished(&mut connection).await?;
    let _ = timeout(CONNECT_WITHIN, connection.close()).await;
    Ok(())
}

/// The error with the name of server, database and role.
pub(super) fn open_error(options: &PgConnectOptions, problem: PostgresProblem) -> OpenError {
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let (port, role) = (options.get_port(), options.get_username());
    let database = options.get_database().unwrap_or(role);
    OpenError::Postgres { server: format!("{place}:{port}, database {database}, role {role}"), problem }
}
