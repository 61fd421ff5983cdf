//! Our tables of Leptos.toml, one struct a room: every key with its default, its unit and its reason.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct WebSettings {
    /// What people type into the address bar, `https://chat.example.com`. Empty: whatever the Host header says.
    pub public_url: String,
    /// Origins beside our own whose pages may open sockets and post, `https://www.example.com`. Closed by default.
    pub allowed_origins: Vec<String>,
    /// Origins beside our own that may show a room in a frame.
    pub frame_ancestors: Vec<String>,
    /// Networks whose X-Forwarded-For and X-Forwarded-Proto are believed. None by default: anyone can write a header.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks that may read /metrics. This machine by default: figures are for operators.
    pub metrics_from: Vec<IpNet>,
    /// Largest request body in bytes. A form with a full message is under 13 KiB even when each byte is escaped.
    pub body_bytes: usize,
    /// A request's header, and then its body, must have arrived within this; so a kept-alive connection with nothing to
    /// say is closed after it, too.
    pub read_within_ms: u64,
    /// A certificate chain and its key, PEM: for a site without a proxy in front that does TLS. Read again when they change.
    pub tls_cert: PathBuf,
    pub tls_key: PathBuf,
    /// HTTP connections at once; one more is answered 503 and closed. Sockets do not count once they are open.
    pub max_http_connections: usize,
    /// Leaving politely takes no longer than this; `cargo leptos watch` waits 10 s before it kills.
    pub drain_within_ms: u64,
    /// The same for `roomcast stop -g` and after `roomcast reload`, when nobody waits for it.
    pub drain_slowly_ms: u64,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            public_url: String::new(),
            allowed_origins: vec![],
            frame_ancestors: vec![],
            trusted_proxies: vec![],
            metrics_from: vec![IpNet::from(loopback_v4()), IpNet::from(std::net::IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))],
            body_bytes: 16 * 1024,
            read_within_ms: 15_000,
            tls_cert: PathBuf::new(),
            tls_key: PathBuf::new(),
            max_http_connections: 15_000,
            drain_within_ms: 4_000,
            drain_slowly_ms: 60_000,
        }
    }
}

fn loopback_v4() -> ipnet::Ipv4Net {
    ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewaySettings {
    /// The inner address written into every client_id; PHP's GatewayClient calls it.
    pub lan_addr: SocketAddrV4,
    /// Where the inner port is opened, if the address that others call is not this machine's own (Docker, NAT).
    pub lan_listen: Option<SocketAddr>,
    /// GatewayWorker's Register: `Gateway::$registerAddress` in PHP.
    pub register_addr: SocketAddr,
    /// What Register and the inner port ask for. Empty: whoever reaches them may call everything, so only loopback is
    /// listened on.
    pub secret_key: String,
    /// Whether Register and the inner port are open.
    pub php: Switch,
    /// `on` passes what clients send on to PHP's BusinessWorkers. `off` keeps the socket one way.
    pub workers: Switch,
    /// Where workers are `on`, the largest message a client may send, and how many a second.
    pub worker_message_bytes: usize,
    pub worker_messages_a_second: usize,
    /// Connections at once to the inner port, and to Register.
    pub max_inner_connections: usize,
    /// A key that may call everything of the API for back ends. Empty: only keys of `roomcast key`; without any it is off.
    pub api_key: String,
    /// Unsent bytes a connection may hold. About 700 messages: a phone in a tunnel for ten seconds of a busy room.
    pub queue_bytes: usize,
    /// Threads that own connections. 0: one for each core.
    pub shards: usize,
    /// Connections this node takes; one more is refused with 503.
    pub max_connections: usize,
    /// Of them, how many may still be shaking hands. As many as a crowd that comes back at once: a handshake is short.
    pub max_handshakes: usize,
    /// Connections of one session: a person's tabs and devices. One more is refused with 429.
    pub max_per_session: usize,
    /// Connections of one address. Generous: thousands of phones may share one (carrier NAT).
    pub max_per_address: usize,
    /// Bytes of pushes that may wait for the shards; then whoever publishes waits.
    pub command_bytes: usize,
    /// A ping goes out this often: under the minute after which mobile networks forget a silent connection.
    pub ping_every_ms: u64,
    /// Without a sign of life within this after a ping, the connection is closed.
    pub pong_within_ms: u64,
    /// Without a byte taken within this, the connection is closed as slow.
    pub slow_after_ms: u64,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            lan_addr: SocketAddrV4::new([127, 0, 0, 1].into(), 2900),
            lan_listen: None,
            register_addr: SocketAddr::from(([127, 0, 0, 1], 1238)),
            secret_key: String::new(),
            php: Switch::On,
            workers: Switch::Off,
            worker_message_bytes: 64 * 1024,
            worker_messages_a_second: 100,
            max_inner_connections: 2_000,
            api_key: String::new(),
            queue_bytes: 256 * 1024,
            shards: 0,
            max_connections: 50_000,
            max_handshakes: 10_000,
            max_per_session: 50,
            max_per_address: 5_000,
            command_bytes: 32 * 1024 * 1024,
            ping_every_ms: 25_000,
            pong_within_ms: 10_000,
            slow_after_ms: 30_000,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatSettings {
    /// Between two accepted messages of one person in one room.
    pub cooldown_ms: u64,
    /// Longest message as a reader counts; its bytes are bounded by 4 KiB whatever this says.
    pub max_graphemes: u32,
    /// Rooms one account may open.
    pub rooms_per_account: u32,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self { cooldown_ms: 3000, max_graphemes: 140, rooms_per_account: 20 }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageSettings {
    pub data_dir: PathBuf,
    /// A locked database is waited for this long, then the request is refused as busy.
    pub busy_within_ms: u64,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self { data_dir: "./data".into(), busy_within_ms: 1_500 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    On,
    Off,
}

/// How often, each as a burst and what refills it a minute. Generous by address, since thousands of phones may share one
/// (carrier NAT); strict where a password is guessed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsSettings {
    /// `off` lifts the limits by address, and those by session with them, for load tests: one client plays thousands there.
    /// Refused unless the site listens on loopback. The chat's own cooldown stays.
    pub per_ip: Switch,
    pub sign_in_burst: u32,
    pub sign_in_a_minute: u32,
    pub guest_burst: u32,
    pub guest_a_minute: u32,
    pub socket_burst: u32,
    pub socket_a_minute: u32,
    /// Everything else a page asks for: sends, binds, history.
    pub request_burst: u32,
    pub request_a_minute: u32,
    /// Sockets and requests of one session; its sends, too, unless `chat.cooldown_ms` is 0.
    pub session_burst: u32,
    pub session_a_minute: u32,
}

impl Default for LimitsSettings {
    fn default() -> Self {
        Self {
            per_ip: Switch::On,
            sign_in_burst: 20,
            sign_in_a_minute: 20,
            guest_burst: 300,
            guest_a_minute: 300,
            socket_burst: 1_000,
            socket_a_minute: 3_000,
            request_burst: 1_000,
            request_a_minute: 6_000,
            session_burst: 120,
            session_a_minute: 600,
        }
    }
}
