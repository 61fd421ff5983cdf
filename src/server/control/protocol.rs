//! The control socket's words: a line of JSON in, lines of JSON out.

use crate::domain::id::Uid;
use crate::server::gateway::{ConnectionLine, ShardLine};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The socket's file, in the data folder.
pub(super) const FILE: &str = "roomcast.sock";

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    Status,
    /// At most so many of each shard.
    Connections {
        limit: usize,
    },
    /// A person's sessions were ended: their sockets go with them.
    SignOut {
        uid: Uid,
    },
    /// `gracefully`: everyone gets the time to come back elsewhere.
    Stop {
        #[serde(rename = "slowly")]
        gracefully: bool,
    },
    /// Starts the successor; answered when it serves.
    Reload,
    /// The successor's own: it is ready to serve, and asks to be let.
    TakeOver,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub uptime_s: f64,
    pub address: String,
    pub data_dir: PathBuf,
    /// Connections, and handshakes on their way to become one.
    pub connections: usize,
    #[serde(rename = "leaving")]
    pub draining: bool,
    pub shards: Vec<ShardLine>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Response {
    Status(Status),
    Connections {
        connections: Vec<ConnectionLine>,
    },
    Closed {
        sockets: usize,
    },
    /// It leaves; the socket is closed when it is gone.
    #[serde(rename = "leaving")]
    Stopping {
        pid: u32,
    },
    Reloaded {
        pid: u32,
    },
    /// Nobody else serves any more.
    #[serde(rename = "yours")]
    TakeoverGranted,
    #[serde(rename = "not_done")]
    Failed {
        #[serde(rename = "why")]
        reason: String,
    },
}
