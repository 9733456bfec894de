//! Floors: the least a signer can do, over the same copy of libsecp256k1 and through nothing but its C functions.
//!
//! They check nothing. What stands above them in a bench is what the checks cost.

pub mod newest;
pub mod node;
pub mod rows;

use std::ptr;

use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::sighash::SighashCache;
use bitcoin::{EcdsaSighashType, Psbt, PublicKey, ecdsa};
use secp256k1::ffi::types::{AlignedType, c_uchar, c_uint};
use secp256k1::ffi::{self, CPtr};

/// A context of one's own, used by one thread.
pub struct Curve {
    context: ptr::NonNull<ffi::Context>,
    _memory: Box<[AlignedType]>,
}

impl Curve {
    /// A context that signs and verifies, randomised once.
    pub fn new() -> Self {
        let flags: c_uint = ffi::SECP256K1_START_SIGN | ffi::SECP256K1_START_VERIFY;
        // SAFETY: the size is asked of the library, and the memory lives as long as the context and does not move.
        let (context, _memory) = unsafe {
            let size = ffi::secp256k1_context_preallocated_size(flags);
            let mut memory =
                vec![AlignedType::zeroed(); size.div_ceil(size_of::<AlignedType>())].into_boxed_slice();
            let place = ptr::NonNull::new_unchecked(memory.as_mut_ptr().cast());
            let context = ffi::secp256k1_context_preallocated_create(place, flags);
            assert_eq!(ffi::secp256k1_context_randomize(context, [7u8; 32].as_ptr()), 1);
            (context, memory)
        };
        Self { context, _memory }
    }

    /// One signature, RFC 6979, low S, compact.
    pub fn sign(&self, digest: &[u8; 32], key: &[u8; 32]) -> [u8; 64] {
        let mut out = [0u8; 64];
        // SAFETY: every pointer is to an array of the size the function reads or writes.
        unsafe {
            let mut signature = ffi::Signature::new();
            let done = ffi::secp256k1_ecdsa_sign(
                self.context.as_ptr(),
                &mut signature,
                digest.as_ptr(),
                key.as_ptr(),
                ffi::secp256k1_nonce_function_rfc6979,
                ptr::null(),
            );
            assert_eq!(done, 1);
            ffi::secp256k1_ecdsa_signature_serialize_compact(
                ffi::secp256k1_context_no_precomp,
                out.as_mut_ptr() as *mut c_uchar,
                &signature,
            );
        }
        out
    }

    /// `key + tweak · G`, compressed: one step of BIP-0032 without its hash.
    pub fn tweak(&self, key: &ffi::PublicKey, tweak: &[u8; 32]) -> [u8; 33] {
        let mut out = [0u8; 33];
        let mut len = out.len();
        // SAFETY: as above; `key` is a parsed public key.
        unsafe {
            let mut child = key.clone();
            assert_eq!(
                ffi::secp256k1_ec_pubkey_tweak_add(self.context.as_ptr(), &mut child, tweak.as_ptr()),
                1
            );
            ffi::secp256k1_ec_pubkey_serialize(
                ffi::secp256k1_context_no_precomp,
                out.as_mut_ptr(),
                &mut len,
                &child,
                ffi::SECP256K1_SER_COMPRESSED,
            );
        }
        out
    }
}

impl Default for Curve {
    fn default() -> Self {
        Self::new()
    }
}

/// The library's own form of a public key.
pub fn raw(key: &secp256k1::PublicKey) -> ffi::PublicKey {
    // SAFETY: a `PublicKey` holds a valid one for as long as it is borrowed.
    unsafe { (*key.as_c_ptr()).clone() }
}

/// Reads the PSBT, signs each input with the key given for it, and writes the PSBT again. Nothing else.
pub fn countersign(curve: &Curve, bytes: &[u8], keys: &[([u8; 32], PublicKey)]) -> Vec<u8> {
    let mut psbt = Psbt::deserialize(bytes).expect("a PSBT");
    let mut cache = SighashCache::new(&psbt.unsigned_tx);
    let signatures: Vec<[u8; 64]> = psbt
        .inputs
        .iter()
        .zip(keys)
        .enumerate()
        .map(|(at, (input, (key, _)))| {
            let utxo = input.witness_utxo.as_ref().expect("an amount");
            let script = input.witness_script.as_ref().expect("a script");
            let digest =
                cache.p2wsh_signature_hash(at, script, utxo.value, EcdsaSighashType::All).expect("a digest");
            curve.sign(digest.as_byte_array(), key)
        })
        .collect();
    for ((input, (_, public)), signature) in psbt.inputs.iter_mut().zip(keys).zip(signatures) {
        let signature = secp256k1::ecdsa::Signature::from_compact(&signature).expect("a signature");
        input.partial_sigs = [(*public, ecdsa::Signature::sighash_all(signature))].into();
    }
    psbt.serialize()
}

/// The size of the transaction inside, so that a reader of the table knows what was signed.
pub fn transaction_len(bytes: &[u8]) -> usize {
    encode::serialize(&Psbt::deserialize(bytes).expect("a PSBT").unsigned_tx).len()
}
