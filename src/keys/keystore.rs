//! The keystore: exactly one seed, sealed under a passphrase, and what may be derived from it once it is open.
//!
//! Argon2id makes the key, XChaCha20-Poly1305 seals, the clear header is bound as associated data. Salt and nonce are
//! given; nothing here draws randomness or touches a disk. The states of HKDF and of the cipher's key setup on the stack
//! are not wiped by their crates; Argon2's memory and the cipher itself are.

use argon2::{Algorithm, Argon2, Version};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

use super::account::AccountXpub;
use super::hd::{AccountKey, HdError};
use super::identity::IdentityKey;
use super::mnemonic::Seed;
use super::sealed::{KeystoreTerms, Sealed};
use super::seat::SeatKeys;
use super::secret::{Secret, Secret32, SecretBytes};
use super::signer::HotKey;
use crate::withdrawal::Code;

/// Separates what is derived here from every other use of the seed.
const INSTANCE_SALT: &[u8] = b"countersign instance secret v1";

/// What a derived secret is for. The domain is part of the derivation, so that no label of one meets one of another.
enum Domain {
    Secret,
    Identity,
    Blinding,
}

/// A keystore cannot be made, read or opened. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// There is no file.
    #[error("there is no keystore at `{0}`; create it with `countersign init`")]
    Missing(String),
    /// There is a file already; a keystore is never overwritten.
    #[error("there is a file at `{0}` already; a keystore is never overwritten, choose another place")]
    Exists(String),
    /// Others than the owner may read it.
    #[error("`{path}` has mode {mode:04o} and can be reached by others; run `chmod 600 {path}`")]
    TooOpen {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The file cannot be read as a keystore.
    #[error("the keystore is damaged: {0}; restore it from its backup")]
    Corrupted(&'static str),
    /// The file asks for a cost this program does not spend.
    #[error(
        "the keystore asks for {memory_kib} KiB, {passes} passes, {lanes} lanes; allowed are 64 to 1048576 KiB, 1 to 16 passes, 1 to 8 lanes"
    )]
    CostOutOfBounds {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// The passphrase does not open it, or somebody altered it and renewed its digest.
    #[error("the passphrase does not open the keystore, or the file was altered")]
    PassphraseWrong,
    /// The passphrase is empty.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    /// Argon2id could not get its memory, or a derivation failed.
    #[error("the keystore's key could not be computed; free memory and try again")]
    Derivation,
    /// The seed has no key at this account.
    #[error(transparent)]
    Hd(#[from] HdError),
    /// The file system said no.
    #[error("`{path}`: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// What it said.
        source: std::io::Error,
    },
}

impl KeystoreError {
    /// The stable code it is answered with.
    pub const fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::KeystoreMissing,
            Self::Corrupted(_) | Self::CostOutOfBounds { .. } | Self::Hd(_) => Code::KeystoreCorrupted,
            Self::PassphraseWrong | Self::PassphraseEmpty => Code::PassphraseWrong,
            Self::Exists(_) => Code::KeystoreExists,
            Self::TooOpen { .. } => Code::KeystoreTooOpen,
            Self::Io { .. } => Code::ConfigInvalid,
            Self::Derivation => Code::Internal,
        }
    }
}

/// Seals one seed. `salt` and `nonce` must be fresh from the system's generator.
pub fn seal(
    seed: &Seed,
    terms: KeystoreTerms,
    passphrase: &SecretBytes,
    salt: [u8; 16],
    nonce: [u8; 24],
) -> Result<Vec<u8>, KeystoreError> {
    if passphrase.is_empty() {
        return Err(KeystoreError::PassphraseEmpty);
    }
    let fingerprint = AccountKey::derive(seed, terms.network, terms.account)?.master_fingerprint;
    let mut sealed = Sealed { terms, fingerprint, salt, nonce, body: [0; 80] };
    let mut plain = Secret::<64>::fill_with(|to| to.copy_from_slice(seed.expose()));
    let tag = cipher(&sealed, passphrase)?
        .encrypt_inout_detached(
            &XNonce::from(nonce),
            sealed.header().as_bytes(),
            plain.expose_mut().as_mut_slice().into(),
        )
        .map_err(|_| KeystoreError::Derivation)?;
    let bytes = plain.expose().iter().chain(tag.iter());
    sealed.body.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Ok(sealed.render().into_bytes())
}

