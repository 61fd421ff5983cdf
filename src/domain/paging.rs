//! Sizes of the pieces in which a page loads messages. The page asks for them and the server enforces them.

use crate::domain::timeline::TRIM_TO;

/// Messages in a page's first HTML, and in a history request without a limit.
pub const PAGE_MESSAGES: u32 = 50;
/// Most messages of one history request; a higher limit is lowered to this.
pub const MAX_PAGE_MESSAGES: u32 = 100;
/// Most messages that `bind` returns to a page that was away; older ones are reported as a gap. A page holds no more.
pub const CATCH_UP_MESSAGES: u32 = TRIM_TO as u32;
