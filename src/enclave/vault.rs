//! Owns encryption at rest: XChaCha20-Poly1305 over single columns, and the keyed hash of payloads. Knows no tables.
//!
//! A sealed column is `version (1) ‖ key id (4) ‖ nonce (24) ‖ ciphertext`; table, column and row are authenticated with it, so no
//! value can be moved to another place.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

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

/// The enclave's database key, 32 bytes of entropy, wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DataKey(Box<[u8; 32]>);

impl DataKey {
    /// Takes the key over; the caller wipes its own copy.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    pub(super) row: &'a str,
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

/// Seals and opens columns.
pub(super) struct Vault {
    cipher: XChaCha20Poly1305,
    key_id: [u8; 4],
    fingerprint_key: Zeroizing<[u8; 64]>,
    check_value: Zeroizing<[u8; 32]>,
}

impl Vault {
    /// Derives the column key, its public id and the fingerprint key from the database key (HKDF-SHA-256).
    pub(super) fn new(key: &DataKey) -> Result<Self, VaultFault> {
        let column = derive(key, b"countersign enclave column key v1")?;
        let mut key_id = [0; 4];
        let id: Zeroizing<[u8; 32]> = derive(key, b"countersign enclave key id v1")?;
        key_id.iter_mut().zip(id.iter()).for_each(|(to, from)| *to = *from);
        let cipher = XChaCha20Poly1305::new(&Key::from(*column));
        Ok(Self {
            cipher,
            key_id,
            fingerprint_key: derive(key, b"countersign enclave fingerprint key v1")?,
            check_value: derive(key, b"countersign enclave check value v1")?,
        })
    }

    /// Encrypts a value for one place.
    pub(super) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, VaultFault> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| VaultFault::Entropy)?;
        let payload = Payload { msg: plain, aad: &place.bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| VaultFault::Unreadable(place.column))?;
        Ok([&[VERSION][..], &self.key_id, &nonce, &sealed].concat())
    }

    /// Decrypts a value from that place.
    pub(super) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultFault> {
        let unreadable = VaultFault::Unreadable(place.column);
        let (head, rest) = sealed.split_at_checked(HEAD_LEN).ok_or(unreadable)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(unreadable)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| unreadable)?;
        if head != [&[VERSION][..], &self.key_id].concat() {
            return Err(unreadable);
        }
        let payload = Payload { msg: sealed, aad: &place.bytes() };
        self.cipher.decrypt(&XNonce::from(nonce), payload).map(Zeroizing::new).map_err(|_| unreadable)
    }

    /// What tells this key from others, and nothing of it: a database keeps it in the clear.
    pub(super) fn check_value(&self) -> &[u8; 32] {
        &self.check_value
    }

    /// The keyed hash of a payload's canonical form: equal for equal content, and nothing to guess names against (law L2).
    pub(super) fn fingerprint(&self, canonical: &str) -> [u8; 32] {
        let key = hmac::digest::Key::<Hmac<Sha256>>::from(*self.fingerprint_key);
        let mac = <Hmac<Sha256> as hmac::KeyInit>::new(&key);
        mac.chain_update(canonical.as_bytes()).finalize().into_bytes().into()
    }
}

fn derive<const N: usize>(key: &DataKey, label: &[u8]) -> Result<Zeroizing<[u8; N]>, VaultFault> {
    let mut out = Zeroizing::new([0; N]);
    let hkdf = Hkdf::<Sha256>::new(Some(b"countersign enclave"), &*key.0);
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
}
