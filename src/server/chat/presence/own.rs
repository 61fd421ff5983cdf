//! The people of this node, and the messages in which it tells them: the rooms that changed at once, and all of them in turn every
//! 10 s. Pure.

use super::crowd::Crowd;
use super::heard::Run;
use crate::domain::id::RoomId;
use crate::server::bus::bucket;
use crate::server::cluster::{Incarnation, NodeName};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::mem;

/// Version of the messages. A node passes over those of another one.
const VERSION: u32 = 1;
/// Turns in which all rooms are told, a second each.
const TURNS: u32 = 10;
/// Longest message, in bytes.
const MAX_MESSAGE: usize = 200 << 10;
/// Full messages at once, at most; the other rooms wait for the next time.
const MAX_MESSAGES: usize = 16;

/// The crowds of this node.
#[derive(Default)]
pub(super) struct Own {
    by_room: HashMap<RoomId, Crowd>,
    /// Rooms to tell.
    untold: HashSet<RoomId>,
    turn: u32,
    /// Whether a message is due, though there be nothing to tell: by it other nodes learn of this one.
    must_speak: bool,
}

/// A message on the subject `here`.
#[derive(Serialize, Deserialize)]
struct Message<T> {
    v: u32,
    node: NodeName,
    run: Incarnation,
    /// The process: a reload hands the run on, and not what the process heard.
    #[serde(default)]
    process: u32,
    rooms: Vec<T>,
}

/// A room of a message.
#[derive(Serialize, Deserialize)]
struct Room {
    room: RoomId,
    #[serde(flatten)]
    crowd: Crowd,
}

impl Own {
    /// The people of a room on this node.
    pub(super) fn crowd(&self, room: &RoomId) -> Option<&Crowd> {
        self.by_room.get(room)
    }

    /// Stores the people of a room. They are told if they changed.
    pub(super) fn set(&mut self, room: &RoomId, crowd: Crowd) {
        let before = if crowd.is_empty() { self.by_room.remove(room) } else { self.by_room.insert(room.clone(), crowd) };
        if before.as_ref() != self.by_room.get(room) {
            self.untold.insert(room.clone());
        }
    }

    /// Tells the rooms whose turn it is. Called every second.
    pub(super) fn next_turn(&mut self) {
        (self.turn, self.must_speak) = ((self.turn + 1) % TURNS, true);
        self.untold.extend(self.by_room.keys().filter(|room| bucket(room) % TURNS == self.turn).cloned());
    }

    /// Tells all rooms, because there is a node that knows none of them.
    pub(super) fn tell_all(&mut self) {
        self.untold.extend(self.by_room.keys().cloned());
    }

    /// Takes the messages that tell the rooms.
    pub(super) fn take_messages(&mut self, by: Run) -> Vec<Bytes> {
        let (mut messages, mut rooms, mut length) = (Vec::new(), Vec::new(), 0);
        for room in mem::take(&mut self.untold) {
            if messages.len() == MAX_MESSAGES {
                self.untold.insert(room);
                continue;
            }
            let crowd = self.by_room.get(&room).cloned().unwrap_or_default();
            let Ok(text) = serde_json::value::to_raw_value(&Room { room, crowd }) else { continue };
            if length + text.get().len() > MAX_MESSAGE {
                messages.extend(message(by, mem::take(&mut rooms)));
                length = 0;
            }
            length += text.get().len() + 1;
            rooms.push(text);
        }
        if mem::take(&mut self.must_speak) && messages.is_empty() || !rooms.is_empty() {
            messages.extend(message(by, rooms));
        }
        messages
    }
}

fn message((node, run): Run, rooms: Vec<Box<RawValue>>) -> Option<Bytes> {
    serde_json::to_vec(&Message { v: VERSION, node, run, process: std::process::id(), rooms }).ok().map(Bytes::from)
}

/// The people of another node, by room.
pub(super) type Crowds = Vec<(RoomId, Crowd)>;

