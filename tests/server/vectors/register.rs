//! Replays at the other ports: Register, and the public port.

use super::packet::{replace, shown};
use super::peers::Wire;
use super::record::{Exchange, Vector};
use super::session::Session;
use serde_json::{Deserializer, Value};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The list while both gateways are registered.
const BOTH: &[u8] = b"{\"event\":\"broadcast_addresses\",\"addresses\":[\"127.0.0.1:22900\",\"127.0.0.1:22910\"]}\n";

pub fn worker_line(key: &str) -> Vec<u8> {
    format!("{{\"event\":\"worker_connect\",\"secret_key\":\"{key}\"}}\n").into_bytes()
}

pub fn gateway_line(address: &str, key: &str) -> Vec<u8> {
    format!("{{\"event\":\"gateway_connect\", \"address\":\"{address}\", \"secret_key\":\"{key}\"}}\n").into_bytes()
}

/// A silent connection is closed after ten seconds; one that sent `ping` stays open.
pub async fn take_ten_seconds(register: SocketAddr) {
    let (mut idle, mut pinging) = (Wire::to(register).await, Wire::to(register).await);
    let since = Instant::now();
    pinging.send(b"{\"event\":\"ping\"}\n").await;
    let longer = timeout(Duration::from_millis(11_500), pinging.take(1));
    let idles = async { (idle.rest_of("probe_register_idle").await, since.elapsed()) };
    let ((received, after), stays) = tokio::join!(idles, longer);
    assert!(received.is_empty() && after >= Duration::from_secs(9), "probe_register_idle: {received:?} after {after:?}");
    assert!(stays.is_err(), "probe_register_ping_no_auth_stays: {stays:?}");
}

impl Wire {
    /// Closes, and checks that there is no reply: a PHP gateway dies of one.
    pub async fn leave_register(mut self) {
        self.half_close().await;
        assert_eq!(shown(&self.rest_of("a gateway at Register").await), "");
    }
}

impl Session {
    fn renamed(&self, recorded: &[u8]) -> Vec<u8> {
        self.nodes.iter().fold(recorded.to_vec(), |text, node| node.chosen.addresses(&text))
    }

    fn rename(&mut self, recorded: &[u8]) -> Vec<u8> {
        let ours = self.renamed(recorded);
        self.renamed |= ours != recorded;
        ours
    }

    /// Registers a gateway, and returns the list that workers receive, also for a known address.
    pub async fn register_gateway(&mut self, line: &[u8]) -> (Wire, Vec<u8>) {
        let mut gateway = Wire::to(self.nodes[0].register).await;
        gateway.send(line).await;
        (gateway, self.watcher.until(b"\n").await)
    }

    pub async fn gateway_registers(&mut self, vector: &Vector) {
        let line = self.rename(&vector.request);
        let (gateway, list) = self.register_gateway(&line).await;
        assert!(list.ends_with(b"]}\n"), "{}: {}", vector.name, shown(&list));
        self.gateways.push(gateway);
    }

    pub async fn worker_registers(&mut self, vector: &Vector) {
        // A worker that registered between the gateways received two lists.
        let last = vector.response.split_inclusive(|byte| *byte == b'\n').next_back().unwrap();
        let expected = self.rename(last);
        let mut worker = Wire::to(self.nodes[0].register).await;
        worker.send(&vector.request).await;
        check_lists(vector, &worker.take(expected.len()).await, &expected);
    }

    pub async fn meanwhile_at_register(&mut self, vector: &Vector, exchange: &Exchange) {
        if vector.name.starts_with("keepalive_") {
            // `leave_register` checks that there is no reply.
            return self.gateways.last_mut().unwrap().send(&exchange.request).await;
        }
        let (request, expected) = (self.rename(&exchange.request), self.rename(&exchange.response));
        let mut wire = Wire::to(self.nodes[0].register).await;
        wire.send(&request).await;
        let got = match exchange.closed_by.as_deref() {
            Some("server") => wire.rest_of(&vector.name).await,
            _ => wire.take(expected.len()).await,
        };
        check_lists(vector, &got, &expected);
    }

