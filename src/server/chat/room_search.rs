//! The search of the lobby: words in titles and hosts' nicknames, compared as account names are (`server/names`).

use crate::domain::id::RoomId;
use crate::server::names;
use crate::server::storage::{Result, RoomRow, Store};
use moka::sync::Cache;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Newest rooms that are searched beside those with people.
const NEWEST: u32 = 5_000;
/// Rooms with people that are searched.
const BUSIEST: u32 = 1_000;
/// Characters of a query; the rest is not read.
const MAX_QUERY: usize = 60;
/// Cache lifetime of the list that is searched: a change by a command is found after this time at the latest.
const CACHED_FOR: Duration = Duration::from_secs(5);

/// A room, and the text that is searched.
struct Entry {
    row: RoomRow,
    text: String,
}

/// The rooms that can be found. A clone shares the list.
#[derive(Clone)]
pub(super) struct RoomSearch {
    store: Store,
    cached: Cache<(), Arc<OnceCell<Arc<Vec<Entry>>>>>,
}

impl RoomSearch {
    pub(super) fn new(store: Store) -> Self {
        Self { store, cached: Cache::builder().time_to_live(CACHED_FOR).build() }
    }

    /// Returns the query as it is shown and compared: one line, 60 characters at most.
    pub(super) fn clean(query: &str) -> String {
        let line: String = crate::domain::text::clean_line(query).chars().take(MAX_QUERY).collect();
        line.trim().to_owned()
    }

    /// Returns up to `limit` rooms after the first `skip` that have all words of the query in title or nickname: the rooms
    /// `busiest` first, in their order, then the newest.
    ///
    /// # Errors
    /// A failed query.
    pub(super) async fn find(&self, query: &str, busiest: Vec<RoomId>, skip: usize, limit: usize) -> Result<Vec<RoomRow>> {
        let entries = self.entries(busiest).await?;
        let key = names::account_key(query);
        let words: Vec<&str> = key.split_whitespace().collect();
        let matches = |entry: &&Entry| words.iter().all(|word| entry.text.contains(word));
        Ok(entries.iter().filter(matches).skip(skip).take(limit).map(|entry| entry.row.clone()).collect())
    }

    /// Forgets the list, because a room was added or changed. A read under way is not kept either.
    pub(super) fn forget(&self) {
        self.cached.invalidate(&());
    }

    /// Returns the list. Callers that come while it is read wait for the one read; after an error the next caller reads again.
    async fn entries(&self, busiest: Vec<RoomId>) -> Result<Arc<Vec<Entry>>> {
        let list = self.cached.get_with((), Arc::default);
        list.get_or_try_init(|| self.read(busiest)).await.cloned()
    }

    async fn read(&self, busiest: Vec<RoomId>) -> Result<Arc<Vec<Entry>>> {
        let busiest = self.store.rooms_by_id(busiest, BUSIEST).await?;
        let newest = self.store.open_rooms_without(Vec::new(), NEWEST, 0).await?;
        let mut seen = HashSet::new();
        let rows = busiest.into_iter().chain(newest).filter(|row| seen.insert(row.room.clone()));
        let entry = |row: RoomRow| {
            let host = row.host_nickname.as_deref().unwrap_or_default();
            let text = format!("{}\n{}", names::account_key(&row.title), names::account_key(host));
            Entry { row, text }
        };
        Ok(Arc::new(rows.map(entry).collect()))
    }
}
