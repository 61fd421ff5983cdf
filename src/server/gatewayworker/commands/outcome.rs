//! The result of a command: its reply, or the error for which it is ignored.

use super::args::{MAX_FIELDS, MAX_NAME_BYTES, MAX_NAMES};
use super::queries::MAX_REPLY_BYTES;
use crate::server::gateway::{MAX_REPEATS, SessionError};
use crate::server::gatewayworker::protocol::body::BodyError;
use crate::server::gatewayworker::protocol::opcode;
use crate::server::gatewayworker::shutdown::CloseReason;

/// The result of a command that was carried out.
#[derive(Debug)]
pub(crate) enum CommandOutcome {
    /// There is no reply.
    Done,
    /// The client has disconnected, or belonged to an earlier node. There is no reply.
    ClientNotFound,
    /// The reply of a query: one serialized value, or the bytes of a session.
    Reply(Vec<u8>),
}

/// Why a command was not carried out. GatewayWorker's process exits on most of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The number is not a command of this protocol.
    #[error("unknown command")]
    UnknownCommand,
    /// The arguments are malformed.
    #[error("malformed JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The message cannot be sent.
    #[error("message: {0}")]
    Message(#[from] BodyError),
    /// The session cannot be stored.
    #[error("session: {0}")]
    Session(#[from] SessionError),
    /// A name of a uid, a group or a field exceeds [`MAX_NAME_BYTES`].
    #[error("a name of {0} bytes; at most {MAX_NAME_BYTES}")]
    NameTooLong(usize),
    /// More than [`MAX_NAMES`] clients, uids or groups.
    #[error("more than {MAX_NAMES} names")]
    TooManyNames,
    /// More than [`MAX_FIELDS`] fields of a `SELECT`.
    #[error("more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// More than [`MAX_REPEATS`] repeats of names.
    #[error("names are repeated more than {MAX_REPEATS} times")]
    Repetitive,
    /// The reply exceeds [`MAX_REPLY_BYTES`].
    #[error("a reply of more than {MAX_REPLY_BYTES} bytes")]
    ReplyTooLong,
    /// The memory for long replies of all connections is used up.
    #[error("the memory for long replies is used up")]
    ReplyBudget,
}

impl CommandError {
    /// Returns the reason to close the connection, because the caller of a query would wait for its reply forever. `None`: the
    /// packet is ignored.
    pub(crate) fn close_reason(&self, command: u8) -> Option<CloseReason> {
        let is_answerable = matches!(self, Self::UnknownCommand) || !opcode::is_query(command);
        (!is_answerable).then_some(match self {
            Self::ReplyTooLong => CloseReason::ReplyTooLong,
            Self::ReplyBudget => CloseReason::ReplyBudget,
            _ => CloseReason::UnanswerableQuery,
        })
    }
}
