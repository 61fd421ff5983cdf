//! The recorded traffic between unmodified PHP programs: tests/gatewayclient/vectors.json.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// One recorded request with its effects.
#[derive(Deserialize)]
pub struct Vector {
    pub name: String,
    pub session: String,
    #[serde(rename = "request_hex", deserialize_with = "bytes")]
    pub request: Vec<u8>,
    #[serde(rename = "response_hex", deserialize_with = "bytes")]
    pub response: Vec<u8>,
    peer: Option<String>,
    role: Option<String>,
    pub new_connection: Option<bool>,
    pub closed_by: Option<String>,
    #[serde(default)]
    pub server_closed_connection: bool,
    #[serde(default)]
    pub gateway_process_died: bool,
    /// The bytes that clients received meanwhile, by label. If a call goes to both gateways, each vector holds the clients
    /// of both.
    #[serde(default)]
    pub clients: BTreeMap<String, Received>,
    /// Requests to Register meanwhile.
    #[serde(default)]
    pub register: Vec<Exchange>,
    #[serde(default)]
    pub side_traffic: Vec<Exchange>,
}

/// A request and its reply beside the vector's own.
#[derive(Deserialize)]
pub struct Exchange {
    pub peer: Option<String>,
    #[serde(rename = "request_hex", deserialize_with = "bytes")]
    pub request: Vec<u8>,
    #[serde(rename = "response_hex", deserialize_with = "bytes")]
    pub response: Vec<u8>,
    pub closed_by: Option<String>,
}

/// The bytes that a client received.
#[derive(Deserialize)]
pub struct Received {
    bytes_hex: String,
    pub tcp_closed: bool,
}

impl Vector {
    /// The index of the node that receives the request; 0 if it is for no gateway in particular.
    pub fn node(&self) -> usize {
        usize::from(self.peer.as_deref() == Some("gwB"))
    }

    pub fn role(&self) -> &str {
        self.role.as_deref().unwrap_or_default()
    }
}

impl Received {
    /// The first bytes, and the number of all: `8101…...(70010 bytes)` if only the first were recorded.
    pub fn bytes(&self) -> (Vec<u8>, usize) {
        let (start, count) = self.bytes_hex.split_once("...(").unwrap_or((&self.bytes_hex, ""));
        let start = unhex(start);
        let count = count.strip_suffix(" bytes)").map_or(start.len(), |count| count.parse().unwrap());
        (start, count)
    }
}

/// The vectors by session, in the order of the recording.
pub fn sessions() -> BTreeMap<String, Vec<Vector>> {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../gatewayclient/vectors.json")).unwrap();
    let mut sessions: BTreeMap<String, Vec<Vector>> = BTreeMap::new();
    for vector in vectors {
        sessions.entry(vector.session.clone()).or_default().push(vector);
    }
    sessions
}

fn bytes<'de, D: Deserializer<'de>>(hex: D) -> Result<Vec<u8>, D::Error> {
    String::deserialize(hex).map(|hex| unhex(&hex))
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
