//! The promises, one function each. A check counts: it reads each event once, since every message has its number.

use super::{History, Line, Outcome, Room, Row, Seen, Socket};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A session's sockets close within this time after its end.
const ENDED_WITHIN_MS: u64 = 2_500;

/// A message is on each screen within this time after its acceptance: 1.5 s, and some for a machine that runs all nodes and clients.
const SOON_MS: u64 = 2_000;

/// A broken promise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Violation {
    /// The promise.
    pub promise: &'static str,
    /// The first place where it is broken.
    pub place: String,
}

type Check = fn(&History) -> Option<String>;

/// The promises and their checks.
pub const PROMISES: [(&str, Check); 15] = [
    ("numbers have no holes", dense),
    ("an accepted send is stored once, under its answer", accepted_is_stored),
    ("a refused send is not stored", refused_is_not_stored),
    ("a nonce is stored once at most", nonce_once),
    ("accepted sends of a person are a cooldown apart", cooldown),
    ("a send after the answer of a ban is not stored", banned),
    ("messages rise on a socket, or a gap is told", rising),
    ("changes rise on a socket, or a gap is told", changes_rise),
    ("a reader sees what the store has", as_stored),
    ("a removed text is not seen after its removal", removed),
    ("a reader that stayed has everything", complete),
    ("a reader that stayed has every change", knows_changes),
    ("3 s after a fault each reader has what was accepted before", healed),
    ("an accepted message is soon on each screen, without NATS too", soon),
    ("sockets of an ended session close", ended),
];

