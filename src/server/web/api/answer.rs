//! The JSON of an answer, counted while it is written: a query, or a thousand of them in a batch, never builds more than the limit.

use super::method::ApiError;
use crate::domain::refusal::Refusal;
use crate::server::incident::incident;
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Largest answer of one request, in bytes, and largest part of one node in an answer of several.
pub(super) const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Largest answer of several nodes, in bytes: the sum of their parts.
pub(super) const MAX_GATHERED_BYTES: usize = 64 * 1024 * 1024;
/// A result of at most this many bytes is written also when the budget is used up, so that a call which took effect never
/// answers that its result is too long.
const SHORT_RESULT_BYTES: usize = 256;
/// The writer takes the budget in blocks of this many bytes.
const BLOCK_BYTES: usize = 4 * 1024;

/// The bytes that the results of one request may still have together. Clones share them.
#[derive(Clone)]
pub(super) struct AnswerBudget {
    left: Arc<AtomicUsize>,
    limit: usize,
}

impl AnswerBudget {
    /// Creates the budget of a request, in bytes: [`MAX_ANSWER_BYTES`] or [`MAX_GATHERED_BYTES`].
    pub(super) fn new(limit: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(limit)), limit }
    }

    /// Counts a part that another node wrote. Returns `too_long` once it exceeds what is left.
    pub(super) fn count(&self, bytes: usize) -> Result<(), ApiError> {
        if self.take(bytes.saturating_sub(SHORT_RESULT_BYTES)) { Ok(()) } else { Err(self.too_long()) }
    }

    /// The error of an answer over the limit.
    pub(super) fn too_long(&self) -> ApiError {
        let limit = self.limit;
        ApiError {
            refusal: Refusal::TooLong { max: limit as u32 },
            detail: format!("the answer would be longer than {limit} bytes: ask for less at a time"),
        }
    }

    /// Writes a result as JSON. Returns `too_long` once it exceeds what is left. What it had taken is not given back: the budget
    /// bounds the work, too, so that a thousand calls do not each write almost all of it.
    pub(super) fn write(&self, result: &impl Serialize) -> Result<Vec<u8>, ApiError> {
        let mut writer = Writer { out: Vec::new(), granted: SHORT_RESULT_BYTES, budget: self, is_over: false };
        let written = serde_json::to_writer(&mut writer, result);
        let Writer { out, granted, is_over, .. } = writer;
        match written {
            Ok(()) => {
                self.left.fetch_add(granted - out.len().max(SHORT_RESULT_BYTES), Ordering::Relaxed);
                Ok(out)
            }
            Err(_) if is_over => Err(self.too_long()),
            Err(error) => Err(incident(&error, "api").into()),
        }
    }

    fn take(&self, bytes: usize) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

struct Writer<'a> {
    out: Vec<u8>,
    /// Bytes that `out` may have now.
    granted: usize,
    budget: &'a AnswerBudget,
    is_over: bool,
}

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let missing = (self.out.len() + bytes.len()).saturating_sub(self.granted);
        if missing > 0 {
            let block = missing.max(BLOCK_BYTES);
            // Near the end of the budget exactly what is missing.
            let taken = [block, missing].into_iter().find(|bytes| self.budget.take(*bytes));
            let Some(taken) = taken else {
                self.is_over = true;
                self.budget.left.store(0, Ordering::Relaxed);
                return Err(io::Error::other("over the budget"));
            };
            self.granted += taken;
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(budget: &AnswerBudget) -> usize {
        budget.left.load(Ordering::Relaxed)
    }

    #[test]
    fn f20_results_share_one_budget_which_one_too_long_uses_up() {
        let budget = AnswerBudget::new(MAX_ANSWER_BYTES);
        let half = "x".repeat(MAX_ANSWER_BYTES / 2);
        assert_eq!(budget.write(&half).ok().map(|json| json.len()), Some(half.len() + 2));
        assert_eq!(left(&budget), MAX_ANSWER_BYTES - (half.len() + 2 - SHORT_RESULT_BYTES));
        let rest = "z".repeat(left(&budget) + SHORT_RESULT_BYTES - 2);
        assert!(budget.write(&rest).is_ok(), "the last byte can be used");
        assert_eq!(left(&budget), 0);

        let budget = AnswerBudget::new(MAX_ANSWER_BYTES);
        let many = vec!["y".repeat(1000); MAX_ANSWER_BYTES / 1000];
        let error = budget.write(&many).err().unwrap();
        assert_eq!((error.refusal, left(&budget)), (Refusal::TooLong { max: MAX_ANSWER_BYTES as u32 }, 0));
        assert!(error.detail.contains("16777216 bytes"), "{}", error.detail);
        assert!(budget.write(&"x".repeat(SHORT_RESULT_BYTES)).is_err() && budget.write(&1).is_ok());
    }

    #[test]
    fn f20_a_short_result_is_written_in_any_case() {
        let budget = AnswerBudget::new(0);
        assert_eq!(budget.write(&true).ok().as_deref(), Some(b"true".as_slice()));
        assert!(budget.write(&"x".repeat(SHORT_RESULT_BYTES)).is_err());
        assert_eq!(left(&budget), 0);
        assert!(budget.count(SHORT_RESULT_BYTES).is_ok() && budget.count(SHORT_RESULT_BYTES + 1).is_err());
    }
}
