//! Numbered pushes between nodes: one message on the bus for those of a room, of one kind, in a batch.
//!
//! ```text
//! u8 version = 1 | u8 kind | u64 incarnation | u8 length, epoch | u64 head | u16 n | n x (u64 number | u32 length, JSON)
//! ```
//!
//! Integers are big endian. A node drops a message of an unknown version or kind, and reads its pushes from the store: so nodes of
//! different versions can be in one cluster.

use super::item::{Item, Kind};
use crate::domain::id::{Epoch, Seq};
use crate::server::cluster::Incarnation;
use bytes::{Buf, BufMut, Bytes, BytesMut};

const VERSION: u8 = 1;
/// Bytes of a message on the bus, at most.
const MAX_BYTES: usize = 256 * 1024;
/// Bytes before the items, at most, and before the JSON of an item.
const HEADER: usize = 1 + 1 + 8 + 1 + 64 + 8 + 2;
const ITEM_HEADER: usize = 8 + 4;

/// The pushes of a message.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Batch {
    pub(super) epoch: Epoch,
    pub(super) items: Vec<Item>,
}

/// A message that is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    /// Of another version of the form.
    Version,
    /// Of a kind that this version does not know.
    Kind,
    /// Not whole, or not text.
    Malformed,
}

impl Unreadable {
    /// The word in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Kind => "kind",
            Self::Malformed => "malformed",
        }
    }
}

/// Returns the messages for the pushes of a room, in their order. A push that is too long for a message is left out.
pub(super) fn encode(incarnation: Incarnation, epoch: &Epoch, items: &[Item]) -> Vec<Bytes> {
    let fits = |item: &&Item| HEADER + ITEM_HEADER + item.json.len() <= MAX_BYTES;
    let mut messages = Vec::new();
    let (mut run, mut bytes): (Vec<&Item>, usize) = (Vec::new(), HEADER);
    for item in items.iter().filter(fits) {
        let length = ITEM_HEADER + item.json.len();
        let is_alike = run.last().is_none_or(|last| last.kind == item.kind && last.head == item.head);
        if !is_alike || bytes + length > MAX_BYTES || run.len() >= usize::from(u16::MAX) {
            messages.push(message(incarnation, epoch, &run, bytes));
            (run, bytes) = (Vec::new(), HEADER);
        }
        run.push(item);
        bytes += length;
    }
    if !run.is_empty() {
        messages.push(message(incarnation, epoch, &run, bytes));
    }
    messages
}

/// The message of pushes of one kind and head.
fn message(incarnation: Incarnation, epoch: &Epoch, items: &[&Item], bytes: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes);
    let (kind, head) = items.first().map_or((Kind::Message, Seq::default()), |first| (first.kind, first.head));
    out.put_u8(VERSION);
    out.put_u8(match kind {
        Kind::Message => 1,
        Kind::Changed => 2,
        Kind::State => 3,
    });
    out.put_u64(incarnation.0);
    // An epoch has 64 bytes at most, and a run as many items as a u16 counts.
    out.put_u8(epoch.as_str().len() as u8);
    out.put_slice(epoch.as_str().as_bytes());
    out.put_u64(head.0);
    out.put_u16(items.len() as u16);
    for item in items {
        out.put_u64(item.number);
        out.put_u32(item.json.len() as u32);
        out.put_slice(&item.json);
    }
    out.freeze()
}

