//! Stand-ins: a BusinessWorker with the most usual `Events.php`, which binds a client by the token in its address and greets it, and
//! pages that come back by themselves.

use super::packet;
use crate::support::Server;
use crate::vectors::packet::{Packet, command as c};
use crate::vectors::peers::Wire;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Starts a server with fixed ports, since workers connect to them again after a restart.
pub fn server(settings: &[&str]) -> Server {
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [inner, register] = free.map(|listener| listener.local_addr().unwrap());
    let ports = [format!("gateway.lan_addr={inner}"), format!("gateway.register_addr={register}")];
    let more = ["limits.per_ip=off", "web.drain_within_ms=500", "web.drain_slowly_ms=2000"];
    Server::with(&[&[ports[0].as_str(), ports[1].as_str()], &more[..], settings].concat())
}

/// The events of all workers by client, as the first letters of their names.
pub type Events = Arc<Mutex<HashMap<u32, String>>>;

/// A BusinessWorker that connects again when its connection ends. Dropping it ends the process that it stands for.
pub struct Business(JoinHandle<()>);

impl Business {
    pub fn start(inner: SocketAddr, name: &str, events: &Events) -> Self {
        let (name, events) = (name.to_owned(), events.clone());
        Self(tokio::spawn(async move {
            loop {
                if let Ok(wire) = Wire::try_to(inner).await {
                    work(wire, &name, &events).await;
                }
                // As BusinessWorker does, but sooner.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }))
    }
}

impl Drop for Business {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Handles events until the connection ends.
async fn work(mut wire: Wire, name: &str, events: &Events) {
    let hello = format!(r#"{{"worker_key":"{name}","secret_key":""}}"#);
    wire.send(&Packet::new(c::WORKER_CONNECT, 0, hello.as_bytes()).into_bytes()).await;
    while let Some(event) = next(&mut wire).await {
        let id = event.connection();
        let Some(letter) = letter(&event) else { continue };
        events.lock().unwrap().entry(id).or_default().push(letter);
        let answer = match letter {
            'W' => {
                let token = token(&event.body);
                let session = who(&token);
                let hello = format!("hello {token}");
                [
                    packet(c::BIND_UID, id, token.as_bytes(), b""),
                    packet(c::JOIN_GROUP, id, b"greeted", b""),
                    packet(c::SEND_TO_ONE, id, b"", hello.as_bytes()),
                    packet(c::SET_SESSION, id, session.as_bytes(), b""),
                ]
                .concat()
            }
            // The session that came with the message.
            'M' => packet(c::SEND_TO_ONE, id, b"", &[b"session ", &event.ext[..]].concat()),
            _ => continue,
        };
        wire.send(&answer).await;
    }
}

/// The first letter of an event's name; `None` for a ping.
pub fn letter(event: &Packet) -> Option<char> {
    match event.command() {
        c::ON_CONNECT => Some('C'),
        c::ON_WEBSOCKET_CONNECT => Some('W'),
        c::ON_MESSAGE => Some('M'),
        c::ON_CLOSE => Some('D'),
        _ => None,
    }
}

/// The next packet; `None` at the end of the stream.
async fn next(wire: &mut Wire) -> Option<Packet> {
    let mut bytes = Vec::new();
    while bytes.len() < 4 || bytes.len() < u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize {
        let missing = if bytes.len() < 4 { 4 } else { u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize };
        let more = wire.take_patiently(missing - bytes.len()).await?;
        bytes.extend(more);
    }
    Packet::split(&bytes).0.pop()
}

/// The field `token` of the address, in the body of a handshake event.
fn token(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let rest = text.split("s:5:\"token\";s:").nth(1).expect("a token");
    rest.split('"').nth(1).unwrap().to_owned()
}

pub fn who(token: &str) -> String {
    format!("a:1:{{s:3:\"who\";s:{}:\"{token}\";}}", token.len())
}

/// The state of a page since its last connection began.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    pub client_id: String,
    pub texts: Vec<String>,
}

/// A page that comes back by itself.
pub struct Page {
    pub token: String,
    seen: watch::Receiver<Seen>,
    /// Incremented to send a message, or to reconnect.
    asks: watch::Sender<(usize, usize)>,
    task: JoinHandle<()>,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Page {
    pub fn open(server: &Server, number: usize) -> Self {
        let (base, token) = (server.base.replace("http", "ws"), format!("u{number}"));
        let address = format!("{base}/ws?token={token}");
        let (sender, seen) = watch::channel(Seen::default());
        let (asks, asked) = watch::channel((0, 0));
        let task = tokio::spawn(async move {
            loop {
                visit(&address, &sender, asked.clone()).await;
                sender.send_replace(Seen::default());
                let pause = 200 + number as u64 * 97 % 600;
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        });
        Self { token, seen, asks, task }
    }

    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    pub fn is_greeted(&self) -> bool {
        self.seen().texts.contains(&format!("hello {}", self.token))
    }

    pub fn connection(&self) -> u32 {
        u32::from_str_radix(self.seen().client_id.get(12..).unwrap_or("0"), 16).unwrap()
    }

    pub fn ask(&self) {
        self.asks.send_modify(|(asks, _)| *asks += 1);
    }

    pub fn reconnect(&self) {
        self.asks.send_modify(|(_, reconnects)| *reconnects += 1);
    }
}

/// One connection of a page, until it ends.
async fn visit(address: &str, seen: &watch::Sender<Seen>, mut asks: watch::Receiver<(usize, usize)>) {
    let Ok((mut socket, _)) = tokio_tungstenite::connect_async(address).await else { return };
    let (mut asked, reconnects) = *asks.borrow_and_update();
    loop {
        tokio::select! {
            frame = socket.next() => match frame {
                Some(Ok(Frame::Text(text))) => seen.send_modify(|seen| {
                    match serde_json::from_str::<Value>(&text) {
                        Ok(push) if push["type"] == "init" => seen.client_id = push["client_id"].as_str().unwrap().into(),
                        _ => seen.texts.push(text.to_string()),
                    }
                }),
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            Ok(()) = asks.changed() => {
                let (now, again) = *asks.borrow_and_update();
                if again > reconnects {
                    return;
                }
                for _ in asked..now {
                    let _ = socket.send(Frame::text("ask")).await;
                }
                asked = now;
            }
        }
    }
}
