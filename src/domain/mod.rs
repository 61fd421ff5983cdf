//! The types and rules of the chat that page and server share. Pure: no input or output, no clock, no random source, no
//! async. Compiled for both targets.

pub mod backoff;
pub mod calendar;
pub mod change;
pub mod draft;
pub mod id;
pub mod lang;
pub mod message;
pub mod name;
pub mod paging;
pub mod paths;
pub mod preferences;
pub mod push;
pub mod rank;
pub mod reading;
#[cfg(test)]
mod reading_tests;
pub mod refusal;
pub mod removals;
#[cfg(test)]
mod removals_tests;
pub mod reply;
pub mod room;
pub mod staff;
pub mod text;
pub mod timeline;
#[cfg(test)]
mod timeline_tests;
