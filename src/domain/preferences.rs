//! A reader's language and theme. They are in cookies, so that the server renders the first HTML with them.

use crate::domain::lang::Lang;
use serde::{Deserialize, Serialize};

/// Name of the cookie with [`Lang::code`].
pub const LANG_COOKIE: &str = "roomcast_lang";
/// Name of the cookie with [`Theme::code`].
pub const THEME_COOKIE: &str = "roomcast_theme";
/// Name of the language cookie in earlier versions.
pub const OLD_LANG_COOKIE: &str = "lang";
/// Name of the theme cookie in earlier versions.
pub const OLD_THEME_COOKIE: &str = "theme";

/// A colour theme of the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Follows the operating system.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Theme {
    /// Returns the value in the cookie and in `<html data-theme>`.
    pub fn code(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Parses the value in the cookie.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::System, Self::Light, Self::Dark].into_iter().find(|theme| theme.code() == code)
    }
}

/// Marks a page whose reader chose preferences that the browser kept no cookie of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CookiesNeeded;

/// A reader's preferences.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Preferences {
    /// Language of the page.
    pub lang: Lang,
    /// Theme of the page.
    pub theme: Theme,
}