/// Returns the broken promises, each with the first place.
pub fn check(history: &History) -> Vec<Violation> {
    let broken = |(promise, check): &(&'static str, Check)| check(history).map(|place| Violation { promise, place });
    PROMISES.iter().filter_map(broken).collect()
}

fn rows(history: &History) -> impl Iterator<Item = (&String, &Row)> {
    history.store.iter().flat_map(|(name, room)| room.rows.iter().map(move |row| (name, row)))
}

fn dense(history: &History) -> Option<String> {
    let hole = |(name, room): (&String, &Room)| {
        let mut expected = 1..;
        let row = room.rows.iter().find(|row| Some(row.seq) != expected.next())?;
        Some(format!("room {name}: seq {} is not the next one", row.seq))
    };
    history.store.iter().find_map(hole)
}

fn accepted_is_stored(history: &History) -> Option<String> {
    let by_id: HashMap<&str, (&String, &Row)> = rows(history).map(|(name, row)| (row.id.as_str(), (name, row))).collect();
    history.sends.iter().find_map(|send| {
        let Outcome::Stored { seq, id } = &send.outcome else { return None };
        let is_stored = by_id.get(id.as_str()).is_some_and(|(room, row)| {
            **room == send.room && row.seq == *seq && row.nonce == send.nonce && row.user == send.user
        });
        (!is_stored).then(|| format!("room {}, nonce {}: answered as seq {seq}", send.room, send.nonce))
    })
}

fn refused_is_not_stored(history: &History) -> Option<String> {
    let stored: HashSet<(&str, &str)> = rows(history).map(|(_, row)| (row.user.as_str(), row.nonce.as_str())).collect();
    history.sends.iter().find_map(|send| {
        let is_refused = matches!(send.outcome, Outcome::Refused(_));
        (is_refused && stored.contains(&(&send.user, &send.nonce))).then(|| format!("nonce {}: {:?}", send.nonce, send.outcome))
    })
}

fn nonce_once(history: &History) -> Option<String> {
    let mut nonces = HashSet::new();
    rows(history).find_map(|(room, row)| {
        let is_new = nonces.insert((room, &row.user, &row.nonce));
        (!is_new).then(|| format!("room {room}, seq {}: nonce {} again", row.seq, row.nonce))
    })
}

fn cooldown(history: &History) -> Option<String> {
    let mut last: HashMap<(&String, &String), u64> = HashMap::new();
    rows(history).find_map(|(room, row)| {
        let before = last.insert((room, &row.user), row.at)?;
        (row.at < before + history.cooldown_ms).then(|| format!("room {room}, seq {}: {} ms after", row.seq, row.at - before))
    })
}

/// A send that began after the ban was answered is not stored.
fn banned(history: &History) -> Option<String> {
    let begun: HashMap<(&str, &str), u64> =
        history.sends.iter().map(|send| ((send.user.as_str(), send.nonce.as_str()), send.begun)).collect();
    history.bans.iter().find_map(|ban| {
        let room = history.store.get(&ban.room)?;
        let is_after = |row: &&Row| {
            row.user == ban.user && begun.get(&(row.user.as_str(), row.nonce.as_str())).is_some_and(|at| *at > ban.answered_at)
        };
        let after = room.rows.iter().find(is_after)?;
        Some(format!("room {}: seq {} of {}, banned at {} ms", ban.room, after.seq, ban.user, ban.answered_at))
    })
}

/// A number that a socket is told, with its time.
enum Number {
    /// The seq of a message, or the rev of a change.
    Push(u64, u64),
    /// The end of a told gap.
    Told(u64),
    /// The newest number of the answer of a `bind`, which began and came at these times.
    Known(u64, u64, u64),
}

/// The first push continues the first answer, or repeats from before it; each further one is the next. A `bind` that fails lets the
/// socket leave the room: the pushes up to the next answer are in that answer then.
fn follows(socket: &Socket, numbers: Vec<Number>) -> Option<String> {
    let knows = |number: u64, from: u64, to: u64| {
        let covers = |known: &Number| matches!(known, Number::Known(newest, begun, at) if *begun <= to && from <= *at && number <= newest + 1);
        numbers.iter().any(covers)
    };
    let (mut last, mut known) = (None::<(u64, u64)>, None::<u64>);
    for number in &numbers {
        match *number {
            Number::Known(newest, ..) => known = known.or(Some(newest)),
            Number::Told(to) => last = Some(last.map_or((to, 0), |(last, at)| (last.max(to), at))),
            Number::Push(number, at) => {
                let is_next = match last {
                    Some((last, before)) => number == last + 1 || (number > last && knows(number, before, at)),
                    None => known.is_none_or(|known| number <= known + 1),
                };
                if !is_next {
                    let Socket { reader, room, node, .. } = socket;
                    return Some(format!("reader {reader}, room {room}, at {node} at {at} ms: {number} after {last:?}"));
                }
                last = Some((number, at));
            }
        }
    }
    None
}

fn rising(history: &History) -> Option<String> {
    let number = |seen: &Seen| match seen {
        Seen::Bound { begun, at, seq, .. } => Some(Number::Known(*seq, *begun, *at)),
        Seen::Gap { range: Some((_, to)), .. } => Some(Number::Told(*to)),
        Seen::Message { at, line } => Some(Number::Push(line.seq, *at)),
        Seen::Change { .. } | Seen::Gap { .. } => None,
    };
    history.sockets.iter().find_map(|socket| follows(socket, socket.seen.iter().filter_map(number).collect()))
}

fn changes_rise(history: &History) -> Option<String> {
    let number = |seen: &Seen| match seen {
        Seen::Bound { begun, at, rev, .. } => Some(Number::Known(*rev, *begun, *at)),
        Seen::Gap { rev: Some(rev), .. } => Some(Number::Told(*rev)),
        Seen::Change { at, change } => Some(Number::Push(change.rev, *at)),
        Seen::Message { .. } | Seen::Gap { .. } => None,
    };
    history.sockets.iter().find_map(|socket| follows(socket, socket.seen.iter().filter_map(number).collect()))
}

/// The lines of an event.
fn lines(seen: &Seen) -> &[Line] {
    match seen {
        Seen::Bound { lines, .. } => lines,
        Seen::Message { line, .. } => std::slice::from_ref(line),
        Seen::Change { .. } | Seen::Gap { .. } => &[],
    }
}

fn as_stored(history: &History) -> Option<String> {
    history.sockets.iter().find_map(|socket| {
        let room = history.store.get(&socket.room);
        socket.seen.iter().flat_map(lines).find_map(|line| {
            let row = usize::try_from(line.seq).ok().and_then(|seq| room?.rows.get(seq.checked_sub(1)?));
            let is_same = row.is_some_and(|row| row.id == line.id && (line.is_removed || row.text == line.text));
            (!is_same).then(|| format!("reader {}, room {}: seq {} is not the store's", socket.reader, socket.room, line.seq))
        })
    })
}

/// After a socket was told of a removal, no text of these messages comes to it. The answer of a `bind` is of its rev: a removal that
/// overtook it is of a later one, and the page applies that.
fn removed(history: &History) -> Option<String> {
    history.sockets.iter().find_map(|socket| {
        let mut gone: BTreeMap<u64, u64> = BTreeMap::new();
        socket.seen.iter().find_map(|seen| {
            let (changes, upto) = match seen {
                Seen::Change { change, .. } => (std::slice::from_ref(change), change.rev),
                Seen::Bound { changes, rev, .. } => (changes.as_slice(), *rev),
                Seen::Message { .. } | Seen::Gap { .. } => (&[][..], u64::MAX),
            };
            for change in changes {
                gone.extend(change.removed.iter().flat_map(|(from, to)| *from..=*to).map(|seq| (seq, change.rev)));
                change.restored.iter().for_each(|line| _ = gone.remove(&line.seq));
            }
            let is_gone = |seq: u64| gone.get(&seq).is_some_and(|rev| *rev <= upto);
            let shown = lines(seen).iter().find(|line| !line.is_removed && is_gone(line.seq))?;
            Some(format!("reader {}, room {}: seq {}", socket.reader, socket.room, shown.seq))
        })
    })
}

/// The readers of a room whose last socket was bound before everything was healed and is open, with all their sockets.
fn stayed(history: &History) -> impl Iterator<Item = (usize, &String, Vec<&Socket>)> {
    let readers: BTreeSet<(usize, &String)> = history.sockets.iter().map(|socket| (socket.reader, &socket.room)).collect();
    readers.into_iter().filter_map(|(reader, room)| {
        let is_its = |socket: &&Socket| socket.reader == reader && socket.room == *room;
        let sockets: Vec<&Socket> = history.sockets.iter().filter(is_its).collect();
        let stays = sockets.last().is_some_and(|last| last.closed_at.is_none() && bound_at(last) <= history.healed_at);
        stays.then_some((reader, room, sockets))
    })
}

fn complete(history: &History) -> Option<String> {
    stayed(history).find_map(|(reader, room, sockets)| {
        let seen = || sockets.iter().flat_map(|socket| &socket.seen);
        let first = seen().find_map(|seen| match seen {
            Seen::Bound { seq, .. } => Some(*seq),
            _ => None,
        })?;
        let mut has: HashSet<u64> = seen().flat_map(lines).map(|line| line.seq).collect();
        for seen in seen() {
            // The answer says that messages before its first are missing: a page fetches them when its reader comes near.
            if let Seen::Bound { gap: true, seq, lines, .. } = seen {
                has.extend(first..lines.first().map_or(seq + 1, |line| line.seq));
            }
        }
        let newest = history.store.get(room)?.rows.len() as u64;
        let missing = (first + 1..=newest).find(|seq| !has.contains(seq))?;
        Some(format!("reader {reader}, room {room}: seq {missing} of {newest}"))
    })
}

fn knows_changes(history: &History) -> Option<String> {
    stayed(history).find_map(|(reader, room, sockets)| {
        let rev = |seen: &Seen| match seen {
            Seen::Bound { rev, .. } => *rev,
            Seen::Change { change, .. } => change.rev,
            Seen::Message { .. } | Seen::Gap { .. } => 0,
        };
        let known = sockets.iter().flat_map(|socket| &socket.seen).map(rev).max()?;
        let newest = history.store.get(room)?.rev;
        (known < newest).then(|| format!("reader {reader}, room {room}: rev {known} of {newest}"))
    })
}

fn bound_at(socket: &Socket) -> u64 {
    let bound = socket.seen.iter().find_map(|seen| match seen {
        Seen::Bound { at, .. } => Some(*at),
        _ => None,
    });
    bound.unwrap_or(u64::MAX)
}

/// The numbers of the accepted messages of a room, with the times of their answers.
fn accepted<'a>(history: &'a History, room: &'a str) -> impl Iterator<Item = (u64, u64)> {
    history.sends.iter().filter(move |send| send.room == room).filter_map(|send| match send.outcome {
        Outcome::Stored { seq, .. } => Some((seq, send.answered)),
        _ => None,
    })
}

