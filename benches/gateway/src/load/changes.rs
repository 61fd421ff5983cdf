//! Pushes `changed` of Roomcast, by their `rev`: when each is due, and how late the viewers got it.

use hdrhistogram::Histogram;

const MARK: &[u8] = br#"{"type":"changed""#;
const REV: &[u8] = br#""rev":"#;

pub struct Changes {
    /// The first rev, and when the act of each is due, in ns of the clock.
    first: u64,
    due: Vec<u64>,
    pub seen: u64,
    /// From the due time of the act to reading its push, in us.
    pub late: Histogram<u64>,
}

impl Changes {
    pub fn new(first: u64, due: Vec<u64>) -> Self {
        Self { first, due, seen: 0, late: Histogram::new_with_bounds(1, 120_000_000, 3).expect("three digits") }
    }

    /// Counts a push, if it is one of the changes.
    pub fn see(&mut self, payload: &[u8], now: u64) -> bool {
        let Some(due) = rev(payload).and_then(|rev| self.due.get(rev.checked_sub(self.first)? as usize)) else { return false };
        self.seen += 1;
        self.late.saturating_record(now.saturating_sub(*due) / 1_000);
        true
    }
}

/// Returns the rev of a push `changed`.
pub fn rev(payload: &[u8]) -> Option<u64> {
    payload.starts_with(MARK).then(|| number_after(payload, REV))?
}

/// Returns the number after `mark`.
pub fn number_after(text: &[u8], mark: &[u8]) -> Option<u64> {
    let at = text.windows(mark.len()).position(|part| part == mark)? + mark.len();
    let digits: Vec<u8> = text[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
    String::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_recognised_by_its_rev() {
        let push = br#"{"type":"changed","room":"1","rev":318,"at":5,"why":"moderator","removed":[41]}"#;
        assert_eq!((rev(push), rev(br#"{"type":"room","room":"1","rev":3}"#)), (Some(318), None));
        let mut changes = Changes::new(318, vec![1_000]);
        assert!(changes.see(push, 5_000) && !changes.see(br#"{"type":"changed","rev":319}"#, 1));
        assert_eq!((changes.seen, changes.late.max()), (1, 4));
    }
}
