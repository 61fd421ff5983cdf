//! What a person has typed and not yet said, and the rules it must keep. Page and server ask the
//! same code, so what the page lets through the server takes.

use crate::domain::{refusal::Refusal, text};
use serde::{Deserialize, Serialize};

/// A room's rules for speaking.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rules {
    pub max_graphemes: u32,
    pub max_bytes: u32,
    /// Between two accepted messages of one person in one room.
    pub cooldown_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_graphemes: 140, max_bytes: 4096, cooldown_ms: 3000 }
    }
}

impl Rules {
    /// May one who last spoke at `last` speak at `now` (both unix ms)?
    pub fn check_cooldown(&self, last: Option<u64>, now: u64) -> Result<(), Refusal> {
        // A clock that was set back must silence nobody: what lies ahead of it is no last time.
        let Some(since) = last.and_then(|last| now.checked_sub(last)) else { return Ok(()) };
        match self.cooldown_ms.saturating_sub(since) {
            0 => Ok(()),
            retry_after_ms => Err(Refusal::TooFast { retry_after_ms }),
        }
    }
}

/// A cleaned text. Its length is of the cleaned text: what would be said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft(String);

impl Draft {
    pub fn new(raw: &str) -> Self {
        Self(text::clean_lines(raw))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn graphemes(&self) -> usize {
        text::graphemes(&self.0)
    }

    pub fn check(&self, rules: &Rules) -> Result<(), Refusal> {
        if text::is_blank(&self.0) {
            return Err(Refusal::blank("message"));
        }
        // Bytes first: they bound the work of counting.
        if self.0.len() > rules.max_bytes as usize || self.graphemes() > rules.max_graphemes as usize {
            return Err(Refusal::TooLong { max: rules.max_graphemes });
        }
        Ok(())
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(raw: &str, expected: Result<(), Refusal>) {
        assert_eq!(Draft::new(raw).check(&Rules::default()), expected, "{raw:.40}");
    }

    #[test]
    fn a_hundred_and_forty_pass_and_one_more_does_not() {
        let too_long = Err(Refusal::TooLong { max: 140 });
        check(&"字".repeat(140), Ok(()));
        check(&"字".repeat(141), too_long.clone());
        check(&"👨‍👩‍👧‍👦".repeat(140), Ok(()));
        check(&format!("  {}\n ", "x".repeat(140)), Ok(()));
        check(&format!("e{}", "\u{301}".repeat(2560)), too_long);
        check(" \u{200b}\n", Err(Refusal::blank("message")));
    }

    #[test]
    fn pace_is_one_message_a_cooldown() {
        let rules = Rules::default();
        assert_eq!(rules.check_cooldown(None, 5), Ok(()));
        assert_eq!(rules.check_cooldown(Some(1000), 3999), Err(Refusal::TooFast { retry_after_ms: 1 }));
        assert_eq!(rules.check_cooldown(Some(1000), 4000), Ok(()));
        assert_eq!(rules.check_cooldown(Some(9000), 1000), Ok(()));
    }

    proptest! {
        #[test]
        fn cleaning_is_done_once_and_leaves_no_control(raw in "\\PC*|(.|\n|\r|\t|\u{202e}|\u{200d}){0,60}") {
            let once = Draft::new(&raw);
            prop_assert_eq!(&Draft::new(once.as_str()), &once);
            prop_assert!(!once.as_str().chars().any(|c| c != '\n' && c.is_control()));
            if once.check(&Rules::default()).is_ok() {
                prop_assert!(once.graphemes() <= 140 && once.as_str().len() <= 4096 && !once.as_str().trim().is_empty());
            }
        }
    }
}
