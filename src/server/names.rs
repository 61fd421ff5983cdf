//! Names as people write them: account names that are one however they are typed, nicknames that cannot be taken for a badge,
//! the system or a host, passwords that are not the first ones tried.
//!
//! Comparisons use Unicode's own tables (NFKC, and the skeletons of UTS 39), which are too large for the pages: this module is
//! the server's, and `domain::name` has the rules that both sides share. Every script and combining mark stays allowed.

mod passwords;

pub use passwords::password;

use crate::domain::{name, refusal::Refusal, text};
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton as uts39_skeleton;

/// Words that stand alone in a badge or a notice of the system, compared by [`skeleton`].
const RESERVED_WORDS: [&str; 15] = [
    "host",
    "streamer",
    "system",
    "mod",
    "mods",
    "moderator",
    "moderators",
    "modbot",
    "admin",
    "admins",
    "administrator",
    "official",
    "staff",
    "roomcast",
    "sysop",
];
/// Words that are a badge between brackets, and a name like any other without them.
const BRACKETED_WORDS: [&str; 7] = ["vip", "vips", "bot", "bots", "robot", "viewer", "owner"];
/// The same in Chinese, where a badge may have more words before or after it.
const BRACKETED_PARTS: [&str; 5] = ["贵宾", "貴賓", "机器人", "機器人", "系统"];
/// Chinese has no spaces: these are reserved wherever they stand in a name.
const RESERVED_PARTS: [&str; 16] = [
    "主播",
    "主持人",
    "系统提示",
    "系統提示",
    "系统消息",
    "系統消息",
    "系統訊息",
    "系统通知",
    "系統通知",
    "系统公告",
    "系統公告",
    "管理员",
    "管理員",
    "官方",
    "房管",
    "超管",
];
/// These only as the whole name.
const RESERVED_NAMES: [&str; 12] =
    ["系统", "系統", "站长", "站長", "房主", "群主", "客服", "贵宾", "貴賓", "机器人", "機器人", "版主"];

/// The reserved words as they are compared.
static SKELETONS: LazyLock<Reserved> = LazyLock::new(|| {
    let of = |words: &[&str]| words.iter().map(|word| skeleton(word)).collect();
    Reserved {
        words: of(&RESERVED_WORDS),
        bracketed: of(&BRACKETED_WORDS),
        bracketed_parts: of(&BRACKETED_PARTS),
        parts: of(&RESERVED_PARTS),
        names: of(&RESERVED_NAMES),
    }
});

struct Reserved {
    words: Vec<String>,
    bracketed: Vec<String>,
    bracketed_parts: Vec<String>,
    parts: Vec<String>,
    names: Vec<String>,
}

impl Reserved {
    /// Whether the text of a bracket is that of a badge.
    fn is_bracketed(&self, part: &String) -> bool {
        self.bracketed.contains(part) || self.bracketed_parts.iter().any(|reserved| part.contains(reserved.as_str()))
    }
}

/// Cleans and checks a nickname: 1-32 graphemes, without fillers. [`Refusal::Malformed`] if it looks like a badge or a notice
/// of the system.
///
/// # Errors
/// The refusal of a nickname that is blank, too long or reserved.
pub fn nickname(raw: &str) -> Result<String, Refusal> {
    let visible: String = raw.chars().filter(|c| !is_filler(*c)).collect();
    let nickname = name::nickname(&visible)?;
    if imitates_badge(&nickname) { Err(Refusal::malformed("nickname")) } else { Ok(nickname) }
}

