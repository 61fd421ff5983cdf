//! The command line, `load SCENARIO --name value …`: every flag with its default and its unit.

use crate::target::Kind;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;

#[derive(Clone, Debug)]
pub struct Arguments {
    pub scenario: String,
    /// The server's protocol: plain, roomcast, chat, php, socketio, nchan.
    pub server: Kind,
    pub addr: SocketAddr,
    /// The nodes of a cluster; `addr` is the first. Viewers are spread over all of them.
    pub nodes: Vec<SocketAddr>,
    /// Publishes go to the first so many nodes.
    pub sender_nodes: usize,
    /// Address of Roomcast's inner port.
    pub inner: SocketAddr,
    /// Process ids of the server, comma-separated; their children are added.
    pub pids: Vec<u32>,
    /// Processes whose CPU is reported apart: `nats=4711,postgres=4712`.
    pub parts: Vec<(String, u32)>,
    /// Address of NATS' monitoring.
    pub monitor: SocketAddr,
    /// URL of the database, for psql.
    pub database: String,
    /// Viewers that leave and come per second, in `cluster-idle`.
    pub churn: f64,
    /// Roomcast's API key.
    pub key: String,
    /// Token of the link that makes a person the owner of Roomcast.
    pub owner: String,
    pub viewers: usize,
    pub rooms: usize,
    /// Messages per second, in all rooms together.
    pub rate: f64,
    /// Duration of a measurement.
    pub seconds: f64,
    /// Duration of the warm-up before it, at the same rate and not counted. In seconds.
    pub warm_up: f64,
    /// Bytes of a message.
    pub size: usize,
    /// Publishes in flight, at most; in the chat scenarios also the number of guests that write.
    pub publishers: usize,
    /// Handshakes in flight, at most, while the viewers connect.
    pub connecting: usize,
    /// API calls per batch, at most.
    pub batch: usize,
    /// Commands of the inner protocol per measurement.
    pub commands: usize,
    /// First rate of `saturate`, in deliveries per second.
    pub start: f64,
    /// Bisection steps of `saturate` between the last good and the first bad rate.
    pub bisect: usize,
}

impl Arguments {
    pub fn read(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let scenario = given.next().ok_or("scenario missing")?;
        let mut flags = HashMap::new();
        while let Some(flag) = given.next() {
            let name = flag.strip_prefix("--").ok_or_else(|| format!("{flag} is not a flag"))?.to_owned();
            let value = given.next().ok_or_else(|| format!("--{name} needs a value"))?;
            flags.insert(name, value);
        }
        let viewers = take(&mut flags, "viewers", 1_000)?;
        let rooms = take(&mut flags, "rooms", 1)?;
        let rate = take(&mut flags, "rate", 20.0)?;
        let deliveries: f64 = take(&mut flags, "deliveries", 0.0)?;
        let kind = take(&mut flags, "server", Kind::Plain)?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let listed: String = take(&mut flags, "addr", String::new())?;
        let nodes =
            if listed.is_empty() { vec![nowhere] } else { all(&listed, |addr| addr.parse().ok()).ok_or("--addr: invalid")? };
        let parts: String = take(&mut flags, "parts", String::new())?;
        let part = |part: &str| part.split_once('=').and_then(|(name, pid)| Some((name.to_owned(), pid.parse().ok()?)));
        let arguments = Self {
            scenario,
            server: kind,
            addr: nodes[0],
            sender_nodes: take(&mut flags, "sender-nodes", nodes.len())?.clamp(1, nodes.len()),
            nodes,
            parts: if parts.is_empty() { vec![] } else { all(&parts, part).ok_or("--parts: invalid")? },
            monitor: take(&mut flags, "monitor", nowhere)?,
            database: take(&mut flags, "database", String::new())?,
            churn: take(&mut flags, "churn", 0.0)?,
            inner: take(&mut flags, "inner", nowhere)?,
            pids: take(&mut flags, "pids", String::new())?.split(',').filter_map(|pid| pid.parse().ok()).collect(),
            key: take(&mut flags, "key", String::new())?,
            owner: take(&mut flags, "owner", String::new())?,
            viewers,
            rooms,
            // Given as messages or as deliveries per second.
            rate: if deliveries > 0.0 { deliveries * rooms as f64 / viewers as f64 } else { rate },
            seconds: take(&mut flags, "seconds", 5.0)?,
            warm_up: take(&mut flags, "warm-up", 1.0)?,
            size: take(&mut flags, "size", 100)?,
            publishers: take(&mut flags, "publishers", if kind == Kind::Chat { 64 } else { 16 })?,
            connecting: take(&mut flags, "connecting", 500)?,
            batch: take(&mut flags, "batch", 500)?,
            commands: take(&mut flags, "commands", 20_000)?,
            start: take(&mut flags, "start", 20_000.0)?,
            bisect: take(&mut flags, "bisect", 3)?,
        };
        match flags.into_keys().next() {
            Some(unknown) => Err(format!("--{unknown}: unknown flag")),
            None if arguments.size < crate::message::SHORTEST => Err("--size is smaller than the fields of a message".into()),
            None => Ok(arguments),
        }
    }
}

/// Returns the values of a list with commas; `None` if one is invalid.
fn all<T>(text: &str, value: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(value).collect()
}

fn take<T: FromStr>(flags: &mut HashMap<String, String>, name: &str, default: T) -> Result<T, String> {
    match flags.remove(name) {
        Some(value) => value.parse().map_err(|_| format!("--{name}: invalid value {value}")),
        None => Ok(default),
    }
}
