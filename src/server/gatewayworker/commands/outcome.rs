//! What a command leads to: its reply, or why it was not carried out.

use super::args::{MAX_FIELDS, MAX_NAMES};
use crate::server::gateway::{MAX_REPEATS, SessionError};
use crate::server::gatewayworker::protocol::body::Unsendable;
use crate::server::gatewayworker::protocol::opcode as c;

/// What became of a command.
#[derive(Debug)]
pub enum Outcome {
    Done,
    /// It was for a connection that is not here: one that has gone, or of a node before this one.
    Stale,
    /// The answer of a query: one serialized value, or a session's own bytes.
    Reply(Vec<u8>),
}

/// Why a command was not carried out. The original ended at most of these.
#[derive(Debug, thiserror::Error)]
pub enum Odd {
    #[error("no such command")]
    Unknown,
    #[error("its JSON cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its message: {0}")]
    Message(#[from] Unsendable),
    #[error("its session: {0}")]
    Session(#[from] SessionError),
    #[error("a name of {0} bytes")]
    LongName(usize),
    #[error("more than {MAX_NAMES} names")]
    ManyNames,
    #[error("more than {MAX_FIELDS} fields")]
    ManyFields,
    #[error("names are repeated more than {MAX_REPEATS} times")]
    Repetitive,
}

impl Odd {
    /// A query that is not answered keeps its caller waiting for ever: then the connection ends.
    pub fn ends(&self, command: u8) -> bool {
        !matches!(self, Self::Unknown) && c::is_query(command)
    }
}
