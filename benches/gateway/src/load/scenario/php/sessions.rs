//! getAllClientSessions: the sessions of all clients in one reply. Sites use it for lists of those online.

use super::Meter;
use crate::arguments::Arguments;
use crate::clock::{self, SECOND};
use crate::inner::{Client, Command, Packet};
use crate::scenario::Cast;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

const TIMES: usize = 20;
/// Timeout until all sessions are set, in ns.
const PATIENCE: u64 = 15 * SECOND;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    let mut inner = Client::open(arguments.inner)?;
    let mut packets = vec![];
    let mut rows = HashMap::new();
    for n in 0..cast.viewers.len() {
        let (connection, session) = (cast.viewers.connection(n), session(n));
        Packet::new(Command::SetSession, connection, &session).write(&mut packets);
        rows.insert(connection, format!(r#"i:{connection};s:{}:"{session}";"#, session.len()));
    }
    let question = Packet::new(Command::GetAllClientSessions, 0, "").bytes();
    let length = cast.beside(|| {
        inner.send(&packets)?;
        let give_up = clock::now() + PATIENCE;
        loop {
            let reply = inner.query(&question)?;
            match check_sessions(reply, &rows) {
                Ok(()) => return Ok(reply.len()),
                Err(reason) if clock::now() > give_up => return Err(reason),
                Err(_) => {}
            }
        }
    })?;
    let meter = Meter::start(&cast.server);
    let mut took = cast.beside(|| {
        let mut once = || {
            let began = clock::now();
            let reply = inner.query(&question)?;
            let took = (clock::now() - began) as f64 / 1e6;
            // The content was checked before, and no client has connected or left since.
            if reply.len() == length { Ok(took) } else { Err(format!("{} bytes, expected {length}", reply.len())) }
        };
        (0..TIMES).map(|_| once()).collect::<Result<Vec<_>, _>>()
    })?;
    let cost = meter.cost(&cast.server, TIMES as u64, clock::now());
    took.sort_by(f64::total_cmp);
    Ok(json!({
        "median_ms": (took[(TIMES - 1) / 2] + took[TIMES / 2]) / 2.0,
        "max_ms": took[TIMES - 1],
        "bytes": length,
        "cpu_us": cost["cpu_us"],
        "client_cpu_us": cost["client_cpu_us"],
    }))
}

/// Returns a session of 100 bytes in PHP's `serialize` format, for `n` under 100,000.
fn session(n: usize) -> String {
    let (name, avatar) = (format!("viewer {n:05}"), format!("/avatars/{n:05}/128.webp"));
    let id = 1_000_000 + n;
    format!(r#"a:3:{{s:2:"id";i:{id};s:4:"name";s:{}:"{name}";s:6:"avatar";s:{}:"{avatar}";}}"#, name.len(), avatar.len())
}

/// Checks that `reply` holds every row once, in any order, and nothing else. `rows`: by connection id.
fn check_sessions(reply: &[u8], rows: &HashMap<u32, String>) -> Result<(), String> {
    let head = format!("a:{}:{{", rows.len());
    let whole = head.len() + rows.values().map(String::len).sum::<usize>() + 1;
    let start = || String::from_utf8_lossy(&reply[..reply.len().min(100)]).into_owned();
    let mut rest = reply.strip_prefix(head.as_bytes()).ok_or_else(|| format!("expected {} sessions: {}", rows.len(), start()))?;
    if reply.len() != whole {
        return Err(format!("{} bytes, expected {whole}: {}", reply.len(), start()));
    }
    let mut seen = HashSet::new();
    while rest != b"}" {
        let row = key(rest).filter(|connection| seen.insert(*connection)).and_then(|connection| rows.get(&connection));
        let after = row.and_then(|row| rest.strip_prefix(row.as_bytes()));
        rest = after.ok_or_else(|| format!("unexpected row: {}", String::from_utf8_lossy(&rest[..rest.len().min(150)])))?;
    }
    Ok(())
}

fn key(row: &[u8]) -> Option<u32> {
    let digits = row.strip_prefix(b"i:")?.split(|byte| *byte == b';').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_must_hold_every_row_once() {
        let session = session(7);
        assert_eq!(session.len(), 100);
        let row = |connection: u32| format!(r#"i:{connection};s:100:"{session}";"#);
        let rows = HashMap::from([(5, row(5)), (4_000_000_000, row(4_000_000_000))]);
        let reply = |first: u32, second: u32| format!("a:2:{{{}{}}}", row(first), row(second));
        assert_eq!(check_sessions(reply(5, 4_000_000_000).as_bytes(), &rows), Ok(()));
        assert_eq!(check_sessions(reply(4_000_000_000, 5).as_bytes(), &rows), Ok(()));
        assert!(check_sessions(reply(5, 4_000_000_001).as_bytes(), &rows).is_err());
        assert!(check_sessions(reply(5, 5).as_bytes(), &rows).is_err());
        assert!(check_sessions(b"a:2:{}", &rows).is_err());
    }
}
