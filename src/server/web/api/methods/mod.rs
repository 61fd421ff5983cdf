//! Every method of GatewayClient, and the few its users asked for, each one line into the gateway. Names are the original's,
//! misspelling included; so are the names of what goes in.

mod connections;
mod groups;
mod people;
mod sending;
mod sessions;

use super::method::{Method, NotDone};
use crate::domain::id::ClientId;

pub fn all() -> Vec<Method> {
    [sending::all(), connections::all(), people::all(), groups::all(), sessions::all()].into_iter().flatten().collect()
}

fn texts(names: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

fn clients(ids: Vec<ClientId>) -> Result<Vec<String>, NotDone> {
    Ok(texts(ids))
}