/// Reads a message of another node: its run and process, and its people. `None`: it is malformed, or of another version.
pub(super) fn read(message: &[u8]) -> Option<(Run, u32, Crowds)> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let Version { v } = serde_json::from_slice(message).ok()?;
    let Message { node, run, process, rooms, .. } =
        (v == VERSION).then(|| serde_json::from_slice::<Message<Room>>(message).ok())??;
    Some(((node, run), process, rooms.into_iter().map(|Room { room, crowd }| (room, crowd)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::gateway::People;

    fn me() -> Run {
        (NodeName::from(std::net::SocketAddrV4::new([10, 0, 0, 1].into(), 2900)), Incarnation(u64::MAX))
    }

    fn crowd(people: impl IntoIterator<Item = u64>) -> Crowd {
        People { uids: people.into_iter().collect(), nobody: 1, ..People::default() }.into()
    }

    fn told(own: &mut Own) -> Vec<(String, u32)> {
        let rooms = own.take_messages(me()).into_iter().flat_map(|message| {
            let (by, _, rooms) = read(&message).unwrap();
            assert_eq!(by, me());
            rooms
        });
        let mut told: Vec<_> = rooms.map(|(room, crowd)| (room.to_string(), crowd.count)).collect();
        told.sort();
        told
    }

    #[test]
    fn a_room_is_told_when_its_people_changed() {
        let mut own = Own::default();
        own.set(&"1".parse().unwrap(), crowd(0..3));
        own.set(&"2".parse().unwrap(), crowd(0..1));
        assert_eq!(told(&mut own), [("1".to_owned(), 4), ("2".to_owned(), 2)]);
        own.set(&"1".parse().unwrap(), crowd(0..3));
        assert!(told(&mut own).is_empty());
        // As many, but others.
        own.set(&"1".parse().unwrap(), crowd(1..4));
        own.set(&"2".parse().unwrap(), Crowd::default());
        assert_eq!(told(&mut own), [("1".to_owned(), 4), ("2".to_owned(), 0)]);
    }

    #[test]
    fn a_node_without_people_speaks_every_second() {
        let mut own = Own::default();
        assert!(own.take_messages(me()).is_empty());
        own.next_turn();
        assert_eq!(own.take_messages(me()).len(), 1);
        assert!(own.take_messages(me()).is_empty());
    }

    #[test]
    fn every_room_is_told_once_in_ten_turns() {
        let mut own = Own::default();
        for n in 0..500 {
            own.set(&n.to_string().parse().unwrap(), crowd([n]));
        }
        told(&mut own);
        let mut all = Vec::new();
        for _ in 0..10 {
            own.next_turn();
            let turn = told(&mut own);
            assert!(turn.len() < 150, "{}", turn.len());
            all.extend(turn);
        }
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 500);
        own.tell_all();
        assert_eq!(told(&mut own).len(), 500);
    }

    #[test]
    fn messages_are_short_and_few_at_once_and_no_room_is_left_out() {
        let mut own = Own::default();
        for n in 0..700 {
            own.set(&n.to_string().parse().unwrap(), crowd(n..n + 1024));
        }
        let (mut rooms, mut times) = (HashSet::new(), 0);
        while !own.untold.is_empty() {
            let messages = own.take_messages(me());
            assert!(messages.len() <= MAX_MESSAGES + 1);
            assert!(messages.iter().all(|message| message.len() <= MAX_MESSAGE + 200));
            rooms.extend(messages.iter().flat_map(|message| read(message).unwrap().2).map(|(room, _)| room));
            times += 1;
        }
        assert!((2..10).contains(&times), "{times}");
        assert_eq!(rooms.len(), 700);
    }

    #[test]
    fn a_message_of_another_version_is_passed_over_and_unknown_fields_are() {
        let mut own = Own::default();
        own.set(&"1".parse().unwrap(), crowd(0..3));
        let message = String::from_utf8(own.take_messages(me())[0].to_vec()).unwrap();
        assert!(read(message.replace("\"v\":1", "\"v\":2").as_bytes()).is_none());
        assert!(read(br#"{"v":2,"shape":"another"}"#).is_none());
        assert!(read(b"\xff").is_none());
        let newer = message.replace("\"v\":1", "\"v\":1,\"region\":\"eu\"").replace("\"nobody\":", "\"mood\":[1],\"nobody\":");
        assert_eq!(read(newer.as_bytes()).unwrap().2[0].1.count, 4);
    }
}
