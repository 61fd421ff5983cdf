//! What people and rooms are called: nicknames, account names, room titles, and the passwords that guard them.

use crate::domain::{refusal::Refusal, text};

/// A cleaned one-line text of at most `max` graphemes that shows something.
fn clean_name(raw: &str, field: &'static str, max: u32) -> Result<String, Refusal> {
    let line = text::clean_line(raw);
    if text::is_blank(&line) {
        return Err(Refusal::blank(field));
    }
    // 8 bytes a grapheme leave room for flags and skin tones, and none for towers of combining marks.
    if line.len() > max as usize * 8 || text::graphemes(&line) > max as usize {
        return Err(Refusal::TooLong { max });
    }
    Ok(line)
}

/// What stands before a person's lines: 1-32 graphemes, and not something that reads as the host's badge or the system.
pub fn nickname(raw: &str) -> Result<String, Refusal> {
    let nickname = clean_name(raw, "nickname", 32)?;
    if imitates_badge(&nickname) { Err(Refusal::malformed("nickname")) } else { Ok(nickname) }
}

pub fn title(raw: &str) -> Result<String, Refusal> {
    clean_name(raw, "title", 60)
}

/// An account's name, 2-32 letters, digits, `_`, `-`, `.` of any script.
pub fn account(raw: &str) -> Result<String, Refusal> {
    let name = clean_name(raw, "name", 32)?;
    let valid = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) && name.chars().count() >= 2;
    if valid { Ok(name) } else { Err(Refusal::malformed("name")) }
}

/// How names are compared: `Ming` and `ming` are one.
pub fn account_key(name: &str) -> String {
    name.chars().map(to_halfwidth).flat_map(char::to_lowercase).collect()
}

/// Passwords are not cleaned. 8 characters at least (NIST SP 800-63B), 256 bytes at most.
pub fn password(raw: &str) -> Result<&str, Refusal> {
    if raw.is_empty() {
        return Err(Refusal::blank("password"));
    }
    if raw.len() > 256 {
        return Err(Refusal::TooLong { max: 256 });
    }
    if raw.chars().count() < 8 { Err(Refusal::malformed("password")) } else { Ok(raw) }
}

/// Would a reader take it for `[主播]`, `[host]` or a system notice?
fn imitates_badge(nickname: &str) -> bool {
    let folded = account_key(nickname);
    let letters: String = folded.chars().filter(|c| c.is_alphanumeric()).collect();
    let words = folded.split(|c: char| !c.is_alphanumeric());
    ["主播", "主持人", "系统提示", "系統提示"].iter().any(|badge| letters.contains(badge))
        || matches!(letters.as_str(), "系统" | "系統")
        || words.into_iter().any(|word| matches!(word, "host" | "system" | "streamer"))
}

/// Fullwidth forms as their ASCII twins: `Ｈｏｓｔ` reads as `Host`.
fn to_halfwidth(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicknames_show_something_and_forge_nothing() {
        assert_eq!(nickname("  阿\u{202e}明 "), Ok("阿明".into()));
        assert_eq!(nickname(&"名".repeat(32)), Ok("名".repeat(32)));
        assert_eq!(nickname(&"名".repeat(33)), Err(Refusal::TooLong { max: 32 }));
        assert_eq!(nickname("   "), Err(Refusal::blank("nickname")));
        for badge in ["[主播]阿明", "【主 播】x", "主播", "[Host] Ming", "ＨＯＳＴ", "系统提示", "主\u{200b}播"]
        {
            assert_eq!(nickname(badge), Err(Refusal::malformed("nickname")), "{badge}");
        }
        assert!(nickname("Ghost").is_ok() && nickname("hostess").is_ok());
    }

    #[test]
    fn accounts_and_passwords() {
        assert_eq!(account("Ming_1"), Ok("Ming_1".into()));
        assert_eq!(account_key("Ｍing"), account_key("ming"));
        assert!(account("a b").is_err() && account("<b>").is_err() && account("x").is_err());
        assert!(password("12345678").is_ok());
        assert_eq!(password("1234567"), Err(Refusal::malformed("password")));
    }
}
