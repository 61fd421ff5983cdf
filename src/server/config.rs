//! Reads Leptos.toml, the environment and the flags into the structs of `settings`.
//!
//! Precedence: flags, then environment, then file, then defaults. An unknown key is an error that names the nearest known
//! key.

mod settings;

pub use settings::{ChatSettings, GatewaySettings, LimitsSettings, StorageSettings, Switch, WebSettings};

use config::{Config as Layers, ConfigError as LayerError, File, FileFormat, Value};
use leptos::config::{LeptosOptions, get_config_from_str};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Used when there is no file. Compiled in, so that a copied binary runs on its own.
const BUILT_IN: &str = include_str!("../../Leptos.toml");
const FILE: &str = "Leptos.toml";

/// Lower bound of ping interval and timeouts. A shard's timer wheel turns at half the shortest: here, every 10 ms.
const MIN_INTERVAL_MS: u64 = 20;
/// Short environment variables; each also has its long name `ROOMCAST_<TABLE>_<KEY>`.
const SHORT_NAMES: [(&str, &str); 5] = [
    ("ROOMCAST_DATA_DIR", "storage.data_dir"),
    ("ROOMCAST_LAN_ADDR", "gateway.lan_addr"),
    ("ROOMCAST_REGISTER_ADDR", "gateway.register_addr"),
    ("ROOMCAST_SECRET_KEY", "gateway.secret_key"),
    ("ROOMCAST_API_KEY", "gateway.api_key"),
];

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[package.metadata.leptos]`: listen address of the site and paths of its files.
    pub leptos: LeptosOptions,
    /// `[web]`
    pub web: WebSettings,
    /// `[gateway]`
    pub gateway: GatewaySettings,
    /// `[chat]`
    pub chat: ChatSettings,
    /// `[storage]`
    pub storage: StorageSettings,
    /// `[limits]`
    pub limits: LimitsSettings,
}

/// The tables of the file that Roomcast owns; leptos_config reads `[package]`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Tables {
    web: WebSettings,
    gateway: GatewaySettings,
    chat: ChatSettings,
    storage: StorageSettings,
    limits: LimitsSettings,
}

/// Configuration given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`: path of the configuration file.
    pub config: Option<PathBuf>,
    /// `--addr`: listen address of the site.
    pub addr: Option<SocketAddr>,
    /// `--data-dir`: overrides `storage.data_dir`.
    pub data_dir: Option<PathBuf>,
    /// `--set`: pairs of `table.key` and value.
    pub set: Vec<(String, String)>,
}

/// Why the configuration is rejected; the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file could not be read.
    #[error("could not read {path}: {source}")]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A key that no setting has.
    #[error("{path}: unknown key `{key}`{hint}")]
    UnknownKey {
        /// Path of the file, or the flag.
        path: String,
        /// The key, with its table.
        key: String,
        /// The nearest known key, as the end of the sentence.
        hint: String,
    },
    /// The file is not TOML, or a value has the wrong type.
    #[error("configuration: {0}")]
    Invalid(#[from] LayerError),
    /// leptos_config rejects its table.
    #[error("[package.metadata.leptos]: {0}")]
    Leptos(String),
    /// `limits.per_ip = "off"` with a public listen address.
    #[error("limits.per_ip = \"off\" is for load tests: refused while the site listens on {0}, which is not loopback")]
    LimitsOffInPublic(SocketAddr),
    /// One of `web.tls_cert` and `web.tls_key` without the other.
    #[error("web.tls_cert and web.tls_key must be set together")]
    IncompleteTlsPair,
    /// Register or the inner port would listen publicly without a key.
    #[error(
        "{0} is not loopback: any peer could push to every connection. Set gateway.secret_key (ROOMCAST_SECRET_KEY), which PHP's \
         GatewayClient has as $secretKey, or gateway.php = \"off\""
    )]
    SecretKeyRequired(SocketAddr),
    /// PHP cannot send this secret key.
    #[error(
        "gateway.secret_key contains `\"`, `\\` or a control character (a line end?): PHP writes it into JSON without escaping, and \
         could not send it"
    )]
    UnsupportedSecretKey,
    /// A ping interval or timeout below the lower bound.
    #[error("gateway.ping_every_ms, pong_within_ms and slow_after_ms must be at least {MIN_INTERVAL_MS} ms")]
    IntervalTooShort,
    /// A value that is not a scheme and a host.
    #[error("`{0}` is not an origin such as https://chat.example.com (web.public_url, allowed_origins, frame_ancestors)")]
    InvalidOrigin(String),
}

