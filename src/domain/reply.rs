//! What the pages' requests answer when they are done (README, “The requests”).

use crate::domain::{
    id::{Epoch, RoomId, Seq, Uid},
    message::Message,
    push::as_pushes,
    refusal::Refusal,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `bind`: the socket now gets the room's pushes, and this is what it may have missed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BindReply {
    /// The uid, under the name that pages written for GatewayWorker read.
    pub code: Uid,
    pub status: bool,
    pub message: String,
    pub epoch: Epoch,
    /// Position of the newest message.
    pub seq: Seq,
    /// What came after `since`, or the newest; newest last.
    #[serde(serialize_with = "as_pushes")]
    pub messages: Vec<Message>,
    /// Between `since` and the first of `messages` some are left out.
    pub gap: bool,
}

/// `send`: the message is stored under this number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SendReply {
    pub status: bool,
    pub id: Uuid,
    pub seq: Seq,
}

/// `history`: older ones, newest last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryReply {
    #[serde(serialize_with = "as_pushes")]
    pub messages: Vec<Message>,
}

/// `rooms`: the room that was opened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenRoomReply {
    pub room: RoomId,
}

/// `guest`, `register`, `login`: who the session cookie now stands for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignInReply {
    pub uid: Uid,
    pub nickname: String,
}

/// Where there is nothing more to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Done {
    pub status: bool,
}

/// A form that was refused without JavaScript: what the page shows when it is loaded again, once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnedForm {
    /// The path it was posted to.
    pub form: String,
    pub refusal: Refusal,
    /// What stood in its one text field, so that nothing is lost.
    pub text: String,
}
