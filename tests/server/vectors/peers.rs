//! A node of ours, and who speaks to it: WebSocket clients that answer nothing by themselves, PHP's workers, anybody.

use super::chosen::Chosen;
use super::packet::{Packet, command, shown};
use super::record::{Received, Vector};
use crate::support::Server;
use roomcast::domain::id::ClientId;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Every node's, beside those of its session. Nobody here answers a ping.
const SETTINGS: [&str; 3] = ["gateway.workers=on", "gateway.ping_every_ms=3600000", "web.allowed_origins=http://example.test"];

/// What is answered about a client that never was. Asked behind a command, it shows that the command is carried out and
/// has no answer of its own.
pub const OFFLINE: &[u8] = b"\0\0\0\x04i:0;";

pub fn is_anyone_online() -> Vec<u8> {
    Packet::new(command::IS_ONLINE, 0xff_ffff, b"").into_bytes()
}

pub struct Wire(BufReader<TcpStream>);

impl Wire {
    pub async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn port(&self) -> u16 {
        self.0.get_ref().local_addr().unwrap().port()
    }

    /// A peer that hung up is noticed by who reads.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    pub async fn send_in_single_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]).await;
            tokio::task::yield_now().await;
        }
    }

    pub async fn half_close(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// Less, if no more comes.
    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.0).take(count as u64);
        let _ = timeout(PATIENCE, limited.read_to_end(&mut bytes)).await;
        bytes
    }

    /// Up to these bytes and with them; less, if they do not come.
    pub async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let reading = async {
            while !bytes.ends_with(end) {
                let byte = self.0.read_u8().await?;
                bytes.push(byte);
            }
            io::Result::Ok(())
        };
        let _ = timeout(PATIENCE, reading).await;
        bytes
    }

    /// Up to its end, which must come; a peer that hangs up on what it has not read resets the connection.
    pub async fn rest_of(&mut self, what: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ended = timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await;
        assert!(ended.is_ok(), "{what}: the connection does not end: {}", shown(&bytes));
        bytes
    }

    /// It is open, and nothing has come.
    pub fn is_quiet(&self) -> bool {
        let read = self.0.get_ref().try_read(&mut [0]);
        self.0.buffer().is_empty() && read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    pub async fn packet(&mut self) -> Packet {
        let length = self.take(4).await;
        let rest = u32::from_be_bytes(length[..].try_into().unwrap()) as usize - 4;
        let bytes = [length, self.take(rest).await].concat();
        Packet::split(&bytes).0.pop().unwrap()
    }
}

struct Client {
    label: String,
    /// `None`: it is gone.
    wire: Option<Wire>,
}

pub struct Node {
    pub chosen: Chosen,
    pub register: SocketAddr,
    /// PHP's BusinessWorker, once it came.
    pub worker: Option<Wire>,
    /// The connection that PHP spoke on last; it speaks on when it keeps its connections.
    pub kept: Option<Wire>,
    clients: Vec<Client>,
    _server: Server,
}

impl Node {
    pub fn start(recorded_port: u16, settings: &[&str]) -> Self {
        let server = Server::with(&[&SETTINGS[..], settings].concat());
        let public = server.address().parse().unwrap();
        let chosen = Chosen { recorded_port, inner: server.inner.into(), public, clients: vec![] };
        Self { chosen, register: server.register, worker: None, kept: None, clients: vec![], _server: server }
    }

    /// The next client. Beside what was recorded it is told who it is: always first, and by the node itself.
    pub async fn connect(&mut self, label: &str, handshake: &str) {
        let mut wire = Wire::to(self.chosen.public).await;
        wire.send(handshake.as_bytes()).await;
        let head = wire.until(b"\r\n\r\n").await;
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", shown(&head));
        let [0x81, length] = wire.take(2).await[..] else { panic!("{label}: no text") };
        let init: serde_json::Value = serde_json::from_slice(&wire.take(length.into()).await).unwrap();
        assert_eq!(init["type"], "init");
        let id: ClientId = init["client_id"].as_str().unwrap().parse().unwrap();
        assert_eq!(SocketAddr::from((id.address, id.port)), self.chosen.inner, "{label}: {id}");
        self.chosen.clients.push((id.connection, wire.port()));
        self.clients.push(Client { label: label.to_owned(), wire: Some(wire) });
    }