/// Reads what a keystore says in the clear, without its passphrase. Nothing of it is proved until it is opened.
pub fn read_terms(bytes: &[u8]) -> Result<KeystoreTerms, KeystoreError> {
    Sealed::parse(bytes).map(|sealed| sealed.terms)
}

/// Opens a keystore. Checks form, digest and cost before Argon2id takes any memory.
pub fn open(bytes: &[u8], passphrase: &SecretBytes) -> Result<OpenKeystore, KeystoreError> {
    let sealed = Sealed::parse(bytes)?;
    if passphrase.is_empty() {
        return Err(KeystoreError::PassphraseEmpty);
    }
    let cipher = cipher(&sealed, passphrase)?;
    let (body, tag) = sealed.body.split_at(64);
    let tag: [u8; 16] = tag.try_into().map_err(|_| KeystoreError::PassphraseWrong)?;
    let seed = Secret::<64>::try_fill_with(|to| {
        to.copy_from_slice(body);
        cipher.decrypt_inout_detached(
            &XNonce::from(sealed.nonce),
            sealed.header().as_bytes(),
            to.as_mut_slice().into(),
            &Tag::from(tag),
        )
    })
    .map_err(|_| KeystoreError::PassphraseWrong)?;
    Ok(OpenKeystore { seed: Seed::of(seed), terms: sealed.terms })
}

fn cipher(sealed: &Sealed, passphrase: &SecretBytes) -> Result<XChaCha20Poly1305, KeystoreError> {
    let params = sealed.terms.cost.params().ok_or(KeystoreError::Derivation)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let key = Secret32::try_fill_with(|key| argon.hash_password_into(passphrase.expose(), &sealed.salt, key))
        .map_err(|_| KeystoreError::Derivation)?;
    Ok(XChaCha20Poly1305::new(key.expose().into()))
}

/// An opened keystore. Derive what is needed, then drop it: the seed is wiped.
pub struct OpenKeystore {
    seed: Seed,
    terms: KeystoreTerms,
}

impl OpenKeystore {
    /// What the keystore says about itself; proved, since the header is bound to the seal.
    pub const fn terms(&self) -> KeystoreTerms {
        self.terms
    }

    /// The account's extended public key with its origin.
    pub fn account_xpub(&self) -> Result<AccountXpub, KeystoreError> {
        let KeystoreTerms { network, account, .. } = self.terms;
        Ok(AccountXpub::of(&AccountKey::derive(&self.seed, network, account)?, network, account))
    }

    /// The key that signs orders, with its branch parents derived.
    pub fn hot_key(&self) -> Result<HotKey, KeystoreError> {
        let KeystoreTerms { network, account, .. } = self.terms;
        let blinding = self.derived(Domain::Blinding, "ecdsa")?;
        let key = AccountKey::derive(&self.seed, network, account)?;
        Ok(HotKey::of(&key, network, account, &blinding)?)
    }

    /// The keys of accounts that are found from their signatures (`m/44'/60'/account'`).
    pub fn seat_keys(&self) -> Result<SeatKeys, KeystoreError> {
        let blinding = self.derived(Domain::Blinding, "seat")?;
        let key = AccountKey::derive_ether(&self.seed, self.terms.account)?;
        Ok(SeatKeys::of(&key, &blinding)?)
    }

    /// A secret of this instance for one purpose (HKDF-SHA256, RFC 5869, domain and label as info).
    ///
    /// The same seed and label give the same secret for ever; restoring the words restores it.
    pub fn instance_secret(&self, label: &str) -> Result<Secret32, KeystoreError> {
        self.derived(Domain::Secret, label)
    }

    /// The Ed25519 identity of this instance for one purpose; its labels live apart from those of instance secrets.
    pub fn ed25519_identity(&self, label: &str) -> Result<IdentityKey, KeystoreError> {
        self.derived(Domain::Identity, label).map(|secret| IdentityKey::from_secret(&secret))
    }

    fn derived(&self, domain: Domain, label: &str) -> Result<Secret32, KeystoreError> {
        let domain: &[u8] = match domain {
            Domain::Secret => b"secret\n",
            Domain::Identity => b"ed25519\n",
            Domain::Blinding => b"blinding\n",
        };
        let hkdf = Hkdf::<Sha256>::new(Some(INSTANCE_SALT), self.seed.expose());
        Secret32::try_fill_with(|to| hkdf.expand_multi_info(&[domain, label.as_bytes()], to))
            .map_err(|_| KeystoreError::Derivation)
    }
}
