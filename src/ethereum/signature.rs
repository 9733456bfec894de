//! Signatures over a hash: whose they are (recovered by libsecp256k1), and the packed form that a Safe reads.
//!
//! It never makes a signature. The contract takes a high S; here it is refused (EIP-2), so that each has one spelling.

use alloy_primitives::{Address, B256, keccak256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey};

use super::verifier;
use super::wallet::{Owners, THRESHOLD};
use crate::withdrawal::KeyRole;

/// The length of a packed signature: r, s, v.
pub const SIGNATURE_LEN: usize = 65;

/// Half the order of the curve: the largest S that is low.
const S_MAX: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d,
    0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Why signatures were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a whole number of signatures, or more than there are owners.
    #[error("the packed signatures are not one to three of 65 bytes each")]
    Length,
    /// `v` is not 27 or 28: a contract's signature, an approved hash, or a message signed otherwise.
    #[error("signature {0} is of a kind that is not taken (v is not 27 or 28)")]
    Kind(usize),
    /// S is high, or r and s name no point.
    #[error("signature {0} does not hold, or its S is high")]
    Wrong(usize),
    /// It is no owner's.
    #[error("signature {0} is no owner's over this transaction")]
    NotOwner(usize),
    /// They are not in the order of their owners' addresses, or one is there twice.
    #[error("the signatures are not sorted by owner")]
    Order,
    /// Another owner's than expected, or more, or fewer.
    #[error("the signatures are not exactly those expected")]
    NotExpected,
    /// The two signatures are of one owner, or of another transaction.
    #[error("the two signatures are not of two owners over this transaction")]
    NotTwoOwners,
}

/// Whose signature over a digest this is. `v` is 27 or 28; a high S is nobody's.
pub fn recover(digest: &B256, signature: &[u8; SIGNATURE_LEN]) -> Option<Address> {
    let (compact, v) = signature.split_first_chunk::<64>()?;
    let id = match v {
        [27] => 0,
        [28] => 1,
        _ => return None,
    };
    recover_compact(digest, compact, id)
}

/// The same from r and s, and the parity of R's y.
pub fn recover_compact(digest: &B256, compact: &[u8; 64], id: u8) -> Option<Address> {
    let (_, s) = compact.split_at(32);
    if s > S_MAX.as_slice() {
        return None;
    }
    let id = RecoveryId::from_i32(i32::from(id)).ok().filter(|_| id < 2)?;
    let signature = RecoverableSignature::from_compact(compact, id).ok()?;
    let key = verifier().recover_ecdsa(&Message::from_digest(digest.0), &signature).ok()?;
    Some(address_of_point(&key))
}

/// The account of a public key, compressed; `None` where it is no point of the curve.
pub fn address_of(public_key: &[u8; 33]) -> Option<Address> {
    PublicKey::from_slice(public_key).ok().as_ref().map(address_of_point)
}

fn address_of_point(key: &PublicKey) -> Address {
    let point = key.serialize_uncompressed();
    let (_, coordinates) = point.split_at(1);
    Address::from_word(keccak256(coordinates))
}

/// Signatures as a Safe reads them: one after the other, sorted by owner, each recovered and each an owner's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedSignatures(Vec<VerifiedSignature>);

impl PackedSignatures {
    /// Reads packed signatures over a hash; none at all is allowed.
    pub fn read(bytes: &[u8], hash: B256, owners: &Owners) -> Result<Self, SignatureError> {
        let (parts, rest) = bytes.as_chunks::<SIGNATURE_LEN>();
        if !rest.is_empty() || parts.len() > owners.all().len() {
            return Err(SignatureError::Length);
        }
        let mut signatures: Vec<VerifiedSignature> = Vec::with_capacity(parts.len());
        let mut last = Address::ZERO;
        for (at, bytes) in parts.iter().enumerate() {
            if !matches!(bytes.last(), Some(27 | 28)) {
                return Err(SignatureError::Kind(at));
            }
            let owner = recover(&hash, bytes).ok_or(SignatureError::Wrong(at))?;
            let role = owners.role_of(owner).ok_or(SignatureError::NotOwner(at))?;
            if owner <= last {
                return Err(SignatureError::Order);
            }
            last = owner;
            signatures.push(VerifiedSignature { role, owner, hash, bytes: *bytes });
        }
        Ok(Self(signatures))
    }

    /// All of them, sorted by owner.
    pub fn all(&self) -> &[VerifiedSignature] {
        &self.0
    }

    /// The one that must be there, and no other; or none where none is expected.
    pub(super) fn only_of(
        mut self,
        expected: Option<KeyRole>,
        hash: B256,
    ) -> Result<Option<VerifiedSignature>, SignatureError> {
        let found = self.0.pop();
        let fits = self.0.is_empty()
            && found.as_ref().map(VerifiedSignature::role) == expected
            && found.as_ref().is_none_or(|found| found.hash == hash);
        if fits { Ok(found) } else { Err(SignatureError::NotExpected) }
    }
}

/// An owner's signature over one Safe transaction, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    role: KeyRole,
    owner: Address,
    hash: B256,
    bytes: [u8; SIGNATURE_LEN],
}

impl VerifiedSignature {
    /// Verifies that an owner made it: recovers the signer, and compares.
    pub fn verify(
        owners: &Owners,
        role: KeyRole,
        hash: B256,
        compact: &[u8; 64],
        recovery_id: u8,
    ) -> Result<Self, SignatureError> {
        let signer = recover_compact(&hash, compact, recovery_id).ok_or(SignatureError::Wrong(0))?;
        if signer != owners.of(role) {
            return Err(SignatureError::NotOwner(0));
        }
        Ok(Self { role, owner: signer, hash, bytes: joined(compact, recovery_id) })
    }

    /// Takes a party's own signature without recovering a third time: the keys room recovered it, with a second
    /// implementation, to the public key whose address is this owner's.
    pub(super) fn danger_own(
        owners: &Owners,
        role: KeyRole,
        hash: B256,
        compact: &[u8; 64],
        recovery_id: u8,
    ) -> Self {
        Self { role, owner: owners.of(role), hash, bytes: joined(compact, recovery_id) }
    }

    /// Whose it is.
    pub const fn role(&self) -> KeyRole {
        self.role
    }

    /// The hash it is over.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// r, s, v with v 27 or 28.
    pub const fn bytes(&self) -> &[u8; SIGNATURE_LEN] {
        &self.bytes
    }
}

fn joined(compact: &[u8; 64], recovery_id: u8) -> [u8; SIGNATURE_LEN] {
    let mut bytes = [0; SIGNATURE_LEN];
    let (left, right) = bytes.split_at_mut(64);
    left.copy_from_slice(compact);
    right.copy_from_slice(&[recovery_id.saturating_add(27)]);
    bytes
}

/// Packs two owners' signatures as the contract wants them: sorted by owner.
pub(super) fn pack(one: &VerifiedSignature, other: &VerifiedSignature) -> Result<Vec<u8>, SignatureError> {
    if one.owner == other.owner || one.hash != other.hash {
        return Err(SignatureError::NotTwoOwners);
    }
    let mut both = [one, other];
    both.sort_by_key(|signature| signature.owner);
    let packed: Vec<u8> = both.iter().flat_map(|signature| signature.bytes).collect();
    debug_assert_eq!(packed.len(), THRESHOLD * SIGNATURE_LEN);
    Ok(packed)
}
