//! Refused forms, kept until their page is loaded again.

use crate::domain::reply::ReturnedForm;
use moka::sync::Cache;
use std::time::Duration;

/// How long a refused form waits for its page to be loaded again.
pub const RETURNED_FORM_TTL: Duration = Duration::from_secs(120);

/// Refused forms that wait for their page, by a random name in a cookie. Bounded: the oldest go.
#[derive(Clone)]
pub struct ReturnedForms(Cache<String, ReturnedForm>);

impl Default for ReturnedForms {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(2_000).time_to_live(RETURNED_FORM_TTL).build())
    }
}

impl ReturnedForms {
    pub fn insert(&self, returned: ReturnedForm) -> String {
        let name = uuid::Uuid::new_v4().simple().to_string();
        self.0.insert(name.clone(), returned);
        name
    }

    /// Once.
    pub fn take(&self, name: &str) -> Option<ReturnedForm> {
        self.0.remove(name)
    }
}
