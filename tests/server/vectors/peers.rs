//! A node of ours and its peers: WebSocket clients that reply nothing by themselves, workers, and plain connections.

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

/// The settings of every node. The clients answer no pings, so none are sent.
const SETTINGS: [&str; 3] = ["gateway.workers=on", "gateway.ping_every_ms=3600000", "web.allowed_origins=http://example.test"];

/// The reply to [`is_anyone_online`]. Behind a command it shows that the command is carried out and has no reply of its own.
pub const OFFLINE: &[u8] = b"\0\0\0\x04i:0;";

/// A query about a client that never existed.
pub fn is_anyone_online() -> Vec<u8> {
    Packet::new(command::IS_ONLINE, 0xff_ffff, b"").into_bytes()
}

/// A TCP connection to one of the ports.
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    pub async fn to(address: SocketAddr) -> Self {
        Self::try_to(address).await.unwrap()
    }

    pub async fn try_to(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn port(&self) -> u16 {
        self.0.get_ref().local_addr().unwrap().port()
    }

    /// Sends bytes. A closed connection shows at the next read.
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

    /// Reads `count` bytes; fewer at the end of the stream or the timeout.
    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.0).take(count as u64);
        let _ = timeout(PATIENCE, limited.read_to_end(&mut bytes)).await;
        bytes
    }

    /// Reads up to `count` bytes, without a timeout. `None` at the end of the stream.
    pub async fn take_patiently(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        let read = self.0.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
        bytes.truncate(read);
        Some(bytes)
    }

    /// Reads up to and including `end`; fewer bytes at the end of the stream or the timeout.
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

    /// Reads to the end of the stream, or to a reset. Fails at the timeout.
    pub async fn rest_of(&mut self, what: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ended = timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await;
        assert!(ended.is_ok(), "{what}: the connection does not close: {}", shown(&bytes));
        bytes
    }

    /// Returns true if the connection is open and nothing has arrived.
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
    /// `None` once the client has disconnected.
    wire: Option<Wire>,
}

pub struct Node {
    pub chosen: Chosen,
    pub register: SocketAddr,
    /// The BusinessWorker, once it has connected.
    pub worker: Option<Wire>,
    /// The last connection of PHP, which is used again if PHP keeps its connections.
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

    /// Connects the next client. Unlike the recorded node ours sends its client id first.
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

    /// Connects a client that no vector records, although the worker receives its events.
    pub async fn arrive(&mut self, label: &str) {
        let handshake = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.chosen.public
        );
        self.connect(label, &handshake).await;
        let (id, _) = *self.chosen.clients.last().unwrap();
        if let Some(worker) = &mut self.worker {
            for expected in [command::ON_CONNECT, command::ON_WEBSOCKET_CONNECT] {
                let event = worker.packet().await;
                assert_eq!((event.command(), event.connection()), (expected, id), "{label}");
            }
        }
    }

    /// The connection of the client with this recorded id.
    pub fn wire(&mut self, recorded: u32) -> &mut Option<Wire> {
        &mut self.clients[recorded as usize - 1].wire
    }

    /// Sends a frame of a client. The mask is zero, so the payload is unchanged.
    pub async fn send_frame(&mut self, recorded: u32, first: u8, payload: &[u8]) {
        let frame = [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat();
        self.wire(recorded).as_mut().unwrap().send(&frame).await;
    }

    /// Disconnects and forgets all clients.
    pub fn forget_clients(&mut self) {
        self.clients.clear();
        self.chosen.clients.clear();
    }

    /// A message to each client that stays connected. It arrives after everything that the vector causes.
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

    /// Checks that every client receives the recorded frames, and nothing else before its marker.
    pub async fn expect_frames(&mut self, vector: &Vector) {
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
            let received = got.strip_suffix(&frame[..]).unwrap_or_else(|| panic!("{what}: no marker, got {}", shown(&got)));
            if vector.gateway_process_died {
                // Nothing was recorded: the client receives nothing, or the number that it was sent.
                assert!([&b""[..], b"\x81\x015"].contains(&received), "{what}: {}", shown(received));
            } else {
                assert!(
                    received.len() == count && received.starts_with(&start),
                    "{what}: {}, not {}",
                    shown(received),
                    shown(&start)
                );
            }
        }
    }

    /// Checks that the worker receives these events next.
    pub async fn expect_events(&mut self, vector: &Vector, recorded: &[Packet]) {
        let expected = self.chosen.events(recorded);
        let got = self.worker.as_mut().unwrap().take(expected.len()).await;
        assert_eq!(shown(&got), shown(&expected), "{}", vector.name);
    }

    /// Checks that the worker received only expected events, and at last the disconnects of the remaining clients.
    pub async fn end(mut self) {
        let Some(mut worker) = self.worker else { return };
        for (client, (id, _)) in self.clients.iter_mut().zip(&self.chosen.clients) {
            if client.wire.take().is_some() {
                let event = worker.packet().await;
                assert_eq!((event.command(), event.connection()), (command::ON_CLOSE, *id), "{} disconnects", client.label);
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
