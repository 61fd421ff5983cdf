//! The TCP side of HTTP: accepts, serves, refuses when there is no room, and leaves.

mod accept;
pub mod lifecycle;
mod overload;
