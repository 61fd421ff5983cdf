//! The records that go into a store and come out of it, the same for every store. Times are unix milliseconds.

use super::moderation::NetworkHash;
use crate::domain::{
    change::{Restraint, Rev},
    id::{Epoch, Nonce, RoomId, Seq, Uid},
    message::{Message, Role},
    rank::Rank,
    room::Person,
};
use uuid::Uuid;

/// A message before it has a `seq`: the input of [`Store::append`](super::Store::append).
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The room it is sent to.
    pub room: RoomId,
    /// The message's id, a uuid v7.
    pub id: Uuid,
    /// The sender.
    pub user: Uid,
    /// The sender's nickname at the time of sending.
    pub nickname: String,
    /// The text, already checked and stripped.
    pub text: String,
    /// Time of sending by this server's clock, unix milliseconds. A store with a clock of its own takes that instead.
    pub at: u64,
    /// The sender's idempotency key; unique per sender and room.
    pub nonce: Option<Nonce>,
    /// Whether the sender has an account.
    pub has_account: bool,
    /// The message that this one answers. It is left out of the message if the room does not keep that one.
    pub re: Option<Seq>,
    /// The people that it mentions.
    pub mentions: Vec<Uid>,
    /// The networks of a guest who is new here: a restraint of one of them is the guest's, too, without its reason, which was given to
    /// another person, and until the network's is over. Empty for everyone else.
    pub networks: Vec<NetworkHash>,
    /// Whether the sender is a key of the API. Its messages have the role of a bot; it sends with the rank of a viewer.
    pub is_bot: bool,
}

impl NewMessage {
    /// Returns the role of the message of a sender with this rank.
    pub fn role(&self, rank: Rank) -> Role {
        if self.is_bot { Role::Bot } else { rank.role() }
    }
}

/// Result of appending one [`NewMessage`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Appended {
    /// The message was stored under the `seq` it carries.
    Stored(Message),
    /// The nonce was used before: nothing was stored, and this is the message stored under it.
    Repeated {
        /// Id of the earlier message.
        id: Uuid,
        /// Seq of the earlier message.
        seq: Seq,
    },
    /// Nothing was stored: there is no such room, or it is being deleted.
    NoSuchRoom,
    /// Nothing was stored: the room is closed.
    RoomClosed,
    /// Nothing was stored: the room takes messages of accounts only.
    AccountsOnly,
    /// Nothing was stored: a ban, a timeout or a warning of the sender is in force; in this order, and the longest first, if there are
    /// several.
    Restrained(Restraint),
    /// Nothing was stored: the cooldown of the sender's last message in the room runs.
    TooFast {
        /// Milliseconds until it is over.
        retry_after_ms: u64,
    },
}

/// The newest numbers of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomHead {
    /// The room.
    pub room: RoomId,
    /// The history that the numbers belong to.
    pub epoch: Epoch,
    /// Seq of its newest message.
    pub seq: Seq,
    /// Number of its newest change.
    pub rev: Rev,
}

/// The messages that a room has: `oldest..=newest`, without holes. A room that keeps none has an `oldest` one above `newest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeqRange {
    /// The lowest seq that is kept.
    pub oldest: Seq,
    /// The highest seq that was given; 0 in a new room.
    pub newest: Seq,
}

/// A row of the table `rooms`, with the nickname of its host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomRow {
    /// The room's id.
    pub room: RoomId,
    /// The title shown in the lobby and on the page.
    pub title: String,
    /// The host's uid, if the room has a host.
    pub host: Option<Uid>,
    /// The host's current nickname.
    pub host_nickname: Option<String>,
    /// The history that the room's seqs belong to.
    pub epoch: Epoch,
    /// Slow mode: milliseconds between two messages of one person; 0 is off.
    pub slow_ms: u64,
    /// Whether it is closed, by the operator or its host: it takes no messages.
    pub is_closed: bool,
}

