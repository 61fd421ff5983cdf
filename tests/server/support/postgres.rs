//! PostgreSQL for the tests: private instances of the installed server on the loopback address. The first use runs `initdb` once for
//! the whole test program; an instance is a copy of that folder. One instance is shared, and a test gets a new database in it;
//! a test that breaks its server starts an instance of its own.
//!
//! Nothing is left behind: a guard process notices the end of the test program, however it ends, stops the instances and removes their
//! files.

use super::DEADLINE;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The plain role that owns the databases.
const ROLE: &str = "roomcast";
/// Settings of every instance. A killed process loses nothing without fsync; only a machine that stops would.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'\nfsync = off\nfull_page_writes = off\nmax_connections = 300\n\
    shared_buffers = 32MB\nmin_wal_size = 4MB\njit = off\ntimezone = 'UTC'\nlog_timezone = 'UTC'\n";
/// Waits for the end of the test program, which holds the other end of the pipe. A pid counts only while its process runs in the
/// data folder, so that no other process is meant.
const GUARD: &str = r#"cat >/dev/null
for data in "$0"/*/data; do
    pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || continue
    runs() { [ "$(readlink "/proc/$pid/cwd")" = "$data" ]; }
    runs && kill -QUIT "$pid"
    for _ in $(seq 200); do runs || break; sleep 0.05; done
done
rm -rf "$0""#;

/// The programs, the user that runs them, and the folder of `initdb`.
struct Installation {
    programs: PathBuf,
    /// PostgreSQL refuses root: uid and gid of its own user then.
    user: Option<(u32, u32)>,
    base: PathBuf,
    _guard: Mutex<Child>,
}

impl Installation {
    /// Returns `None` if PostgreSQL is not installed. With CI=true or as root that fails the test, as for every program that
    /// `tools/setup.sh test` installs there.
    fn get() -> Option<&'static Self> {
        static INSTALLATION: OnceLock<Option<Installation>> = OnceLock::new();
        INSTALLATION.get_or_init(|| Self::find().or_else(Self::missing)).as_ref()
    }

    fn missing() -> Option<Self> {
        // SAFETY: geteuid() has no preconditions.
        let must_be = std::env::var("CI").is_ok_and(|ci| ci == "true") || unsafe { libc::geteuid() } == 0;
        assert!(!must_be, "PostgreSQL is missing: apt-get install postgresql");
        None
    }

    fn find() -> Option<Self> {
        let programs = programs()?;
        let base = tempfile::Builder::new().prefix("roomcast-postgres-").tempdir().unwrap().keep();
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD]).arg(&base).process_group(0);
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // SAFETY: geteuid() has no preconditions.
        let user = (unsafe { libc::geteuid() } == 0).then(|| {
            let id = |flag| {
                let output = Command::new("id").args([flag, "postgres"]).output().unwrap();
                String::from_utf8(output.stdout).unwrap().trim().parse().expect("there is no user postgres")
            };
            (id("-u"), id("-g"))
        });
        let installation = Self { programs, user, base, _guard: Mutex::new(guard) };
        installation.give(&installation.base);
        let mut initdb = installation.program("initdb");
        // A language's order of letters by default: the schema must name "C" where it counts on bytes.
        initdb.args(["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=und"]);
        initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--wal-segsize=1"]);
        initdb.args(["--no-sync", "--no-instructions", "-D"]);
        succeeded(&initdb.arg(installation.base.join("template")).output().unwrap());
        Some(installation)
    }

    /// Gives a file to PostgreSQL's user.
    fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    /// A program of PostgreSQL, run by its user in the folder of the instances.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.env_clear().current_dir(&self.base);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// Debian keeps the server's programs out of PATH. The newest version is taken.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))));
    let debian = debian.filter(|(_, bin)| bin.join("initdb").exists()).max().map(|(_, bin)| bin);
    debian.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|bin| bin.join("initdb").exists())
    })
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

/// A running or stopped server. The last handle that is dropped stops it and removes its files.
pub struct Postgres {
    installation: &'static Installation,
    folder: PathBuf,
    port: u16,
    password: String,
    process: Mutex<Option<Child>>,
}

/// The signals that stop a server.
#[derive(Clone, Copy)]
pub enum Stop {
    /// Ends sessions, then writes a checkpoint.
    Fast,
    /// Ends at once; the next start recovers.
    Immediate,
}

impl Postgres {
    /// Returns a new empty database of the shared instance, which no test stops. `None`, after a line that says so, if PostgreSQL is
    /// not installed and need not be.
    pub fn shared() -> Option<Database> {
        static SHARED: OnceLock<Option<Arc<Postgres>>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Installation::get().map(|installation| Self::new(installation, "")));
        shared.as_ref().map(Self::database).or_else(pass_over)
    }

    /// Starts an instance that the test may stop, kill and restart.
    pub fn own() -> Option<Arc<Self>> {
        Self::own_with("")
    }

    /// As [`Postgres::own`], with lines for `postgresql.conf`.
    pub fn own_with(settings: &str) -> Option<Arc<Self>> {
        Installation::get().map(|installation| Self::new(installation, settings)).or_else(pass_over)
    }

    fn new(installation: &'static Installation, settings: &str) -> Arc<Self> {
        let this = Self::in_new_folder(installation, uuid::Uuid::new_v4().simple().to_string());
        let copied = Command::new("cp").arg("-a").arg(installation.base.join("template")).arg(this.folder.join("data")).output();
        succeeded(&copied.unwrap());
        this.configure(&format!("{SETTINGS}{settings}"));
        this.start();
        this.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{}'", this.password));
        Arc::new(this)
    }

    fn in_new_folder(installation: &'static Installation, password: String) -> Self {
        let port = free_port();
        let folder = installation.base.join(port.to_string());
        fs::create_dir(&folder).unwrap();
        installation.give(&folder);
        Self { installation, folder, port, password, process: Mutex::new(None) }
    }

    /// Adds settings to the file; the last line of a name holds.
    fn configure(&self, settings: &str) {
        let conf = self.folder.join("data/postgresql.conf");
        let own = format!("port = {}\nunix_socket_directories = '{}'\n{settings}\n", self.port, self.folder.display());
        fs::write(&conf, fs::read_to_string(&conf).unwrap() + &own).unwrap();
    }

    /// Starts a standby of this running server: a base backup of it, which follows it until it is promoted.
    pub fn standby(&self) -> Arc<Self> {
        let this = Self::in_new_folder(self.installation, self.password.clone());
        let mut backup = self.installation.program("pg_basebackup");
        backup.args(["--write-recovery-conf", "--no-sync", "--checkpoint=fast", "-U", "postgres", "-h"]).arg(&self.folder);
        succeeded(&backup.args(["-p", &self.port.to_string(), "-D"]).arg(this.folder.join("data")).output().unwrap());
        this.configure("");
        this.start();
        Arc::new(this)
    }

    /// Starts the server and waits until it takes connections. A start that fails is repeated until the deadline: processes
    /// of a killed server may still hold its memory.
    pub fn start(&self) {
        let deadline = Instant::now() + DEADLINE;
        let mut process = self.process.lock().unwrap();
        assert!(process.is_none(), "it runs");
        while Instant::now() < deadline {
            let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
            let mut command = self.installation.program("postgres");
            command.arg("-D").arg(self.folder.join("data")).process_group(0);
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
            while child.try_wait().unwrap().is_none() {
                if self.is_ready(child.id()) {
                    *process = Some(child);
                    return;
                }
                assert!(Instant::now() < deadline, "PostgreSQL is not ready:\n{}", self.log());
                sleep(Duration::from_millis(10));
            }
            sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL does not start:\n{}", self.log());
    }

    /// The first line of the file is the pid, the eighth the state.
    fn is_ready(&self, pid: u32) -> bool {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = file.lines();
        lines.next() == Some(&pid.to_string()) && lines.nth(6).is_some_and(|state| ["ready", "standby"].contains(&state.trim()))
    }

    /// Stops the server and waits for its end.
    pub fn stop(&self, how: Stop) {
        self.end(match how {
            Stop::Fast => libc::SIGINT,
            Stop::Immediate => libc::SIGQUIT,
        });
    }

    /// Kills the server's first process; the others notice and exit.
    pub fn kill(&self) {
        self.end(libc::SIGKILL);
    }

    fn end(&self, signal: i32) {
        let Some(mut child) = self.process.lock().unwrap().take() else { return };
        let deadline = Instant::now() + DEADLINE;
        // SAFETY: the child has not been waited for, so its pid is not reused.
        unsafe { libc::kill(child.id() as i32, signal) };
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server and starts it as a standby: it is read-only until [`Postgres::promote`].
    pub fn restart_as_standby(&self) {
        self.stop(Stop::Fast);
        let signal = self.folder.join("data/standby.signal");
        File::create(&signal).unwrap();
        self.installation.give(&signal);
        self.start();
    }

    /// Makes a standby the primary, on a new timeline, as a fail-over does.
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote(true, 20)"), "t", "{}", self.log());
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The server's own log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Runs a statement as superuser, and returns rows as lines with `|` between columns.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        succeeded(&self.try_sql(database, statement))
    }

    fn try_sql(&self, database: &str, statement: &str) -> Output {
        let mut psql = self.installation.program("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string()]);
        psql.args(["-d", database, "-c", statement]).output().unwrap()
    }

    /// Adds an empty database that the plain role owns.
    pub fn database(self: &Arc<Self>) -> Database {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}"));
        Database { postgres: self.clone(), name }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end(libc::SIGQUIT);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn pass_over<T>() -> Option<T> {
    eprintln!("passed over: {:?}: PostgreSQL is not installed (postgresql)", std::thread::current().name().unwrap_or_default());
    None
}

/// A port below those that the system gives to connections, so that a stopped server finds its own free again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 10_000) as u16;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A database of one test. Dropping it removes it.
pub struct Database {
    pub postgres: Arc<Postgres>,
    pub name: String,
}

impl Database {
    /// The value of `storage.url`.
    pub fn url(&self) -> String {
        self.url_at(self.postgres.address())
    }

    /// The same database behind a proxy at `address`.
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("postgres://{ROLE}:{}@{address}/{}", self.postgres.password, self.name)
    }

    /// The password in the URL, which nothing may show.
    pub fn password(&self) -> &str {
        &self.postgres.password
    }

    /// Runs a statement as superuser, and returns rows as lines with `|` between columns.
    pub fn sql(&self, statement: &str) -> String {
        self.postgres.sql(&self.name, statement)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A stopped server removes it with all its files.
        let _ = self.postgres.try_sql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}
