//! Cleaning and measuring text from people. It stays plain text: no part of Roomcast parses markup or links in it.

use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation;

/// Cleans a text of one or several lines: removes control characters and bidirectional overrides, turns line ends into
/// `\n`, leaves at most one blank line in a row, trims white space at both ends.
pub fn clean_lines(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut line_ends = 0;
    for c in raw.replace("\r\n", "\n").chars() {
        match c {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => {
                line_ends += 1;
                if line_ends <= 2 {
                    text.push('\n');
                }
            }
            '\t' => text.push(' '),
            c if is_stripped(c) => {}
            c => {
                if !c.is_whitespace() {
                    line_ends = 0;
                }
                text.push(c);
            }
        }
    }
    text.trim().to_owned()
}

/// Cleans like [`clean_lines`], and turns every run of white space into one space.
pub fn clean_line(raw: &str) -> String {
    let text = clean_lines(raw);
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Returns the length in extended grapheme clusters (Unicode annex 29), which is the length that a reader sees.
pub fn graphemes(text: &str) -> usize {
    text.graphemes(true).count()
}

/// Returns true if the text has no visible character.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_invisible(c))
}

/// Escapes the characters that a terminal obeys, or that reorder the text around them: `\n`, `\u{1b}`. For names and texts of
/// others in the output of a command or in a log line.
pub fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.contains(is_stripped) && !text.contains(['\u{2028}', '\u{2029}']) {
        return Cow::Borrowed(text);
    }
    let is_escaped = |c: char| is_stripped(c) || matches!(c, '\u{2028}' | '\u{2029}');
    let escape = |c: char| if is_escaped(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Control characters, and characters that reorder or cut the text around them (Unicode annex 9, "Trojan Source").
fn is_stripped(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Joiners, fillers and selectors: needed within words and emoji, invisible alone.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_overrides_are_removed_and_markup_stays() {
        assert_eq!(clean_lines("a\u{0}b\u{7f}c\u{85}"), "abc");
        assert_eq!(clean_lines("safe\u{202e}txt.exe\u{2066}x\u{2069}"), "safetxt.exex");
        assert_eq!(clean_lines("<script>alert(1)</script> javascript:x"), "<script>alert(1)</script> javascript:x");
        assert_eq!(clean_lines("  one\r\ntwo\rthree\tfour \n"), "one\ntwo\nthree four");
        assert_eq!(clean_lines("a\n\n \n\n\nb"), "a\n\n b");
        assert_eq!(clean_line(" a\n b\t c "), "a b c");
    }

    #[test]
    fn length_counts_visible_characters() {
        assert_eq!(graphemes("大家好"), 3);
        assert_eq!(graphemes("👨‍👩‍👧‍👦👍🏽🇨🇳é"), 4);
        assert_eq!(graphemes(&"👨‍👩‍👧‍👦".repeat(140)), 140);
    }

    #[test]
    fn invisible_text_is_blank() {
        for blank in ["", " ", "\u{3000}\n", "\u{200b}", "\u{200d}\u{fe0f}", "\u{3164}", "\u{2800}"] {
            assert!(is_blank(&clean_lines(blank)), "{blank:?}");
        }
        assert!(!is_blank("."));
    }
}