impl Config {
    /// Loads and checks the configuration. `environment` is a parameter so that tests need not change the process's own.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, or a value that [`ConfigError`] names.
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
                layers = layers.set_override(key, list_or_text(key, text))?;
            }
        }
        for (key, text) in &flags.set {
            if !known.contains(key) {
                return Err(unknown("--set", key, &known));
            }
            layers = layers.set_override(key, list_or_text(key, text))?;
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

    /// Checks the address on which the site really listens, which may be inherited.
    ///
    /// # Errors
    /// [`ConfigError::LimitsOffInPublic`] if `limits.per_ip` is off and `addr` is not loopback.
    pub fn check_address(&self, addr: SocketAddr) -> Result<(), ConfigError> {
        if self.limits.per_ip == Switch::Off && !addr.ip().is_loopback() {
            return Err(ConfigError::LimitsOffInPublic(addr));
        }
        Ok(())
    }

    fn check(mut self) -> Result<Self, ConfigError> {
        self.check_address(self.leptos.site_addr)?;
        if self.web.tls_cert.as_os_str().is_empty() != self.web.tls_key.as_os_str().is_empty() {
            return Err(ConfigError::IncompleteTlsPair);
        }
        let GatewaySettings { ping_every_ms, pong_within_ms, slow_after_ms, .. } = self.gateway;
        if [ping_every_ms, pong_within_ms, slow_after_ms].iter().any(|ms| *ms < MIN_INTERVAL_MS) {
            return Err(ConfigError::IntervalTooShort);
        }
        let GatewaySettings { lan_addr, lan_listen, register_addr, secret_key, php, .. } = &self.gateway;
        if *php == Switch::On && secret_key.is_empty() {
            let listens = [lan_listen.unwrap_or(SocketAddr::V4(*lan_addr)), *register_addr];
            if let Some(public) = listens.into_iter().find(|addr| !addr.ip().is_loopback()) {
                return Err(ConfigError::SecretKeyRequired(public));
            }
        }
        if secret_key.contains(|c: char| matches!(c, '"' | '\\') || c.is_control()) {
            return Err(ConfigError::UnsupportedSecretKey);
        }
        if self.limits.per_ip == Switch::Off {
            (self.gateway.max_per_address, self.gateway.max_per_session) = (usize::MAX, usize::MAX);
        }
        let url = self.web.public_url.trim_end_matches('/').to_owned();
        let others = self.web.allowed_origins.iter().chain(&self.web.frame_ancestors);
        let wrong = others.chain((!url.is_empty()).then_some(&url)).find(|origin| !is_origin(origin));
        if let Some(wrong) = wrong {
            return Err(ConfigError::InvalidOrigin(wrong.clone()));
        }
        self.web.public_url = url;
        Ok(self)
    }
}

/// A scheme and a host, and nothing else: the value is copied into response headers.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or_default();
    let host = host.strip_suffix('/').unwrap_or(host);
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })
}

/// leptos_config reads its table and the `LEPTOS_*` variables, which override it. A file without the table gets the
/// built-in one.
fn leptos_options(text: &str) -> Result<LeptosOptions, ConfigError> {
    let has_table = text.lines().any(|line| line.starts_with("[package.metadata.leptos]"));
    get_config_from_str(if has_table { text } else { BUILT_IN }).map_err(|error| ConfigError::Leptos(error.to_string()))
}

/// The value of a flag or variable: text, or for the keys of a list its comma-separated items.
fn list_or_text(key: &str, text: &str) -> Value {
    let lists = ["web.allowed_origins", "web.frame_ancestors", "web.trusted_proxies", "web.metrics_from"];
    if lists.contains(&key) {
        let items: Vec<String> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
        return Value::from(items);
    }
    Value::from(text)
}

