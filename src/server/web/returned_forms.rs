//! Forms of pages without JavaScript that wait for their page: refused ones, and those whose only result is a cookie that the
//! browser may not keep.

use crate::domain::reply::ReturnedForm;
use moka::sync::Cache;
use std::time::Duration;

/// Time for which a form is kept.
pub(super) const RETURNED_FORM_TTL: Duration = Duration::from_secs(120);
/// Bytes of text that all kept forms have together.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes that a kept form is counted with beside its text, so that there are 16,384 at most.
const BYTES_EACH: usize = 1024;

/// A form that waits for its page.
#[derive(Clone, Debug)]
pub struct KeptForm {
    /// The form, as its page shows it.
    pub form: ReturnedForm,
    /// The path to go to if the browser keeps cookies after all. `None`: the form was refused.
    pub then: Option<String>,
}

/// Kept forms by a random key, which the client holds in a cookie or in the page's address. At most 16 MiB; the least recently
/// used are evicted.
#[derive(Clone)]
pub struct ReturnedForms(Cache<String, KeptForm>);

impl Default for ReturnedForms {
    fn default() -> Self {
        let weight = |_: &String, kept: &KeptForm| {
            let form = &kept.form;
            let then = kept.then.as_ref().map_or(0, String::len);
            let bytes = form.form.len() + form.text.len() + form.more.len() + then + BYTES_EACH;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().weigher(weight).max_capacity(MAX_BYTES).time_to_live(RETURNED_FORM_TTL).build())
    }
}

impl ReturnedForms {
    /// Keeps a form and returns its key.
    pub fn insert(&self, kept: KeptForm) -> String {
        let key = uuid::Uuid::new_v4().simple().to_string();
        self.0.insert(key.clone(), kept);
        key
    }

    /// Returns a copy of the form of a key, and keeps it.
    pub fn peek(&self, key: &str) -> Option<KeptForm> {
        self.0.get(key)
    }

    /// Removes and returns the form of a key. `None`: unknown, taken already, or expired.
    pub fn take(&self, key: &str) -> Option<KeptForm> {
        self.0.remove(key)
    }
}
