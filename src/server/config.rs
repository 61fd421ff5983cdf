//! Leptos.toml, the environment and the flags, as one struct a room. Flags beat environment beats file beats the defaults
//! below; a key nobody knows is an error that names the nearest known one.

use config::{Config as Layers, ConfigError as LayerError, File, FileFormat, Value};
use ipnet::IpNet;
use leptos::config::{LeptosOptions, get_config_from_str};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

/// The file that is used when there is none, compiled in: a copied binary runs by itself.
const BUILT_IN: &str = include_str!("../../Leptos.toml");
const FILE: &str = "Leptos.toml";

/// Names that tests and other tools use, beside `ROOMCAST_<TABLE>_<KEY>`.
const SHORT_NAMES: [(&str, &str); 2] = [("ROOMCAST_DATA_DIR", "storage.data_dir"), ("ROOMCAST_LAN_ADDR", "gateway.lan_addr")];

#[derive(Clone, Debug)]
pub struct Config {
    pub leptos: LeptosOptions,
    pub web: Web,
    pub gateway: Gateway,
    pub chat: Chat,
    pub storage: Storage,
    pub limits: Limits,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Web {
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
    /// Leaving politely takes no longer than this; `cargo leptos watch` waits 10 s before it kills.
    pub drain_within_ms: u64,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            public_url: String::new(),
            allowed_origins: vec![],
            frame_ancestors: vec![],
            trusted_proxies: vec![],
            metrics_from: vec![IpNet::from(loopback_v4()), IpNet::from(std::net::IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))],
            body_bytes: 16 * 1024,
            read_within_ms: 15_000,
            drain_within_ms: 4_000,
        }
    }
}

