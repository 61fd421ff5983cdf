//! The server by floors. A module uses the floors below it and nothing above; `tests/house.rs` checks that.

pub mod accounts;
pub mod allocator;
pub mod bus;
pub mod chat;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod control;
pub mod gateway;
pub mod gatewayworker;
pub mod incident;
pub mod kicks;
pub mod moderation;
pub mod names;
pub mod payload;
pub mod php;
pub mod security_log;
pub mod storage;
pub mod web;
