//! What several methods answer with.

use super::method::ApiError;
use crate::domain::id::ClientId;

pub fn to_strings(names: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

pub fn client_id_strings(ids: Vec<ClientId>) -> Result<Vec<String>, ApiError> {
    Ok(to_strings(ids))
}
