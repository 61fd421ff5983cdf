//! The commands of the inner protocol: their arguments, the gateway's functions that carry them out, and their replies.

pub(super) mod args;
pub(super) mod dispatch;
pub(super) mod outcome;
mod queries;
mod select;
