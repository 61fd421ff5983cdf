//! Requests and responses of the control socket. Their JSON words are a contract: after an upgrade, the command line of one
//! version talks to the server of another.

use super::acts::CommandAct;
use crate::domain::{
    id::{RoomId, Uid},
    reply::ActReply,
};
use crate::server::cluster::Incarnation;
use crate::server::gateway::{ConnectionStatus, ShardStatus};
use serde::{Deserialize, Serialize};
use std::net::SocketAddrV4;
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
        /// The node; left out for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<SocketAddrV4>,
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
    /// Carries out an act of moderation. Returns [`Response::Acted`].
    Act {
        /// The room; left out for the whole site.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<RoomId>,
        /// The reason.
        #[serde(default)]
        reason: String,
        /// The act.
        act: CommandAct,
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
    /// The nodes of the cluster, by name, this one too; empty if there can be no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeStatus>,
}

/// One node in `roomcast status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its inner address.
    pub name: String,
    /// Version of Roomcast.
    pub version: String,
    /// Open sockets.
    pub connections: usize,
    /// The node is shutting down.
    #[serde(rename = "leaving")]
    pub draining: bool,
}

/// The server's response to a [`Request`]: `{"answer":"closed","sockets":1}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Response {
    /// State of the server.
    Status(Status),
    /// Open connections, by node, in shard order.
    Connections {
        /// One row per connection.
        connections: Vec<ConnectionStatus>,
        /// Nodes that did not answer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        silent: Vec<String>,
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
    /// The act of moderation holds, and is pushed.
    Acted {
        /// Its result.
        reply: ActReply,
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
    TakeoverGranted {
        /// The node's run, which the successor goes on with. `None` outside of a cluster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incarnation: Option<Incarnation>,
    },
    /// The request failed.
    #[serde(rename = "not_done")]
    Failed {
        /// The error, for the operator.
        #[serde(rename = "why")]
        reason: String,
    },
}
