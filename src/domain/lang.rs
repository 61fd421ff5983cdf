//! The two languages of the pages, and the choice between them.

use serde::{Deserialize, Serialize};

/// A language of the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Simplified Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

impl Lang {
    /// Returns the tag for `<html lang>`. It is zh-CN and not zh, so that browsers choose the simplified glyphs.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// Returns the value in the cookie.
    pub fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// Returns the other language, for the switch.
    pub fn other(self) -> Self {
        match self {
            Self::Zh => Self::En,
            Self::En => Self::Zh,
        }
    }

    /// Parses the value in the cookie.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "zh" => Some(Self::Zh),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// Chooses a language by an `Accept-Language` header (RFC 9110, 12.5.4): the one with the higher weight, English if the
    /// header names neither, Chinese if it is empty.
    pub fn from_accept_language(header: &str) -> Self {
        let weight = |range: &str| {
            let (tag, quality) = range.split_once(';').unwrap_or((range, "q=1"));
            let quality: f32 = quality.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(1.0);
            let primary = tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
            (primary, quality)
        };
        if header.trim().is_empty() {
            return Self::default();
        }
        let mut best = (Self::En, 0.0);
        for (primary, quality) in header.split(',').map(weight) {
            if let Some(lang) = Self::from_code(&primary)
                && quality > best.1
            {
                best = (lang, quality);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_language_of_the_highest_weight_wins() {
        for (header, lang) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("en-US,en;q=0.9", Lang::En),
            ("fr, zh;q=0.3, en;q=0.7", Lang::En),
            ("fr-FR", Lang::En),
            ("", Lang::Zh),
            ("ZH-hant", Lang::Zh),
        ] {
            assert_eq!(Lang::from_accept_language(header), lang, "{header}");
        }
    }
}