/// Reads a message. The JSON is not looked at, and not copied.
pub(super) fn decode(mut input: Bytes) -> Result<Batch, Unreadable> {
    let malformed = |_| Unreadable::Malformed;
    if input.try_get_u8().map_err(malformed)? != VERSION {
        return Err(Unreadable::Version);
    }
    let kind = match input.try_get_u8().map_err(malformed)? {
        1 => Kind::Message,
        2 => Kind::Changed,
        3 => Kind::State,
        _ => return Err(Unreadable::Kind),
    };
    input.try_get_u64().map_err(malformed)?;
    let length = input.try_get_u8().map_err(malformed)?;
    let epoch = text(&mut input, length.into())?;
    let epoch = std::str::from_utf8(&epoch).ok().and_then(|epoch| epoch.parse().ok()).ok_or(Unreadable::Malformed)?;
    let head = Seq(input.try_get_u64().map_err(malformed)?);
    let count = input.try_get_u16().map_err(malformed)?;
    let mut items = Vec::new();
    for _ in 0..count {
        let number = input.try_get_u64().map_err(malformed)?;
        let length = input.try_get_u32().map_err(malformed)?;
        let json = text(&mut input, length as usize)?;
        // The first number is 1, and there is always one after it.
        if number == 0 || number == u64::MAX || head.0 == u64::MAX {
            return Err(Unreadable::Malformed);
        }
        items.push(Item { kind, number, head, json, message: None });
    }
    Ok(Batch { epoch, items })
}

/// Takes a text of this length: a text frame must be UTF-8.
fn text(input: &mut Bytes, length: usize) -> Result<Bytes, Unreadable> {
    if input.len() < length {
        return Err(Unreadable::Malformed);
    }
    let text = input.split_to(length);
    std::str::from_utf8(&text).map(|_| ()).map_err(|_| Unreadable::Malformed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(kind: Kind, number: u64, head: u64, json: &str) -> Item {
        Item { kind, number, head: Seq(head), json: json.to_owned().into(), message: None }
    }

    fn epoch() -> Epoch {
        "0192.00000001".parse().unwrap()
    }

    #[test]
    fn the_form_is_fixed() {
        let messages = encode(Incarnation(7), &epoch(), &[item(Kind::Message, 42, 0, "{}")]);
        let bytes = b"\x01\x01\0\0\0\0\0\0\0\x07\x0d0192.00000001\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x2a\0\0\0\x02{}";
        assert_eq!(messages, [Bytes::from_static(bytes)]);
    }

    #[test]
    fn pushes_come_back_as_they_were() {
        let items = [
            item(Kind::Message, 1, 0, "1"),
            item(Kind::Message, 2, 0, "二"),
            item(Kind::Changed, 1, 2, "3"),
            item(Kind::State, 2, 2, "4"),
        ];
        let messages = encode(Incarnation(1), &epoch(), &items);
        assert_eq!(messages.len(), 3);
        let back: Vec<Item> = messages.into_iter().flat_map(|message| decode(message).unwrap().items).collect();
        assert_eq!(back, items);
    }

    #[test]
    fn messages_are_bounded() {
        let long = "x".repeat(100 * 1024);
        let mut items: Vec<Item> = (1..=5).map(|number| item(Kind::Message, number, 0, &long)).collect();
        items.push(item(Kind::Message, 6, 0, &"x".repeat(MAX_BYTES)));
        let messages = encode(Incarnation(1), &epoch(), &items);
        assert!(messages.iter().all(|message| message.len() <= MAX_BYTES));
        let numbers: Vec<usize> = messages.into_iter().map(|message| decode(message).unwrap().items.len()).collect();
        assert_eq!(numbers, [2, 2, 1]);
    }

    #[test]
    fn an_unknown_message_is_refused_by_name() {
        let message = encode(Incarnation(1), &epoch(), &[item(Kind::Message, 1, 0, "{}")]).remove(0);
        let with = |at: usize, byte: u8| {
            let mut bytes = message.to_vec();
            bytes[at] = byte;
            decode(bytes.into())
        };
        assert_eq!(with(0, 2), Err(Unreadable::Version));
        assert_eq!(with(1, 9), Err(Unreadable::Kind));
        assert_eq!(with(message.len() - 1, 0xff), Err(Unreadable::Malformed));
        for length in 2..message.len() {
            assert_eq!(decode(message.slice(..length)), Err(Unreadable::Malformed), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_end_the_process(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let _ = decode(bytes.into());
        }
    }
}
