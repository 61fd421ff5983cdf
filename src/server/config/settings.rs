//! The tables of Leptos.toml, one struct per table. Each field is a key: its meaning, its unit (in the name: `_ms`
//! milliseconds, `_bytes` bytes), its default. A new key also stands in `docs/configuration.md` and, if operators change it
//! often, in `Leptos.toml`; lists are named in `LISTS` of `environment.rs`.

mod cluster;
mod moderation;

pub use cluster::{ClusterError, ClusterSettings};
pub use moderation::ModerationSettings;

use super::DatabaseUrl;
use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

/// `[web]`: the HTTP listener and its requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct WebSettings {
    /// Address that people type, such as `https://chat.example.com`. It decides Secure cookies and the site's own origin.
    /// Default: empty, the Host header decides.
    pub public_url: String,
    /// Further origins whose pages may open sockets and post, such as `https://www.example.com`. Default: none.
    pub allowed_origins: Vec<String>,
    /// Further origins that may show a room in a frame. Default: none.
    pub frame_ancestors: Vec<String>,
    /// Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto headers are trusted. Default: none, since any client
    /// can send such a header. An address without a prefix length is a network of one.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Networks that may read `/metrics`, and for which HTTP connections are kept back. Default: loopback, since metrics are for
    /// operators.
    #[serde(deserialize_with = "networks")]
    pub metrics_from: Vec<IpNet>,
    /// Largest request body of a page, in bytes. Default: 65,536: a form with 5,000 Chinese characters, each byte escaped
    /// into three, comes back whole to a person without JavaScript.
    pub body_bytes: usize,
    /// Timeout of a request's header, and then of its body; also the idle timeout of a kept-alive connection. Default:
    /// 15,000 ms.
    pub read_within_ms: u64,
    /// Path of a certificate chain in PEM, for TLS without a proxy in front; read again when it changes. Default: empty, no
    /// TLS.
    pub tls_cert: PathBuf,
    /// Path of the private key of `tls_cert` in PEM. Default: empty.
    pub tls_key: PathBuf,
    /// HTTP connections at the same time; a further one takes the place of the one that is idle for longest, or gets 503 and is
    /// closed. An open WebSocket does not count. Default: 15,000.
    pub max_http_connections: usize,
    /// HTTP connections per address, or requests in progress behind a trusted proxy; a further one takes the place of the
    /// address's own idle one, or gets 503; a request behind a proxy gets 429. Default: 5,000, since carrier NAT puts thousands of phones behind one, and no more
    /// than a third of all.
    pub max_http_per_address: usize,
    /// Drain deadline of a shutdown. Default: 4,000 ms; `cargo leptos watch` kills the server after 10 s.
    pub drain_within_ms: u64,
    /// Drain deadline of `roomcast stop -g`, and of the old process after `roomcast reload`. Default: 60,000 ms.
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
            body_bytes: 64 * 1024,
            read_within_ms: 15_000,
            tls_cert: PathBuf::new(),
            tls_key: PathBuf::new(),
            max_http_connections: 15_000,
            max_http_per_address: 5_000,
            drain_within_ms: 4_000,
            drain_slowly_ms: 60_000,
        }
    }
}

/// Parses networks, or addresses, each of which is a network of one.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: &String| {
        let address = || text.trim().parse::<IpAddr>().map(IpNet::from);
        let error = || D::Error::custom(format!("`{text}` is neither an IP address nor a network such as 10.0.0.0/8"));
        text.trim().parse::<IpNet>().or_else(|_| address()).map_err(|_| error())
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(parse).collect()
}

fn loopback_v4() -> ipnet::Ipv4Net {
    ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8)
}