/// Whether a socket was bound at the first time and open until after the second.
fn was_open(socket: &Socket, from: u64, to: u64) -> bool {
    bound_at(socket) <= from && socket.closed_at.is_none_or(|closed| closed > to)
}

/// Returns the time when the socket got the message, or a gap that covers it. `None`: never.
fn had(socket: &Socket, seq: u64) -> Option<u64> {
    let had = |seen: &Seen| match seen {
        Seen::Message { at, line } if line.seq >= seq => Some(*at),
        Seen::Bound { at, seq: newest, .. } if *newest >= seq => Some(*at),
        Seen::Gap { at, range: Some((_, to)), .. } if *to >= seq => Some(*at),
        _ => None,
    };
    socket.seen.iter().find_map(had)
}

/// Checks the readers at the end of each fault.
fn healed(history: &History) -> Option<String> {
    history.healed.iter().find_map(|(over, healed)| {
        history.sockets.iter().filter(|socket| was_open(socket, *over, *healed)).find_map(|socket| {
            let before = accepted(history, &socket.room).filter(|(_, answered)| answered <= over);
            let newest = before.map(|(seq, _)| seq).max()?;
            let is_late = had(socket, newest).is_none_or(|at| at > *healed);
            let Socket { reader, room, node, .. } = socket;
            is_late.then(|| format!("reader {reader}, room {room}, at {node}: seq {newest}, {healed} ms"))
        })
    })
}

