//! How a reader wants the page: language and theme. Kept in cookies, so that the first byte of HTML is already right.

use crate::domain::lang::Lang;
use serde::{Deserialize, Serialize};

pub const LANG_COOKIE: &str = "lang";
pub const THEME_COOKIE: &str = "theme";

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the system says.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    /// As in the cookie and in `<html data-theme>`.
    pub fn code(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        [Self::System, Self::Light, Self::Dark].into_iter().find(|theme| theme.code() == code)
    }

    /// The switch goes round.
    pub fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Preferences {
    pub lang: Lang,
    pub theme: Theme,
}
