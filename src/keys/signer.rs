//! The hot key: takes signing orders, gives signatures that a second implementation has verified.
//!
//! Signatures are those of RFC 6979 without extra entropy, with low S: the same order gives the same bytes after a crash,
//! which recovery relies on. R is not ground to be low: it doubles the cost of signing to save an eighth of a byte.

use secp256k1::{Message, Secp256k1, SecretKey, SignOnly, ecdsa};
use sha2::{Digest, Sha256};

use super::account::AccountXpub;
use super::hd::{AccountKey, BranchParent, HdError, Scalar32};
use super::order::{Branch, OrderItem, SigningOrder};
use super::possession::is_possession_text;
use super::secret::Secret32;
use super::verify::compact_holds;
use crate::withdrawal::Network;

/// Nothing was signed, and no signature left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// There is nothing to sign.
    #[error("the order names no signature")]
    OrderEmpty,
    /// A key cannot be derived.
    #[error(transparent)]
    Key(#[from] HdError),
    /// The second implementation says no to a signature just made, or the key is not the expected one.
    #[error("signature {0} does not hold under its public key when verified again; nothing was handed out")]
    NotVerified(usize),
    /// The text to prove possession with is no such text.
    #[error(
        "the text does not start with the line `countersign key-possession v1`, or does not end with a line feed"
    )]
    NotPossessionText,
}

/// A signature that k256 has verified, with the key it holds under. Only [`HotKey`] makes one.
pub struct EcdsaSignature {
    signature: ecdsa::Signature,
    public_key: [u8; 33],
}

impl EcdsaSignature {
    /// Strict DER, without a sighash byte.
    pub fn der(&self) -> Vec<u8> {
        self.signature.serialize_der().to_vec()
    }

    /// The signature as the library's type.
    pub const fn signature(&self) -> &ecdsa::Signature {
        &self.signature
    }

    /// The key it holds under, compressed.
    pub const fn public_key(&self) -> &[u8; 33] {
        &self.public_key
    }
}

/// One party's key of the hot wallet: its account key and the parents of both branches, derived once.
pub struct HotKey {
    curve: Secp256k1<SignOnly>,
    account: Scalar32,
    xpub: AccountXpub,
    deposit: BranchParent,
    change: BranchParent,
}

impl HotKey {
    pub(super) fn of(
        key: &AccountKey,
        network: Network,
        account: u32,
        blinding: &Secret32,
    ) -> Result<Self, HdError> {
        let mut curve = Secp256k1::signing_only();
        // Once per start: blinding after every signature would double its cost, and costs nothing in its bytes.
        curve.seeded_randomize(blinding.expose());
        Ok(Self {
            curve,
            account: key.scalar(),
            xpub: AccountXpub::of(key, network, account),
            deposit: BranchParent::derive(key, Branch::Deposit)?,
            change: BranchParent::derive(key, Branch::Change)?,
        })
    }

    /// The account's extended public key with its origin.
    pub const fn xpub(&self) -> &AccountXpub {
        &self.xpub
    }

    /// Signs every item of an order, in its order; all or nothing.
    pub fn sign(&self, order: &SigningOrder) -> Result<Vec<EcdsaSignature>, SignError> {
        if order.items().is_empty() {
            return Err(SignError::OrderEmpty);
        }
        order.items().iter().enumerate().map(|(at, item)| self.sign_item(at, item)).collect()
    }

    /// Proves that this process holds the account's private key: signs SHA-256 of a `countersign key-possession v1` text.
    ///
    /// The account's key itself guards no coin, so no such signature can ever spend one.
    pub fn prove_possession(&self, text: &str) -> Result<EcdsaSignature, SignError> {
        if !is_possession_text(text) {
            return Err(SignError::NotPossessionText);
        }
        let digest = Sha256::digest(text.as_bytes()).into();
        signed_and_verified(&self.curve, self.account.expose(), &digest, *self.xpub.public_key())
            .ok_or(SignError::NotVerified(0))
    }

    fn sign_item(&self, at: usize, item: &OrderItem) -> Result<EcdsaSignature, SignError> {
        let parent = match item.branch {
            Branch::Deposit => &self.deposit,
            Branch::Change => &self.change,
        };
        let key = parent.child(item.index)?;
        let public_key = item.public_key.unwrap_or_else(|| key.expose().public_key(&self.curve).serialize());
        signed_and_verified(&self.curve, key.expose(), &item.digest, public_key)
            .ok_or(SignError::NotVerified(at))
    }
}

/// The one place where a signature comes into being; `None` when the second implementation says no to it.
pub(super) fn signed_and_verified(
    curve: &Secp256k1<SignOnly>,
    key: &SecretKey,
    digest: &[u8; 32],
    public_key: [u8; 33],
) -> Option<EcdsaSignature> {
    let signature = curve.sign_ecdsa(&Message::from_digest(*digest), key);
    compact_holds(&public_key, digest, &signature.serialize_compact())
        .then_some(EcdsaSignature { signature, public_key })
}
