//! Keys whose holder is found from the signature: an owner's seat, and the executors that pay gas. Orders in, signatures out.
//!
//! As for the hot key: RFC 6979 without extra entropy, low S, and a second implementation has the last word. Here it
//! recovers the public key from signature and digest, as the chain will. Where the digest comes from is not known here.

use k256::ecdsa::{self as second};
use secp256k1::{Message, Secp256k1, SignOnly};
use sha2::{Digest, Sha256};

use super::hd::{AccountKey, BranchParent, HdError, Scalar32};
use super::order::ChildIndex;
use super::possession::is_possession_text;
use super::secret::Secret32;
use super::signer::SignError;
use crate::withdrawal::ReservationId;

/// Which key of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seat {
    /// `0/0`: one of the owners of the wallet.
    Owner,
    /// `1/n`: an account that pays gas and holds no customer's money.
    Executor(ChildIndex),
}

/// An order to sign one digest of one reservation. Evidence: it cannot be copied, printed or made another way.
pub struct SeatOrder {
    reservation: ReservationId,
    seat: Seat,
    digest: [u8; 32],
    public_key: Option<[u8; 33]>,
}

impl SeatOrder {
    /// Vouches that the digest was computed by the caller itself, from the transaction of this reservation, after the
    /// reservation was made durable. No digest that came from outside the process may pass here.
    ///
    /// The one door: only `flow` calls it, and `executor` for its own key; a search for its name lists every place that vouches.
    pub const fn danger_vouch_for(reservation: ReservationId, seat: Seat, digest: [u8; 32]) -> Self {
        Self { reservation, seat, digest, public_key: None }
    }

    /// Names the public key that the signature must lead back to; another one is an error, and no signature leaves.
    ///
    /// Also faster: the key need not be computed from the private key again.
    pub const fn expecting(mut self, public_key: [u8; 33]) -> Self {
        self.public_key = Some(public_key);
        self
    }

    /// The reservation it is for.
    pub const fn reservation(&self) -> ReservationId {
        self.reservation
    }
}

/// A signature from which k256 has recovered the public key. Only [`SeatKeys`] makes one.
pub struct SeatSignature {
    compact: [u8; 64],
    recovery_id: u8,
    public_key: [u8; 33],
}

impl SeatSignature {
    /// r and s.
    pub const fn compact(&self) -> &[u8; 64] {
        &self.compact
    }

    /// The parity of R's y, 0 or 1.
    pub const fn recovery_id(&self) -> u8 {
        self.recovery_id
    }

    /// The key it leads back to, compressed.
    pub const fn public_key(&self) -> &[u8; 33] {
        &self.public_key
    }
}

/// One party's keys of this kind: the owner's own, and the parent of the executors', derived once.
pub struct SeatKeys {
    curve: Secp256k1<SignOnly>,
    owner: Scalar32,
    executors: BranchParent,
}

impl SeatKeys {
    pub(super) fn of(key: &AccountKey, blinding: &Secret32) -> Result<Self, HdError> {
        let mut curve = Secp256k1::signing_only();
        // Once per start, as for the hot key.
        curve.seeded_randomize(blinding.expose());
        let first = ChildIndex::new(0).ok_or(HdError::NoKeyHere)?;
        let owner = BranchParent::of_number(key, 0)?.child(first)?;
        Ok(Self { curve, owner, executors: BranchParent::of_number(key, 1)? })
    }

    /// The public key of a seat, compressed.
    pub fn public_key(&self, seat: Seat) -> Result<[u8; 33], HdError> {
        let public = |key: &Scalar32| key.expose().public_key(&self.curve).serialize();
        match seat {
            Seat::Owner => Ok(public(&self.owner)),
            Seat::Executor(index) => self.executors.child(index).map(|key| public(&key)),
        }
    }

    /// Signs the digest of an order.
    pub fn sign(&self, order: &SeatOrder) -> Result<SeatSignature, SignError> {
        let signed = match order.seat {
            Seat::Owner => self.signed_and_recovered(&self.owner, &order.digest, order.public_key),
            Seat::Executor(index) => {
                let key = self.executors.child(index)?;
                self.signed_and_recovered(&key, &order.digest, order.public_key)
            }
        };
        signed.ok_or(SignError::NotVerified(0))
    }

    /// Proves that this process holds the owner's key: signs SHA-256 of a `countersign key-possession v1` text.
    ///
    /// What a wallet signs on chain is a Keccak-256 hash; no text is known whose SHA-256 is one.
    pub fn prove_possession(&self, text: &str) -> Result<SeatSignature, SignError> {
        if !is_possession_text(text) {
            return Err(SignError::NotPossessionText);
        }
        let digest = Sha256::digest(text.as_bytes()).into();
        self.signed_and_recovered(&self.owner, &digest, None).ok_or(SignError::NotVerified(0))
    }

    /// The one place where such a signature comes into being; `None` when it leads k256 to another key than this one.
    fn signed_and_recovered(
        &self,
        key: &Scalar32,
        digest: &[u8; 32],
        expected: Option<[u8; 33]>,
    ) -> Option<SeatSignature> {
        let message = Message::from_digest(*digest);
        let signature = self.curve.sign_ecdsa_recoverable(&message, key.expose());
        let (id, compact) = signature.serialize_compact();
        let recovery_id = u8::try_from(id.to_i32()).ok().filter(|id| *id < 2)?;
        let public_key = expected.unwrap_or_else(|| key.expose().public_key(&self.curve).serialize());
        let recovered = recovered_by_k256(digest, &compact, recovery_id)?;
        (recovered == public_key).then_some(SeatSignature { compact, recovery_id, public_key })
    }
}

/// The public key that k256 finds from a signature with a low S.
fn recovered_by_k256(digest: &[u8; 32], compact: &[u8; 64], recovery_id: u8) -> Option<[u8; 33]> {
    let signature = second::Signature::from_slice(compact).ok()?;
    if signature.normalize_s() != signature {
        return None;
    }
    let id = second::RecoveryId::from_byte(recovery_id)?;
    let key = second::VerifyingKey::recover_from_prehash(digest, &signature, id).ok()?;
    key.to_sec1_point(true).as_bytes().try_into().ok()
}