/// Cleans and checks the name of an account: 2-32 letters and digits of any script with their marks, `_`, `-`, `.`. It is
/// stored in the composed form (NFC), so that it is shown as one name however it was typed.
///
/// # Errors
/// The refusal of a name that is blank, too long, or has another character.
pub fn account(raw: &str) -> Result<String, Refusal> {
    let visible: String = raw.chars().filter(|c| !is_ignorable(*c)).nfc().collect();
    let name = name::account(&visible)?;
    let valid = |c: char| c.is_alphanumeric() || is_combining_mark(c) || matches!(c, '_' | '-' | '.');
    let valid = name.chars().all(valid) && !name.starts_with(is_combining_mark) && name.chars().count() >= 2;
    if valid { Ok(name) } else { Err(Refusal::malformed("name")) }
}

/// Returns the form in which account names are compared and stored as unique: without blanks around, composed or not, wide
/// or not, in capitals or not.
pub fn account_key(name: &str) -> String {
    let visible: String = text::clean_line(name).chars().filter(|c| !is_ignorable(*c)).collect();
    let lower = visible.nfkc().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c });
    lower.nfkc().collect()
}

/// Returns the key of [`account_key`] before version 1.1, under which older accounts are stored: lower case, halfwidth.
pub fn former_account_key(name: &str) -> String {
    let halfwidth = |c| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        c => c,
    };
    // No name has U+0000, and PostgreSQL takes no text that has it.
    name.chars().filter(|c| *c != '\0').map(halfwidth).flat_map(char::to_lowercase).collect()
}

/// Returns the skeleton of UTS 39 without regard to case, width and invisible characters: two names with one skeleton look
/// alike.
pub fn skeleton(name: &str) -> String {
    let visible: String = name.chars().filter(|c| !is_ignorable(*c)).nfkc().map(|c| c.to_ascii_lowercase()).collect();
    let once: String = uts39_skeleton(&visible).flat_map(char::to_lowercase).collect();
    uts39_skeleton(&once).collect()
}

/// Returns true if a reader could take the nickname for a badge or a notice of the system.
fn imitates_badge(nickname: &str) -> bool {
    // Marks that form no letter with the one before, such as strokes through it, only disguise.
    let composed: String = nickname.nfkc().filter(|c| !is_combining_mark(*c)).collect();
    // A bar separates words, and looks like an l in the skeleton.
    shows_badge(&skeleton(&composed)) || (composed.contains('|') && shows_badge(&skeleton(&composed.replace('|', " "))))
}

/// The same for a skeleton.
fn shows_badge(folded: &str) -> bool {
    let reserved = &*SKELETONS;
    let is_letter = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    let letters: String = folded.chars().filter(|c| is_letter(*c)).collect();
    let mut words = folded.split(|c: char| !(c.is_ascii_alphanumeric() || is_combining_mark(c)));
    // Spaced letters, `[H o s t]`: the text between punctuation, without its spaces.
    let spaced: Vec<String> = folded
        .split(|c: char| !is_letter(c) && !c.is_whitespace())
        .map(|part| part.split_whitespace().collect::<String>())
        .filter(|part| !part.is_empty())
        .collect();
    let begins_with_bracket = folded.chars().next().is_some_and(|c| !is_letter(c));
    reserved.parts.iter().any(|part| letters.contains(part.as_str()))
        || reserved.names.contains(&letters)
        || words.any(|word| reserved.words.iter().any(|reserved| reserved == word))
        || spaced.iter().any(|part| reserved.words.contains(part))
        || (begins_with_bracket && spaced.first().is_some_and(|part| reserved.is_bracketed(part)))
}

/// Default-ignorable code points (Unicode's property): invisible, and part of no comparison.
fn is_ignorable(c: char) -> bool {
    is_filler(c) || matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
}

