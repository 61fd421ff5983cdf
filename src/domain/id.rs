//! Identifiers: connection, person, room, attempt to send, epoch and seq. Each is checked when it is created, so every value
//! of these types is valid.

use crate::domain::refusal::Refusal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A connection: GatewayWorker's `client_id`. As text it is 20 hexadecimal digits: 4 bytes of IPv4 address, 2 bytes of port
/// and 4 bytes of connection number, big endian. GatewayClient sends its commands to the address inside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientId {
    /// IPv4 address at which the node that owns the connection accepts GatewayClient.
    pub address: [u8; 4],
    /// Port of that address.
    pub port: u16,
    /// Number of the connection on its node.
    pub connection: u32,
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.address;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}{:04x}{:08x}", self.port, self.connection)
    }
}

impl FromStr for ClientId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let hex = text.len() == 20 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = |from, to| u32::from_str_radix(&text[from..to], 16).unwrap_or_default();
        match hex {
            true => Ok(Self { address: number(0, 8).to_be_bytes(), port: number(8, 12) as u16, connection: number(12, 20) }),
            false => Err(Refusal::malformed("client_id")),
        }
    }
}

impl Serialize for ClientId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom("a client_id is 20 hex digits"))
    }
}

/// Defines an identifier that is a text: checked on creation, a plain string in JSON, cheap to clone (one shared allocation).
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $field:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Refusal;

            fn try_from(text: String) -> Result<Self, Refusal> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text.into())) } else { Err(Refusal::malformed($field)) }
            }
        }

        impl FromStr for $name {
            type Err = Refusal;

            fn from_str(text: &str) -> Result<Self, Refusal> {
                Self::try_from(text.to_owned())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier!(
    /// A person, with any number of connections: a uuid v7 that Roomcast made, or 1-64 bytes of text from a back end.
    Uid,
    "uid",
    |text| (1..=64).contains(&text.len()) && !text.chars().any(char::is_control)
);

/// The start of the uid of a key, also in the audit log.
const BOT_PREFIX: &str = "bot:";

impl Uid {
    /// Returns the author of messages whose person was erased. No session has this uid.
    pub fn nobody() -> Self {
        Self("-".into())
    }

    /// Returns the uid of a key of the API, which sends as a bot. `None` for a name over 60 bytes.
    pub fn of_bot(key: &str) -> Option<Self> {
        format!("{BOT_PREFIX}{key}").parse().ok()
    }

    /// Returns whether this is the uid of a key of the API. No session has it.
    pub fn is_bot(&self) -> bool {
        self.0.starts_with(BOT_PREFIX)
    }
}

identifier!(
    /// A chat room: 1-64 letters, digits, `_` or `-`. Its connections form the gateway group of the same name.
    RoomId,
    "room",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
);

identifier!(
    /// Idempotency key of a send, 1-64 printable ASCII characters: a repeated nonce returns the message stored first.
    Nonce,
    "nonce",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7f).contains(&b))
);

identifier!(
    /// Name of one numbering of a room, 1-64 visible ASCII characters. Seqs of different epochs cannot be compared.
    Epoch,
    "epoch",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);

/// A message's number in its room. A room's messages are numbered 1, 2, 3 … without holes; 0 is before the first.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Returns the seq after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the seq before this one; 0 for 0.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_ids_are_address_port_and_connection_in_hex() {
        let id = ClientId { address: [127, 0, 0, 1], port: 2900, connection: 0x0000_00ff };
        assert_eq!(id.to_string(), "7f0000010b54000000ff");
        assert_eq!("7F0000010B54000000FF".parse(), Ok(id));
        for bad in [
            "",
            "7f0000010b54000000f",
            "7f0000010b54000000fff",
            "7f0000010b54000000fg",
            "+f0000010b54000000ff",
            "ééééé0000000000",
        ] {
            assert_eq!(bad.parse::<ClientId>(), Err(Refusal::malformed("client_id")), "{bad}");
        }
    }

    #[test]
    fn identifiers_reject_characters_and_lengths_outside_their_alphabets() {
        assert!("1".parse::<RoomId>().is_ok() && "a_B-9".parse::<RoomId>().is_ok());
        for bad in ["", "a b", "房间", "a/b", &"x".repeat(65)] {
            assert!(bad.parse::<RoomId>().is_err(), "{bad}");
        }
        assert!("n 1~".parse::<Nonce>().is_ok());
        assert!("".parse::<Nonce>().is_err() && "\n".parse::<Nonce>().is_err() && "é".parse::<Nonce>().is_err());
        assert!("用户7".parse::<Uid>().is_ok() && "".parse::<Uid>().is_err() && "x".repeat(65).parse::<Uid>().is_err());
    }
}
