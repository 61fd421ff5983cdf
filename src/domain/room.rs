//! Rooms and people as pages show them, and the data that pages are rendered from.

use crate::domain::{
    change::{Restraint, Rev, RoomState},
    draft::Rules,
    id::{Epoch, RoomId, Seq, Uid},
    message::Message,
    rank::Rank,
    reply::ReturnedForm,
};
use serde::{Deserialize, Serialize};

/// Longest slow mode of a room, in milliseconds: 6 hours.
pub const MAX_SLOW_MS: u64 = 21_600_000;

/// A room in the lobby and in the head of its page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomCard {
    /// Id of the room.
    pub room: RoomId,
    /// Title of the room.
    pub title: String,
    /// Nickname of the host; `None` until the installation has an owner.
    pub host: Option<String>,
    /// People online.
    pub online: u32,
}

/// A person with a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Person {
    /// The person's uid.
    pub uid: Uid,
    /// The person's nickname.
    pub nickname: String,
    /// Name of the account; `None` for a guest.
    pub account: Option<String>,
}

/// A page of the lobby, as one person sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lobby {
    /// The rooms of this page: those with most people first, then the newest.
    pub rooms: Vec<LobbyRoom>,
    /// The words that titles and hosts are searched for; empty: all rooms.
    pub query: String,
    /// The number of this page, from 1.
    pub page: u32,
    /// Whether there is a further page.
    pub has_more: bool,
    /// Whether the page has the form that opens a room.
    pub may_open: MayOpen,
}

/// A room in the lobby.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LobbyRoom {
    /// Title, host and number of people.
    pub card: RoomCard,
    /// Its host is in the room.
    pub is_live: bool,
}

/// Whether a person may open rooms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MayOpen {
    /// The person may.
    Yes,
    /// The person may after a registration.
    WithAccount,
    /// The operator does not permit it.
    No,
}

/// A room's page, as one person sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomView {
    /// The room.
    pub snapshot: Snapshot,
    /// The values of the host's forms; `None` for everyone else.
    pub host_tools: Option<HostTools>,
}

/// The values of the forms of a room's host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostTools {
    /// The slow mode in milliseconds; 0 is off.
    pub slow_ms: u64,
    /// The site's address for links, `https://chat.example.com`, without a slash at its end.
    pub site: String,
}

/// A room at one moment. The page is rendered from it, and its socket continues after `seq`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Title, host and number of people.
    pub card: RoomCard,
    /// Limits on messages.
    pub rules: Rules,
    /// Epoch of the room's seqs.
    pub epoch: Epoch,
    /// Seq of the newest message.
    pub seq: Seq,
    /// The lowest seq that the room keeps.
    pub oldest: Seq,
    /// The newest messages, newest last.
    pub messages: Vec<Message>,
    /// The number of the newest change.
    pub rev: Rev,
    /// The room's state.
    pub state: RoomState,
    /// The person's rank in the room; `None` for a reader.
    pub rank: Option<Rank>,
    /// The restraint of the person that is in force.
    pub restraint: Option<Restraint>,
    /// The warning that the person has not acknowledged.
    pub warning: Option<Restraint>,
}

/// The data that a page is rendered from, in one request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// Data of the page itself.
    pub content: T,
    /// The person that the session names; `None` without a session.
    pub you: Option<Person>,
    /// The form that was refused before this load, on a page without JavaScript.
    pub returned: Option<ReturnedForm>,
}
