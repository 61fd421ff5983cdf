//! The checks themselves: a history that keeps every promise, and copies of it that each break one.

use super::check::{PROMISES, check};
use super::{Ban, Change, Ended, History, Line, Outcome, Room, Row, Seen, Send, Socket};
use std::collections::{BTreeMap, BTreeSet};

const MESSAGES: u64 = 30;
const COOLDOWN_MS: u64 = 300;

fn row(seq: u64) -> Row {
    let user = format!("p{}", seq % 5);
    Row { seq, id: format!("id{seq}"), nonce: format!("n{seq}"), text: format!("text {seq}"), at: 1_000 + seq * 100, user }
}

fn line(seq: u64) -> Line {
    Line { seq, id: format!("id{seq}"), text: format!("text {seq}"), is_removed: false }
}

fn message(seq: u64) -> Seen {
    Seen::Message { at: seq * 100, line: line(seq) }
}

fn bound(since: u64, seq: u64, rev: u64) -> Seen {
    let changes = (1..=rev).map(removal).collect();
    let lines = (since + 1..=seq).map(|seq| Line { is_removed: rev > 0 && seq == 10, ..line(seq) }).collect();
    Seen::Bound { begun: seq * 100, at: seq * 100, epoch: "e".into(), seq, gap: false, rev, lines, changes }
}

fn removal(rev: u64) -> Change {
    Change { rev, removed: vec![(10, 10)], ..Change::default() }
}

fn change(rev: u64) -> Seen {
    Seen::Change { at: 2_000, change: removal(rev) }
}

fn socket(reader: usize, seen: Vec<Seen>, closed_at: Option<u64>) -> Socket {
    Socket { reader, room: "1".into(), node: "n".into(), user: None, seen, closed_at }
}

fn all(of: impl IntoIterator<Item = Vec<Seen>>) -> Vec<Seen> {
    of.into_iter().flatten().collect()
}

/// One room with 30 messages, a removal after the 20th, and readers: one that stays, one that moves, one that is told a gap and binds
/// again, one that is signed out. p4 is banned behind its last message.
fn whole() -> History {
    let messages = |from, to| (from..=to).map(message).collect::<Vec<_>>();
    let stays = socket(0, all([vec![bound(0, 4, 0)], messages(4, 20), vec![change(1)], messages(21, MESSAGES)]), None);
    let moves = socket(1, all([vec![bound(0, 8, 0)], messages(9, 12)]), Some(1_250));
    let moved = socket(1, all([vec![bound(12, 22, 1)], messages(22, MESSAGES)]), None);
    let gap = Seen::Gap { at: 2_400, range: Some((15, 24)), rev: Some(1) };
    let slow = socket(2, all([vec![bound(0, 2, 0)], messages(3, 14), vec![gap, bound(14, 25, 1)], messages(25, MESSAGES)]), None);
    let out = socket(3, vec![bound(0, 5, 0)], Some(2_500));
    let sends = (1..=MESSAGES).map(|seq| {
        let outcome = if seq == 7 { Outcome::Unknown } else { Outcome::Stored { seq, id: row(seq).id } };
        Send { room: "1".into(), user: row(seq).user, nonce: row(seq).nonce, begun: seq * 100, answered: seq * 100, outcome }
    });
    let outcome = Outcome::Refused("busy".into());
    let busy = Send { room: "1".into(), user: "p0".into(), nonce: "busy".into(), begun: 9, answered: 9, outcome };
    History {
        sends: sends.chain([busy]).collect(),
        sockets: vec![stays, moves, moved, slow, Socket { user: Some("p9".into()), ..out }],
        bans: vec![Ban { room: "1".into(), user: "p4".into(), answered_at: 2_950 }],
        ended: vec![Ended { user: "p9".into(), answered_at: 2_000 }],
        store: BTreeMap::from([("1".into(), Room { rows: (1..=MESSAGES).map(row).collect(), rev: 1 })]),
        healed: vec![(2_900, 3_900)],
        served: vec![(0, 10_000)],
        healed_at: 10_000,
        cooldown_ms: COOLDOWN_MS,
    }
}

