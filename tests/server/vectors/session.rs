//! Replays one recorded session against two nodes: the requests to their inner ports, of GatewayClient and of workers.

use super::packet::{Packet, Php, command, shown};
use super::peers::{Node, OFFLINE, Wire, is_anyone_online};
use super::record::Vector;
use super::register::{gateway_line, take_ten_seconds, worker_line};
use tokio::task::JoinHandle;

/// The clients that connect before a vector: to the first node, and to the second.
const ARRIVALS: [(&str, &[&str], &[&str]); 6] = [
    ("set_session_reset_A1", &["A2", "A3", "A4", "A5", "A6"], &["B1", "B2", "B3"]),
    ("lib_send_to_all@gwA", &["L1", "L2", "L3"], &["M1", "M2"]),
    ("secret_send_to_client", &["A1", "A2"], &["B1"]),
    ("probe_register_worker_ok", &["A1"], &[]),
    ("probe_gw_two_queries_pipelined_withkey", &["A1"], &[]),
    ("probe_gw_update_session_garbage", &["A1"], &[]),
];

/// The nodes and the connections of one session.
pub struct Session {
    pub key: &'static str,
    /// Both use the Register of the first.
    pub nodes: [Node; 2],
    /// A worker at Register, which receives every change.
    pub watcher: Wire,
    /// The registered gateways.
    pub gateways: Vec<Wire>,
    /// Vectors that take longer than all others together.
    slow: Option<JoinHandle<()>>,
    /// Whether ids, addresses or ports of the current vector were replaced.
    pub renamed: bool,
}

/// The expected end of a connection to the inner port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    StaysOpen,
    /// The test half-closes it, and reads to its end.
    HalfClosed,
    Rejected,
    /// The bytes are an incomplete packet forever.
    Incomplete,
    /// The GatewayWorker process died. Roomcast may close, ignore it or reply; but it continues.
    Survived,
}

impl Fate {
    fn of(vector: &Vector) -> Self {
        let by_server = vector.server_closed_connection || vector.closed_by.as_deref() == Some("server");
        match vector.name.as_str() {
            _ if vector.gateway_process_died => Self::Survived,
            name if name.contains("half_close") => Self::HalfClosed,
            // PHP closed before the server's close could be recorded.
            "secret_wrong_key_send_to_client" => Self::Rejected,
            _ if by_server => Self::Rejected,
            name if name.contains("pack_len") => Self::Incomplete,
            _ => Self::StaysOpen,
        }
    }
}

impl Session {
    pub async fn start(name: &str, vectors: &[Vector]) -> Self {
        let (key, settings): (_, &[&str]) = match name {
            "secret" | "probe_key" => ("s3cret-key", &["gateway.secret_key=s3cret-key"]),
            "ping" => ("", &["gateway.lan_addr=127.0.0.3:0", "gateway.ping_every_ms=200"]),
            _ => ("", &[]),
        };
        let nodes = [22900, 22910].map(|port| Node::start(port, settings));
        let register = nodes[0].register;
        let slow = (name == "probe_nokey").then(|| tokio::spawn(take_ten_seconds(register)));
        let mut watcher = Wire::to(register).await;
        watcher.send(&worker_line(key)).await;
        watcher.until(b"\n").await;
        let mut session = Self { key, nodes, watcher, gateways: vec![], slow, renamed: false };
        // The session does not record the registration of the second gateway.
        if vectors.iter().all(|vector| vector.role() != "gateway-register") {
            let second = gateway_line(&session.nodes[1].chosen.inner.to_string(), key);
            let (gateway, _) = session.register_gateway(&second).await;
            session.gateways.push(gateway);
        }
        session
    }

