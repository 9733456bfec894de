//! Two judges of an ECDSA signature over secp256k1: libsecp256k1 and, written independently, k256.
//!
//! Both take a compressed key, a digest, and strict DER without a sighash byte, and both refuse a high S (BIP-0062 rule
//! 5, BIP-0146): a signature that the network would not relay is not valid here.

use k256::ecdsa::signature::hazmat::PrehashVerifier;
use secp256k1::{Message, PublicKey, ecdsa};

use super::hd::CURVE;

/// Whether the signature holds, judged by k256.
pub fn verify_with_k256(public_key: &[u8; 33], digest: &[u8; 32], der: &[u8]) -> bool {
    k256::ecdsa::Signature::from_der(der).is_ok_and(|signature| k256_holds(public_key, digest, &signature))
}

/// Whether the signature holds, judged by libsecp256k1.
pub fn verify_with_libsecp(public_key: &[u8; 33], digest: &[u8; 32], der: &[u8]) -> bool {
    ecdsa::Signature::from_der(der).is_ok_and(|signature| libsecp_holds(public_key, digest, &signature))
}

/// Judges the 64 bytes r, s by k256: what the signer does with every signature before it leaves.
pub(super) fn compact_holds(public_key: &[u8; 33], digest: &[u8; 32], compact: &[u8; 64]) -> bool {
    k256::ecdsa::Signature::from_slice(compact)
        .is_ok_and(|signature| k256_holds(public_key, digest, &signature))
}

fn k256_holds(public_key: &[u8; 33], digest: &[u8; 32], signature: &k256::ecdsa::Signature) -> bool {
    // SEC 1 has a third 33-byte form (tag 5), which Bitcoin does not know.
    let compressed = matches!(public_key.first(), Some(2 | 3));
    compressed
        && k256::ecdsa::VerifyingKey::from_sec1_bytes(public_key)
            .is_ok_and(|key| key.verify_prehash(digest, signature).is_ok())
}

fn libsecp_holds(public_key: &[u8; 33], digest: &[u8; 32], signature: &ecdsa::Signature) -> bool {
    PublicKey::from_slice(public_key)
        .is_ok_and(|key| CURVE.verify_ecdsa(&Message::from_digest(*digest), signature, &key).is_ok())
}
