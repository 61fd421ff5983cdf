//! Tests the whole server from outside: the real binary on port 0, real sockets, SQLite on disk. It is one test program, so
//! that it is linked once.

#![expect(unreachable_pub, reason = "a test program exports nothing")]
#![expect(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod api;
mod append;
mod backup;
mod bad_input;
mod cluster;
mod command_line;
mod cookies;
mod database;
mod deletion;
mod docs;
mod edges;
mod engine;
mod faults;
mod forms;
mod gatewayworker;
mod history;
mod host_tools;
mod limits;
mod live;
mod lobby;
mod memory;
mod migrate_store;
mod mod_command;
mod moderation_doors;
mod nul;
mod operating;
mod own_account;
mod pages;
mod php;
mod postgres_kills;
mod postgres_moderation;
mod postgres_news;
mod postgres_node;
mod postgres_open;
mod postgres_store;
mod postgres_sweeps;
mod readers;
mod reload;
mod services;
mod shutdown;
mod sign_in;
mod slow_mode;
mod socket;
mod storage;
mod support;
mod traps;
mod user_data;
mod vectors;
