//! NATS for the tests: private instances of the installed server on the loopback address, a shared one and one for each test that breaks
//! it. A guard process kills an instance and removes its files when the test program ends, however it ends.

use super::DEADLINE;
use super::postgres::free_port;
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Waits for the end of the test program, which holds the other end of the pipe. The pid counts only while its process is a server.
const GUARD: &str = r#"cat >/dev/null; [ "$(cat "/proc/$0/comm")" = nats-server ] && kill -KILL "$0"; rm -rf "$1""#;
const USER: &str = "roomcast";

/// A running or stopped server. Dropping it kills the server.
pub struct Nats {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    password: String,
    process: Mutex<Option<(Child, Child)>>,
}

impl Nats {
    /// Returns the instance of all tests, which no test stops. Clusters on it have different names.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Nats>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Starts an instance that the test may stop, kill and start again. `None`, after a line that says so, if NATS is not installed and
    /// need not be.
    pub fn start() -> Option<Self> {
        let program = program().or_else(missing)?;
        let (folder, password) = (TempDir::new().unwrap(), uuid::Uuid::new_v4().simple().to_string());
        let this = Self { program, folder, port: free_port(), password, process: Mutex::default() };
        this.run();
        Some(this)
    }

    /// Starts the stopped server on the same port, and waits until it takes connections.
    pub fn run(&self) {
        let deadline = Instant::now() + DEADLINE;
        let mut process = self.process.lock().unwrap();
        assert!(process.is_none(), "it runs");
        while Instant::now() < deadline {
            let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
            let mut command = Command::new(&self.program);
            command.args(["--addr", "127.0.0.1", "--port", &self.port.to_string(), "--user", USER, "--pass", &self.password]);
            command.env_clear().current_dir(self.folder.path()).process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
            let mut child = command.stderr(log).spawn().unwrap();
            while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
                if self.greets() {
                    let mut guard = Command::new("sh");
                    guard.args(["-c", GUARD, &child.id().to_string()]).arg(self.folder.path());
                    guard.process_group(0).stdin(Stdio::piped());
                    let guard = guard.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                    *process = Some((child, guard));
                    return;
                }
                sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("NATS does not start:\n{}", self.log());
    }

    /// Whether the server sends its first line.
    fn greets(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect_timeout(&self.address(), DEADLINE) else { return false };
        let mut word = [0; 4];
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        stream.read_exact(&mut word).is_ok() && &word == b"INFO"
    }

    /// Ends the server in its own way, and waits for its end.
    pub fn stop(&self) {
        self.end(libc::SIGTERM);
    }

    /// Kills the server.
    pub fn kill(&self) {
        self.end(libc::SIGKILL);
    }

    /// Sends a signal, as SIGSTOP and SIGCONT.
    pub fn signal(&self, signal: i32) {
        if let Some((child, _)) = &*self.process.lock().unwrap() {
            super::signal(child.id(), signal);
        }
    }

    fn end(&self, signal: i32) {
        self.signal(signal);
        let Some((mut child, mut guard)) = self.process.lock().unwrap().take() else { return };
        let deadline = Instant::now() + DEADLINE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
            }
            sleep(Duration::from_millis(5));
        }
        let _ = guard.kill();
        let _ = guard.wait();
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The value of `cluster.nats`.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same server behind a proxy at `address`.
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("nats://{USER}:{}@{address}", self.password)
    }

    /// The password in the URL, which nothing may show.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The server's own log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.end(libc::SIGKILL);
    }
}

/// Debian keeps the server among the programs of the administrator.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/bin".into()]);
    folders.map(|folder| folder.join("nats-server")).find(|program| program.exists())
}

fn missing() -> Option<PathBuf> {
    // SAFETY: geteuid() has no preconditions.
    let must_be = std::env::var("CI").is_ok_and(|ci| ci == "true") || unsafe { libc::geteuid() } == 0;
    assert!(!must_be, "NATS is missing: apt-get install nats-server");
    eprintln!("passed over: {:?}: NATS is not installed (nats-server)", std::thread::current().name().unwrap_or_default());
    None
}
