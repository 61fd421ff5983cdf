//! The pushes that go through the order of a room, its outputs, and its questions to the store.

use crate::domain::{
    change::Rev,
    id::{Epoch, RoomId, Seq},
    message::Message,
    push::Push,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bytes that an item occupies beside its JSON.
const OVERHEAD: usize = 256;

/// The kind of a numbered push.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::server::chat) enum Kind {
    /// A message, numbered by its seq.
    Message,
    /// Messages were removed or restored; numbered by its rev.
    Changed,
    /// The room's state; numbered by its rev.
    State,
}

/// A numbered push of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::server::chat) struct Item {
    pub(in crate::server::chat) kind: Kind,
    /// The seq of a message, the rev of a change.
    pub(in crate::server::chat) number: u64,
    /// Of a change: the room's newest message at its commit.
    pub(in crate::server::chat) head: Seq,
    /// The push as JSON.
    pub(in crate::server::chat) json: Bytes,
    /// The message, where this node has it already.
    pub(in crate::server::chat) message: Option<Box<Message>>,
}

impl From<Message> for Item {
    fn from(message: Message) -> Self {
        let number = message.seq.0;
        let push = Push::Message(message);
        let json = push.to_json().into();
        let message = if let Push::Message(message) = push { Some(Box::new(message)) } else { None };
        Self { kind: Kind::Message, number, head: Seq::default(), json, message }
    }
}

impl Item {
    /// A change: `push` is one of this kind.
    pub(super) fn of_change(kind: Kind, rev: Rev, head: Seq, push: &Push) -> Self {
        Self { kind, number: rev.0, head, json: push.to_json().into(), message: None }
    }

    /// Bytes that it occupies while it is held.
    pub(super) fn weight(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.text.len());
        OVERHEAD + self.json.len() + message
    }
}

/// An output of the order; a caller carries outputs out one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Output {
    /// Push it to the members.
    Deliver(RoomId, Item),
    /// Tell the members that these are skipped.
    Skip(RoomId, Skipped),
    /// The room is complete again after this time.
    Complete(Duration),
    /// So many pushes came from the store.
    Healed(u64),
}

/// Numbers that are skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::server::chat) enum Skipped {
    /// Messages, both ends included.
    Messages(Seq, Seq),
    /// Changes, from the first to the last of them.
    Changes(Rev, Rev),
}

/// A question to the store: the pushes after these numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ask {
    pub(super) room: RoomId,
    /// `None`: the room's newest message is asked for, and no messages.
    pub(super) after: Option<Seq>,
    /// The same for changes.
    pub(super) rev: Option<Rev>,
}

/// The answer of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The room, and the pushes after the numbers.
    Found(Found),
    /// There is no such room.
    Gone,
    /// The store did not answer.
    Failed,
}

/// A room as the store has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) head: Head,
    /// All messages up to this one that exist are among the items, from the one asked for.
    pub(super) upto: Seq,
    /// The same for changes.
    pub(super) upto_rev: Rev,
    /// Messages and changes, each ascending.
    pub(super) items: Vec<Item>,
}

/// The newest numbers of a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) epoch: Epoch,
    pub(super) seq: Seq,
    pub(super) rev: Rev,
}
