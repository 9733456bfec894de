//! The floor of the newest libsecp256k1 (0.8), with SHA-256 by the processor's own instructions. The product has another copy.

use std::ptr;

use secp256k1_newest::ffi;
use secp256k1_newest::ffi::types::AlignedType;

unsafe extern "C" {
    /// Not bound by the crate.
    fn rustsecp256k1_v0_14_context_set_sha256_compression(
        context: *mut ffi::Context,
        compress: Option<unsafe extern "C" fn(*mut u32, *const u8, usize)>,
    );
}

/// What the library calls for every block of SHA-256: `sha2` finds the processor's instructions by itself.
unsafe extern "C" fn compress(state: *mut u32, blocks: *const u8, count: usize) {
    // SAFETY: the library hands over eight words, and as many blocks of 64 bytes as it says.
    let (state, blocks) = unsafe {
        (&mut *state.cast::<[u32; 8]>(), std::slice::from_raw_parts(blocks.cast::<[u8; 64]>(), count))
    };
    sha2::block_api::compress256(state, blocks);
}

/// A context of one's own, used by one thread.
pub struct NewestCurve {
    context: ptr::NonNull<ffi::Context>,
    _memory: Box<[AlignedType]>,
}

impl NewestCurve {
    /// A context that signs, randomised once.
    pub fn new() -> Self {
        let flags = ffi::SECP256K1_START_SIGN | ffi::SECP256K1_START_VERIFY;
        // SAFETY: the size is asked of the library, and the memory lives as long as the context and does not move.
        let (context, _memory) = unsafe {
            let size = ffi::secp256k1_context_preallocated_size(flags);
            let mut memory =
                vec![AlignedType::zeroed(); size.div_ceil(size_of::<AlignedType>())].into_boxed_slice();
            let place = ptr::NonNull::new_unchecked(memory.as_mut_ptr().cast());
            let context = ffi::secp256k1_context_preallocated_create(place, flags);
            assert_eq!(ffi::secp256k1_context_randomize(context, [7u8; 32].as_ptr()), 1);
            rustsecp256k1_v0_14_context_set_sha256_compression(context.as_ptr(), Some(compress));
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
                ffi::secp256k1_context_static,
                out.as_mut_ptr(),
                &signature,
            );
        }
        out
    }
}

impl Default for NewestCurve {
    fn default() -> Self {
        Self::new()
    }
}
