//! One kept connection, and commands as fast as its socket takes them. A question at the end is answered when all are done.

use super::{Meter, barrier};
use crate::arguments::Arguments;
use crate::clock::{self, SECOND};
use crate::inner::{Client, Command, Packet, reply};
use crate::message::Message;
use crate::scenario::Cast;
use serde_json::{Value, json};
use std::time::Duration;

const GROUP: &str = "php";
/// When nothing came to the viewer for this long, nothing more will. In ns.
const QUIET: u64 = 2 * SECOND;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.arrive(arguments.connecting)?;
    let connection = cast.viewers.connection(0);
    let mut inner = Client::open(arguments.inner)?;
    inner.tell(&Packet::new(Command::JoinGroup, connection, GROUP).bytes())?;
    let warm_up = (arguments.commands / 10).max(1);
    send(arguments, cast, &mut inner, connection, warm_up)?;
    let send = send(arguments, cast, &mut inner, connection, arguments.commands)?;
    join(cast, &mut inner, connection, warm_up)?;
    let join = join(cast, &mut inner, connection, arguments.commands)?;
    if cast.viewers.failures > 0 {
        return Err("the viewer was sent away".into());
    }
    let kept_up = send["lost"] == 0 && send["doubled"] == 0;
    Ok(json!({ "send": send, "join": join, "kept_up": kept_up }))
}

/// To a group of one. What it is to see is written beforehand: only sending it is measured.
fn send(arguments: &Arguments, cast: &mut Cast, inner: &mut Client, connection: u32, count: usize) -> Result<Value, String> {
    cast.epoch += 1;
    let ext = json!({ "group": [GROUP], "exclude": null }).to_string();
    let mut packets = vec![];
    for seq in 0..count {
        let body = Message { epoch: cast.epoch, room: 0, seq: seq as u32, due: 0 }.write(arguments.size);
        Packet { body: &body, ..Packet::new(Command::SendToGroup, 0, &ext) }.write(&mut packets);
    }
    cast.viewers.begin(cast.epoch, 1);
    let meter = Meter::start(&cast.server);
    let end = run(cast, inner, connection, &packets)?;
    while cast.viewers.tally.seen < count as u64 && clock::now() < cast.viewers.tally.last.max(end) + QUIET {
        cast.viewers.turn(Duration::from_millis(20));
    }
    let mut cost = meter.cost(&cast.server, count as u64, end);
    // Done is not seen: a viewer who is slower than the commands loses what its queue does not hold.
    cost["lost"] = (count as u64).saturating_sub(cast.viewers.tally.seen).into();
    cost["doubled"] = cast.viewers.tally.faults.doubled.into();
    // On one connection each command comes after the one before it.
    let told: Vec<u64> = (0..count as u64).collect();
    cost["swapped"] = cast.viewers.tally.rooms[0].swapped(&told, &told).into();
    Ok(cost)
}

/// Out of the group and in again. It ends inside, and is asked whether it did.
fn join(cast: &mut Cast, inner: &mut Client, connection: u32, count: usize) -> Result<Value, String> {
    let [leave, join] = [Command::LeaveGroup, Command::JoinGroup].map(|command| Packet::new(command, connection, GROUP).bytes());
    let pairs = count.div_ceil(2);
    let packets = [leave, join].concat().repeat(pairs);
    let meter = Meter::start(&cast.server);
    let end = run(cast, inner, connection, &packets)?;
    let cost = meter.cost(&cast.server, 2 * pairs as u64, end);
    reply::expect(reply::ONE, inner.ask(&Packet::new(Command::CountByGroup, 0, GROUP).bytes())?)?;
    Ok(cost)
}

/// When all of it was done.
fn run(cast: &mut Cast, inner: &mut Client, connection: u32, packets: &[u8]) -> Result<u64, String> {
    cast.beside(|| {
        inner.tell(packets)?;
        barrier(inner, connection)?;
        Ok(clock::now())
    })
}
