//! Results that several methods return.

use super::method::ApiError;
use crate::domain::id::ClientId;

/// Names as JSON strings.
pub(super) fn to_strings(names: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

/// client_ids as the result of a handler.
pub(super) fn client_id_strings(ids: Vec<ClientId>) -> Result<Vec<String>, ApiError> {
    Ok(to_strings(ids))
}
