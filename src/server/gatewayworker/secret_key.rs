//! The key that Register and the inner port ask for: known by its hash, so that comparing takes the same time whatever the
//! other one is, and however long.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

#[derive(Clone)]
pub struct SecretKey {
    hash: [u8; 32],
    is_empty: bool,
}

impl SecretKey {
    pub fn new(key: &str) -> Self {
        Self { hash: Sha256::digest(key).into(), is_empty: key.is_empty() }
    }

    /// No key: whoever connects may call everything.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub fn matches(&self, other: &str) -> bool {
        let other: [u8; 32] = Sha256::digest(other).into();
        self.hash.ct_eq(&other).into()
    }
}