fn loopback_v4() -> ipnet::Ipv4Net {
    ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Gateway {
    /// The inner address written into every client_id; foreign back ends route by it.
    pub lan_addr: SocketAddrV4,
    /// Unsent bytes a connection may hold. About 700 messages: a phone in a tunnel for ten seconds of a busy room.
    pub queue_bytes: usize,
    /// Connections this node takes; one more is refused with 503.
    pub max_connections: usize,
    /// A ping goes out this often: under the minute after which mobile networks forget a silent connection.
    pub ping_every_ms: u64,
    /// Without a sign of life within this after a ping, the connection is closed.
    pub pong_within_ms: u64,
    /// Without a byte taken within this, the connection is closed as slow.
    pub slow_after_ms: u64,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            lan_addr: SocketAddrV4::new([127, 0, 0, 1].into(), 2900),
            queue_bytes: 256 * 1024,
            max_connections: 50_000,
            ping_every_ms: 25_000,
            pong_within_ms: 10_000,
            slow_after_ms: 30_000,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Chat {
    /// Between two accepted messages of one person in one room.
    pub cooldown_ms: u64,
    /// Longest message as a reader counts; its bytes are bounded by 4 KiB whatever this says.
    pub max_graphemes: u32,
    /// Rooms one account may open.
    pub rooms_per_account: u32,
}

impl Default for Chat {
    fn default() -> Self {
        Self { cooldown_ms: 3000, max_graphemes: 140, rooms_per_account: 20 }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    pub data_dir: PathBuf,
    /// A locked database is waited for this long, then the request is refused as busy.
    pub busy_within_ms: u64,
}

impl Default for Storage {
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
pub struct Limits {
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

impl Default for Limits {
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

/// Our tables of the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Tables {
    web: Web,
    gateway: Gateway,
    chat: Chat,
    storage: Storage,
    limits: Limits,
}

/// What the command line may say.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub addr: Option<SocketAddr>,
    pub data_dir: Option<PathBuf>,
    /// `table.key=value`
    pub set: Vec<(String, String)>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path}: unknown key `{key}`{hint}")]
    UnknownKey { path: String, key: String, hint: String },
    #[error("configuration: {0}")]
    Wrong(#[from] LayerError),
    #[error("[package.metadata.leptos]: {0}")]
    Leptos(String),
    #[error("limits.per_ip = \"off\" is for load tests: refused while the site listens on {0}, which is not loopback")]
    LimitsOffInPublic(SocketAddr),
    #[error("`{0}` is not an origin such as https://chat.example.com (web.public_url, allowed_origins, frame_ancestors)")]
    NotAnOrigin(String),
}

impl Config {
    /// `environment` is passed in so that tests need not change the process's own.
    pub fn load(flags: &Flags, environment: &HashMap<String, String>) -> Result<Self, ConfigError> {
        let text = match &flags.config {
            Some(path) => Some(read(path)?),
            None => Path::new(FILE).exists().then(|| read(Path::new(FILE))).transpose()?,
        };
        let text = text.as_deref().unwrap_or(BUILT_IN);
        let path = flags.config.as_deref().unwrap_or(Path::new(FILE)).display().to_string();

        let known = known_keys()?;
        let mut layers = Layers::builder().add_source(File::from_str(text, FileFormat::Toml));
        check_keys(&Layers::builder().add_source(File::from_str(text, FileFormat::Toml)).build()?, &known, &path)?;
        for key in &known {
            let variable = format!("ROOMCAST_{}", key.replace('.', "_").to_uppercase());
            let short = SHORT_NAMES.iter().find(|(_, of)| of == key).and_then(|(name, _)| environment.get(*name));
            if let Some(text) = short.or(environment.get(&variable)) {
                layers = layers.set_override(key, typed(key, text))?;
            }
        }
        for (key, text) in &flags.set {
            if !known.contains(key) {
                return Err(unknown("--set", key, &known));
            }
            layers = layers.set_override(key, typed(key, text))?;
        }
        if let Some(data_dir) = &flags.data_dir {
            layers = layers.set_override("storage.data_dir", data_dir.display().to_string())?;
        }
        let layers = layers.build()?;

        let Tables { web, gateway, chat, storage, limits } = layers.try_deserialize()?;
        let mut config = Self { leptos: leptos_options(text)?, web, gateway, chat, storage, limits };
        if let Some(addr) = flags.addr {
            config.leptos.site_addr = addr;
        }
        config.check()
    }

    fn check(mut self) -> Result<Self, ConfigError> {
        let addr = self.leptos.site_addr;
        if self.limits.per_ip == Switch::Off && !addr.ip().is_loopback() {
            return Err(ConfigError::LimitsOffInPublic(addr));
        }
        let url = self.web.public_url.trim_end_matches('/').to_owned();
        let others = self.web.allowed_origins.iter().chain(&self.web.frame_ancestors);
        let wrong = others.chain((!url.is_empty()).then_some(&url)).find(|origin| !is_origin(origin));
        if let Some(wrong) = wrong {
            return Err(ConfigError::NotAnOrigin(wrong.clone()));
        }
        self.web.public_url = url;
        Ok(self)
    }
}

/// A scheme and a host, nothing else: these end up in headers.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or_default();
    let host = host.strip_suffix('/').unwrap_or(host);
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })
}

/// LEPTOS_* variables beat the file here; leptos_config reads them itself. A file without its table gets the built-in one.
fn leptos_options(text: &str) -> Result<LeptosOptions, ConfigError> {
    let has_table = text.lines().any(|line| line.starts_with("[package.metadata.leptos]"));
    get_config_from_str(if has_table { text } else { BUILT_IN }).map_err(|error| ConfigError::Leptos(error.to_string()))
}

/// Lists are written with commas in variables and flags.
fn typed(key: &str, text: &str) -> Value {
    let lists = ["web.allowed_origins", "web.frame_ancestors", "web.trusted_proxies", "web.metrics_from"];
    if lists.contains(&key) {
        let items: Vec<String> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
        return Value::from(items);
    }
    Value::from(text)
}

/// `table.key` of everything the structs above name, taken from the structs.
fn known_keys() -> Result<Vec<String>, ConfigError> {
    let tables = serde_json::to_value(Tables::default()).map_err(|error| LayerError::Foreign(error.into()))?;
    let mut keys = Vec::new();
    for (table, value) in tables.as_object().into_iter().flatten() {
        keys.extend(value.as_object().into_iter().flatten().map(|(key, _)| format!("{table}.{key}")));
    }
    keys.sort();
    Ok(keys)
}

fn check_keys(file: &Layers, known: &[String], path: &str) -> Result<(), ConfigError> {
    for (table, value) in file.cache.clone().into_table()? {
        if table == "package" {
            continue; // leptos_config's own
        }
        let keys = value.into_table().map(|table| table.into_keys().collect()).unwrap_or_else(|_| vec![String::new()]);
        for key in keys {
            let key = if key.is_empty() { table.clone() } else { format!("{table}.{key}") };
            if !known.contains(&key) {
                return Err(unknown(path, &key, known));
            }
        }
        if !known.iter().any(|key| key.starts_with(&format!("{table}."))) {
            return Err(unknown(path, &table, known));
        }
    }
    Ok(())
}

fn unknown(path: &str, key: &str, known: &[String]) -> ConfigError {
    let nearest = known.iter().max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
    let hint = nearest.map_or(String::new(), |nearest| format!("; the nearest known key is `{nearest}`"));
    ConfigError::UnknownKey { path: path.into(), key: key.into(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>();
        let flags = Flags { config: Some(file.path().into()), set: pairs(set), ..Flags::default() };
        Config::load(&flags, &pairs(environment).into_iter().collect())
    }

    #[test]
    fn flags_beat_environment_beats_file_beats_defaults() {
        let file = "[chat]\ncooldown_ms = 1\n";
        assert_eq!(load("", &[], &[]).unwrap().chat.cooldown_ms, 3000);
        assert_eq!(load(file, &[], &[]).unwrap().chat.cooldown_ms, 1);
        let environment = [("ROOMCAST_CHAT_COOLDOWN_MS", "2"), ("ROOMCAST_DATA_DIR", "/x"), ("ROOMCAST_LAN_ADDR", "10.0.0.1:7")];
        let config = load(file, &environment, &[]).unwrap();
        assert_eq!((config.chat.cooldown_ms, config.storage.data_dir), (2, "/x".into()));
        assert_eq!(config.gateway.lan_addr.to_string(), "10.0.0.1:7");
        assert_eq!(load(file, &environment, &[("chat.cooldown_ms", "3")]).unwrap().chat.cooldown_ms, 3);
        let lists = load("", &[("ROOMCAST_WEB_TRUSTED_PROXIES", "10.0.0.0/8, ::1/128")], &[]).unwrap().web.trusted_proxies;
        assert_eq!(lists.len(), 2);
    }

    #[test]
    fn an_unknown_key_names_its_neighbour() {
        for (file, unknown, nearest) in [
            ("[chat]\ncooldown = 1\n", "chat.cooldown", "chat.cooldown_ms"),
            ("[gatway]\nlan_addr = \"127.0.0.1:1\"\n", "gatway.lan_addr", "gateway.lan_addr"),
        ] {
            let error = load(file, &[], &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{unknown}`")) && error.contains(&format!("`{nearest}`")), "{error}");
        }
        assert!(load("[chat]\ncooldown_ms = \"soon\"\n", &[], &[]).is_err());
    }

    #[test]
    fn origins_are_checked_before_they_stand_in_a_header() {
        for (key, value) in
            [("ALLOWED_ORIGINS", "*"), ("FRAME_ANCESTORS", "https://a.example; script-src *"), ("PUBLIC_URL", "chat.example")]
        {
            let variable = format!("ROOMCAST_WEB_{key}");
            assert!(matches!(load("", &[(&variable, value)], &[]), Err(ConfigError::NotAnOrigin(_))), "{key}");
        }
        assert!(load("", &[("ROOMCAST_WEB_ALLOWED_ORIGINS", "https://a.example,http://127.0.0.1:8080")], &[]).is_ok());
    }

    #[test]
    fn limits_cannot_be_lifted_in_public() {
        let off = [("ROOMCAST_LIMITS_PER_IP", "off")];
        assert_eq!(load("", &off, &[]).unwrap().limits.per_ip, Switch::Off);
        let public = "[package.metadata.leptos]\noutput-name = \"roomcast\"\nsite-addr = \"0.0.0.0:3000\"\n";
        assert!(matches!(load(public, &off, &[]), Err(ConfigError::LimitsOffInPublic(_))));
    }

    #[test]
    fn the_shipped_file_states_the_defaults_and_shares_its_keys_with_cargo_toml() {
        let shipped = load(BUILT_IN, &[], &[]).unwrap();
        let defaults = load("", &[], &[]).unwrap();
        assert_eq!(format!("{shipped:?}"), format!("{defaults:?}"));
        let toml = |text: &str| Layers::builder().add_source(File::from_str(text, FileFormat::Toml)).build().unwrap();
        let built = toml(include_str!("../../Cargo.toml"));
        let run = toml(BUILT_IN).get_table("package.metadata.leptos").unwrap();
        for (key, value) in run {
            let built = built.get_string(&format!("package.metadata.leptos.{key}")).unwrap();
            assert_eq!(built, value.to_string(), "{key}");
        }
    }
}
