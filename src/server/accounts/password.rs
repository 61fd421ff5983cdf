//! Password hashing: argon2id with OWASP's parameters (19 MiB, 2 passes), on the two threads of [`HashThreads`].

use super::hash_threads::{HashThreads, Memory, Queue};
use crate::domain::refusal::Refusal;
use crate::server::incident::incident;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;

/// Verified against if the account does not exist, so that the response time does not reveal that.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$cm9vbWNhc3Qtbm9ib2R5$4Z1n7cXv6Z1l0m6oQ4m3cC9b0Qx8o0sQe3V2m1n0b9U";

/// Hashes and verifies passwords. A clone shares the threads.
#[derive(Clone, Default)]
pub(super) struct Passwords(HashThreads);

impl Passwords {
    /// Returns the hash in PHC form.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if too many hashes are queued.
    pub(super) async fn hash(&self, queue: Queue, password: &str) -> Result<String, Refusal> {
        let password = password.to_owned();
        let hashed = self.0.run(queue, move |memory| hash(password.as_bytes(), memory).map_err(|error| error.to_string()));
        hashed.await?.map_err(|error| incident(&error, "password"))
    }

    /// Returns whether `password` matches `hash`; always false for `None`, after the same time.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if too many hashes are queued; an incident if `hash` is not in PHC form.
    pub(super) async fn verify(&self, queue: Queue, password: &str, hash: Option<&str>) -> Result<bool, Refusal> {
        let (password, known, hash) = (password.to_owned(), hash.is_some(), hash.unwrap_or(DUMMY_HASH).to_owned());
        let verified =
            self.0.run(queue, move |memory| verify(password.as_bytes(), &hash, memory).map_err(|error| error.to_string()));
        Ok(verified.await?.map_err(|error| incident(&error, "password"))? && known)
    }
}

type PhcResult<T> = Result<T, argon2::password_hash::Error>;

fn hash(password: &[u8], memory: &mut Memory) -> PhcResult<String> {
    let salt: [u8; 16] = rand::random();
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    Argon2::default().hash_password_into_with_memory(password, &salt, &mut output, memory)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&Params::DEFAULT)?,
        salt: Some(Salt::new(&salt)?),
        hash: Some(Output::new(&output)?),
    };
    Ok(hash.to_string())
}

fn verify(password: &[u8], hash: &str, memory: &mut Memory) -> PhcResult<bool> {
    use argon2::password_hash::Error;
    let hash = PasswordHash::new(hash)?;
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return Err(Error::EncodingInvalid) };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let argon2 = Argon2::new(algorithm, version, Params::try_from(&hash)?);
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..expected.len()).ok_or(Error::OutputSize)?;
    if argon2.params().block_count() <= memory.len() {
        argon2.hash_password_into_with_memory(password, &salt, output, memory)?;
    } else {
        // A hash with more memory than ours, made by another program.
        argon2.hash_password_into(password, &salt, output)?;
    }
    Ok(output.ct_eq(expected.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash(Queue::Strangers, "correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(passwords.verify(Queue::Strangers, "correct horse", Some(&hash)).await, Ok(true));
        assert_eq!(passwords.verify(Queue::Known, "wrong horse", Some(&hash)).await, Ok(false));
        assert_eq!(passwords.verify(Queue::Strangers, "correct horse", None).await, Ok(false));
    }

    #[tokio::test]
    async fn hashes_of_other_programs_are_verified() {
        use argon2::{PasswordHasher, PasswordVerifier};
        let passwords = Passwords::default();
        let theirs = Argon2::default().hash_password(b"correct horse").unwrap().to_string();
        assert_eq!(passwords.verify(Queue::Strangers, "correct horse", Some(&theirs)).await, Ok(true));
        let ours = passwords.hash(Queue::Strangers, "correct horse").await.unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &PasswordHash::new(&ours).unwrap()).is_ok());
        assert!(passwords.verify(Queue::Strangers, "correct horse", Some("$none")).await.is_err());
    }
}
