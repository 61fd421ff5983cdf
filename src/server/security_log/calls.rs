//! Counts of API calls by key, method and outcome: a back end may make thousands per second, which are one line per minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Kinds of calls that are counted at a time. Keys are made by operators, and methods are ours: more are not expected, and the
/// calls of a further kind are not recorded until the next minute.
const MAX_KINDS: usize = 4_096;

/// Calls that are counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Call {
    /// Name of the API key.
    pub key: String,
    /// Name of the method.
    pub method: &'static str,
    /// `done`, or the code of the refusal.
    pub outcome: &'static str,
}

/// The calls since the last [`Calls::take`], without the first of each kind.
#[derive(Default)]
pub(super) struct Calls(Mutex<HashMap<Call, u64>>);

impl Calls {
    /// Returns true for the first call of its kind; a repetition is counted.
    pub(super) fn is_first(&self, key: &str, method: &'static str, outcome: &'static str) -> bool {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let call = Call { key: key.to_owned(), method, outcome };
        if let Some(count) = calls.get_mut(&call) {
            *count += 1;
            return false;
        }
        let is_counted = calls.len() < MAX_KINDS;
        if is_counted {
            calls.insert(call, 0);
        }
        is_counted
    }

    /// Returns the kinds that were repeated, with the number of repetitions, and begins anew.
    pub(super) fn take(&self) -> Vec<(Call, u64)> {
        let calls = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        calls.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}
