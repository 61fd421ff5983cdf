//! Every method of GatewayClient, and the few its users asked for, each one line into the gateway. Names are the original's,
//! misspelling included; so are the names of what goes in.

mod connections;
mod groups;
mod people;
mod sending;
mod sessions;

use super::method::Method;

pub fn all() -> Vec<Method> {
    [sending::all(), connections::all(), people::all(), groups::all(), sessions::all()].into_iter().flatten().collect()
}
