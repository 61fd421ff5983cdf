//! The value of `storage.url`, which may hold a password.

use super::ConfigError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Schemes of PostgreSQL's URLs.
const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// Address of a PostgreSQL database, or empty for SQLite. Its `Debug` form shows no more than whether there is one, since the
/// address may hold a password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Returns the address with its password: for the driver alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether there is no address: the store is SQLite in the data folder.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails unless it is empty or an address of PostgreSQL. The error shows the scheme and no other part.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.is_empty() {
            return Ok(());
        }
        let url = url::Url::parse(&self.0).map_err(ConfigError::InvalidDatabaseUrl)?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(ConfigError::UnsupportedDatabase(url.scheme().into()));
        }
        if is_whole(&self.0, &url) { Ok(()) } else { Err(ConfigError::IncompleteDatabaseUrl) }
    }
}

/// Whether the URL names a host, and no part of a password can be taken for the database's name or another part that errors show.
fn is_whole(text: &str, url: &url::Url) -> bool {
    let has_authority = text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://"));
    let names_host = |name: &str| ["host", "hostaddr"].contains(&name);
    let has_host = url.host_str().is_some_and(|host| !host.is_empty()) || url.query_pairs().any(|(name, _)| names_host(&name));
    has_authority && has_host && url.fragment().is_none() && !url.path().contains(['@', ':'])
}

impl From<&str> for DatabaseUrl {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "hidden" })
    }
}