/// `[gateway]`: sockets, the API for back ends, PHP's ports.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewaySettings {
    /// Inner address, part of every `client_id`; PHP's GatewayClient connects to it. Default: 127.0.0.1:2900.
    pub lan_addr: SocketAddrV4,
    /// Listen address of the inner port, if it differs from `lan_addr` (Docker, NAT). Default: none, `lan_addr`.
    pub lan_listen: Option<SocketAddr>,
    /// Listen address of GatewayWorker's Register: `Gateway::$registerAddress` in PHP. Default: 127.0.0.1:1238.
    pub register_addr: SocketAddr,
    /// Key of Register and the inner port: `Gateway::$secretKey` in PHP. Default: empty; both must then listen on loopback,
    /// since an unauthenticated peer may call everything.
    pub secret_key: String,
    /// `off` opens neither Register nor the inner port. Default: `on`.
    pub php: Switch,
    /// `on` forwards the clients' messages to PHP's BusinessWorkers; `off` discards them. Default: `off`.
    pub workers: Switch,
    /// `worker` leaves `init` on the plain dialect to PHP's `Events`; pages on `roomcast.v1` get it in any case. Default: `roomcast`.
    pub init: InitFrom,
    /// With `workers` on: largest message of a client, and size of its reassembly buffer, in bytes. Default: 65,536.
    pub worker_message_bytes: usize,
    /// With `workers` on: frames per second and client, pings and fragments included. Default: 100.
    pub worker_messages_a_second: usize,
    /// Connections to the inner port at the same time; Register has a limit of the same size. Default: 2,000.
    pub max_inner_connections: usize,
    /// API key with every scope. Default: empty; only keys of `roomcast key` are valid then, and without any the API is off.
    pub api_key: String,
    /// Send queue of a connection, in bytes. Default: 262,144, about 700 messages: ten seconds of a busy room for a phone in
    /// a tunnel.
    pub queue_bytes: usize,
    /// Threads that own connections. Default: 0, one per core.
    pub shards: usize,
    /// Sockets of this node; a further one gets 503. Default: 50,000.
    pub max_connections: usize,
    /// Sockets in handshake; a further one gets 503. Default: 10,000, for a crowd that reconnects at once.
    pub max_handshakes: usize,
    /// Sockets per session, which are a person's tabs and devices; a further one gets 429. Default: 50.
    pub max_per_session: usize,
    /// Sockets per address, and 8 times as many per /48 of IPv6; a further one gets 429. Default: 5,000, since carrier NAT
    /// puts thousands of phones behind one.
    pub max_per_address: usize,
    /// Commands (mostly publishes) that wait for the shards, in bytes; at the limit, publishers wait. Default: 33,554,432.
    pub command_bytes: usize,
    /// Interval of pings. Default: 25,000 ms: mobile networks forget a silent connection after a minute.
    pub ping_every_ms: u64,
    /// A connection without input for this long after a ping is closed with 4410. Default: 10,000 ms.
    pub pong_within_ms: u64,
    /// A connection with a backlog and without write progress for this long is closed with 4409. Default: 30,000 ms.
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
            init: InitFrom::Roomcast,
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

/// `[chat]`: the rules of a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatSettings {
    /// Time between two accepted messages of one person in one room. Default: 3,000 ms; 0 is off.
    pub cooldown_ms: u64,
    /// Longest message, in graphemes (characters as a reader counts them). Default: 140. Independently, a message has at most
    /// 4 KiB.
    pub max_graphemes: u32,
    /// Rooms that one account may open. Default: 20.
    pub rooms_per_account: u32,
    /// Accounts that may open rooms: the owner's only, or all. Default: `owner`, so that no stranger fills the lobby.
    pub open_rooms: OpenRooms,
    /// A guest that is younger cannot send where the room's limit is more than half used. Default: 3,000 ms; 0 is off.
    pub first_message_ms: u64,
    /// Age at which messages are removed, in days. Default: 0, never.
    pub keep_days: u32,
    /// Whether connections without a subprotocol get the push `changed`, too. Default: false, since old pages would show it as a
    /// message.
    pub plain_changes: bool,
}

/// `chat.open_rooms`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenRooms {
    /// The owner, and the command line.
    Owner,
    /// Every account.
    Accounts,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self {
            cooldown_ms: 3000,
            max_graphemes: 140,
            rooms_per_account: 20,
            open_rooms: OpenRooms::Owner,
            first_message_ms: 3000,
            keep_days: 0,
            plain_changes: false,
        }
    }
}

