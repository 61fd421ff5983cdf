//! PHP's BusinessWorkers: events of clients are routed to them, encoded as PHP expects them. Each client is told to one of them,
//! once, or its connection ends: an event that no worker can take yet is held.

mod encode;
mod held;
mod link;
mod query_string;
pub(super) mod router;
mod table;
