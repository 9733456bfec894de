//! Owns the suites, and the keys of each.

use data_encoding::HEXLOWER;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::{Kem, Serializable};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// A set of algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// Secret also from who has a quantum computer one day.
    XWing,
    /// X25519 alone; every enclave has it.
    X25519,
}

impl Suite {
    /// Every suite, the better one first.
    pub const ALL: [Self; 2] = [Self::XWing, Self::X25519];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XWing => "hpke-base-xwing-sha256-chacha20poly1305",
            Self::X25519 => "hpke-base-x25519-sha256-chacha20poly1305",
        }
    }

    /// Reads that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.as_str() == text)
    }

    /// The best suite of one's own that the other side names too.
    pub fn best(own: &[Self], theirs: &[String]) -> Option<Self> {
        own.iter().copied().filter(|suite| theirs.iter().any(|name| name == suite.as_str())).min()
    }

    const fn public_len(self) -> usize {
        match self {
            Self::XWing => 1_216,
            Self::X25519 => 32,
        }
    }
}

/// A public key with the suite it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    suite: Suite,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// Takes the bytes of a key over; nothing, if they are not as many as the suite's keys have.
    pub fn new(suite: Suite, bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == suite.public_len()).then_some(Self { suite, bytes })
    }

    /// The suite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A key pair of one's own.
pub struct KeyPair {
    /// The private half, wiped when dropped.
    pub private: Zeroizing<Vec<u8>>,
    /// The public half.
    pub public: PublicKey,
}

impl KeyPair {
    /// Makes one from 32 bytes of fresh entropy (RFC 9180 section 7.1.3).
    pub fn derive(suite: Suite, entropy: &Zeroizing<[u8; 32]>) -> Self {
        match suite {
            Suite::XWing => derive::<XWing>(suite, entropy),
            Suite::X25519 => derive::<X25519HkdfSha256>(suite, entropy),
        }
    }
}

fn derive<K: Kem>(suite: Suite, entropy: &[u8; 32]) -> KeyPair {
    let (private, public) = K::derive_keypair(entropy);
    let mut private = private.to_bytes();
    let public = PublicKey { suite, bytes: public.to_bytes().to_vec() };
    let pair = KeyPair { private: Zeroizing::new(private.to_vec()), public };
    private.zeroize();
    pair
}

/// The name of a public key: the first 16 bytes of its SHA-256, in hex.
pub fn key_id(public: &PublicKey) -> String {
    let digest = Sha256::digest(public.bytes());
    HEXLOWER.encode(digest.get(..16).unwrap_or_default())
}
