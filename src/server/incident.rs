//! Incidents: unexpected failures. The cause is logged here, once, under a random number; the person sees the number only.

use crate::domain::refusal::Refusal;
use crate::server::storage::StorageError;
use uuid::Uuid;

/// Returns the refusal of a storage error. A failure becomes an incident; a busy database, which recovers by itself, does not.
/// `during` names the use case in the log.
pub fn refusal_of(error: &StorageError, during: &'static str) -> Refusal {
    match error {
        StorageError::NameTaken => Refusal::NameTaken,
        StorageError::Busy(_) => {
            tracing::warn!(during, %error, "storage is busy");
            Refusal::Busy
        }
        StorageError::Uncertain(_) => {
            tracing::warn!(during, %error, "storage did not answer");
            Refusal::Uncertain
        }
        StorageError::Failed(_) => incident(error, during),
    }
}

/// Logs `error` under a new incident number and returns the refusal that shows the number.
pub fn incident(error: &dyn std::fmt::Display, during: &'static str) -> Refusal {
    let incident = Uuid::now_v7().simple().to_string();
    tracing::error!(during, %error, incident, "incident");
    Refusal::Internal { incident }
}
