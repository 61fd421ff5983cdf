//! A secret for a cookie or a link: 32 random bytes. The database holds only its hash.

use sha2::{Digest, Sha256};
use std::fmt;

/// A secret token. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// Draws a token from a cryptographically secure random generator.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Parses 64 hex digits, the form of [`Token::reveal`]. Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Returns the secret as 64 hex digits, for the cookie or the link. It must not be logged.
    pub fn reveal(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the SHA-256 hash, the token's key in the database.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_parses_its_own_text_and_debug_hides_it() {
        let token = Token::random();
        assert_eq!(Token::parse(&token.reveal()), Some(token.clone()));
        assert!(!format!("{token:?}").contains(&token.reveal()[..8]));
        assert!(Token::parse("").is_none() && Token::parse(&"g".repeat(64)).is_none() && Token::parse(&"é".repeat(32)).is_none());
    }
}
