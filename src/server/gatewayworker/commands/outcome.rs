//! What a command leads to: its reply, or why it was not carried out.

use super::args::{MAX_FIELDS, MAX_NAMES};
use crate::server::gateway::{MAX_REPEATS, SessionError};
use crate::server::gatewayworker::protocol::body::BodyError;
use crate::server::gatewayworker::protocol::opcode;

/// What became of a command.
#[derive(Debug)]
pub enum Outcome {
    Done,
    /// It was for a connection that is not here: one that has gone, or of a node before this one.
    ClientNotFound,
    /// The answer of a query: one serialized value, or a session's own bytes.
    Reply(Vec<u8>),
}

/// Why a command was not carried out. The original ended at most of these.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("no such command")]
    UnknownCommand,
    #[error("its JSON cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its message: {0}")]
    Message(#[from] BodyError),
    #[error("its session: {0}")]
    Session(#[from] SessionError),
    #[error("a name of {0} bytes")]
    NameTooLong(usize),
    #[error("more than {MAX_NAMES} names")]
    TooManyNames,
    #[error("more than {MAX_FIELDS} fields")]
    TooManyFields,
    #[error("names are repeated more than {MAX_REPEATS} times")]
    Repetitive,
}

impl CommandError {
    /// A query that is not answered keeps its caller waiting for ever: then the connection ends.
    pub fn closes_connection(&self, command: u8) -> bool {
        !matches!(self, Self::UnknownCommand) && opcode::is_query(command)
    }
}
