//! Requests and responses of the control socket. Their JSON words are a contract: after an upgrade, the command line of one
//! version talks to the server of another.

use crate::domain::id::{RoomId, Uid};
use crate::server::gateway::{ConnectionStatus, ShardStatus};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// File name of the socket, in the data folder.
pub(super) const FILE: &str = "roomcast.sock";

/// A request to the running server: `{"request":"status"}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Returns [`Response::Status`].
    Status,
    /// Returns [`Response::Connections`].
    Connections {
        /// Connections listed per shard, at most.
        limit: usize,
    },
    /// Ends the sessions of a person and closes the sockets. Returns [`Response::Closed`].
    SignOut {
        /// The person.
        uid: Uid,
    },
    /// Acts on a room. Returns [`Response::RoomDone`].
    Room {
        /// The room.
        room: RoomId,
        /// The act.
        act: RoomAct,
    },
    /// Shuts the server down. Returns [`Response::Stopping`] at once; the connection closes when the process has exited.
    Stop {
        /// Drain over `web.drain_slowly_ms` instead of `web.drain_within_ms`.
        #[serde(rename = "slowly")]
        gracefully: bool,
    },
    /// Starts a successor. Returns [`Response::Reloaded`] when it serves.
    Reload,
    /// Starts a successor that puts a backup in the place of the database. Returns [`Response::Reloaded`] when it serves.
    Restore {
        /// Name of the backup's checked copy in the data folder.
        staged: String,
    },
    /// Sent by the successor when it is ready to serve. Returns [`Response::TakeoverGranted`]; the connection then carries
    /// its confirmation and its publishes.
    TakeOver,
}

/// An act of the operator on a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomAct {
    /// The room takes no messages from now on.
    Close,
    /// The room takes messages again.
    Open,
    /// The room and its messages are removed.
    Delete,
    /// The room's title, host or slow mode was changed in the database: the server reads it again at once.
    Changed,
}

/// State of the running server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of Roomcast.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since the server started.
    pub uptime_s: f64,
    /// Listen address of the site.
    pub address: String,
    /// Data folder, as configured.
    pub data_dir: PathBuf,
    /// Open sockets, including those in handshake.
    pub connections: usize,
    /// The server is shutting down.
    #[serde(rename = "leaving")]
    pub draining: bool,
    /// One row per shard, in shard order.
    pub shards: Vec<ShardStatus>,
}

/// The server's response to a [`Request`]: `{"answer":"closed","sockets":1}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Response {
    /// State of the server.
    Status(Status),
    /// Open connections, in shard order.
    Connections {
        /// One row per connection.
        connections: Vec<ConnectionStatus>,
    },
    /// The person's sockets were closed.
    Closed {
        /// Sockets closed.
        sockets: usize,
        /// Sessions ended. An older server ends none and leaves them to the command.
        #[serde(default)]
        sessions: usize,
    },
    /// The act on the room holds.
    RoomDone {
        /// Sockets that were in a deleted room.
        sockets: usize,
    },
    /// The server shuts down and closes this connection when it exits.
    #[serde(rename = "leaving")]
    Stopping {
        /// Its process id.
        pid: u32,
    },
    /// The successor serves.
    Reloaded {
        /// The successor's process id.
        pid: u32,
    },
    /// The running process has paused and unlocked the data folder: the successor may serve.
    #[serde(rename = "yours")]
    TakeoverGranted,
    /// The request failed.
    #[serde(rename = "not_done")]
    Failed {
        /// The error, for the operator.
        #[serde(rename = "why")]
        reason: String,
    },
}
