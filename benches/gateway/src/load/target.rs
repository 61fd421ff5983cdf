//! The protocol of each server: a viewer's handshake and a publish.

use crate::arguments::Arguments;
use gateway_bench::http;
use std::net::SocketAddr;
use std::str::FromStr;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The peers of this repository: the handshake joins the room.
    Plain,
    /// Roomcast; the back end joins viewers and publishes through the API.
    Roomcast,
    /// Roomcast's chat: viewers bind to room 1, guests send.
    Chat,
    /// Roomcast without a back end: a viewer is joined once it has its client id. Commands use the inner protocol.
    Php,
    SocketIo,
    Nchan,
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "plain" => Self::Plain,
            "roomcast" => Self::Roomcast,
            "chat" => Self::Chat,
            "php" => Self::Php,
            "socketio" => Self::SocketIo,
            "nchan" => Self::Nchan,
            _ => return Err(()),
        })
    }
}

pub struct Target {
    pub kind: Kind,
    pub addr: SocketAddr,
    /// Header lines of an API request, with the key.
    authorized: String,
    /// Cookie header line of each guest of the chat.
    guests: Vec<String>,
}

impl Target {
    pub fn new(arguments: &Arguments) -> Result<Self, String> {
        let authorized = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", arguments.key);
        let mut target = Self { kind: arguments.server, addr: arguments.addr, authorized, guests: vec![] };
        if target.kind == Kind::Chat {
            let mut client = http::Client::new(target.addr);
            for n in 0..arguments.publishers {
                let answer = client
                    .request(&http::post("/session/guest", FORM, &format!("nickname=p{n}")))
                    .map_err(|error| error.to_string())?;
                let cookie = http::field(&answer.head, "set-cookie").and_then(|cookie| cookie.split(';').next());
                target.guests.push(format!("Cookie: {}\r\n", cookie.ok_or("a guest got no cookie")?));
            }
        }
        Ok(target)
    }

    pub fn handshake(&self, viewer: usize, room: usize) -> Vec<u8> {
        let path = match self.kind {
            Kind::Plain => format!("/ws?room={room}"),
            Kind::Roomcast | Kind::Chat | Kind::Php => "/ws".into(),
            Kind::SocketIo => format!("/socket.io/?EIO=4&transport=websocket&room={room}"),
            Kind::Nchan => format!("/sub/{room}"),
        };
        let cookie = self.guest(viewer);
        let key = gateway_bench::frame::KEY;
        format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{cookie}\r\n"
        )
        .into_bytes()
    }

    /// Returns a publish request. `publisher`: number of the connection, and in the chat of the sending guest.
    pub fn publish(&self, publisher: usize, room: usize, message: &str) -> Vec<u8> {
        match self.kind {
            Kind::Plain | Kind::SocketIo => http::post(&format!("/publish?room={room}"), "Content-Type: text/plain\r\n", message),
            Kind::Nchan => http::post(&format!("/pub/{room}"), "Content-Type: text/plain\r\n", message),
            Kind::Roomcast | Kind::Php => {
                let body = format!(r#"{{"group":"{}","message":"{message}"}}"#, group(room));
                http::post("/gateway/api/sendToGroup", &self.authorized, &body)
            }
            Kind::Chat => {
                let fields = format!("{}{FORM}", self.guest(publisher));
                http::post("/gateway/send", &fields, &format!("room=1&message={message}"))
            }
        }
    }

    /// Returns whether a publish was accepted.
    pub fn accepted(&self, answer: &http::Message<'_>) -> bool {
        (200..300).contains(&answer.status())
            && (!matches!(self.kind, Kind::Roomcast | Kind::Php)
                || answer.body.windows(13).any(|part| part == br#""status":true"#))
    }

    /// Returns a request with many API calls.
    pub fn batch(&self, calls: &[String]) -> Vec<u8> {
        http::post("/gateway/api/batch", &self.authorized, &format!(r#"{{"calls":[{}]}}"#, calls.join(",")))
    }

    /// Returns a page's bind request for room 1.
    pub fn bind(&self, viewer: usize, client_id: &str) -> Vec<u8> {
        http::post("/gateway/bind", &format!("{}{FORM}", self.guest(viewer)), &format!("client_id={client_id}&room=1"))
    }

    fn guest(&self, n: usize) -> &str {
        if self.guests.is_empty() { "" } else { &self.guests[n % self.guests.len()] }
    }
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Returns the group name of a room.
pub fn group(room: usize) -> String {
    format!("room-{room}")
}

/// Returns one call of a batch.
pub fn call(method: &str, params: &str) -> String {
    format!(r#"{{"method":"{method}","params":{{{params}}}}}"#)
}
