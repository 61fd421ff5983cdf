//! The log of security events: sign-ins, ended sessions, passwords, keys, acts of the command line. It is separate from the
//! log of requests, so that an operator can keep it longer and read it alone.
//!
//! One JSON object per line in `security.log` of the data folder, mode 0600: time, act, uid and account, the network (/24 or
//! /48) of the client, the name of an API key. It never contains a text of a person, a password, a token or a full address.
//! A bounded queue and a thread of its own write it: a slow disk holds no request up, and lines that find the queue full are
//! counted in `roomcast_security_log_dropped_total`.

mod act;
mod counts;
mod file;

use crate::domain::{calendar, id::Uid};
use crate::server::{clock::Clock, config::StorageSettings as Settings};
pub use act::Act;
use counts::{Call, CountedAct, Counts};
use file::RotatedFile;
use serde::Serialize;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lines that wait to be written; a further one is dropped and counted.
const MAX_QUEUED: usize = 1_024;
/// Interval at which the counts of repetitions are written.
const FLUSH_EVERY: Duration = Duration::from_secs(60);

/// One event. Fields that do not apply are left out of the line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verb: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// An event without a person.
    pub fn new(act: Act) -> Self {
        Self { act: Some(act), ..Self::default() }
    }

    /// An act of the command line.
    pub fn by_command(act: Act) -> Self {
        Self { by: Some("command"), ..Self::new(act) }
    }

    /// Adds the uid of the person.
    #[must_use]
    pub fn uid(self, uid: &'a Uid) -> Self {
        Self { uid: Some(uid.as_str()), ..self }
    }

    /// Adds the account's name. It must be the name of an existing account: people type passwords into this field.
    #[must_use]
    pub fn account(self, account: &'a str) -> Self {
        Self { account: Some(account), ..self }
    }

    /// Adds the client's network, of which the line names the /24 or /48.
    #[must_use]
    pub fn network(self, address: IpAddr) -> Self {
        Self { network: Some(network(address)), ..self }
    }

    /// Adds the name of an API key.
    #[must_use]
    pub fn key(self, name: &'a str) -> Self {
        Self { key: Some(name), ..self }
    }

    /// Adds the id of a room.
    #[must_use]
    pub fn room(self, room: &'a str) -> Self {
        Self { room: Some(room), ..self }
    }

    /// Adds the verb of an act of moderation.
    #[must_use]
    pub fn verb(self, verb: &'a str) -> Self {
        Self { verb: Some(verb), ..self }
    }

    /// Adds a number: of sessions ended, of calls.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    fn line(&self, now: u64) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            time: String,
            #[serde(flatten)]
            event: &'a Event<'a>,
        }
        serde_json::to_string(&Line { time: calendar::iso(now), event: self }).unwrap_or_default() + "\n"
    }
}

/// The /24 of an IPv4 address, the /48 of an IPv6 address, as text.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// The log. A clone writes to the same file.
#[derive(Clone)]
pub struct SecurityLog(Option<Arc<Shared>>);

struct Shared {
    clock: Clock,
    /// `None`: closed.
    lines: Mutex<Option<SyncSender<String>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    counts: Arc<Counts>,
}

impl SecurityLog {
    /// Opens `security.log` in the data folder and starts its thread.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub fn open(settings: &Settings, clock: Clock) -> io::Result<Self> {
        let file =
            RotatedFile::open(settings.data_dir.join("security.log"), settings.security_log_bytes, settings.security_log_files)?;
        let (sender, lines) = sync_channel(MAX_QUEUED);
        let counts = Arc::new(Counts::default());
        let (counted, of_writer) = (counts.clone(), clock.clone());
        let writer = std::thread::Builder::new().name("security-log".into()).spawn(move || {
            write_lines(file, &lines, &counted, &of_writer);
        })?;
        let (lines, writer) = (Mutex::new(Some(sender)), Mutex::new(Some(writer)));
        Ok(Self(Some(Arc::new(Shared { clock, lines, writer, counts }))))
    }

    /// A log that writes nothing, for tests.
    pub fn off() -> Self {
        Self(None)
    }

    /// Records an event. Never waits: a line that finds the queue full is dropped and counted.
    pub fn record(&self, event: &Event<'_>) {
        let Some(shared) = &self.0 else { return };
        let lines = shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = lines.as_ref().is_some_and(|lines| lines.try_send(event.line(shared.clock.now_ms())).is_ok());
        if !sent {
            count_dropped(1);
        }
    }

    /// Records a call of the API. The first of a kind is a line at once; its repetitions within a minute are one line with
    /// their number.
    pub fn record_call(&self, key: &str, method: &'static str, outcome: &'static str) {
        let Some(shared) = &self.0 else { return };
        if shared.counts.calls.is_first(Call { key: key.to_owned(), method, outcome }) {
            self.record(&call_event(key, method, outcome).count(1));
        }
    }

    /// Records an event that a client could repeat without end. The first of an act and account is a line at once; its
    /// repetitions within a minute are one line with their number, without a network.
    pub fn record_counted(&self, event: &Event<'_>) {
        let (Some(shared), Some(act)) = (&self.0, event.act) else { return };
        let of = |text: Option<&str>| text.map(str::to_owned);
        if shared.counts.acts.is_first(CountedAct { act, uid: of(event.uid), account: of(event.account) }) {
            self.record(event);
        }
    }

    /// Writes the queued lines and ends the thread. Later events are counted as dropped.
    pub fn close(&self) {
        let Some(shared) = &self.0 else { return };
        drop(shared.lines.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the thread of the security log panicked");
        }
    }
}