/// The longest time from the acceptance of a message until a screen had it, in the spans when each node reached the store, and its place.
pub fn latest(history: &History) -> (u64, String) {
    let mut latest = (0, String::new());
    for socket in &history.sockets {
        for (seq, answered) in accepted(history, &socket.room) {
            let until = answered + SOON_MS;
            let is_served = history.served.iter().any(|(from, to)| *from <= answered && until <= *to);
            if !is_served || !was_open(socket, answered, until) {
                continue;
            }
            let late = had(socket, seq).map_or(u64::MAX, |at| at.saturating_sub(answered));
            if late > latest.0 {
                let Socket { reader, room, node, .. } = socket;
                latest = (late, format!("reader {reader}, room {room}, at {node}: seq {seq} of {answered} ms, {late} ms later"));
            }
        }
    }
    latest
}

/// Checks the latest message.
fn soon(history: &History) -> Option<String> {
    let (late, place) = latest(history);
    (late > SOON_MS).then_some(place)
}

fn ended(history: &History) -> Option<String> {
    history.ended.iter().find_map(|ended| {
        let until = ended.answered_at + ENDED_WITHIN_MS;
        let is_open = |socket: &&Socket| {
            socket.user.as_ref() == Some(&ended.user)
                && bound_at(socket) < ended.answered_at
                && socket.closed_at.is_none_or(|closed| closed > until)
        };
        let open = history.sockets.iter().find(is_open)?;
        Some(format!("reader {}: open after the sign-out of {}", open.reader, ended.user))
    })
}
