//! Public keys of logs and witnesses in their text form, `name+hash+base64` (C2SP signed-note). No private key comes here.

use std::fmt;

use data_encoding::BASE64;
use ed25519_dalek::{Signature, VerifyingKey};

/// Signature type of a log's own signature: Ed25519 (C2SP signed-note).
pub const TYPE_ED25519: u8 = 0x01;
/// Signature type of a timestamped Ed25519 cosignature (C2SP tlog-cosignature).
pub const TYPE_COSIGNATURE: u8 = 0x04;
/// Longest key name, in bytes.
pub const NAME_LEN_MAX: usize = 255;

/// Why a text is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyInvalid {
    /// Not of the form `name+hash+base64`, or not in its one spelling.
    #[error("a verifier key is `name+hash+base64`")]
    Form,
    /// An empty or overlong name, or one with blanks, `+` or control characters.
    #[error("`{0}` cannot be a key's name")]
    Name(String),
    /// A key of another signature type.
    #[error("the key has signature type {found:#04x}, expected {expected:#04x}")]
    Type {
        /// The type in the text.
        found: u8,
        /// The type asked for.
        expected: u8,
    },
    /// The hash in the middle is not that of name and key.
    #[error("the hash in the text is not that of its name and key")]
    Hash,
    /// Not a usable Ed25519 public key.
    #[error("the bytes are no usable Ed25519 public key")]
    Public,
}

/// An Ed25519 public key with the name it signs under, for signatures of one type.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey<const TYPE: u8> {
    name: String,
    id: u32,
    public: VerifyingKey,
}

/// The key a log signs its checkpoints with; its name is the log's origin.
pub type LogKey = VerifierKey<TYPE_ED25519>;
/// The key a witness cosigns with. The same key pair must not serve two witnesses (C2SP tlog-cosignature).
pub type WitnessKey = VerifierKey<TYPE_COSIGNATURE>;

impl<const TYPE: u8> VerifierKey<TYPE> {
    /// Takes a name and the 32 bytes of a public key; keys of small order are refused.
    pub fn new(name: &str, public: &[u8; 32]) -> Result<Self, KeyInvalid> {
        if !signed_note::is_key_name_valid(name)
            || name.len() > NAME_LEN_MAX
            || name.chars().any(char::is_control)
        {
            return Err(KeyInvalid::Name(name.to_owned()));
        }
        let public = VerifyingKey::from_bytes(public).map_err(|_| KeyInvalid::Public)?;
        if public.is_weak() {
            return Err(KeyInvalid::Public);
        }
        let id = signed_note::key_id(name, &typed(TYPE, &public));
        Ok(Self { name: name.to_owned(), id, public })
    }

    /// Reads the text form and checks its hash.
    pub fn parse(text: &str) -> Result<Self, KeyInvalid> {
        let (name, rest) = text.split_once('+').ok_or(KeyInvalid::Form)?;
        let (_, key) = rest.split_once('+').ok_or(KeyInvalid::Form)?;
        let key = BASE64.decode(key.as_bytes()).map_err(|_| KeyInvalid::Form)?;
        let (&found, public) = key.split_first().ok_or(KeyInvalid::Form)?;
        if found != TYPE {
            return Err(KeyInvalid::Type { found, expected: TYPE });
        }
        let parsed = Self::new(name, public.try_into().map_err(|_| KeyInvalid::Public)?)?;
        if parsed.to_string() == text { Ok(parsed) } else { Err(KeyInvalid::Hash) }
    }

    /// The name it signs under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, newline, type and key, big-endian.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The public key's bytes.
    pub fn public(&self) -> &[u8; 32] {
        self.public.as_bytes()
    }

    /// Whether these 64 bytes are this key's signature over the message, by the strict rules of RFC 8032.
    pub(super) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.public.verify_strict(message, &signature).is_ok())
    }
}

fn typed(signature_type: u8, public: &VerifyingKey) -> Vec<u8> {
    [&[signature_type], public.as_bytes().as_slice()].concat()
}

/// The text form, `name+hash+base64`.
impl<const TYPE: u8> fmt::Display for VerifierKey<TYPE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id, BASE64.encode(&typed(TYPE, &self.public)))
    }
}

impl<const TYPE: u8> fmt::Debug for VerifierKey<TYPE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

/// A key ring with one key on it: signatures of all other keys are ignored, as C2SP signed-note asks.
pub(super) struct Only<'a>(pub(super) &'a dyn signed_note::Verifier);

impl signed_note::Verifiers for Only<'_> {
    fn verifier(
        &self,
        name: &str,
        id: u32,
    ) -> Result<&dyn signed_note::Verifier, signed_note::VerificationError> {
        if name == self.0.name() && id == self.0.key_id() {
            Ok(self.0)
        } else {
            Err(signed_note::VerificationError::UnknownKey { name: name.to_owned(), id })
        }
    }
}

/// A signature that is there already, so that the note library can place it.
pub(super) struct Placed<'a, const TYPE: u8> {
    pub(super) key: &'a VerifierKey<TYPE>,
    pub(super) signature: Vec<u8>,
}

impl<const TYPE: u8> signed_note::Signer for Placed<'_, TYPE> {
    fn name(&self) -> &str {
        self.key.name()
    }

    fn key_id(&self) -> u32 {
        self.key.id()
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, ed25519_dalek::SignatureError> {
        Ok(self.signature.clone())
    }
}