fn call_event<'a>(key: &'a str, method: &'a str, outcome: &'a str) -> Event<'a> {
    Event { method: Some(method), outcome: Some(outcome), ..Event::new(Act::ApiCalls).key(key) }
}

fn count_dropped(lines: u64) {
    metrics::counter!("roomcast_security_log_dropped_total").increment(lines);
}

/// Writes lines until the log is closed, and the counts of repetitions once a minute and at the end.
fn write_lines(mut file: RotatedFile, lines: &Receiver<String>, counts: &Counts, clock: &Clock) {
    let mut flush_at = std::time::Instant::now() + FLUSH_EVERY;
    loop {
        let line = lines.recv_timeout(flush_at.saturating_duration_since(std::time::Instant::now()));
        let closed = line == Err(RecvTimeoutError::Disconnected);
        if let Ok(line) = line {
            write(&mut file, &line);
        }
        if closed || std::time::Instant::now() >= flush_at {
            flush_at = std::time::Instant::now() + FLUSH_EVERY;
            for (call, count) in counts.calls.take() {
                write(&mut file, &call_event(&call.key, call.method, call.outcome).count(count).line(clock.now_ms()));
            }
            for (CountedAct { act, uid, account }, count) in counts.acts.take() {
                let event = Event { uid: uid.as_deref(), account: account.as_deref(), ..Event::new(act).count(count) };
                write(&mut file, &event.line(clock.now_ms()));
            }
        }
        if closed {
            return;
        }
    }
}

fn write(file: &mut RotatedFile, line: &str) {
    if let Err(error) = file.append(line.as_bytes()) {
        count_dropped(1);
        tracing::debug!(%error, "could not write the security log");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn settings(folder: &TempDir) -> Settings {
        Settings { data_dir: folder.path().into(), security_log_bytes: 4096, security_log_files: 3, ..Settings::default() }
    }

    #[test]
    fn a_line_names_person_act_and_network_only() {
        let uid = "u1".parse().unwrap();
        let event = Event::new(Act::SignedIn).uid(&uid).account("ming").network("203.0.113.77".parse().unwrap());
        let expected =
            r#"{"time":"1970-01-01T00:00:00Z","act":"signed_in","uid":"u1","account":"ming","network":"203.0.113.0/24"}"#;
        assert_eq!(event.line(0).trim_end().replace(".000Z", "Z"), expected);
        assert_eq!(network("2001:db8:1:2:3::4".parse().unwrap()), "2001:db8:1::/48");
        assert_eq!(network("::ffff:203.0.113.77".parse().unwrap()), "203.0.113.0/24");
    }

    #[test]
    fn calls_of_one_kind_are_a_line_at_once_and_one_with_their_number() {
        let folder = TempDir::new().unwrap();
        let log = SecurityLog::open(&settings(&folder), Clock::manual(0)).unwrap();
        for _ in 0..500 {
            log.record_call("shop", "bindUid", "done");
        }
        log.record_call("shop", "bindUid", "malformed");
        log.close();
        let text = std::fs::read_to_string(folder.path().join("security.log")).unwrap();
        let counts: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["count"].as_u64().unwrap())
            .collect();
        assert_eq!(counts, [1, 1, 499], "{text}");
    }

    #[test]
    fn v7_2_refusals_of_one_account_are_a_line_at_once_and_one_with_their_number() {
        let folder = TempDir::new().unwrap();
        let log = SecurityLog::open(&settings(&folder), Clock::manual(0)).unwrap();
        let (ming, lena) = ("u1".parse().unwrap(), "u2".parse().unwrap());
        for n in 0..500_u32 {
            let refused = Event::new(Act::SignInRefused).network(IpAddr::from(n.to_be_bytes()));
            log.record_counted(&refused.clone().uid(&ming).account("ming"));
            log.record_counted(&refused);
        }
        log.record_counted(&Event::new(Act::SignInRefused).uid(&lena).account("lena"));
        log.close();
        let text = std::fs::read_to_string(folder.path().join("security.log")).unwrap();
        assert_eq!(text.lines().count(), 5, "{text}");
        assert_eq!(text.matches(r#""uid":"u1","account":"ming","count":499"#).count(), 1, "{text}");
    }

    #[test]
    fn a_closed_log_drops_lines_and_waits_for_nothing() {
        let folder = TempDir::new().unwrap();
        let log = SecurityLog::open(&settings(&folder), Clock::manual(0)).unwrap();
        log.close();
        log.record(&Event::new(Act::SignedIn));
        log.close();
        SecurityLog::off().record(&Event::new(Act::SignedIn));
    }
}
