//! Checks of nicknames, account names, room titles and passwords.

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

/// Cleans and checks a nickname: 1-32 graphemes. [`Refusal::Malformed`] if it looks like the host's badge or a system
/// notice.
pub fn nickname(raw: &str) -> Result<String, Refusal> {
    let nickname = clean_name(raw, "nickname", 32)?;
    if imitates_badge(&nickname) { Err(Refusal::malformed("nickname")) } else { Ok(nickname) }
}

/// Cleans and checks a room's title: 1-60 graphemes.
pub fn title(raw: &str) -> Result<String, Refusal> {
    clean_name(raw, "title", 60)
}

/// Cleans and checks the name of an account: 2-32 letters and digits of any script, `_`, `-`, `.`.
pub fn account(raw: &str) -> Result<String, Refusal> {
    let name = clean_name(raw, "name", 32)?;
    let valid = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) && name.chars().count() >= 2;
    if valid { Ok(name) } else { Err(Refusal::malformed("name")) }
}

/// Returns the form in which account names are compared and stored as unique: lower case, halfwidth. `Ming` and `ming` are
/// one account.
pub fn account_key(name: &str) -> String {
    name.chars().map(to_halfwidth).flat_map(char::to_lowercase).collect()
}

/// Checks a password: at least 8 characters (NIST SP 800-63B), at most 256 bytes. It is not cleaned.
pub fn password(raw: &str) -> Result<&str, Refusal> {
    if raw.is_empty() {
        return Err(Refusal::blank("password"));
    }
    if raw.len() > 256 {
        return Err(Refusal::TooLong { max: 256 });
    }
    if raw.chars().count() < 8 { Err(Refusal::malformed("password")) } else { Ok(raw) }
}

/// Returns true if a reader could take the nickname for `[主播]`, `[host]` or a system notice.
fn imitates_badge(nickname: &str) -> bool {
    let folded = account_key(nickname);
    let letters: String = folded.chars().filter(|c| c.is_alphanumeric()).collect();
    let words = folded.split(|c: char| !c.is_alphanumeric());
    ["主播", "主持人", "系统提示", "系統提示"].iter().any(|badge| letters.contains(badge))
        || matches!(letters.as_str(), "系统" | "系統")
        || words.into_iter().any(|word| matches!(word, "host" | "system" | "streamer"))
}

/// Maps fullwidth forms to ASCII: `Ｈｏｓｔ` to `Host`.
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
    fn blank_and_badge_like_nicknames_are_refused() {
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
    fn account_names_and_passwords_keep_their_rules() {
        assert_eq!(account("Ming_1"), Ok("Ming_1".into()));
        assert_eq!(account_key("Ｍing"), account_key("ming"));
        assert!(account("a b").is_err() && account("<b>").is_err() && account("x").is_err());
        assert!(password("12345678").is_ok());
        assert_eq!(password("1234567"), Err(Refusal::malformed("password")));
    }
}
