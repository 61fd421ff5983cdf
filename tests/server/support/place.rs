//! The place of a server's records: a folder, and a PostgreSQL database if the store is that. With
//! `ROOMCAST_TEST_STORE=postgres` every server of the tests is on PostgreSQL, and with `cluster` also on NATS, each as a node of a
//! cluster of its own.

use super::nats::Nats;
use super::postgres::{Database, Postgres};
use super::{DEADLINE, binary};
use roomcast::server::config::StorageSettings;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

pub struct Place {
    /// The test's folder. The data folder is `data` in it.
    pub data: TempDir,
    /// `None`: SQLite in the data folder. The nodes of a cluster share one.
    pub database: Option<Arc<Database>>,
    /// The address of a proxy before the database.
    proxy: Option<SocketAddr>,
    /// Variables of the program's environment.
    environment: Vec<(String, String)>,
}

impl From<TempDir> for Place {
    fn from(data: TempDir) -> Self {
        Self { data, database: None, proxy: None, environment: Vec::new() }
    }
}

impl Place {
    /// An empty place, on the store of this run.
    pub fn new() -> Self {
        match std::env::var("ROOMCAST_TEST_STORE").as_deref() {
            Err(_) | Ok("" | "sqlite") => Self::sqlite(),
            Ok("postgres") => Self::postgres().expect("ROOMCAST_TEST_STORE=postgres needs PostgreSQL"),
            Ok("cluster") => Self::node().expect("ROOMCAST_TEST_STORE=cluster needs PostgreSQL and NATS"),
            Ok(other) => panic!("ROOMCAST_TEST_STORE is sqlite, postgres or cluster: {other}"),
        }
    }

    /// A place on PostgreSQL and the shared NATS server, in a cluster with the name of the database.
    fn node() -> Option<Self> {
        let (this, nats) = (Self::postgres()?, Nats::shared()?);
        let name = this.database.as_ref()?.name.clone();
        let environment = [("NATS", nats.url()), ("NAME", name), ("LOOPBACK", "on".into())];
        let environment = environment.map(|(name, value)| (format!("ROOMCAST_CLUSTER_{name}"), value));
        Some(Self { environment: environment.into(), ..this })
    }

    pub fn sqlite() -> Self {
        TempDir::new().unwrap().into()
    }

    /// `None` if PostgreSQL is passed over.
    pub fn postgres() -> Option<Self> {
        Postgres::shared().map(Self::on)
    }

    pub fn on(database: Database) -> Self {
        Self { database: Some(Arc::new(database)), ..Self::sqlite() }
    }

    /// The server reaches the database through the proxy at `address`, and the test without it.
    pub fn behind(database: Database, address: SocketAddr) -> Self {
        Self { proxy: Some(address), ..Self::on(database) }
    }

    /// A node's place: the database is that of all nodes, behind the node's own proxy.
    pub fn of_cluster(database: Arc<Database>, address: SocketAddr, environment: Vec<(String, String)>) -> Self {
        Self { database: Some(database), proxy: Some(address), environment, ..Self::sqlite() }
    }

    /// Whether its server is a node of a cluster.
    pub fn is_in_cluster(&self) -> bool {
        self.environment.iter().any(|(name, _)| name == "ROOMCAST_CLUSTER_NATS")
    }

    /// Sets a variable of the program's environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn url(&self) -> Option<String> {
        let database = self.database.as_ref()?;
        Some(self.proxy.map_or_else(|| database.url(), |address| database.url_at(address)))
    }

    pub fn folder(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// Settings for a store that the test itself opens.
    pub fn settings(&self) -> StorageSettings {
        let url = self.url().unwrap_or_default();
        StorageSettings { data_dir: self.folder(), url: url.as_str().into(), ..StorageSettings::default() }
    }

    /// The program on this place: a server, or a command.
    pub fn command(&self) -> Command {
        let mut command = binary();
        if let Some(url) = self.url() {
            command.env("ROOMCAST_STORAGE_URL", url);
        }
        command.envs(self.environment.iter().cloned());
        // Outside the repository, so that its Leptos.toml is not read.
        command.current_dir(self.data.path()).arg("--data-dir").arg(self.folder());
        command
    }

    async fn connect_sqlite(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.folder().join("roomcast.db")).busy_timeout(DEADLINE);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// Runs a statement beside the server, and returns the first column of its rows as text. Each store has its own; in both `{}` is
    /// the place of the schema's name.
    pub async fn sql_of_each(&self, sqlite: &str, postgres: &str) -> Vec<String> {
        match &self.database {
            Some(database) => database.sql(&postgres.replace("{}", "roomcast.")).lines().map(str::to_owned).collect(),
            None => {
                let mut connection = self.connect_sqlite().await;
                let statement = AssertSqlSafe(sqlite.replace("{}", "main."));
                let rows = sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows
            }
        }
    }

    /// Runs a statement that both stores understand.
    pub async fn sql(&self, statement: &str) {
        self.sql_of_each(statement, statement).await;
    }

    /// The result of a query for one number.
    pub async fn count(&self, query: &str) -> i64 {
        let query = format!("SELECT CAST(({query}) AS TEXT)");
        self.sql_of_each(&query, &query).await[0].parse().unwrap()
    }

    /// Adds the rooms `2..=last`, the newest with the highest number.
    pub async fn add_rooms(&self, last: u32) {
        let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {last})");
        let columns = "(room, title, epoch, created_at) SELECT CAST(i AS TEXT), 'spam ' || i, 'e', 9000000000000 + i FROM n";
        let rooms = format!("{numbers} INSERT INTO {{}}rooms {columns}");
        let heads = format!("{rooms}; INSERT INTO roomcast.heads (room) SELECT room FROM roomcast.rooms ON CONFLICT DO NOTHING");
        self.sql_of_each(&rooms, &heads).await;
    }

    /// Makes every `DELETE` or `INSERT` on a table fail, until [`Place::allow`].
    pub async fn refuse(&self, act: &str, table: &str) {
        let trigger = format!("CREATE TRIGGER refuse BEFORE {act} ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END");
        self.sql_of_each(&trigger, &format!("REVOKE {act} ON {{}}{table} FROM roomcast")).await;
    }

    pub async fn allow(&self, act: &str, table: &str) {
        self.sql_of_each("DROP TRIGGER refuse", &format!("GRANT {act} ON {{}}{table} TO roomcast")).await;
    }

    /// Keeps all writes of messages, people and sessions from the database, and no reads, until [`Lock::release`].
    pub async fn lock(&self) -> Lock {
        match &self.database {
            Some(database) => {
                let mut connection = PgConnection::connect(&database.url()).await.unwrap();
                let lock = "BEGIN; LOCK TABLE roomcast.heads, roomcast.people, roomcast.sessions IN EXCLUSIVE MODE";
                sqlx::raw_sql(lock).execute(&mut connection).await.unwrap();
                Lock::Postgres(connection)
            }
            None => {
                let mut connection = self.connect_sqlite().await;
                sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
                Lock::Sqlite(connection)
            }
        }
    }
}

pub enum Lock {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Lock {
    pub async fn release(self) {
        match self {
            Self::Sqlite(mut connection) => {
                sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres(mut connection) => {
                sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }
}
