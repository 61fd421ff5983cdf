//! Starts the real binary as a server on port 0, and polls with a deadline. The clients are in `client`,
//! PostgreSQL in `postgres`, NATS in `nats`, several nodes in `cluster`, broken links in `proxy`, wrong clocks in `clock`.

mod client;
pub mod clock;
pub mod cluster;
pub mod nats;
mod place;
pub mod postgres;
pub mod proxy;
pub mod routes;

pub use client::{Answer, Person, Socket, read};
pub use place::Place;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// The deadline of every single wait.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Settings of every server, before those of the test. Tests run servers in parallel, open rooms, and play a crowd behind one
/// address.
const DEFAULTS: [&str; 6] = [
    "gateway.lan_addr=127.0.0.1:0",
    "gateway.register_addr=127.0.0.1:0",
    "chat.open_rooms=accounts",
    "limits.room_burst=100000",
    "limits.room_address_burst=100000",
    "limits.new_guest_burst=100000",
];

/// Sends a signal to a process: a child that has not been waited for, or one that took over from it. After SIGSTOP it waits until each
/// thread has stopped.
fn signal(pid: u32, signal: i32) {
    // SAFETY: kill() has no preconditions.
    unsafe { libc::kill(pid as i32, signal) };
    let deadline = Instant::now() + DEADLINE;
    while signal == libc::SIGSTOP && !has_stopped(pid) {
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn has_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state is behind the name in parentheses.
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    })
}

/// Whether a server that is no child has exited. Its pid may belong to another program by then.
fn has_ended(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program != Path::new(env!("CARGO_BIN_EXE_roomcast")))
        || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z"))
        || !Path::new(&format!("/proc/{pid}")).exists()
}

/// Polls every 20 ms until `condition` returns true. Panics with its name after [`DEADLINE`].
pub async fn eventually(name: &str, mut condition: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !condition().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(DEADLINE, poll).await.is_ok(), "not within {DEADLINE:?}: {name}");
}

/// A running server with a place of its own. Dropping it kills the process.
pub struct Server {
    child: Child,
    /// The process that took over at [`Server::reload`].
    successor: Option<u32>,
    pub base: String,
    pub owner_link: Option<String>,
    place: Place,
    /// The Register of the PHP gateway protocol.
    pub register: SocketAddr,
    /// The inner port of the PHP gateway protocol.
    pub inner: SocketAddrV4,
    settings: Vec<String>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts with settings of the form `table.key=value`, as `--set` takes them.
    pub fn with(settings: &[&str]) -> Self {
        Self::on(Place::new(), settings)
    }

    /// Starts on a place that the test prepared.
    pub fn on(place: impl Into<Place>, settings: &[&str]) -> Self {
        Self::spawn(place.into(), settings, &[], None)
    }

    /// Starts with a limit of `count` file descriptors.
    pub fn with_open_files(count: u64, settings: &[&str]) -> Self {
        Self::spawn(Place::new(), settings, &[], Some(count))
    }

    /// Starts with signals ignored: SIGXFSZ, so that a write beyond a file size limit fails as on a full disk; SIGHUP, as under
    /// nohup.
    pub fn with_ignored(signals: &'static [i32]) -> Self {
        Self::spawn(Place::new(), &[], signals, None)
    }

    fn spawn(place: Place, settings: &[&str], ignored: &'static [i32], open_files: Option<u64>) -> Self {
        let settings: Vec<String> = settings.iter().map(|setting| setting.to_string()).collect();
        let Spawned { child, base, owner_link, register, inner } = spawn(&place, "127.0.0.1:0", &settings, ignored, open_files);
        Self { child, successor: None, base, owner_link, place, register, inner, settings }
    }