    /// Replays a vector. Returns true if ids, addresses or ports were replaced.
    pub async fn replay(&mut self, vector: &Vector) -> bool {
        self.renamed = false;
        for (_, first, second) in ARRIVALS.iter().filter(|(name, ..)| *name == vector.name) {
            for (node, labels) in self.nodes.iter_mut().zip([first, second]) {
                for label in *labels {
                    node.arrive(label).await;
                }
            }
        }
        match (vector.name.as_str(), vector.role()) {
            (_, "gateway-register") => self.gateway_registers(vector).await,
            (_, "worker-register") => self.worker_registers(vector).await,
            (name, "worker") if name.starts_with("startup_") => self.worker_connects(vector).await,
            (_, "worker") => self.worker_replies(vector).await,
            ("event_ws_ping", _) => self.client_pings(vector).await,
            // Started with the session.
            ("probe_register_idle" | "probe_register_ping_no_auth_stays", _) => {}
            ("probe_register_broadcast_sequence", _) => self.gateways_come_and_go(vector).await,
            ("probe_register_gateway_ok", _) => self.gateway_comes_and_goes(vector).await,
            (name, _) if name.starts_with("probe_register_") => self.ask_register(vector).await,
            (name, _) if name.starts_with("wsport_") => self.open_public_port(vector).await,
            (name, _) if vector.request.is_empty() => {
                assert!(vector.response.is_empty() && vector.clients.is_empty(), "{name}: a reply without a request");
            }
            _ => self.ask_gateway(vector).await,
        }
        for exchange in &vector.register {
            self.meanwhile_at_register(vector, exchange).await;
        }
        for exchange in &vector.side_traffic {
            match exchange.peer.as_deref() {
                Some("register") => self.meanwhile_at_register(vector, exchange).await,
                _ => {
                    self.renamed = true;
                    self.nodes[vector.node()].expect_events(vector, &Packet::split(&exchange.response).0).await;
                }
            }
        }
        self.renamed
    }

    pub async fn end(self) {
        if let Some(slow) = self.slow {
            slow.await.unwrap();
        }
        for gateway in self.gateways {
            gateway.leave_register().await;
        }
        for node in self.nodes {
            node.end().await;
        }
    }

    async fn ask_gateway(&mut self, vector: &Vector) {
        let (name, fate) = (&vector.name, Fate::of(vector));
        let node = &mut self.nodes[vector.node()];
        let request = node.chosen.request(&vector.request);
        let expected = node.chosen.replies(&vector.request, &vector.response);
        self.renamed |= request != vector.request || expected != vector.response;
        let mut wire = match node.kept.take() {
            Some(kept) if vector.new_connection == Some(false) => kept,
            _ => Wire::to(node.chosen.inner).await,
        };
        // If the connection stays open, these follow on it; otherwise on another one.
        let behind = [node.markers(vector), is_anyone_online()].concat();
        match fate {
            Fate::StaysOpen if name.contains("split") || name.contains("then_later") => {
                wire.send_in_single_bytes(&[request, behind.clone()].concat()).await;
            }
            Fate::StaysOpen => wire.send(&[request, behind.clone()].concat()).await,
            Fate::Survived => wire.send(&[request, is_anyone_online()].concat()).await,
            Fate::HalfClosed | Fate::Rejected | Fate::Incomplete => wire.send(&request).await,
        }
        if matches!(fate, Fate::HalfClosed | Fate::Survived) {
            wire.half_close().await;
        }
        match fate {
            Fate::StaysOpen => {
                let got = wire.take(expected.len() + OFFLINE.len()).await;
                check_reply(vector, &got, &[&expected[..], OFFLINE].concat());
                node.kept = Some(wire);
                return node.expect_frames(vector).await;
            }
            Fate::HalfClosed | Fate::Rejected => check_reply(vector, &wire.rest_of(name).await, &expected),
            Fate::Survived => {
                let got = wire.rest_of(name).await;
                assert!(is_survival(&vector.request, &got), "{name}: {}", shown(&got));
            }
            Fate::Incomplete => {}
        }
        let mut other = Wire::to(node.chosen.inner).await;
        let key = format!("{{\"secret_key\":\"{}\"}}", self.key);
        let hello = Packet::new(command::GATEWAY_CLIENT_CONNECT, 0, key.as_bytes()).into_bytes();
        other.send(&[hello, behind].concat()).await;
        assert_eq!(shown(&other.take(OFFLINE.len()).await), shown(OFFLINE), "{name}");
        node.expect_frames(vector).await;
        if fate == Fate::Incomplete {
            assert!(wire.is_quiet(), "{name}");
            wire.half_close().await;
            assert_eq!(shown(&wire.rest_of(name).await), "", "{name}");
        }
    }

