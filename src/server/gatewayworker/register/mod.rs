//! GatewayWorker's Register: the service that knows the addresses of all gateways.

mod request;
pub(super) mod server;
