//! Connections to the inner port: the order in which they are read, the decoding of packets, and the pipeline of commands.

pub mod connection;
mod decoder;
mod pipeline;
pub mod read_scheduler;