    pub fn address(&self) -> &str {
        self.base.split_once("://").unwrap().1
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process that serves.
    pub fn signal(&self, signal: i32) {
        self::signal(self.successor.unwrap_or_else(|| self.child.id()), signal);
    }

    /// Kills the process, and the one that took over.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let Some(successor) = self.successor.take().filter(|pid| !has_ended(*pid)) else { return };
        self::signal(successor, libc::SIGKILL);
        let deadline = Instant::now() + DEADLINE;
        while !has_ended(successor) {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs `roomcast reload`, after which another process serves.
    pub async fn reload(&mut self) {
        let mut command = self.command();
        command.arg("reload");
        let output = finished(command).await;
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let pid = said.split_whitespace().next().and_then(|pid| pid.parse().ok());
        self.successor = Some(pid.unwrap_or_else(|| panic!("no pid: {said}")));
    }

    /// Starts a new process on the same port and data, as after a crash.
    pub fn restart(&mut self) {
        let address = self.address().to_owned();
        let Spawned { child, base, owner_link, register, inner } = spawn(&self.place, &address, &self.settings, &[], None);
        (self.child, self.base, self.owner_link, self.register, self.inner) = (child, base, owner_link, register, inner);
    }

    /// Waits until the process exits.
    pub async fn exit_status(&mut self) -> ExitStatus {
        eventually("the server exits", async || self.child.try_wait().unwrap().is_some()).await;
        self.child.wait().unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap()
    }

    /// The log lines at ERROR. Invalid requests cause none.
    pub fn errors(&self) -> Vec<String> {
        self.log().lines().filter(|line| line.contains("\"level\":\"ERROR\"")).map(str::to_owned).collect()
    }

    pub fn visitor(&self) -> Person {
        Person::new(&self.base)
    }

    pub async fn guest(&self, nickname: &str) -> Person {
        let mut person = self.visitor();
        let answer = person.post("/session/guest", &[("nickname", nickname)]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        person.uid = answer.body["uid"].as_str().unwrap().to_owned();
        person
    }

    /// Registers the owner, who hosts room 1, with the one-time link that the server printed.
    pub async fn owner(&self) -> Person {
        let link = self.owner_link.as_ref().expect("no owner link was printed");
        let mut person = self.visitor();
        let form = [("name", "owner"), ("password", "correct horse"), ("nickname", "小鱼"), ("owner", link)];
        let answer = person.post("/session/register", &form).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        person.uid = answer.body["uid"].as_str().unwrap().to_owned();
        person
    }
}

impl std::ops::Deref for Server {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A process that took over may be stopped.
        if let Some(successor) = self.successor.take().filter(|pid| !has_ended(*pid)) {
            self::signal(successor, libc::SIGKILL);
        }
        // One that took over without `Server::reload`.
        if let Ok(mut control) = std::os::unix::net::UnixStream::connect(self.folder().join("roomcast.sock")) {
            use std::io::{Read, Write};
            let _ = control.write_all(b"{\"request\":\"stop\",\"slowly\":false}\n");
            let _ = control.read_to_end(&mut Vec::new());
        }
    }
}

/// Servers that start on this folder from now on, and their successors, kill themselves at a step; with `None` they do not.
pub fn fail_at(data: &tempfile::TempDir, step: Option<&str>) {
    let file = data.path().join("fail-at");
    match step {
        Some(step) => std::fs::write(file, step).unwrap(),
        None => std::fs::remove_file(file).unwrap(),
    }
}

/// The output of a program that must end; it is killed after twice [`DEADLINE`].
pub async fn finished(command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    timeout(2 * DEADLINE, output).await.expect("the program did not end").unwrap()
}

pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
    command.env_clear();
    command
}

/// A started process, and the addresses it printed.
struct Spawned {
    child: Child,
    base: String,
    owner_link: Option<String>,
    register: SocketAddr,
    inner: SocketAddrV4,
}

fn spawn(place: &Place, address: &str, settings: &[String], ignored: &'static [i32], open_files: Option<u64>) -> Spawned {
    let log = std::fs::File::options().create(true).append(true).open(place.data.path().join("log")).unwrap();
    let mut command = place.command();
    command.args(["--addr", address]);
    for setting in DEFAULTS.into_iter().chain(settings.iter().map(String::as_str)) {
        command.args(["--set", setting]);
    }
    // The step at which the process kills itself: see `fail_at`.
    if let Ok(step) = std::fs::read_to_string(place.data.path().join("fail-at")) {
        command.env("ROOMCAST_FAIL_AT", step);
    }
    if !ignored.is_empty() {
        use std::os::unix::process::CommandExt;
        // SAFETY: signal() is async-signal-safe, and nothing else runs between fork and exec.
        unsafe {
            command.pre_exec(move || {
                for signal in ignored {
                    libc::signal(*signal, libc::SIG_IGN);
                }
                Ok(())
            })
        };
    }
    if let Some(count) = open_files {
        use std::os::unix::process::CommandExt;
        let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
        // SAFETY: setrlimit() is async-signal-safe, and nothing else runs between fork and exec.
        unsafe {
            command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            })
        };
    }
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    // Up to the line that asks to open the address in a browser.
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut printed: Vec<String> = Vec::new();
    for line in lines {
        let last = line.starts_with("Open it");
        printed.push(line);
        if last {
            break;
        }
    }
    let after = |words: &str| {
        printed
            .iter()
            .find_map(|line| line.split(words).nth(1))
            .map(|rest| rest.split([',', ' ', ')']).next().unwrap().to_owned())
    };
    let address =
        after("listening on ").unwrap_or_else(|| panic!("{}", std::fs::read_to_string(place.data.path().join("log")).unwrap()));
    let scheme = if settings.iter().any(|setting| setting.starts_with("web.tls_cert")) { "https" } else { "http" };
    let (base, owner_link) = (format!("{scheme}://{address}"), after("?owner="));
    let of_php = |words: &str| after(words).unwrap_or_else(|| "127.0.0.1:1".into());
    let (register, inner) = (of_php("this node at "), of_php("inner address "));
    Spawned { child, base, owner_link, register: register.parse().unwrap(), inner: inner.parse().unwrap() }
}
