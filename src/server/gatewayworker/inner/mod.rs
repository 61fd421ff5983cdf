//! Connections to the inner port: the order in which they are read, their packets, commands and replies.

pub(super) mod connection;
#[cfg(test)]
mod connection_tests;
mod decoder;
pub(super) mod pipeline;
pub(super) mod read_scheduler;
mod reader;
mod worker_link;
mod writer;
