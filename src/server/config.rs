//! Reads Leptos.toml, the environment and the flags into the structs of `settings`.
//!
//! Precedence: flags, then environment, then file, then defaults. An unknown key of the file or a flag is an error that names
//! the nearest known key; an unknown variable is a warning.

#[cfg(test)]
mod config_tests;
mod database_url;
mod environment;
mod nats_url;
mod origin;
mod settings;

pub use database_url::DatabaseUrl;
pub use nats_url::{NatsCredentials, NatsServers, NatsUrl, NatsUrlError};
pub use origin::normalized_origin;
pub use settings::{
    ChatSettings, ClusterError, ClusterSettings, GatewaySettings, InitFrom, LimitsSettings, ModerationSettings, OpenRooms,
    StorageSettings, Switch, WebSettings,
};

use config::{Config as Layers, ConfigError as LayerError, File, FileFormat};
use leptos::config::{LeptosOptions, get_config_from_str};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Used when there is no file. Compiled in, so that a copied binary runs on its own.
const BUILT_IN: &str = include_str!("../../Leptos.toml");
const FILE: &str = "Leptos.toml";

/// Lower bound of ping interval and timeouts. A tick of a shard's timer wheel is half the shorter of ping interval and pong
/// timeout, so at least 10 ms.
const MIN_INTERVAL_MS: u64 = 20;

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[package.metadata.leptos]`: listen address of the site and paths of its files.
    pub leptos: LeptosOptions,
    /// `[web]`: HTTP, TLS, proxies, shutdown.
    pub web: WebSettings,
    /// `[gateway]`
    pub gateway: GatewaySettings,
    /// `[chat]`
    pub chat: ChatSettings,
    /// `[storage]`
    pub storage: StorageSettings,
    /// `[limits]`
    pub limits: LimitsSettings,
    /// `[moderation]`
    pub moderation: ModerationSettings,
    /// `[cluster]`
    pub cluster: ClusterSettings,
    /// Sentences for the log: variables of the environment that set nothing.
    pub warnings: Vec<String>,
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
    moderation: ModerationSettings,
    cluster: ClusterSettings,
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
    #[error(
        "`{0}` is not an origin such as https://chat.example.com: scheme, host, and port if it is not the default \
         (web.public_url, allowed_origins, frame_ancestors)"
    )]
    InvalidOrigin(String),
    /// `storage.url` names another database than PostgreSQL.
    #[error(
        "storage.url begins with `{0}:`; it is a PostgreSQL URL such as postgres://ROLE:PASSWORD@HOST/DATABASE, or empty for SQLite"
    )]
    UnsupportedDatabase(String),
    /// `storage.url` is not a URL. The value is not shown, since it may hold a password.
    #[error(
        "storage.url is not a URL such as postgres://ROLE:PASSWORD@HOST/DATABASE: {0}. In a password write %40 for `@`, %2F for `/`"
    )]
    InvalidDatabaseUrl(url::ParseError),
    /// `storage.url` has no `//` or no host, or a password with a sign that ends it.
    #[error(
        "storage.url must be whole, postgres://ROLE:PASSWORD@HOST/DATABASE, with a host there or as `?host=`. In a password write %40 \
         for `@`, %2F for `/`, %3A for `:`, %3F for `?` and %23 for `#`"
    )]
    IncompleteDatabaseUrl,
    /// The settings of a cluster do not fit together.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
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
            if let Some(text) = environment::value_of(key, environment) {
                layers = layers.set_override(key, environment::list_or_text(key, text))?;
            }
        }
        for (key, text) in &flags.set {
            if !known.contains(key) {
                return Err(unknown("--set", key, &known));
            }
            layers = layers.set_override(key, environment::list_or_text(key, text))?;
        }
        if let Some(data_dir) = &flags.data_dir {
            layers = layers.set_override("storage.data_dir", data_dir.display().to_string())?;
        }
        let layers = layers.build()?;

        let Tables { web, gateway, chat, storage, limits, moderation, cluster } = layers.try_deserialize()?;
        let warnings = environment::unknown_variables(environment, &known);
        let mut config =
            Self { leptos: leptos_options(text)?, web, gateway, chat, storage, limits, moderation, cluster, warnings };
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
        self.storage.url.check()?;
        self.cluster.check(&self.storage, &self.gateway)?;
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
            self.web.max_http_per_address = usize::MAX;
        }
        let WebSettings { public_url, allowed_origins, frame_ancestors, .. } = &mut self.web;
        let own = (!public_url.is_empty()).then_some(public_url);
        for origin in own.into_iter().chain(allowed_origins).chain(frame_ancestors) {
            *origin = normalized_origin(origin).ok_or_else(|| ConfigError::InvalidOrigin(origin.clone()))?;
        }
        Ok(self)
    }
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
    let hint = nearest(key, known).map_or(String::new(), |nearest| format!("; the nearest known key is `{nearest}`"));
    ConfigError::UnknownKey { path: path.into(), key: key.into(), hint }
}

fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    known.iter().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))
}
