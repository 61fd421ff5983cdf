//! PHP's BusinessWorkers: events of clients are routed to them, encoded as PHP expects them.

mod encode;
mod query_string;
pub(super) mod router;
