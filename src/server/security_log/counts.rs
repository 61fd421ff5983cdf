//! Counts of events that repeat: a back end may make thousands of calls per second, and a client may be refused as often. They
//! are one line per minute.

use super::Act;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Kinds that are counted at a time, of calls and of acts each. More are not expected: operators make the keys, and accounts are
/// registered at a limited rate. The events of a further kind are not recorded until the next minute.
const MAX_KINDS: usize = 4_096;

/// Calls that are counted together.
#[derive(PartialEq, Eq, Hash, Debug)]
pub(super) struct Call {
    /// Name of the API key.
    pub key: String,
    /// Name of the method.
    pub method: &'static str,
    /// `done`, or the code of the refusal.
    pub outcome: &'static str,
}

/// Acts of clients that are counted together.
#[derive(PartialEq, Eq, Hash, Debug)]
pub(super) struct CountedAct {
    /// The act.
    pub act: Act,
    /// The account's uid. `None`: there is no such account.
    pub uid: Option<String>,
    /// The account's name.
    pub account: Option<String>,
}

/// All that is counted.
#[derive(Default)]
pub(super) struct Counts {
    /// Calls of the API.
    pub calls: Repetitions<Call>,
    /// Acts of clients.
    pub acts: Repetitions<CountedAct>,
}

/// The events since the last [`Repetitions::take`], without the first of each kind.
pub(super) struct Repetitions<K>(Mutex<HashMap<K, u64>>);

impl<K> Default for Repetitions<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Repetitions<K> {
    /// Returns true for the first event of its kind; a repetition is counted.
    pub(super) fn is_first(&self, kind: K) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&kind) {
            *count += 1;
            return false;
        }
        let is_counted = counts.len() < MAX_KINDS;
        if is_counted {
            counts.insert(kind, 0);
        }
        is_counted
    }

    /// Returns the kinds that were repeated, with the number of repetitions, and begins anew.
    pub(super) fn take(&self) -> Vec<(K, u64)> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}
