//! The wire format: packets of the inner protocol, and PHP's `serialize` as far as it occurs there.

/// The numbers of the inner protocol's commands (protocol.md, 6 and 7).
pub mod command {
    pub const ON_CONNECT: u8 = 1;
    pub const ON_MESSAGE: u8 = 3;
    pub const ON_CLOSE: u8 = 4;
    pub const SEND_TO_ONE: u8 = 5;
    pub const SEND_TO_ALL: u8 = 6;
    pub const KICK: u8 = 7;
    pub const DESTROY: u8 = 8;
    pub const UPDATE_SESSION: u8 = 9;
    pub const ALL_SESSIONS: u8 = 10;
    pub const IS_ONLINE: u8 = 11;
    pub const BIND_UID: u8 = 12;
    pub const CLIENTS_OF_UID: u8 = 15;
    pub const CLIENTS_OF_UIDS: u8 = 16;
    pub const JOIN_GROUP: u8 = 20;
    pub const LEAVE_GROUP: u8 = 21;
    pub const SEND_TO_GROUP: u8 = 22;
    pub const SESSIONS_OF_GROUP: u8 = 23;
    pub const COUNT_OF_GROUP: u8 = 24;
    pub const SELECT: u8 = 25;
    pub const GROUPS: u8 = 26;
    pub const COUNT_OF_GROUPS: u8 = 28;
    pub const WORKER_CONNECT: u8 = 200;
    pub const PING: u8 = 201;
    pub const GATEWAY_CLIENT_CONNECT: u8 = 202;
    pub const GET_SESSION: u8 = 203;
    pub const SET_SESSION: u8 = 204;
    pub const ON_WEBSOCKET_CONNECT: u8 = 205;
}
use command::*;

const HEAD: usize = 28;

#[derive(Clone)]
pub struct Packet {
    pub head: [u8; HEAD],
    pub ext: Vec<u8>,
    pub body: Vec<u8>,
}

impl Packet {
    pub fn new(command: u8, connection: u32, body: &[u8]) -> Self {
        let mut head = [0; HEAD];
        (head[4], head[21]) = (command, 1);
        head[17..21].copy_from_slice(&connection.to_be_bytes());
        Self { head, ext: vec![], body: body.to_vec() }
    }

    /// Splits bytes into whole packets and the rest.
    pub fn split(mut bytes: &[u8]) -> (Vec<Self>, &[u8]) {
        let mut packets = Vec::new();
        while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
            let [length, ext] = [0, 24].map(|at| u32::from_be_bytes(head[at..at + 4].try_into().unwrap()) as usize);
            let Some(body) = length.checked_sub(HEAD + ext).filter(|body| ext + body <= rest.len()) else { break };
            let (ext, rest) = rest.split_at(ext);
            let (body, rest) = rest.split_at(body);
            packets.push(Self { head: *head, ext: ext.to_vec(), body: body.to_vec() });
            bytes = rest;
        }
        (packets, bytes)
    }

    pub fn command(&self) -> u8 {
        self.head[4]
    }

    pub fn connection(&self) -> u32 {
        u32::from_be_bytes(self.head[17..21].try_into().unwrap())
    }

    pub fn into_bytes(mut self) -> Vec<u8> {
        let length = (HEAD + self.ext.len() + self.body.len()) as u32;
        self.head[..4].copy_from_slice(&length.to_be_bytes());
        self.head[24..].copy_from_slice(&(self.ext.len() as u32).to_be_bytes());
        [&self.head[..], &self.ext[..], &self.body[..]].concat()
    }

    pub fn is_query(&self) -> bool {
        const QUERIES: [u8; 10] = [
            ALL_SESSIONS,
            IS_ONLINE,
            CLIENTS_OF_UID,
            CLIENTS_OF_UIDS,
            SESSIONS_OF_GROUP,
            COUNT_OF_GROUP,
            SELECT,
            GROUPS,
            COUNT_OF_GROUPS,
            GET_SESSION,
        ];
        QUERIES.contains(&self.command())
    }
}

/// A serialized value, as far as replies and handshakes contain it. Sessions occur as texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Php {
    Null,
    Int(i64),
    Text(Vec<u8>),
    Array(Vec<(Php, Php)>),
}

impl Php {
    pub fn read(text: &[u8]) -> Option<Self> {
        Self::first(text).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
    }

    fn first(text: &[u8]) -> Option<(Self, &[u8])> {
        fn number(text: &[u8], end: u8) -> Option<(i64, &[u8])> {
            let at = text.iter().position(|byte| *byte == end)?;
            Some((std::str::from_utf8(&text[..at]).ok()?.parse().ok()?, &text[at + 1..]))
        }
        let (kind, rest) = text.split_at_checked(2)?;
        match kind {
            b"N;" => Some((Self::Null, rest)),
            b"i:" => number(rest, b';').map(|(number, rest)| (Self::Int(number), rest)),
            b"s:" => {
                let (length, rest) = number(rest, b':')?;
                let (text, rest) = rest.strip_prefix(b"\"")?.split_at_checked(length as usize)?;
                Some((Self::Text(text.to_vec()), rest.strip_prefix(b"\";")?))
            }
            b"a:" => {
                let (count, rest) = number(rest, b':')?;
                let (mut entries, mut rest) = (Vec::new(), rest.strip_prefix(b"{")?);
                for _ in 0..count {
                    let (key, after) = Self::first(rest)?;
                    let (value, after) = Self::first(after)?;
                    entries.push((key, value));
                    rest = after;
                }
                Some((Self::Array(entries), rest.strip_prefix(b"}")?))
            }
            _ => None,
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Null => b"N;".to_vec(),
            Self::Int(number) => format!("i:{number};").into_bytes(),
            Self::Text(text) => [format!("s:{}:\"", text.len()).as_bytes(), &text[..], b"\";"].concat(),
            Self::Array(entries) => {
                let inside: Vec<u8> =
                    entries.iter().flat_map(|(key, value)| [key.to_bytes(), value.to_bytes()].concat()).collect();
                [format!("a:{}:{{", entries.len()).as_bytes(), &inside[..], b"}"].concat()
            }
        }
    }

    pub fn entries(&self) -> &[(Self, Self)] {
        match self {
            Self::Array(entries) => entries,
            _ => &[],
        }
    }

    pub fn entries_mut(&mut self) -> &mut [(Self, Self)] {
        match self {
            Self::Array(entries) => entries,
            _ => &mut [],
        }
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        let is_it = |key: &Self| matches!(key, Self::Text(text) if text == name.as_bytes());
        self.entries_mut().iter_mut().find(|(key, _)| is_it(key)).map(|(_, value)| value)
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => std::str::from_utf8(text).unwrap(),
            other => panic!("not a text: {other:?}"),
        }
    }
}

pub fn replace(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (mut replaced, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.windows(from.len()).position(|part| part == from.as_bytes()) {
        replaced.extend(&rest[..at]);
        replaced.extend(to.as_bytes());
        rest = &rest[at + from.len()..];
    }
    [&replaced[..], rest].concat()
}

/// Bytes in a readable form.
pub fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
