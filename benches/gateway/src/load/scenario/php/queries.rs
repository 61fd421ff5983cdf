//! Queries: sequential on a persistent connection, pipelined on it, and on one connection per query as PHP does by default.

use super::Meter;
use crate::arguments::Arguments;
use crate::clock;
use crate::inner::{Client, Command, Packet, reply};
use crate::scenario::Cast;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Queries in flight.
const DEEP: usize = 32;

/// Sends queries until a time (in ns of the clock) and returns their number.
type Way = fn(SocketAddr, &[u8], u64) -> Result<u64, String>;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    let question = Packet::new(Command::IsOnline, cast.viewers.connection(0), "").bytes();
    let mut ask = |way: Way| {
        run(arguments.inner, cast, &question, way, arguments.warm_up)?;
        run(arguments.inner, cast, &question, way, arguments.seconds)
    };
    Ok(json!({ "kept": ask(kept)?, "deep": ask(deep)?, "each": ask(each)? }))
}

fn run(addr: SocketAddr, cast: &mut Cast, question: &[u8], way: Way, seconds: f64) -> Result<Value, String> {
    let meter = Meter::start(&cast.server);
    let until = clock::now() + (seconds * 1e9) as u64;
    let (count, end) = cast.beside(|| Ok::<_, String>((way(addr, question, until)?, clock::now())))?;
    Ok(meter.cost(&cast.server, count, end))
}

fn kept(addr: SocketAddr, question: &[u8], until: u64) -> Result<u64, String> {
    let mut inner = Client::open(addr)?;
    let mut count = 0;
    while clock::now() < until {
        reply::expect(reply::ONE, inner.query(question)?)?;
        count += 1;
    }
    Ok(count)
}

/// Sends as many new queries in one write as one read returned replies.
fn deep(addr: SocketAddr, question: &[u8], until: u64) -> Result<u64, String> {
    let mut inner = Client::open(addr)?;
    let questions = question.repeat(DEEP);
    let (mut count, mut in_flight) = (0, 0);
    while in_flight > 0 || clock::now() < until {
        if clock::now() < until {
            inner.send(&questions[..(DEEP - in_flight) * question.len()])?;
            in_flight = DEEP;
        }
        loop {
            reply::expect(reply::ONE, inner.receive()?)?;
            in_flight -= 1;
            count += 1;
            if !inner.has_more() {
                break;
            }
        }
    }
    Ok(count)
}

fn each(addr: SocketAddr, question: &[u8], until: u64) -> Result<u64, String> {
    let mut count = 0;
    while clock::now() < until {
        reply::expect(reply::ONE, Client::open(addr)?.query(question)?)?;
        count += 1;
    }
    Ok(count)
}