    async fn worker_connects(&mut self, vector: &Vector) {
        let node = &mut self.nodes[vector.node()];
        let mut worker = Wire::to(node.chosen.inner).await;
        worker.send(&vector.request).await;
        // Waits until the worker is connected, so that it receives the events of all later clients. In the `ping` session no
        // client connects, and a ping could arrive first.
        if vector.session != "ping" {
            worker.send(&is_anyone_online()).await;
            assert_eq!(shown(&worker.take(OFFLINE.len()).await), shown(OFFLINE), "{}", vector.name);
        }
        node.worker = Some(worker);
    }

    /// A client causes the first events; the worker replies, and may cause a disconnect event.
    async fn worker_replies(&mut self, vector: &Vector) {
        let node = &mut self.nodes[vector.node()];
        let (events, _) = Packet::split(&vector.response);
        let disconnect = events.iter().position(|event| event.command() == command::ON_CLOSE).unwrap_or(events.len());
        let (causes, effects) = events.split_at(disconnect);
        match events.first().map(|event| (event.command(), event.connection())) {
            Some((command::ON_CONNECT, _)) => {
                let handshake = node.chosen.handshake(&events[1].body);
                let (label, _) = vector.clients.first_key_value().unwrap();
                node.connect(label, &handshake).await;
            }
            Some((command::ON_MESSAGE, client)) => {
                let first = if vector.name.contains("binary") { 0x82 } else { 0x81 };
                node.send_frame(client, first, &events[0].body).await;
            }
            Some((command::ON_CLOSE, client)) if vector.name.contains("close_frame") => {
                node.send_frame(client, 0x88, b"\x03\xe8").await;
            }
            Some((command::ON_CLOSE, client)) if vector.request.is_empty() => *node.wire(client) = None,
            _ => {}
        }
        node.expect_events(vector, causes).await;
        let request = node.chosen.request(&vector.request);
        self.renamed |= request != vector.request || node.chosen.events(&events) != vector.response;
        let bytes = [request, node.markers(vector)].concat();
        node.worker.as_mut().unwrap().send(&bytes).await;
        node.expect_frames(vector).await;
        node.expect_events(vector, effects).await;
    }

    async fn client_pings(&mut self, vector: &Vector) {
        let node = &mut self.nodes[0];
        node.send_frame(1, 0x89, b"p1").await;
        let (pong, count) = vector.clients["A1"].bytes();
        let got = node.wire(1).as_mut().unwrap().take(count).await;
        assert_eq!(shown(&got), shown(&pong), "{}", vector.name);
    }
}

fn check_reply(vector: &Vector, got: &[u8], expected: &[u8]) {
    if !vector.is_reordered() || vector.response.is_empty() {
        return assert_eq!(shown(got), shown(expected), "{}", vector.name);
    }
    let ((mut ours, behind_ours), (mut theirs, behind_theirs)) = (rows(got), rows(expected));
    let lacks_a_field = |(_, row): &(Php, Php)| row.entries().iter().any(|(_, field)| *field == Php::Null);
    assert!(ours.is_sorted_by_key(lacks_a_field), "{}: {}", vector.name, shown(got));
    ours.sort();
    theirs.sort();
    assert_eq!((ours, behind_ours), (theirs, behind_theirs), "{}: {}", vector.name, shown(got));
}

/// The rows of the first reply, and the bytes behind it.
fn rows(replies: &[u8]) -> (Vec<(Php, Php)>, &[u8]) {
    let (length, rest) = replies.split_first_chunk::<4>().expect("a reply");
    let (value, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
    let Some(Php::Array(rows)) = Php::read(value) else { panic!("no rows: {}", shown(replies)) };
    (rows, rest)
}

/// Returns true if the connection closed, or continued with the reply of the query, and without another reply in its place.
fn is_survival(request: &[u8], got: &[u8]) -> bool {
    if got.is_empty() {
        return true;
    }
    let Some(reply) = got.strip_suffix(OFFLINE) else { return false };
    match reply.split_first_chunk::<4>() {
        Some((length, value)) => u32::from_be_bytes(*length) as usize == value.len() && Php::read(value).is_some(),
        None => reply.is_empty() && !Packet::split(request).0.iter().any(Packet::is_query),
    }
}