/// Changes a whole history, and expects the promise that it breaks, perhaps beside others.
fn breaks(promise: &'static str, mutate: impl FnOnce(&mut History)) -> &'static str {
    let mut history = whole();
    mutate(&mut history);
    let violations = check(&history);
    assert!(violations.iter().any(|violation| violation.promise == promise), "{promise}: {violations:?}");
    promise
}

fn rows(history: &mut History) -> &mut Vec<Row> {
    &mut history.store.get_mut("1").unwrap().rows
}

#[test]
fn a_history_that_keeps_every_promise_is_found_whole() {
    assert_eq!(check(&whole()), []);
}

#[test]
fn each_broken_promise_is_named() {
    let named = [
        breaks("numbers have no holes", |history| _ = rows(history).remove(16)),
        breaks("an accepted send is stored once, under its answer", |history| {
            history.sends[11].outcome = Outcome::Stored { seq: 13, id: "id12".into() };
        }),
        breaks("a refused send is not stored", |history| history.sends[11].outcome = Outcome::Refused("busy".into())),
        breaks("a nonce is stored once at most", |history| rows(history)[12].nonce = "n8".into()),
        breaks("accepted sends of a person are a cooldown apart", |history| rows(history)[12].at = rows(history)[7].at + 200),
        breaks("a send after the answer of a ban is not stored", |history| history.bans[0].answered_at = 2_850),
        breaks("messages rise on a socket, or a gap is told", |history| history.sockets[0].seen.swap(6, 7)),
        breaks("messages rise on a socket, or a gap is told", |history| history.sockets[0].seen.insert(6, message(8))),
        breaks("messages rise on a socket, or a gap is told", |history| _ = history.sockets[0].seen.remove(9)),
        breaks("messages rise on a socket, or a gap is told", |history| _ = history.sockets[3].seen.drain(13..15)),
        breaks("changes rise on a socket, or a gap is told", |history| history.sockets[0].seen.insert(20, change(1))),
        breaks("changes rise on a socket, or a gap is told", |history| history.sockets[2].seen.push(change(3))),
        breaks("a reader sees what the store has", |history| rows(history)[22].text = "another".into()),
        breaks("a removed text is not seen after its removal", |history| {
            let late = Seen::Bound {
                begun: 9_000,
                at: 9_000,
                epoch: "e".into(),
                seq: MESSAGES,
                gap: false,
                rev: 1,
                lines: vec![line(10)],
                changes: vec![],
            };
            history.sockets[0].seen.push(late);
        }),
        breaks("a reader that stayed has everything", |history| _ = history.sockets[2].seen.pop()),
        breaks("a reader that stayed has everything", |history| history.sockets[2].seen[0] = bound(15, 22, 1)),
        breaks("a reader that stayed has every change", |history| history.store.get_mut("1").unwrap().rev = 2),
        breaks("3 s after a fault each reader has what was accepted before", |history| history.healed = vec![(1_500, 2_400)]),
        breaks("an accepted message is soon on each screen, without NATS too", |history| {
            history.sockets[0].seen[24] = Seen::Message { at: 9_000, line: line(26) };
        }),
        breaks("an accepted message is soon on each screen, without NATS too", |history| {
            history.sockets[3].seen[13] = Seen::Gap { at: 9_000, range: Some((15, 24)), rev: Some(1) };
        }),
        breaks("an accepted message is soon on each screen, without NATS too", |history| history.sockets[0].seen.truncate(24)),
        breaks("sockets of an ended session close", |history| history.sockets[4].closed_at = Some(4_501)),
        breaks("sockets of an ended session close", |history| history.sockets[4].closed_at = None),
    ];
    let named: BTreeSet<_> = named.into();
    assert_eq!(named.len(), PROMISES.len(), "each check is seen to find its own");
}
