//! A failure that nobody below could decide about: logged here, once, under a number that the person is shown instead.

use crate::domain::refusal::Refusal;
use crate::server::storage::StorageError;
use uuid::Uuid;

/// What a person is told about a failed store. A busy one passes by itself and is no incident.
pub fn refusal_of(error: &StorageError, during: &'static str) -> Refusal {
    match error {
        StorageError::NameTaken => Refusal::NameTaken,
        StorageError::Busy(_) => {
            tracing::warn!(during, %error, "storage is busy");
            Refusal::Busy
        }
        StorageError::Failed(_) => incident(error, during),
    }
}

pub fn incident(error: &dyn std::fmt::Display, during: &'static str) -> Refusal {
    let incident = Uuid::now_v7().simple().to_string();
    tracing::error!(during, %error, incident, "incident");
    Refusal::Internal { incident }
}
