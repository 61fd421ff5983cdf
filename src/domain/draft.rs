//! A message before it is sent, and the rules it must keep. Page and server run the same code, so the server accepts every
//! text that the page accepts.

use crate::domain::{refusal::Refusal, text};
use serde::{Deserialize, Serialize};

/// A room's limits on messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// Most graphemes of a message.
    pub max_graphemes: u32,
    /// Most bytes of a message, as UTF-8.
    pub max_bytes: u32,
    /// Milliseconds between two accepted messages of one person in one room. A slow mode of the room may be longer.
    pub cooldown_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_graphemes: 140, max_bytes: 4096, cooldown_ms: 3000 }
    }
}

/// Returns the milliseconds that a cooldown of `cooldown_ms` still runs at `now` for a person whose last message was accepted
/// at `last`; both times are unix ms. 0: the next message may come.
pub fn cooldown_wait_ms(cooldown_ms: u64, last: Option<u64>, now: u64) -> u64 {
    // If the clock was set back, `last` is in the future. It is ignored, so that the cooldown cannot last for hours.
    let since = last.and_then(|last| now.checked_sub(last));
    since.map_or(0, |since| cooldown_ms.saturating_sub(since))
}

/// A cleaned text. Its length is counted after cleaning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft(String);

impl Draft {
    /// Cleans `raw` with [`text::clean_lines`].
    pub fn new(raw: &str) -> Self {
        Self(text::clean_lines(raw))
    }

    /// Returns the cleaned text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the length in graphemes.
    pub fn graphemes(&self) -> usize {
        text::graphemes(&self.0)
    }

    /// Checks the text against the rules. Returns [`Refusal::Blank`] if it would show nothing, [`Refusal::TooLong`] if it
    /// exceeds the graphemes or the bytes.
    pub fn check(&self, rules: &Rules) -> Result<(), Refusal> {
        if text::is_blank(&self.0) {
            return Err(Refusal::blank("message"));
        }
        // Bytes first, because they limit the work of counting graphemes.
        if self.0.len() > rules.max_bytes as usize || self.graphemes() > rules.max_graphemes as usize {
            return Err(Refusal::TooLong { max: rules.max_graphemes });
        }
        Ok(())
    }

    /// Returns the cleaned text, without a copy.
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
    fn drafts_of_140_graphemes_pass_and_longer_ones_do_not() {
        let too_long = Err(Refusal::TooLong { max: 140 });
        check(&"字".repeat(140), Ok(()));
        check(&"字".repeat(141), too_long.clone());
        check(&"👨‍👩‍👧‍👦".repeat(140), Ok(()));
        check(&format!("  {}\n ", "x".repeat(140)), Ok(()));
        check(&format!("e{}", "\u{301}".repeat(2560)), too_long);
        check(" \u{200b}\n", Err(Refusal::blank("message")));
    }

    #[test]
    fn cooldown_allows_one_message_and_ignores_a_last_time_in_the_future() {
        assert_eq!(cooldown_wait_ms(3000, None, 5), 0);
        assert_eq!(cooldown_wait_ms(3000, Some(1000), 3999), 1);
        assert_eq!(cooldown_wait_ms(3000, Some(1000), 4000), 0);
        assert_eq!(cooldown_wait_ms(3000, Some(9000), 1000), 0);
    }

    proptest! {
        #[test]
        fn cleaning_is_idempotent_and_leaves_no_control_characters(raw in "\\PC*|(.|\n|\r|\t|\u{202e}|\u{200d}){0,60}") {
            let once = Draft::new(&raw);
            prop_assert_eq!(&Draft::new(once.as_str()), &once);
            prop_assert!(!once.as_str().chars().any(|c| c != '\n' && c.is_control()));
            if once.check(&Rules::default()).is_ok() {
                prop_assert!(once.graphemes() <= 140 && once.as_str().len() <= 4096 && !once.as_str().trim().is_empty());
            }
        }
    }
}
