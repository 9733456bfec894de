//! The Ed25519 identities of an instance: sign canonical texts and log notes, and nothing else.
//!
//! The two domains never meet: a text starts with `countersign `, and a note that does is refused.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::secret::Secret32;

/// Every canonical text starts with this.
const TEXT_START: &str = "countersign ";

/// Nothing was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a canonical text.
    #[error("the text does not start with `countersign ` or does not end with a line feed")]
    NotCanonical,
    /// Not a note of C2SP signed-note.
    #[error("the note is not text that ends with a line feed, or it starts like a canonical text")]
    NotNote,
}

/// An Ed25519 key (RFC 8032) that signs in two named domains only.
pub struct IdentityKey(Box<SigningKey>);

impl IdentityKey {
    pub(super) fn from_secret(secret: &Secret32) -> Self {
        Self(Box::new(SigningKey::from_bytes(secret.expose())))
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a canonical text: it starts with `countersign ` and ends with a line feed.
    pub fn sign_text(&self, text: &str) -> Result<[u8; 64], IdentityError> {
        if !text.starts_with(TEXT_START) || !text.ends_with('\n') {
            return Err(IdentityError::NotCanonical);
        }
        Ok(self.0.sign(text.as_bytes()).to_bytes())
    }

    /// Signs what C2SP signed-note and tlog-cosignature sign: text that ends with a line feed and is no canonical text.
    pub fn sign_note(&self, message: &[u8]) -> Result<[u8; 64], IdentityError> {
        let text = std::str::from_utf8(message).map_err(|_| IdentityError::NotNote)?;
        if !text.ends_with('\n') || text.starts_with(TEXT_START) {
            return Err(IdentityError::NotNote);
        }
        Ok(self.0.sign(message).to_bytes())
    }
}

/// Whether an Ed25519 signature holds, by the strict rules: canonical encodings only, no keys of small order.
pub fn verify_ed25519(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public_key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}
