//! The table `[moderation]` of Leptos.toml. Each field is a key, as in the other tables.

use super::Switch;
use serde::{Deserialize, Serialize};

/// `[moderation]`: moderators, and the time for which removed texts and notes are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ModerationSettings {
    /// `off`: only a room's host and the owner ban, and lift bans. Default: `on`.
    pub moderators_ban: Switch,
    /// Time for which nickname and text of a removed message are kept for the staff, in days. Default: 30.
    pub keep_removed_days: u32,
    /// Time for which notes about persons and the reasons in the log are kept, in days. Default: 365.
    pub keep_notes_days: u32,
    /// `on`: new guests from the network of a restrained guest share the restraint, for 7 days at most. Default: `off`.
    pub network_bans: Switch,
}

impl Default for ModerationSettings {
    fn default() -> Self {
        Self { moderators_ban: Switch::On, keep_removed_days: 30, keep_notes_days: 365, network_bans: Switch::Off }
    }
}
