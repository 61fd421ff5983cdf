//! The key that peers of Register and of the inner port must present. Only its hash is compared, so that the time of a comparison
//! does not depend on the presented key.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The configured `gateway.secret_key`.
#[derive(Clone)]
pub(super) struct SecretKey {
    hash: [u8; 32],
    is_empty: bool,
}

impl SecretKey {
    /// Hashes a key.
    pub(super) fn new(key: &str) -> Self {
        Self { hash: Sha256::digest(key).into(), is_empty: key.is_empty() }
    }

    /// Returns true if no key is configured: every peer may send every command.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Compares a presented key in constant time.
    pub(super) fn matches(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        self.hash.ct_eq(&presented).into()
    }
}