/// `[storage]`: the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageSettings {
    /// Address of a PostgreSQL database, `postgres://ROLE:PASSWORD@HOST/DATABASE`. Default: empty, SQLite in `data_dir`.
    pub url: DatabaseUrl,
    /// Folder of the database, its lock and the control socket. Default: `./data`.
    pub data_dir: PathBuf,
    /// A request waits this long for a locked database and is then refused as busy. Default: 1,500 ms.
    pub busy_within_ms: u64,
    /// Size of `security.log` at which it is renamed to `security.log.1`, in bytes. Default: 8,388,608.
    pub security_log_bytes: u64,
    /// Files of the security log, the current one included; the oldest is removed. Default: 5.
    pub security_log_files: usize,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            url: DatabaseUrl::default(),
            data_dir: "./data".into(),
            busy_within_ms: 1_500,
            security_log_bytes: 8 * 1024 * 1024,
            security_log_files: 5,
        }
    }
}

/// `on` or `off`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// Enabled.
    On,
    /// Disabled.
    Off,
}

/// The sender of `init` on the plain dialect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InitFrom {
    /// The node, as the first frame.
    Roomcast,
    /// PHP's BusinessWorkers, in `onConnect` or `onWebSocketConnect`.
    Worker,
}

/// `[limits]`: rate limits. Each is a token bucket: its size (`_burst`) and its refill per minute (`_a_minute`). A request
/// over a limit gets 429 `too_fast`.
///
/// Limits per address are generous, since carrier NAT puts thousands of phones behind one; those of passwords are strict, and
/// so is that of requests without any cookie, which share `visitor_burst` and `visitor_a_minute` per address. A /64 of IPv6 is
/// one address, and a /48 has 8 times the limits of an address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsSettings {
    /// `off` lifts the limits per address, per session and per room, those of sockets too, for load tests: one client plays
    /// thousands. Refused unless the site listens on loopback. The cooldown of the chat stays. Default: `on`.
    pub per_ip: Switch,
    /// Registrations, wrong API keys, and log-ins on unknown devices, per address. Default: 20.
    pub sign_in_burst: u32,
    /// Refill of `sign_in_burst` per minute. Default: 20.
    pub sign_in_a_minute: u32,
    /// New guests and changes of nickname per address. Default: 300.
    pub guest_burst: u32,
    /// Refill of `guest_burst` per minute. Default: 300.
    pub guest_a_minute: u32,
    /// Sockets opened per address. Default: 1,000.
    pub socket_burst: u32,
    /// Refill of `socket_burst` per minute. Default: 3,000.
    pub socket_a_minute: u32,
    /// All other requests of a page (sends, binds, history) per address. Default: 1,000.
    pub request_burst: u32,
    /// Refill of `request_burst` per minute. Default: 6,000.
    pub request_a_minute: u32,
    /// Sockets and requests per session. Sends are exempt if `chat.cooldown_ms` is 0. Default: 120.
    pub session_burst: u32,
    /// Refill of `session_burst` per minute. Default: 600.
    pub session_a_minute: u32,
    /// Requests without a session per visitor cookie; without that cookie, per address. Default: 120.
    pub visitor_burst: u32,
    /// Refill of `visitor_burst` per minute. Default: 600.
    pub visitor_a_minute: u32,
    /// Messages of a room, of all people together. Default: 200.
    pub room_burst: u32,
    /// Refill of `room_burst` per minute. Default: 3,000.
    pub room_a_minute: u32,
    /// Messages of a room from one address. Default: 60.
    pub room_address_burst: u32,
    /// Refill of `room_address_burst` per minute. Default: 600.
    pub room_address_a_minute: u32,
    /// Of these, messages of guests younger than 10 minutes. Default: 10.
    pub new_guest_burst: u32,
    /// Refill of `new_guest_burst` per minute. Default: 60.
    pub new_guest_a_minute: u32,
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
            visitor_burst: 120,
            visitor_a_minute: 600,
            room_burst: 200,
            room_a_minute: 3_000,
            room_address_burst: 60,
            room_address_a_minute: 600,
            new_guest_burst: 10,
            new_guest_a_minute: 60,
        }
    }
}
