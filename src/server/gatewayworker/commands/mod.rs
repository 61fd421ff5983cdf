//! The commands of the inner protocol: their arguments, the gateway's functions that carry them out, and their replies.

pub mod args;
pub mod dispatch;
pub mod outcome;
mod queries;
mod select;
