//! The protocol of each server: a viewer's handshake and a publish.

use crate::arguments::Arguments;
use crate::joiner::Arrival;
use gateway_bench::http;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The peers of this repository: the handshake joins the room.
    Plain,
    /// Roomcast; the back end joins viewers and publishes through the API.
    Roomcast,
    /// Roomcast's chat: viewers bind to the rooms from 1 on, guests send.
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
    nodes: Vec<SocketAddr>,
    sender_nodes: usize,
    rooms: usize,
    /// Header lines of an API request, with the key.
    authorized: String,
    /// Cookie header line of each guest of the chat.
    guests: Vec<String>,
    /// Cookie header line of the owner, in the scenario that removes messages.
    owner: String,
    /// Header line of the subprotocol; empty without one.
    protocol: &'static str,
    /// Each viewer of the chat is a visitor without a session. Else all share the sessions of the guests.
    has_visitors: bool,
    /// The node that was killed; `usize::MAX`: none.
    gone: AtomicUsize,
}

impl Target {
    pub fn new(arguments: &Arguments) -> Result<Self, String> {
        let authorized = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", arguments.key);
        let Arguments { server: kind, addr, ref nodes, sender_nodes, rooms, .. } = *arguments;
        let mut target = Self {
            kind,
            addr,
            nodes: nodes.clone(),
            sender_nodes,
            rooms,
            authorized,
            guests: vec![],
            owner: String::new(),
            protocol: "",
            has_visitors: matches!(arguments.scenario.as_str(), "kill" | "cluster-idle"),
            gone: AtomicUsize::new(usize::MAX),
        };
        if target.kind == Kind::Chat {
            let mut client = http::Client::new(target.addr);
            for n in 0..arguments.publishers {
                target.guests.push(session(&mut client, "/session/guest", &format!("nickname=p{n}"))?);
            }
            if arguments.scenario == "removals" {
                let form = format!("name=owner&password=a-password-for-benches&nickname=owner&owner={}", arguments.owner);
                target.owner = session(&mut client, "/session/register", &form)?;
            }
            if matches!(arguments.scenario.as_str(), "removals" | "kill") {
                target.protocol = "Sec-WebSocket-Protocol: roomcast.v1\r\n";
            }
        }
        Ok(target)
    }

    /// Returns the number of a viewer's node. Each room has viewers on all nodes; those of a node that is gone are spread over
    /// the others, as a balancer does it.
    pub fn node(&self, viewer: usize) -> usize {
        node(viewer / self.rooms, self.nodes.len(), self.gone.load(Ordering::Relaxed))
    }

    /// Notes that a node is killed.
    pub fn lose(&self, node: usize) {
        self.gone.store(node, Ordering::Relaxed);
    }

    /// Returns the address of a viewer's node.
    pub fn viewer_addr(&self, viewer: usize) -> SocketAddr {
        self.nodes[self.node(viewer)]
    }

    /// Returns the address to which a publisher sends.
    pub fn publisher_addr(&self, publisher: usize) -> SocketAddr {
        self.nodes[publisher % self.sender_nodes]
    }

    /// Whether nobody publishes at a viewer's node; of one that is gone, at that.
    pub fn is_remote(&self, viewer: usize) -> bool {
        node(viewer / self.rooms, self.nodes.len(), usize::MAX) >= self.sender_nodes
    }

    pub fn handshake(&self, viewer: usize, room: usize) -> Vec<u8> {
        let path = match self.kind {
            Kind::Plain => format!("/ws?room={room}"),
            Kind::Roomcast | Kind::Chat | Kind::Php => "/ws".into(),
            Kind::SocketIo => format!("/socket.io/?EIO=4&transport=websocket&room={room}"),
            Kind::Nchan => format!("/sub/{room}"),
        };
        let (cookie, protocol) = (self.viewer_cookie(viewer), self.protocol);
        let key = gateway_bench::frame::KEY;
        format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{protocol}{cookie}\r\n"
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
                http::post("/gateway/send", &fields, &format!("room={}&message={message}", room + 1))
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

    /// Returns a page's bind request.
    pub fn bind(&self, arrival: &Arrival) -> Vec<u8> {
        let Arrival { viewer, room, client_id, since, .. } = arrival;
        let form = format!("client_id={client_id}&room={}{}", room + 1, since.fields());
        http::post("/gateway/bind", &format!("{}{FORM}", self.viewer_cookie(*viewer)), &form)
    }

    /// Returns the owner's request that removes a message of room 1.
    pub fn remove(&self, seq: u64) -> Vec<u8> {
        http::post("/gateway/mod/remove", &format!("{}{FORM}", self.owner), &format!("room=1&seq={seq}"))
    }

    /// Returns the Cookie header line of a viewer, empty outside of the chat.
    fn viewer_cookie(&self, n: usize) -> String {
        if self.has_visitors { format!("Cookie: roomcast_visitor={n:064x}\r\n") } else { self.guest(n).into() }
    }

    fn guest(&self, n: usize) -> &str {
        if self.guests.is_empty() { "" } else { &self.guests[n % self.guests.len()] }
    }
}

/// Returns the node of the viewer whose turn it is in its room.
fn node(turn: usize, nodes: usize, gone: usize) -> usize {
    let node = turn % nodes;
    if node == gone { (gone + 1 + turn / nodes % (nodes - 1)) % nodes } else { node }
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Signs a person in and returns its Cookie header line.
fn session(client: &mut http::Client, path: &str, form: &str) -> Result<String, String> {
    let answer = client.request(&http::post(path, FORM, form)).map_err(|error| error.to_string())?;
    let cookie = http::field(&answer.head, "set-cookie").and_then(|cookie| cookie.split(';').next());
    Ok(format!("Cookie: {}\r\n", cookie.ok_or_else(|| format!("{path} gave no cookie: {}", answer.status))?))
}

/// Returns the group name of a room.
pub fn group(room: usize) -> String {
    format!("room-{room}")
}

/// Returns one call of a batch.
pub fn call(method: &str, params: &str) -> String {
    format!(r#"{{"method":"{method}","params":{{{params}}}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_of_a_node_that_is_gone_are_spread_over_the_others() {
        let nodes = |gone| (0..9).map(|turn| node(turn, 3, gone)).collect::<Vec<_>>();
        assert_eq!(nodes(usize::MAX), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
        assert_eq!(nodes(2), [0, 1, 0, 0, 1, 1, 0, 1, 0]);
        assert_eq!(nodes(0), [1, 1, 2, 2, 1, 2, 1, 1, 2]);
    }
}
