//! GatewayWorker's Register: the service that tells workers and GatewayClient the addresses of all gateways.

mod request;
pub mod server;
