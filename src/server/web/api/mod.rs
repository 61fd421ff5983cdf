//! The HTTP API for back ends: GatewayClient's methods as JSON requests, authenticated by API key.
//!
//! It translates; the gateway and the chat act. A method is one entry in `methods/`, with parameter and result types that both serde and
//! the OpenAPI description use, so no second list of methods has to be maintained. Beside its handler it says which nodes carry it out.

mod answer;
mod endpoints;
mod method;
mod method_table;
mod methods;
mod nodes;
mod openapi;
mod param_types;
mod params;
mod reach;
mod request;
mod results;
mod room_params;
mod room_results;
mod room_types;

pub(super) use endpoints::routes;
