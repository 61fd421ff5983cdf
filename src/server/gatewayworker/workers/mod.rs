//! PHP's BusinessWorkers: routing of connection events to them, and the encoding of these events.

mod encode;
mod query_string;
pub mod router;
