//! The whole server from outside: the real binary on port 0, real sockets, SQLite on disk. One test program, so that it
//! links once.

#![expect(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod api;
mod bad_input;
mod command_line;
mod docs;
mod engine;
mod faults;
mod gatewayworker;
mod leaving;
mod live;
mod operating;
mod pages;
mod php;
mod socket;
mod storage;
mod support;
mod vectors;
