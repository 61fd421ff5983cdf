//! The HTTP API for back ends: GatewayClient's methods as JSON requests, authenticated by API key.
//!
//! It translates; the gateway acts. A method is one entry in `methods/`, with parameter and result types that both serde and
//! the OpenAPI description use, so no second list of methods has to be maintained.

mod answer;
mod endpoints;
mod method;
mod method_table;
mod methods;
mod openapi;
mod param_types;
mod params;
mod request;
mod results;

pub(super) use endpoints::routes;