    /// The same of a client whose coming no vector tells of, though the worker is told.
    pub async fn arrive(&mut self, label: &str) {
        let handshake = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.chosen.public
        );
        self.connect(label, &handshake).await;
        let (id, _) = *self.chosen.clients.last().unwrap();
        if let Some(worker) = &mut self.worker {
            for told in [command::ON_CONNECT, command::ON_WEBSOCKET_CONNECT] {
                let event = worker.packet().await;
                assert_eq!((event.command(), event.connection()), (told, id), "{label}");
            }
        }
    }

    /// What the client with this recorded id speaks over, unless it is gone.
    pub fn wire(&mut self, recorded: u32) -> &mut Option<Wire> {
        &mut self.clients[recorded as usize - 1].wire
    }

    /// It sends a frame, masked with zeros: the payload stands as it is.
    pub async fn say(&mut self, recorded: u32, first: u8, payload: &[u8]) {
        let frame = [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat();
        self.wire(recorded).as_mut().unwrap().send(&frame).await;
    }

    /// Everybody hangs up, and is forgotten.
    pub fn forget_clients(&mut self) {
        self.clients.clear();
        self.chosen.clients.clear();
    }

    /// A message to each client that stays: when it comes, everything came that was sent because of the vector.
    pub fn markers(&self, vector: &Vector) -> Vec<u8> {
        let clients = self.clients.iter().zip(&self.chosen.clients);
        let staying = clients.filter(|(client, _)| {
            client.wire.is_some() && vector.clients.get(&client.label).is_none_or(|received| !received.tcp_closed)
        });
        let to_one = |(client, (id, _)): (&Client, &(u32, u16))| {
            Packet::new(command::SEND_TO_ONE, *id, marker(vector, client).as_bytes()).into_bytes()
        };
        staying.flat_map(to_one).collect()
    }

    /// Every client received what the vector says, and nothing else before its marker.
    pub async fn hear(&mut self, vector: &Vector) {
        for client in &mut self.clients {
            let marker = marker(vector, client);
            let Some(wire) = &mut client.wire else { continue };
            let what = format!("{}: {}", vector.name, client.label);
            let recorded = vector.clients.get(&client.label);
            let (start, count) = recorded.map(Received::bytes).unwrap_or_default();
            let start = self.chosen.client_ids(&start);
            if recorded.is_some_and(|recorded| recorded.tcp_closed) {
                assert_eq!(shown(&wire.rest_of(&what).await), shown(&start), "{what}");
                client.wire = None;
                continue;
            }
            let frame = [&[0x81, marker.len() as u8][..], marker.as_bytes()].concat();
            let got = wire.until(&frame).await;
            let came = got.strip_suffix(&frame[..]).unwrap_or_else(|| panic!("{what}: no marker, but {}", shown(&got)));
            if vector.gateway_process_died {
                // Nobody knows what it was to receive: nothing, or the number that it was sent.
                assert!([&b""[..], b"\x81\x015"].contains(&came), "{what}: {}", shown(came));
            } else {
                assert!(came.len() == count && came.starts_with(&start), "{what}: {}, not {}", shown(came), shown(&start));
            }
        }
    }

    /// The worker is told of these events next.
    pub async fn expect_events(&mut self, vector: &Vector, recorded: &[Packet]) {
        let expected = self.chosen.events(recorded);
        let got = self.worker.as_mut().unwrap().take(expected.len()).await;
        assert_eq!(shown(&got), shown(&expected), "{}", vector.name);
    }

    /// The worker was told of nothing but what was expected, and is told last that those who are left leave.
    pub async fn end(mut self) {
        let Some(mut worker) = self.worker else { return };
        for (client, (id, _)) in self.clients.iter_mut().zip(&self.chosen.clients) {
            if client.wire.take().is_some() {
                let event = worker.packet().await;
                assert_eq!((event.command(), event.connection()), (command::ON_CLOSE, *id), "{} leaves", client.label);
            }
        }
        worker.half_close().await;
        let rest = worker.rest_of("the worker").await;
        let (events, garbage) = Packet::split(&rest);
        assert!(garbage.is_empty() && events.iter().all(|event| event.command() == command::PING), "{}", shown(&rest));
    }
}

fn marker(vector: &Vector, client: &Client) -> String {
    format!("<{} {}>", vector.name, client.label)
}
