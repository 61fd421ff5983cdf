//! Commands on one persistent connection, as fast as its socket accepts them. A query at the end is answered when all are
//! executed.

use super::{Meter, barrier};
use crate::arguments::Arguments;
use crate::clock::{self, SECOND};
use crate::inner::{Client, Command, Packet, reply};
use crate::message::Message;
use crate::scenario::Cast;
use serde_json::{Value, json};
use std::time::Duration;

const GROUP: &str = "php";
/// A viewer that received nothing for this long has received everything. In ns.
const QUIET: u64 = 2 * SECOND;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    let connection = cast.viewers.connection(0);
    let mut inner = Client::open(arguments.inner)?;
    inner.send(&Packet::new(Command::JoinGroup, connection, GROUP).bytes())?;
    let warm_up = (arguments.commands / 10).max(1);
    send(arguments, cast, &mut inner, connection, warm_up)?;
    let send = send(arguments, cast, &mut inner, connection, arguments.commands)?;
    join(cast, &mut inner, connection, warm_up)?;
    let join = join(cast, &mut inner, connection, arguments.commands)?;
    if cast.viewers.failures > 0 {
        return Err("the server closed the viewer's connection".into());
    }
    let kept_up = send["lost"] == 0 && send["doubled"] == 0;
    Ok(json!({ "send": send, "join": join, "kept_up": kept_up }))
}

/// SEND_TO_GROUP to a group of one. Packets are built beforehand, so that only sending them is measured.
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
        cast.viewers.poll_once(Duration::from_millis(20));
    }
    let mut cost = meter.cost(&cast.server, count as u64, end);
    // Executed is not delivered: a viewer slower than the commands loses the frames that its send queue does not hold.
    cost["lost"] = (count as u64).saturating_sub(cast.viewers.tally.seen).into();
    cost["doubled"] = cast.viewers.tally.faults.doubled.into();
    // Commands on one connection are ordered.
    let order: Vec<u64> = (0..count as u64).collect();
    cost["swapped"] = cast.viewers.tally.rooms[0].swapped(&order, &order).into();
    Ok(cost)
}

/// LEAVE_GROUP and JOIN_GROUP alternately. Checks at the end that the client is a member.
fn join(cast: &mut Cast, inner: &mut Client, connection: u32, count: usize) -> Result<Value, String> {
    let [leave, join] = [Command::LeaveGroup, Command::JoinGroup].map(|command| Packet::new(command, connection, GROUP).bytes());
    let pairs = count.div_ceil(2);
    let packets = [leave, join].concat().repeat(pairs);
    let meter = Meter::start(&cast.server);
    let end = run(cast, inner, connection, &packets)?;
    let cost = meter.cost(&cast.server, 2 * pairs as u64, end);
    reply::expect(reply::ONE, inner.query(&Packet::new(Command::CountByGroup, 0, GROUP).bytes())?)?;
    Ok(cost)
}

/// Sends the packets and returns the time when all were executed.
fn run(cast: &mut Cast, inner: &mut Client, connection: u32, packets: &[u8]) -> Result<u64, String> {
    cast.beside(|| {
        inner.send(packets)?;
        barrier(inner, connection)?;
        Ok(clock::now())
    })
}
