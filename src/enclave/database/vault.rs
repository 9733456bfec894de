//! Owns encryption at rest: XChaCha20-Poly1305 over single columns, and the keyed hash of payloads. Knows no tables.
//!
//! A sealed column is `version (1) ‖ key id (4) ‖ nonce (24) ‖ ciphertext`; table, column and row are authenticated with it, so no
//! value can be moved to another place.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;
const HEAD_LEN: usize = 5;

/// A column cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultFault {
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Entropy,
    /// The database key yields no column key.
    #[error("the database key yields no column key")]
    Derivation,
    /// Another key, another place, or altered bytes.
    #[error("column `{0}` does not open: wrong key, or the database was altered")]
    Unreadable(&'static str),
}

/// The enclave's database key, 32 bytes of entropy, and those before it that may still open something. Wiped when dropped.
pub struct DataKey {
    bytes: Box<Zeroizing<[u8; 32]>>,
    old: Option<Box<DataKey>>,
}

impl DataKey {
    /// Takes the key over; the caller wipes its own copy.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self { bytes: Box::new(Zeroizing::new(*bytes)), old: None }
    }

    /// With the key that was the database's before: what it sealed is opened, and sealed anew in the background.
    #[must_use]
    pub fn after(self, old: Self) -> Self {
        Self { old: Some(Box::new(old)), ..self }
    }

    /// The newest key itself, to be handed over.
    pub(in crate::enclave) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub(in crate::enclave) struct Place<'a> {
    pub(in crate::enclave) table: &'static str,
    pub(in crate::enclave) column: &'static str,
    pub(in crate::enclave) row: &'a str,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        let parts = [self.table.as_bytes(), self.column.as_bytes(), self.row.as_bytes()];
        parts
            .iter()
            .flat_map(|p| (p.len() as u64).to_be_bytes().into_iter().chain(p.iter().copied()))
            .collect()
    }
}

/// What a key is called in public: derived from it, and nothing to guess it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::enclave) struct KeyId([u8; 4]);

impl KeyId {
    /// Its bytes, as they stand in every sealed column.
    pub(in crate::enclave) const fn bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// One key at work.
struct Sealer {
    cipher: XChaCha20Poly1305,
    id: KeyId,
    check_value: Zeroizing<[u8; 32]>,
}

impl Sealer {
    /// Derives the column key, its public id and its check value from a database key (HKDF-SHA-256).
    fn new(key: &[u8; 32]) -> Result<Self, VaultFault> {
        let column = derive(key, b"countersign enclave column key v1")?;
        let id: Zeroizing<[u8; 4]> = derive(key, b"countersign enclave key id v1")?;
        Ok(Self {
            cipher: XChaCha20Poly1305::new(&Key::from(*column)),
            id: KeyId(*id),
            check_value: derive(key, b"countersign enclave check value v1")?,
        })
    }

    fn open(&self, place: Place<'_>, nonce: [u8; NONCE_LEN], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: sealed, aad: &place.bytes() };
        self.cipher.decrypt(&XNonce::from(nonce), payload).map(Zeroizing::new).ok()
    }
}

/// Seals columns with the current key, and opens what it or an older one has sealed.
pub(in crate::enclave) struct Vault {
    current: Arc<Sealer>,
    old: Vec<Arc<Sealer>>,
    fingerprint_key: Zeroizing<[u8; 64]>,
}

impl Vault {
    /// Derives everything from the keys. The fingerprint key is the one of a database that begins with the current key.
    pub(in crate::enclave) fn new(key: &DataKey) -> Result<Self, VaultFault> {
        let old = std::iter::successors(key.old.as_deref(), |key| key.old.as_deref());
        Ok(Self {
            current: Arc::new(Sealer::new(&key.bytes)?),
            old: old.map(|old| Sealer::new(&old.bytes).map(Arc::new)).collect::<Result<_, _>>()?,
            fingerprint_key: derive(&key.bytes, b"countersign enclave fingerprint key v1")?,
        })
    }

    /// The same with a new key, which seals from now on; all others still open.
    pub(in crate::enclave) fn succeeded_by(&self, key: &DataKey) -> Result<Self, VaultFault> {
        let old = std::iter::once(&self.current).chain(&self.old).cloned().collect();
        let current = Arc::new(Sealer::new(&key.bytes)?);
        Ok(Self { current, old, fingerprint_key: self.fingerprint_key.clone() })
    }

