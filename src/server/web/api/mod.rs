//! The gateway's API over HTTP, for foreign back ends (README, “push gateway”): who calls, with which key, what for. A door beside
//! the pages': it translates, the gateway does.

mod endpoints;
mod method;
mod method_table;
mod methods;
mod openapi;
mod param_types;
mod params;
mod request;
mod results;

pub use endpoints::routes;
