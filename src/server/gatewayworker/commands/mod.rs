//! The inner protocol's commands: arguments, dispatch to the gateway, and replies.

pub mod args;
pub mod dispatch;
pub mod outcome;
mod queries;
mod select;
