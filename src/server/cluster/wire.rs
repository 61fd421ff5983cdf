//! The messages between nodes: a hello, a call, an answer. Calls and answers travel in parcels, since a message on the bus is bounded.
//!
//! A parcel's part: version 1, flags (1: the last part), number of the part (u32), sender (4 bytes of address, u16 port), its
//! incarnation (u64), number of the parcel (u64), bytes. All of them together are the length of a head (u32), the head in JSON and the
//! body. Fields that a node does not know are left out, and a message of another version is dropped.

use super::{Incarnation, NodeName};
use crate::server::bus::MAX_PAYLOAD;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

const VERSION: u8 = 1;
const LAST: u8 = 1;
const PART_HEAD: usize = 1 + 1 + 4 + 6 + 8 + 8;
/// Bytes of a part.
const PART: usize = 200 * 1024;
/// The longest parcel.
pub(super) const MAX_PARCEL: usize = 64 * 1024 * 1024;

const _: () = assert!(PART + PART_HEAD <= MAX_PAYLOAD);

/// A node's word about itself, in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub name: NodeName,
    pub incarnation: Incarnation,
    pub process: u32,
    /// The process's clock, in milliseconds.
    pub at: u64,
    pub version: String,
    #[serde(default)]
    pub state: State,
    #[serde(default)]
    pub connections: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    #[default]
    Serving,
    /// It shuts down.
    Leaving,
    /// It sends nothing any more.
    Gone,
}

/// The head of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub call: String,
    pub process: u32,
    /// The caller's clock, in milliseconds.
    pub at: u64,
    /// Time in which the caller waits for the answer, in milliseconds.
    pub within: u64,
}

/// The head of an answer; the parcel has the number of the call's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Done,
    /// The node does not know the call.
    Unknown,
    /// The node is busy: the call was not carried out.
    Refused,
    /// The answer is longer than a parcel.
    TooLong,
}

/// The run of a node that sent a parcel, and the parcel's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ParcelId {
    pub from: NodeName,
    pub incarnation: Incarnation,
    pub number: u64,
}

/// A part of a parcel.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub id: ParcelId,
    pub number: u32,
    pub is_last: bool,
    pub bytes: Bytes,
}

/// Encodes a parcel as messages for the bus. `None`: it is too long.
pub(super) fn encode(id: ParcelId, head: &impl Serialize, body: &Bytes) -> Option<Vec<Bytes>> {
    let head = serde_json::to_vec(head).ok()?;
    if head.len() + 4 + body.len() > MAX_PARCEL {
        return None;
    }
    let mut whole = BytesMut::with_capacity(4 + head.len() + body.len());
    whole.put_u32(head.len() as u32);
    whole.put_slice(&head);
    whole.put_slice(body);
    let count = whole.len().div_ceil(PART);
    let part = |(number, bytes): (usize, &[u8])| {
        let mut part = BytesMut::with_capacity(PART_HEAD + bytes.len());
        part.put_u8(VERSION);
        part.put_u8(if number + 1 == count { LAST } else { 0 });
        part.put_u32(number as u32);
        part.put_slice(&id.from.address().ip().octets());
        part.put_u16(id.from.address().port());
        part.put_u64(id.incarnation.0);
        part.put_u64(id.number);
        part.put_slice(bytes);
        part.freeze()
    };
    Some(whole.chunks(PART).enumerate().map(part).collect())
}

impl Part {
    /// Decodes a message. `None`: it is of another version, or no part.
    pub(super) fn decode(mut message: Bytes) -> Option<Self> {
        if message.len() < PART_HEAD || message.get_u8() != VERSION {
            return None;
        }
        let is_last = message.get_u8() & LAST != 0;
        let number = message.get_u32();
        let address = Ipv4Addr::from(message.get_u32());
        let from = SocketAddrV4::new(address, message.get_u16()).into();
        let id = ParcelId { from, incarnation: Incarnation(message.get_u64()), number: message.get_u64() };
        Some(Self { id, number, is_last, bytes: message })
    }
}

/// Decodes a whole parcel: its head and its body.
pub(super) fn decode<T: for<'a> Deserialize<'a>>(mut whole: Bytes) -> Option<(T, Bytes)> {
    if whole.len() < 4 {
        return None;
    }
    let length = whole.get_u32() as usize;
    if whole.len() < length {
        return None;
    }
    let head = whole.split_to(length);
    Some((serde_json::from_slice(&head).ok()?, whole))
}
