//! Refused forms of pages without JavaScript, kept until the page is loaded again.

use crate::domain::reply::ReturnedForm;
use moka::sync::Cache;
use std::time::Duration;

/// Time for which a refused form is kept.
pub(super) const RETURNED_FORM_TTL: Duration = Duration::from_secs(120);

/// Refused forms by a random key, which the client holds in a cookie. At most 2,000; the least recently used are evicted.
#[derive(Clone)]
pub struct ReturnedForms(Cache<String, ReturnedForm>);

impl Default for ReturnedForms {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(2_000).time_to_live(RETURNED_FORM_TTL).build())
    }
}

impl ReturnedForms {
    /// Keeps a form and returns its key.
    pub fn insert(&self, returned: ReturnedForm) -> String {
        let key = uuid::Uuid::new_v4().simple().to_string();
        self.0.insert(key.clone(), returned);
        key
    }

    /// Removes and returns the form of a key. `None`: unknown, taken already, or expired.
    pub fn take(&self, key: &str) -> Option<ReturnedForm> {
        self.0.remove(key)
    }
}
