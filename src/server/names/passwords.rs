//! The rules of a password. It is not cleaned: every character counts.

use super::account_key;
use crate::domain::{name, refusal::Refusal};
use std::collections::HashSet;
use std::sync::LazyLock;

/// The passwords that are tried first, one per line, in lower case: those of 8 characters and more of the published lists.
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// Checks a new password of the account `account`: 8 characters to 256 bytes; none of the common ones, no repetition or row
/// of characters, and not the account's own name.
///
/// # Errors
/// The refusal of an unsuitable password.
pub fn password<'a>(raw: &'a str, account: &str) -> Result<&'a str, Refusal> {
    let password = name::password(raw)?;
    let (folded, account) = (account_key(password), account_key(account));
    let without_digits = folded.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    let is_guessed = COMMON.contains(folded.as_str())
        || is_row(&folded)
        || folded == account
        || (without_digits == account && folded.chars().count() < account.chars().count() + 8)
        || folded == format!("{account}{account}");
    if is_guessed { Err(Refusal::malformed("password")) } else { Ok(password) }
}

/// Returns true if every character follows the one before by the same step: `aaaaaaaa`, `12345678`, `hgfedcba`.
fn is_row(text: &str) -> bool {
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps: HashSet<i64> = codes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.len() <= 1 && steps.iter().all(|step| (-1..=1).contains(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_passwords_and_the_own_name_are_refused() {
        let bad = [
            "password",
            "Password1",
            "12345678",
            "87654321",
            "aaaaaaaa",
            "qwertyui",
            "iloveyou",
            "ming.ming",
            "MING.MING",
            "ｐａｓｓｗｏｒｄ",
            "ming.ming1",
            "5201314520",
            "short",
        ];
        for bad in bad {
            assert_eq!(password(bad, "ming.ming"), Err(Refusal::malformed("password")), "{bad}");
        }
        for good in ["correct horse", "a long password", "ming.ming and a horse", "battery staple", "阿明喜欢吃苹果派"] {
            assert_eq!(password(good, "ming.ming"), Ok(good));
        }
        assert_eq!(password("", "ming"), Err(Refusal::blank("password")));
    }

    #[test]
    fn the_list_has_lines_that_can_match() {
        assert!(COMMON.len() > 150);
        for line in COMMON.iter() {
            assert!(line.chars().count() >= 8 && *line == account_key(line), "{line:?}");
        }
    }
}
