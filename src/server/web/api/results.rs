//! What several methods answer with.

use super::method::NotDone;
use crate::domain::id::ClientId;

pub fn texts(names: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

pub fn clients(ids: Vec<ClientId>) -> Result<Vec<String>, NotDone> {
    Ok(texts(ids))
}