    pub async fn ask_register(&mut self, vector: &Vector) {
        let (name, again, both) = (&vector.name, worker_line(self.key), self.renamed(BOTH));
        let (request, expected) = (self.rename(&vector.request), self.rename(&vector.response));
        let mut wire = Wire::to(self.nodes[0].register).await;
        match name.contains("split") {
            true => wire.send_in_single_bytes(&request).await,
            false => wire.send(&request).await,
        }
        if name.contains("half_close") {
            wire.half_close().await;
        }
        if vector.server_closed_connection {
            return assert_eq!(shown(&wire.rest_of(name).await), shown(&expected), "{name}");
        }
        if name.contains("no_newline") {
            self.watcher.send(&again).await;
            assert_eq!(shown(&self.watcher.until(b"\n").await), shown(&both), "{name}");
            assert!(wire.is_quiet(), "{name}");
            wire.send(b"\n").await;
        } else {
            wire.send(&again).await;
        }
        let expected = [expected, both].concat();
        assert_eq!(shown(&wire.take(expected.len()).await), shown(&expected), "{name}");
    }

    pub async fn gateway_comes_and_goes(&mut self, vector: &Vector) {
        let (gateway, list) = self.register_gateway(&vector.request).await;
        assert!(shown(&list).contains("10.0.0.1:1"), "{}: {}", vector.name, shown(&list));
        gateway.leave_register().await;
        assert_eq!(shown(&self.watcher.until(b"\n").await), shown(&self.renamed(BOTH)), "{}", vector.name);
    }

    pub async fn gateways_come_and_go(&mut self, vector: &Vector) {
        self.watcher.send(&worker_line(self.key)).await;
        let mut got = self.watcher.until(b"\n").await;
        let mut gateways = Vec::new();
        for address in ["10.0.0.1:1", "10.0.0.1:1", "10.0.0.2:1"] {
            let (gateway, list) = self.register_gateway(&gateway_line(address, self.key)).await;
            got.extend(list);
            gateways.push(gateway);
        }
        for gateway in gateways {
            gateway.leave_register().await;
            got.extend(self.watcher.until(b"\n").await);
        }
        assert!(!shown(&got).contains(":{"), "{}: {}", vector.name, shown(&got));
        let expected = self.rename(&vector.response);
        assert_eq!(lists(&got), lists(&expected), "{}", vector.name);
    }

    pub async fn open_public_port(&mut self, vector: &Vector) {
        let (name, recorded) = (&vector.name, shown(&vector.response));
        let mut wire = Wire::to(self.nodes[0].chosen.public).await;
        // Roomcast's socket has a path of its own.
        wire.send(&replace(&vector.request, " /", " /ws")).await;
        let head = shown(&wire.until(b"\r\n\r\n").await).to_lowercase();
        if recorded.starts_with("HTTP/1.1 4") {
            let version = "sec-websocket-version: 13";
            assert!(head.starts_with("http/1.1 4"), "{name}: {head}");
            return assert!(head.contains(version) || !recorded.to_lowercase().contains(version), "{name}: {head}");
        }
        assert!(head.starts_with("http/1.1 101 ") && head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{name}: {head}");
        assert!(!head.contains("sec-websocket-protocol") && !head.contains("sec-websocket-extensions"), "{name}: {head}");
        let init = shown(&wire.take(52).await);
        assert!(init.contains("init"), "{name}: {init}");
        if !vector.server_closed_connection {
            wire.send(b"\x89\x80\0\0\0\0").await;
            return assert_eq!(shown(&wire.take(2).await), shown(b"\x8a\0"), "{name}");
        }
        let rest = wire.rest_of(name).await;
        match vector.response.strip_suffix(b"\x88\x02\x03\xe8") {
            Some(_) => assert_eq!(shown(&rest), shown(b"\x88\x02\x03\xe8"), "{name}"),
            // Roomcast may send a close frame.
            None => assert!(rest.first().is_none_or(|first| *first == 0x88), "{name}: {}", shown(&rest)),
        }
    }
}

fn check_lists(vector: &Vector, got: &[u8], expected: &[u8]) {
    if !vector.is_reordered() {
        return assert_eq!(shown(got), shown(expected), "{}", vector.name);
    }
    let sorted = |lines: &[u8]| {
        let mut lists = lists(lines);
        lists.iter_mut().for_each(|list| list.sort());
        lists
    };
    assert_eq!(sorted(got), sorted(expected), "{}", vector.name);
}

/// The addresses of each line.
fn lists(lines: &[u8]) -> Vec<Vec<String>> {
    let text = |address: &Value| address.as_str().unwrap().to_owned();
    let addresses = |line: Value| -> Vec<String> {
        match &line["addresses"] {
            Value::Object(addresses) => addresses.values().map(text).collect(),
            addresses => addresses.as_array().unwrap().iter().map(text).collect(),
        }
    };
    Deserializer::from_slice(lines).into_iter::<Value>().map(|line| addresses(line.unwrap())).collect()
}
