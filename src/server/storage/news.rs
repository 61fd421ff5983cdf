//! News: changes by other nodes and by commands of things that this node holds in memory or in its sockets. PostgreSQL writes them in the
//! transaction of each change. The database in the data folder has one node, and no news.

use super::{Result, Store};
use crate::domain::id::{RoomId, Uid};
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Notify;
use uuid::Uuid;

/// The hash of a session's token.
pub type SessionHash = [u8; 32];

/// A change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// A session ended before its time.
    SessionEnded(SessionHash),
    /// The person of these sessions has another name or account.
    PersonChanged(Vec<SessionHash>),
    /// A room was added, changed or deleted.
    RoomChanged {
        /// The room.
        room: RoomId,
        /// Whether it is deleted.
        is_deleted: bool,
        /// The former and the present host, if they differ.
        hosts: Vec<Uid>,
    },
    /// A person has another role in a room.
    RoleChanged(RoomId, Uid),
    /// A restraint of a person began or ended; without a room, on the whole site.
    Restrained(Option<RoomId>, Uid),
    /// Keys of the API were added or removed.
    KeysChanged,
    /// A purge has rows to blank or to restore.
    PurgeBegun(RoomId, Uuid),
    /// News that this version of Roomcast does not know.
    Unknown,
}

/// News after an id, oldest first.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct NewsPage {
    /// The news with their ids.
    pub news: Vec<(u64, News)>,
    /// Whether there may be more.
    pub has_more: bool,
    /// Whether news after the given id may be missing: they are not kept any more, or the database is another one.
    pub is_cut: bool,
}

impl Store {
    /// Returns the id of the newest news.
    pub async fn newest_news(&self) -> Result<u64> {
        match self {
            Self::Sqlite(_) => Ok(0),
            Self::Postgres(store) => store.newest_news().await,
        }
    }

    /// Returns the next `limit` news after the id `after`.
    pub async fn news_after(&self, after: u64, limit: u32) -> Result<NewsPage> {
        match self {
            Self::Sqlite(_) => Ok(NewsPage::default()),
            Self::Postgres(store) => store.news_after(after, limit).await,
        }
    }

    /// Removes up to `limit` news that every node has read or is too late for, and returns their number.
    pub async fn sweep_news(&self, limit: u32) -> Result<u64> {
        match self {
            Self::Sqlite(_) => Ok(0),
            Self::Postgres(store) => store.sweep_news(limit).await,
        }
    }

    /// Is notified after each write of this process that may have news. `None`: there are none.
    pub fn written(&self) -> Option<Arc<Notify>> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(store) => Some(store.written()),
        }
    }

    /// Returns those of the sessions that the store does not have.
    pub async fn ended_among(&self, sessions: &[SessionHash]) -> Result<Vec<SessionHash>> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Postgres(store) => store.ended_among(sessions).await,
        }
    }

    /// Returns those of the rooms that are deleted, and whose messages are not all removed yet.
    pub async fn deleted_among(&self, rooms: &[RoomId]) -> Result<Vec<RoomId>> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Postgres(store) => store.deleted_among(rooms).await,
        }
    }
}

/// The object of a row, as the triggers build it.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Raw {
    SessionEnded {
        session: String,
    },
    PersonChanged {
        sessions: Vec<String>,
    },
    RoomChanged {
        room: String,
        deleted: bool,
        hosts: Vec<String>,
    },
    RoleChanged {
        room: String,
        uid: String,
    },
    Restrained {
        room: String,
        uid: String,
    },
    KeysChanged,
    PurgeBegun {
        room: String,
        action: Uuid,
    },
    #[serde(other)]
    Unknown,
}

/// Reads the object of a row, with its kind in the field `kind`. One that cannot be read is unknown news: a node that stopped at it
/// would read none after it.
pub(super) fn parse(json: &str) -> News {
    serde_json::from_str(json).ok().and_then(known).unwrap_or(News::Unknown)
}

fn known(raw: Raw) -> Option<News> {
    Some(match raw {
        Raw::SessionEnded { session } => News::SessionEnded(hash(&session)?),
        Raw::PersonChanged { sessions } => {
            News::PersonChanged(sessions.iter().map(|session| hash(session)).collect::<Option<_>>()?)
        }
        Raw::RoomChanged { room, deleted: is_deleted, hosts } => {
            let hosts = hosts.iter().map(|uid| uid.parse().ok()).collect::<Option<_>>()?;
            News::RoomChanged { room: room.parse().ok()?, is_deleted, hosts }
        }
        Raw::RoleChanged { room, uid } => News::RoleChanged(room.parse().ok()?, uid.parse().ok()?),
        Raw::Restrained { room, uid } if room == "*" => News::Restrained(None, uid.parse().ok()?),
        Raw::Restrained { room, uid } => News::Restrained(Some(room.parse().ok()?), uid.parse().ok()?),
        Raw::KeysChanged => News::KeysChanged,
        Raw::PurgeBegun { room, action } => News::PurgeBegun(room.parse().ok()?, action),
        Raw::Unknown => News::Unknown,
    })
}

/// Reads 64 hexadecimal digits.
fn hash(text: &str) -> Option<SessionHash> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_of_a_later_version_are_no_error() {
        assert_eq!(parse(r#"{"kind":"moon_rose","moon":1}"#), News::Unknown);
        assert_eq!(parse(r#"{"kind":"keys_changed"}"#), News::KeysChanged);
        assert_eq!(parse(r#"{"kind":"session_ended","session":"zz"}"#), News::Unknown);
    }
}
