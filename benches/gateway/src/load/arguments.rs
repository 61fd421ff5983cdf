//! `load SCENARIO --name value …`; every flag with its default and its unit.

use crate::target::Kind;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;

#[derive(Clone, Debug)]
pub struct Arguments {
    pub scenario: String,
    /// Which server answers, and so how it is asked: plain, roomcast, chat, php, socketio, nchan.
    pub server: Kind,
    pub addr: SocketAddr,
    /// Where PHP finds Roomcast's clients.
    pub inner: SocketAddr,
    /// The server's processes, with commas; their children are found.
    pub pids: Vec<u32>,
    /// Roomcast's API key.
    pub key: String,
    pub viewers: usize,
    pub rooms: usize,
    /// Messages a second, all rooms together.
    pub rate: f64,
    /// Of a measurement.
    pub seconds: f64,
    /// Before it, at the same rate and not counted.
    pub warm_up: f64,
    /// Bytes of a message.
    pub size: usize,
    /// Publishes in flight at most; by chat the number of guests who write, too.
    pub publishers: usize,
    /// Handshakes in flight at most while the viewers come.
    pub connecting: usize,
    /// API calls in one batch at most.
    pub batch: usize,
    /// Of PHP's, in one measurement.
    pub commands: usize,
    /// `saturate` begins at this many deliveries a second.
    pub start: f64,
    /// `saturate` halves the distance this often between the last good step and the first bad one.
    pub bisect: usize,
}

impl Arguments {
    pub fn read(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let scenario = given.next().ok_or("which scenario?")?;
        let mut flags = HashMap::new();
        while let Some(flag) = given.next() {
            let name = flag.strip_prefix("--").ok_or_else(|| format!("{flag} is no flag"))?.to_owned();
            let value = given.next().ok_or_else(|| format!("--{name} wants a value"))?;
            flags.insert(name, value);
        }
        let viewers = take(&mut flags, "viewers", 1_000)?;
        let rooms = take(&mut flags, "rooms", 1)?;
        let rate = take(&mut flags, "rate", 20.0)?;
        let deliveries: f64 = take(&mut flags, "deliveries", 0.0)?;
        let kind = take(&mut flags, "server", Kind::Plain)?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let arguments = Self {
            scenario,
            server: kind,
            addr: take(&mut flags, "addr", nowhere)?,
            inner: take(&mut flags, "inner", nowhere)?,
            pids: take(&mut flags, "pids", String::new())?.split(',').filter_map(|pid| pid.parse().ok()).collect(),
            key: take(&mut flags, "key", String::new())?,
            viewers,
            rooms,
            // Said either way: by what is published, or by what arrives.
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
            Some(unknown) => Err(format!("--{unknown} is unknown")),
            None if arguments.size < crate::message::SHORTEST => Err("--size is too small for what a message says".into()),
            None if arguments.server == Kind::Chat && rooms > 1 => Err("the chat is measured in its room 1".into()),
            None => Ok(arguments),
        }
    }
}

fn take<T: FromStr>(flags: &mut HashMap<String, String>, name: &str, default: T) -> Result<T, String> {
    match flags.remove(name) {
        Some(value) => value.parse().map_err(|_| format!("--{name} {value} is not understood")),
        None => Ok(default),
    }
}