/// The ignorable code points that no word and no emoji needs; a nickname loses them. Joiners and selectors stay.
fn is_filler(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_badges_and_the_system_cannot_be_imitated() {
        let imitations = [
            "[主播]阿明",
            "【主 播】x",
            "主播",
            "[Host] Ming",
            "ＨＯＳＴ",
            "系统提示",
            "主\u{200b}播",
            "[主\u{115f}播]",
            "[主\u{3164}播]",
            "[𝐇𝐨𝐬𝐭]",
            "[Hоst]",
            "[ΗΟST]",
            "H0st",
            "[H o s t]",
            "Ho\u{335}st",
            "管理员",
            "管理員小王",
            "Roomcast 官方",
            "房管",
            "Mod",
            "[MОD] x",
            "Ａｄｍｉｎ",
            "Systеm",
            "系統",
            "【VIP】阿明",
            "[bot] x",
            "Host小明",
            "roomcast",
            "【房\u{200b}管】x",
            "[ＭＯＤ]阿明",
            "[M0D] x",
            "Ⓜod",
            "[Мod] x",
            "ʀoomcast mod",
            "房 管",
            "[V I P] x",
            "(ＶＩＰ)x",
            "【贵宾】阿明",
            "[貴賓]x",
            "贵宾",
            "[机器人] 7",
            "機器人",
            "[BОT] x",
            "[robot] x",
            "[系统]x",
            "Mod|阿明",
            "管理員",
        ];
        for name in imitations {
            assert_eq!(nickname(name), Err(Refusal::malformed("nickname")), "{name}");
        }
    }

    #[test]
    fn f16_names_of_all_scripts_stay_allowed() {
        let names = [
            "Ghost",
            "hostess",
            "阿明",
            "José",
            "Jose\u{301}",
            "Modest",
            "modèle",
            "Ming 2",
            "हिन्दी",
            "สมชาย",
            "محمد",
            "مریم\u{200c}خانم",
            "Привет",
            "Ольга",
            "김민준",
            "👨‍👩‍👧‍👦",
            "❤️",
            "Höst",
            "vip",
            "系统之外",
            "Bottega",
            "robot",
            "vipassana",
            "admiral",
            "modest",
            "Robot 7",
            "Botond",
            "阿明机器人",
            "贵宾犬",
            "Modou",
            "Administrate",
            "bot",
            "z̷a̷l̷g̷o̷",
        ];
        for name in names {
            assert_eq!(nickname(name), Ok(name.to_owned()), "{name}");
        }
        assert_eq!(nickname("  阿\u{202e}\u{3164}明\u{2060} "), Ok("阿明".into()));
        assert_eq!(nickname(" \u{115f} "), Err(Refusal::blank("nickname")));
    }

    #[test]
    fn f16_names_that_look_alike_have_one_skeleton() {
        for (one, other) in
            [("Ming", "Мing"), ("MING", "ming"), ("paypal", "раураl"), ("小鱼", "小\u{200d}鱼"), ("Ｍing", "ming")]
        {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
        assert_ne!(skeleton("Jose"), skeleton("José"));
        assert_ne!(skeleton("小鱼"), skeleton("小魚"));
    }

    #[test]
    fn f16_an_account_name_is_one_however_it_is_typed() {
        for (one, other) in [
            ("José", "Jose\u{301}"),
            ("Ming", "ＭＩＮＧ"),
            (" ming ", "ming"),
            ("\u{3000}ming", "Ming"),
            ("ΟΔΟΣ", "οδος"),
            ("ｶﾅ", "カナ"),
            ("mi\u{200b}ng", "ming"),
            ("Å", "Å"),
        ] {
            assert_eq!(account_key(one), account_key(other), "{one} {other}");
        }
        assert_eq!(account("Jose\u{301}"), Ok("José".into()));
        assert_eq!(account(" हिन्दी "), Ok("हिन्दी".into()));
        assert_eq!(account("Ming_1"), Ok("Ming_1".into()));
        for bad in ["a b", "<b>", "x", "\u{301}ab", "\u{115f}\u{115f}"] {
            assert!(account(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_of_older_accounts_are_unchanged() {
        for name in ["Ming", "小鱼", "Anna_1", "José", "Ольга", "김민준"] {
            assert_eq!(account_key(name), former_account_key(name), "{name}");
        }
    }
}
