//! Lengths of nicknames, account names, room titles and passwords. Reserved names are known to `server/names`.

use crate::domain::{refusal::Refusal, text};

/// Cleans a one-line text. Refuses it if it is blank or has more than `max` graphemes.
fn clean_name(raw: &str, field: &'static str, max: u32) -> Result<String, Refusal> {
    let line = text::clean_line(raw);
    if text::is_blank(&line) {
        return Err(Refusal::blank(field));
    }
    // 8 bytes per grapheme suffice for flags and skin tones, and exclude stacks of combining marks.
    if line.len() > max as usize * 8 || text::graphemes(&line) > max as usize {
        return Err(Refusal::TooLong { max });
    }
    Ok(line)
}

/// Cleans and measures a nickname: 1-32 graphemes. Reserved ones are known to `server/names`.
pub fn nickname(raw: &str) -> Result<String, Refusal> {
    clean_name(raw, "nickname", 32)
}

/// Cleans and checks a room's title: 1-60 graphemes.
pub fn title(raw: &str) -> Result<String, Refusal> {
    clean_name(raw, "title", 60)
}

/// Cleans and measures the name of an account: 1-32 graphemes. `server/names` checks its characters.
pub fn account(raw: &str) -> Result<String, Refusal> {
    clean_name(raw, "name", 32)
}

/// Checks the length of a password: at least 8 characters (NIST SP 800-63B), at most 256 bytes. It is not cleaned.
pub fn password(raw: &str) -> Result<&str, Refusal> {
    if raw.is_empty() {
        return Err(Refusal::blank("password"));
    }
    if raw.len() > 256 {
        return Err(Refusal::TooLong { max: 256 });
    }
    if raw.chars().count() < 8 { Err(Refusal::malformed("password")) } else { Ok(raw) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_cleaned_and_measured() {
        assert_eq!(nickname("  阿\u{202e}明 "), Ok("阿明".into()));
        assert_eq!(nickname(&"名".repeat(32)), Ok("名".repeat(32)));
        assert_eq!(nickname(&"名".repeat(33)), Err(Refusal::TooLong { max: 32 }));
        assert_eq!(nickname("   "), Err(Refusal::blank("nickname")));
        assert_eq!(account(" Ming_1 "), Ok("Ming_1".into()));
        assert!(password("12345678").is_ok());
        assert_eq!(password("1234567"), Err(Refusal::malformed("password")));
    }
}
