//! Forms of pages without JavaScript that wait for their page: refused ones, and those whose only result is a cookie that the
//! browser may not keep.

use crate::domain::reply::ReturnedForm;
use crate::server::storage::{Result as StorageResult, Store};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::time::timeout;

/// Time for which a form is kept.
pub(super) const RETURNED_FORM_TTL: Duration = Duration::from_secs(120);
/// Bytes of text that all kept forms have together.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes that a kept form is counted with beside its text, so that there are 16,384 at most.
const BYTES_EACH: usize = 1024;

/// Bytes of a form that the store keeps; a longer one is known to its own node alone.
const MAX_SHARED_BYTES: usize = 8 * 1024;
/// Longest wait for the store.
const SHARED_WITHIN: Duration = Duration::from_millis(500);

/// A form that waits for its page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptForm {
    /// The form, as its page shows it.
    pub form: ReturnedForm,
    /// The path to go to if the browser keeps cookies after all. `None`: the form was refused.
    pub then: Option<String>,
}

/// Kept forms by a random key, which the client holds in a cookie or in the page's address. At most 16 MiB; the least recently
/// used are evicted. With several nodes the store has them, too: the next page may come from another node.
#[derive(Clone)]
pub struct ReturnedForms {
    here: Cache<String, KeptForm>,
    /// `None`: this is the only node.
    shared: Option<Store>,
}

impl ReturnedForms {
    /// Keeps forms in memory, and in `shared` if there are other nodes.
    pub(super) fn new(shared: Option<Store>) -> Self {
        let weight = |_: &String, kept: &KeptForm| {
            let form = &kept.form;
            let then = kept.then.as_ref().map_or(0, String::len);
            let bytes = form.form.len() + form.text.len() + form.more.len() + then + BYTES_EACH;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let here = Cache::builder().weigher(weight).max_capacity(MAX_BYTES).time_to_live(RETURNED_FORM_TTL).build();
        Self { here, shared }
    }

    /// Keeps a form and returns its key.
    pub async fn insert(&self, kept: KeptForm) -> String {
        let key = uuid::Uuid::new_v4().simple().to_string();
        if let Some(store) = &self.shared
            && let Ok(json) = serde_json::to_string(&kept)
            && json.len() <= MAX_SHARED_BYTES
        {
            let ttl = u64::try_from(RETURNED_FORM_TTL.as_millis()).unwrap_or(u64::MAX);
            in_time(store.keep_form(&hash(&key), &json, ttl)).await;
        }
        self.here.insert(key.clone(), kept);
        key
    }

    /// Returns a copy of the form of a key, and keeps it, from now on in this node's memory, too.
    pub async fn peek(&self, key: &str) -> Option<KeptForm> {
        if let Some(kept) = self.peek_here(key) {
            return Some(kept);
        }
        let kept = parse(in_time(self.shared.as_ref()?.kept_form(&hash(key))).await?)?;
        self.here.insert(key.to_owned(), kept.clone());
        Some(kept)
    }

    /// Returns a copy of the form of a key if it is in this node's memory.
    pub fn peek_here(&self, key: &str) -> Option<KeptForm> {
        self.here.get(key)
    }

    /// Removes and returns the form of a key. `None`: unknown, taken already, or expired.
    pub async fn take(&self, key: &str) -> Option<KeptForm> {
        let here = self.here.remove(key);
        let Some(store) = &self.shared else { return here };
        let shared = in_time(store.take_form(&hash(key))).await;
        here.or_else(|| parse(shared?))
    }
}

fn parse(json: Option<String>) -> Option<KeptForm> {
    serde_json::from_str(&json?).ok()
}

/// The key gives the form's text to whoever has it, so the store has its hash.
fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// A store that is away costs a form its text on another node, and nothing else.
async fn in_time<T>(query: impl Future<Output = StorageResult<T>>) -> Option<T> {
    match timeout(SHARED_WITHIN, query).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a returned form is on this node alone");
            None
        }
        Err(_) => None,
    }
}
