//! The nicknames of the rooms' hosts, which nobody else may take.

use crate::domain::{id::Uid, refusal::Refusal};
use crate::server::{incident::refusal_of, names, storage::Store};
use moka::sync::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Cache lifetime of the list: the nickname of a new host is reserved after this time at the latest.
const CACHED_FOR: Duration = Duration::from_secs(10);

/// Skeletons of the hosts' nicknames, each with the hosts that have it.
type Nicknames = Arc<HashMap<String, Vec<Uid>>>;

/// Looks the hosts' nicknames up. A clone shares the cache.
#[derive(Clone)]
pub(super) struct Hosts {
    store: Store,
    cached: Cache<(), Nicknames>,
    /// Held during a query: requests that come meanwhile wait for its list.
    refill: Arc<Mutex<()>>,
}

impl Hosts {
    pub(super) fn new(store: Store) -> Self {
        Self { store, cached: Cache::builder().time_to_live(CACHED_FOR).build(), refill: Arc::default() }
    }

    /// Returns the nicknames of all hosts, by skeleton.
    ///
    /// # Errors
    /// The refusal of a failed query.
    pub(super) async fn nicknames(&self) -> Result<Nicknames, Refusal> {
        if let Some(nicknames) = self.cached.get(&()) {
            return Ok(nicknames);
        }
        let _refill = self.refill.lock().await;
        if let Some(nicknames) = self.cached.get(&()) {
            return Ok(nicknames);
        }
        let mut nicknames: HashMap<String, Vec<Uid>> = HashMap::new();
        for (uid, nickname) in self.store.host_nicknames().await.map_err(|error| refusal_of(&error, "hosts"))? {
            nicknames.entry(names::skeleton(&nickname)).or_default().push(uid);
        }
        let nicknames = Arc::new(nicknames);
        self.cached.insert((), nicknames.clone());
        Ok(nicknames)
    }

    /// Forgets the list, because a host was added.
    pub(super) fn forget(&self) {
        self.cached.invalidate(&());
    }
}
