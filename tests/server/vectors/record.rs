//! What was recorded between unmodified PHP programs: tests/gatewayclient/vectors.json.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

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
    /// By label: what they received meanwhile. Of a call to both gateways, each vector tells of the clients of both.
    #[serde(default)]
    pub clients: BTreeMap<String, Received>,
    /// What was said to Register meanwhile.
    #[serde(default)]
    pub register: Vec<Exchange>,
    #[serde(default)]
    pub side_traffic: Vec<Exchange>,
}

#[derive(Deserialize)]
pub struct Exchange {
    pub peer: Option<String>,
    #[serde(rename = "request_hex", deserialize_with = "bytes")]
    pub request: Vec<u8>,
    #[serde(rename = "response_hex", deserialize_with = "bytes")]
    pub response: Vec<u8>,
    pub closed_by: Option<String>,
}

#[derive(Deserialize)]
pub struct Received {
    bytes_hex: String,
    pub tcp_closed: bool,
}

impl Vector {
    /// Which of the two nodes it speaks to; what is said to no gateway in particular is said to the first.
    pub fn node(&self) -> usize {
        usize::from(self.peer.as_deref() == Some("gwB"))
    }

    pub fn role(&self) -> &str {
        self.role.as_deref().unwrap_or_default()
    }
}

impl Received {
    /// How it began, and how many bytes it was: `8101…...(70010 bytes)` where only the beginning was kept.
    pub fn bytes(&self) -> (Vec<u8>, usize) {
        let (start, count) = self.bytes_hex.split_once("...(").unwrap_or((&self.bytes_hex, ""));
        let start = unhex(start);
        let count = count.strip_suffix(" bytes)").map_or(start.len(), |count| count.parse().unwrap());
        (start, count)
    }
}

/// By session, each in the order of the recording.
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
