//! A room as people see it.

use crate::domain::{
    draft::Rules,
    id::{Epoch, RoomId, Seq, Uid},
    message::Message,
    reply::ReturnedForm,
};
use serde::{Deserialize, Serialize};

/// The room a new installation has.
pub const FIRST_ROOM: &str = "1";

/// A line of the lobby.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomCard {
    pub room: RoomId,
    pub title: String,
    /// Nickname of the host; none until the installation has an owner.
    pub host: Option<String>,
    pub online: u32,
}

/// Who is looking at a page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Person {
    pub uid: Uid,
    pub nickname: String,
    /// The account's name; a guest has none.
    pub account: Option<String>,
}

/// A room as it was at one moment: what a page is rendered from, and where its socket goes on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    pub card: RoomCard,
    pub rules: Rules,
    pub epoch: Epoch,
    /// Position of the newest message.
    pub seq: Seq,
    /// The newest ones, newest last.
    pub messages: Vec<Message>,
}

/// What a page is rendered from: one request, one answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    pub content: T,
    pub you: Option<Person>,
    /// A form that was refused on the last load, without JavaScript.
    pub returned: Option<ReturnedForm>,
}
