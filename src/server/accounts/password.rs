//! Password hashing: argon2id with OWASP's parameters (19 MiB, 2 passes), on blocking threads and with a concurrency limit.

use crate::domain::refusal::Refusal;
use crate::server::incident::incident;
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Hashes computed at the same time; each takes 19 MiB and a core.
const MAX_CONCURRENT: usize = 2;
/// Hashes running or queued; a further one is refused as busy, so that guesses do not make people wait.
const MAX_QUEUED: usize = 64;

/// Verified against if the account does not exist, so that the response time does not reveal that.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$cm9vbWNhc3Qtbm9ib2R5$4Z1n7cXv6Z1l0m6oQ4m3cC9b0Qx8o0sQe3V2m1n0b9U";

/// Hashes and verifies passwords. A clone shares the concurrency limit.
#[derive(Clone)]
pub(super) struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { running: Arc::new(Semaphore::new(MAX_CONCURRENT)), waiting: Arc::new(Semaphore::new(MAX_QUEUED)) }
    }
}

impl Passwords {
    /// Returns the hash in PHC form.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if too many hashes are queued.
    pub(super) async fn hash(&self, password: &str) -> Result<String, Refusal> {
        let password = password.to_owned();
        self.run(move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
            .await?
            .map_err(|error| incident(&error, "password"))
    }

    /// Returns whether `password` matches `hash`; always false for `None`, after the same time.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if too many hashes are queued; an incident if `hash` is not in PHC form.
    pub(super) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, Refusal> {
        let (password, known, hash) = (password.to_owned(), hash.is_some(), hash.unwrap_or(DUMMY_HASH).to_owned());
        self.run(move || {
            let hash = PasswordHash::new(&hash).map_err(|error| error.to_string())?;
            match Argon2::default().verify_password(password.as_bytes(), &hash) {
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                verified => verified.map(|()| known).map_err(|error| error.to_string()),
            }
        })
        .await?
        .map_err(|error: String| incident(&error, "password"))
    }

    async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let Ok(_queue_permit) = self.waiting.try_acquire() else { return Err(Refusal::Busy) };
        let _cpu_permit = self.running.acquire().await.map_err(|error| incident(&error, "password"))?;
        tokio::task::spawn_blocking(job).await.map_err(|error| incident(&error, "password"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(passwords.verify("correct horse", Some(&hash)).await, Ok(true));
        assert_eq!(passwords.verify("wrong horse", Some(&hash)).await, Ok(false));
        assert_eq!(passwords.verify("correct horse", None).await, Ok(false));
    }
}