/// Every `table.key`, taken from the field names of the settings structs.
fn known_keys() -> Result<Vec<String>, ConfigError> {
    let tables = serde_json::to_value(Tables::default()).map_err(|error| LayerError::Foreign(error.into()))?;
    let mut keys = Vec::new();
    for (table, value) in tables.as_object().into_iter().flatten() {
        keys.extend(value.as_object().into_iter().flatten().map(|(key, _)| format!("{table}.{key}")));
    }
    keys.sort();
    Ok(keys)
}

/// Rejects tables and keys that no settings struct has.
fn check_keys(file: &Layers, known: &[String], path: &str) -> Result<(), ConfigError> {
    for (table, value) in file.cache.clone().into_table()? {
        if table == "package" {
            continue; // belongs to leptos_config
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
    fn flags_override_environment_overrides_file_overrides_defaults() {
        let file = "[chat]\ncooldown_ms = 1\n";
        assert_eq!(load("", &[], &[]).unwrap().chat.cooldown_ms, 3000);
        assert_eq!(load(file, &[], &[]).unwrap().chat.cooldown_ms, 1);
        let environment = [("ROOMCAST_CHAT_COOLDOWN_MS", "2"), ("ROOMCAST_DATA_DIR", "/x"), ("ROOMCAST_LAN_ADDR", "127.0.0.9:7")];
        let config = load(file, &environment, &[]).unwrap();
        assert_eq!((config.chat.cooldown_ms, config.storage.data_dir), (2, "/x".into()));
        assert_eq!(config.gateway.lan_addr.to_string(), "127.0.0.9:7");
        assert_eq!(load(file, &environment, &[("chat.cooldown_ms", "3")]).unwrap().chat.cooldown_ms, 3);
        let lists = load("", &[("ROOMCAST_WEB_TRUSTED_PROXIES", "10.0.0.0/8, ::1/128")], &[]).unwrap().web.trusted_proxies;
        assert_eq!(lists.len(), 2);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_key() {
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
    fn only_a_scheme_and_a_host_are_an_origin() {
        for (key, value) in
            [("ALLOWED_ORIGINS", "*"), ("FRAME_ANCESTORS", "https://a.example; script-src *"), ("PUBLIC_URL", "chat.example")]
        {
            let variable = format!("ROOMCAST_WEB_{key}");
            assert!(matches!(load("", &[(&variable, value)], &[]), Err(ConfigError::InvalidOrigin(_))), "{key}");
        }
        assert!(load("", &[("ROOMCAST_WEB_ALLOWED_ORIGINS", "https://a.example,http://127.0.0.1:8080")], &[]).is_ok());
    }

    #[test]
    fn contradictory_and_unsafe_settings_are_errors() {
        assert!(matches!(load("", &[("ROOMCAST_WEB_TLS_KEY", "key.pem")], &[]), Err(ConfigError::IncompleteTlsPair)));
        assert!(matches!(load("", &[("ROOMCAST_GATEWAY_PING_EVERY_MS", "0")], &[]), Err(ConfigError::IntervalTooShort)));
        for addr in ["ROOMCAST_LAN_ADDR", "ROOMCAST_REGISTER_ADDR", "ROOMCAST_GATEWAY_LAN_LISTEN"] {
            let public = (addr, "0.0.0.0:7000");
            assert!(matches!(load("", &[public], &[]), Err(ConfigError::SecretKeyRequired(_))), "{addr}");
            assert!(load("", &[public, ("ROOMCAST_SECRET_KEY", "key")], &[]).is_ok(), "{addr}");
            assert!(load("", &[public, ("ROOMCAST_GATEWAY_PHP", "off")], &[]).is_ok(), "{addr}");
        }
        assert!(matches!(load("", &[("ROOMCAST_SECRET_KEY", "a\"b")], &[]), Err(ConfigError::UnsupportedSecretKey)));
        let public = load("", &[("ROOMCAST_LIMITS_PER_IP", "off")], &[]).unwrap().check_address("0.0.0.0:80".parse().unwrap());
        assert!(matches!(public, Err(ConfigError::LimitsOffInPublic(_))), "an inherited listener");
    }

    #[test]
    fn per_address_limits_cannot_be_lifted_on_a_public_address() {
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
