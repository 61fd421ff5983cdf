//! Replaces the values that the recorded server chose, connection ids and ports, by those of our node.

use super::packet::{Packet, Php, command::*, replace};
use std::net::SocketAddr;

/// The values of our node.
pub struct Chosen {
    /// The inner port of the recorded node.
    pub recorded_port: u16,
    pub inner: SocketAddr,
    pub public: SocketAddr,
    /// Each client's connection id and its port, in the order of connecting. The recorded ids are 1, 2, 3 and so on.
    pub clients: Vec<(u32, u16)>,
}

impl Chosen {
    fn client(&self, recorded: u32) -> Option<(u32, u16)> {
        self.clients.get((recorded as usize).checked_sub(1)?).copied()
    }

    /// The id of a client; an id that no client had is unchanged.
    fn id(&self, recorded: u32) -> u32 {
        self.client(recorded).map_or(recorded, |(id, _)| id)
    }

    pub fn request(&self, recorded: &[u8]) -> Vec<u8> {
        let (packets, rest) = Packet::split(recorded);
        let packets = packets.into_iter().flat_map(|mut packet| {
            let id = self.id(packet.connection());
            packet.head[17..21].copy_from_slice(&id.to_be_bytes());
            if matches!(packet.command(), SEND_TO_ALL | SEND_TO_GROUP | SELECT) {
                packet.ext = self.listed(&packet.ext);
            }
            packet.body = self.client_ids(&packet.body);
            packet.into_bytes()
        });
        packets.chain(rest.iter().copied()).collect()
    }

    /// Replaces the numbers in the lists and objects of these names: all of them are clients, as keys and as values.
    fn listed(&self, json: &[u8]) -> Vec<u8> {
        let text = std::str::from_utf8(json).unwrap();
        let names = ["\"connections\":", "\"exclude\":", "\"connection_id\":"];
        let Some(start) = names.iter().find_map(|name| Some(text.find(*name)? + name.len())) else { return json.to_vec() };
        let end = start + text[start..].find([']', '}']).unwrap();
        let pieces = text[start..end].split_inclusive(|c: char| !c.is_ascii_digit()).map(|piece| {
            let digits = piece.trim_end_matches(|c: char| !c.is_ascii_digit());
            digits.parse::<u32>().map_or(piece.to_owned(), |id| format!("{}{}", self.id(id), &piece[digits.len()..]))
        });
        [&text[..start], pieces.collect::<String>().as_str(), &text[end..]].concat().into_bytes()
    }

    /// Replaces whole client ids in a text.
    pub fn client_ids(&self, recorded: &[u8]) -> Vec<u8> {
        let name = |port: u16, id: u32| format!("7f000001{port:04x}{id:08x}");
        (1..).zip(&self.clients).fold(recorded.to_vec(), |text, (theirs, (ours, _))| {
            replace(&text, &name(self.recorded_port, theirs), &name(self.inner.port(), *ours))
        })
    }

    /// Replaces the inner address in a text.
    pub fn addresses(&self, recorded: &[u8]) -> Vec<u8> {
        ["127.0.0.1", "127.0.0.3"]
            .iter()
            .fold(recorded.to_vec(), |text, ip| replace(&text, &format!("{ip}:{}", self.recorded_port), &self.inner.to_string()))
    }

    /// Replaces ids in the replies to `requests`.
    pub fn replies(&self, requests: &[u8], recorded: &[u8]) -> Vec<u8> {
        let (mut replies, mut rest) = (Vec::<u8>::new(), recorded);
        for query in Packet::split(requests).0.iter().filter(|packet| packet.is_query()) {
            let Some((length, after)) = rest.split_first_chunk::<4>() else { break };
            let (value, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            let value = self.value(query.command(), value);
            replies.extend((value.len() as u32).to_be_bytes());
            replies.extend(value);
            rest = after;
        }
        [&replies[..], rest].concat()
    }

    fn value(&self, command: u8, recorded: &[u8]) -> Vec<u8> {
        // The other replies contain no clients, and sessions are opaque.
        if !matches!(command, ALL_SESSIONS | SESSIONS_OF_GROUP | SELECT | CLIENTS_OF_UID | CLIENTS_OF_UIDS) {
            return recorded.to_vec();
        }
        let rename = |id: &mut Php| {
            if let Php::Int(id) = id {
                *id = self.id(*id as u32).into();
            }
        };
        let mut value = Php::read(recorded).unwrap();
        for (key, value) in value.entries_mut() {
            match command {
                CLIENTS_OF_UID => rename(value),
                CLIENTS_OF_UIDS => value.entries_mut().iter_mut().for_each(|(_, id)| rename(id)),
                _ => {
                    rename(key);
                    value.get_mut("id").into_iter().for_each(rename);
                }
            }
        }
        value.to_bytes()
    }

    /// The events for a worker.
    pub fn events(&self, recorded: &[Packet]) -> Vec<u8> {
        recorded.iter().flat_map(|event| self.event(event.clone()).into_bytes()).collect()
    }

    fn event(&self, mut event: Packet) -> Packet {
        // A ping concerns no client.
        let Some((id, port)) = self.client(event.connection()) else { return event };
        event.head[9..11].copy_from_slice(&self.inner.port().to_be_bytes());
        event.head[15..17].copy_from_slice(&port.to_be_bytes());
        event.head[17..21].copy_from_slice(&id.to_be_bytes());
        event.head[22..24].copy_from_slice(&self.public.port().to_be_bytes());
        if event.command() == ON_WEBSOCKET_CONNECT {
            event.body = self.handshake_event(&event.body, port).to_bytes();
        }
        event
    }

    /// The handshake in an event.
    fn handshake_event(&self, recorded: &[u8], port: u16) -> Php {
        let mut value = Php::read(recorded).unwrap();
        let server = value.get_mut("server").unwrap();
        let text = |text: String| Php::Text(text.into_bytes());
        let uri = server.get_mut("REQUEST_URI").unwrap().text().replace("/chat", "/ws");
        for (name, ours) in [
            ("REQUEST_URI", text(uri)),
            ("SERVER_NAME", text(self.public.to_string())),
            ("SERVER_PORT", Php::Int(self.public.port().into())),
            ("HTTP_HOST", text(self.public.to_string())),
            ("REMOTE_PORT", Php::Int(port.into())),
        ] {
            *server.get_mut(name).unwrap() = ours;
        }
        value
    }

    /// The HTTP request of a recorded handshake, with the same headers in the same order.
    pub fn handshake(&self, recorded: &[u8]) -> String {
        let mut value = self.handshake_event(recorded, 0);
        let server = value.get_mut("server").unwrap();
        let request = format!("GET {} HTTP/1.1\r\n", server.get_mut("REQUEST_URI").unwrap().text());
        let headers = server.entries().iter().filter_map(|(name, value)| {
            let name = name.text().strip_prefix("HTTP_")?.replace('_', "-");
            Some(format!("{name}: {}\r\n", value.text()))
        });
        request + &headers.collect::<String>() + "\r\n"
    }
}