/// The modes of a room that its host sets. `None`: the mode stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetModes {
    /// Slow mode in milliseconds; 0 is off.
    pub slow_ms: Option<u64>,
    /// Whether the room takes no messages.
    pub closed: Option<bool>,
    /// Whether only accounts send.
    pub accounts: Option<bool>,
}

/// The settings of a room that decide about a send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomSettings {
    /// The host's uid, if the room has a host.
    pub host: Option<Uid>,
    /// Slow mode, as in [`RoomRow`].
    pub slow_ms: u64,
}

impl RoomSettings {
    /// Returns whether `user` is the room's host.
    pub fn is_host(&self, user: &Uid) -> bool {
        self.host.as_ref() == Some(user)
    }

    /// Returns the role of `user` in the room.
    pub fn role_of(&self, user: &Uid) -> Role {
        if self.is_host(user) { Role::Host } else { Role::Viewer }
    }

    /// Returns the milliseconds between two messages of `user`. `site_ms` is the cooldown of every room; the slow mode may be
    /// longer, and does not concern the host.
    pub fn cooldown_ms(&self, site_ms: u64, user: &Uid) -> u64 {
        if self.is_host(user) { site_ms } else { site_ms.max(self.slow_ms) }
    }
}

/// A person with the secrets that only the accounts floor may see.
#[derive(Clone, Debug)]
pub struct PersonRow {
    /// Uid, nickname and account name.
    pub person: Person,
    /// Password hash, argon2id in PHC form; `None` for a guest.
    pub password: Option<String>,
    /// Whether this is the installation's owner.
    pub is_owner: bool,
}

/// An account to be stored for the first time.
#[derive(Clone, Debug)]
pub struct NewPerson<'a> {
    /// A new uid, or the uid of the guest who registers.
    pub uid: &'a Uid,
    /// The nickname shown with messages.
    pub nickname: &'a str,
    /// The account name; unique without regard to case.
    pub account: &'a str,
    /// Password hash, argon2id in PHC form.
    pub password: &'a str,
    /// Time of registration, unix milliseconds.
    pub created_at: u64,
}

/// Another password of an account, set by its person.
#[derive(Clone, Debug)]
pub struct NewPassword<'a> {
    /// The account's uid.
    pub uid: &'a Uid,
    /// The hash that it replaces.
    pub replaced: &'a str,
    /// Password hash, argon2id in PHC form.
    pub password: &'a str,
    /// Hash of the one device that the account still remembers; empty for none.
    pub kept_device: &'a [u8],
    /// Hash of the one session that does not end.
    pub kept_session: &'a [u8],
}

/// A login session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// The person who is signed in.
    pub person: Person,
    /// The kind of browser that signed in, such as `Firefox · Android`; empty if unknown.
    pub label: String,
    /// Time of the sign-in, unix milliseconds.
    pub created_at: u64,
    /// Time of the last extension, unix milliseconds: the day of the last use.
    pub used_at: u64,
    /// When the session ends, unix milliseconds. It may lie in the past: the caller compares it with its clock.
    pub expires_at: u64,
}

/// A login session to be stored for the first time.
#[derive(Clone, Debug)]
pub struct NewSessionRow<'a> {
    /// SHA-256 of its token.
    pub token_hash: &'a [u8],
    /// The person who signed in.
    pub uid: &'a Uid,
    /// The kind of browser; empty if unknown.
    pub label: &'a str,
    /// Time of the sign-in, unix milliseconds.
    pub created_at: u64,
    /// When the session ends, unix milliseconds.
    pub expires_at: u64,
}

/// An API key of a back end, without its secret.
#[derive(Clone, Debug)]
pub struct ApiKeyRow {
    /// The operator's name for it; unique.
    pub name: String,
    /// Its scopes, separated by commas.
    pub scopes: String,
    /// The ids of the rooms that it is limited to, separated by commas; empty for all rooms.
    pub rooms: String,
    /// When it expires, unix milliseconds; `None` for never.
    pub expires_at: Option<u64>,
}