    /// Encrypts a value for one place.
    pub(in crate::enclave) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, VaultFault> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| VaultFault::Entropy)?;
        let payload = Payload { msg: plain, aad: &place.bytes() };
        let sealed = self.current.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| VaultFault::Unreadable(place.column))?;
        Ok([&[VERSION][..], self.current.id.bytes(), &nonce, &sealed].concat())
    }

    /// Decrypts a value from that place.
    pub(in crate::enclave) fn open(
        &self,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultFault> {
        let unreadable = VaultFault::Unreadable(place.column);
        let (head, rest) = sealed.split_at_checked(HEAD_LEN).ok_or(unreadable)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(unreadable)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| unreadable)?;
        let (version, id) = head.split_first().ok_or(unreadable)?;
        let sealer = self.sealers().find(|sealer| sealer.id.bytes() == id).filter(|_| *version == VERSION);
        sealer.and_then(|sealer| sealer.open(place, nonce, sealed)).ok_or(unreadable)
    }

    fn sealers(&self) -> impl Iterator<Item = &Sealer> {
        std::iter::once(&self.current).chain(&self.old).map(Arc::as_ref)
    }

    /// The key that seals now.
    pub(in crate::enclave) fn key_id(&self) -> KeyId {
        self.current.id
    }

    /// The public id of every key with what tells it from others, and nothing of it: a database keeps them in the clear.
    pub(in crate::enclave) fn check_values(&self) -> impl Iterator<Item = (KeyId, &[u8; 32])> {
        self.sealers().map(|sealer| (sealer.id, &*sealer.check_value))
    }

    /// The fingerprint key, for the database to keep sealed: it outlives every key that seals it, or a request asked again would
    /// seem another one.
    pub(in crate::enclave) fn fingerprint_key(&self) -> &[u8; 64] {
        &self.fingerprint_key
    }

    /// Takes the fingerprint key that the database keeps.
    pub(in crate::enclave) fn keep_fingerprint_key(&mut self, kept: &[u8; 64]) {
        *self.fingerprint_key = *kept;
    }

    /// The keyed hash of a payload's canonical form: equal for equal content, and nothing to guess names against (law L2).
    pub(in crate::enclave) fn fingerprint(&self, canonical: &str) -> [u8; 32] {
        let key = hmac::digest::Key::<Hmac<Sha256>>::from(*self.fingerprint_key);
        let mac = <Hmac<Sha256> as hmac::KeyInit>::new(&key);
        mac.chain_update(canonical.as_bytes()).finalize().into_bytes().into()
    }
}

fn derive<const N: usize>(key: &[u8; 32], label: &[u8]) -> Result<Zeroizing<[u8; N]>, VaultFault> {
    let mut out = Zeroizing::new([0; N]);
    let hkdf = Hkdf::<Sha256>::new(Some(b"countersign enclave"), key);
    hkdf.expand(label, &mut *out).map_err(|_| VaultFault::Derivation)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const PLACE: Place<'_> = Place { table: "t", column: "c", row: "1" };

    #[test]
    fn a_sealed_column_opens_only_in_its_place_and_with_its_key() {
        let vault = Vault::new(&DataKey::new(&[1; 32])).unwrap();
        let sealed = vault.seal(PLACE, b"Robbins").unwrap();
        assert_eq!(&**vault.open(PLACE, &sealed).unwrap(), b"Robbins");
        for place in
            [Place { table: "u", ..PLACE }, Place { column: "d", ..PLACE }, Place { row: "2", ..PLACE }]
        {
            assert!(vault.open(place, &sealed).is_err());
        }
        assert!(Vault::new(&DataKey::new(&[2; 32])).unwrap().open(PLACE, &sealed).is_err());
    }

    #[test]
    fn every_altered_or_missing_byte_is_noticed() {
        let vault = Vault::new(&DataKey::new(&[1; 32])).unwrap();
        let sealed = vault.seal(PLACE, b"Robbins").unwrap();
        for n in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[n] ^= 1;
            assert!(vault.open(PLACE, &altered).is_err(), "byte {n}");
            assert!(vault.open(PLACE, &sealed[..n]).is_err(), "cut at {n}");
        }
    }

    #[test]
    fn a_fingerprint_depends_on_the_key_and_the_content() {
        let (a, b) =
            (Vault::new(&DataKey::new(&[1; 32])).unwrap(), Vault::new(&DataKey::new(&[2; 32])).unwrap());
        assert_eq!(a.fingerprint("x"), a.fingerprint("x"));
        assert_ne!(a.fingerprint("x"), a.fingerprint("y"));
        assert_ne!(a.fingerprint("x"), b.fingerprint("x"));
        assert_ne!(a.fingerprint("x"), [0; 32]);
    }

    #[test]
    fn an_older_key_opens_what_it_sealed_and_seals_nothing_more() {
        let old = Vault::new(&DataKey::new(&[1; 32])).unwrap();
        let both = Vault::new(&DataKey::new(&[2; 32]).after(DataKey::new(&[1; 32]))).unwrap();
        let new = Vault::new(&DataKey::new(&[2; 32])).unwrap();
        let before = old.seal(PLACE, b"Robbins").unwrap();
        assert_eq!(&**both.open(PLACE, &before).unwrap(), b"Robbins");
        assert!(both.open(Place { row: "2", ..PLACE }, &before).is_err());
        let after = both.seal(PLACE, b"Robbins").unwrap();
        assert_eq!(&**new.open(PLACE, &after).unwrap(), b"Robbins");
        assert!(old.open(PLACE, &after).is_err());
    }
}
