//! Messages signed with an account (EIP-191) or accepted by a contract (EIP-1271): whoever holds it signed exactly this text.
//!
//! What the message says is not known here, and no node is asked: for a contract it writes the question and reads the answer.

use alloy_primitives::{Address, B256, Bytes, b256, eip191_hash_message};
use alloy_sol_types::SolCall;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::abi::isValidSignatureCall;
use super::signature::{SIGNATURE_LEN, recover, recover_compact};
use crate::withdrawal::Code;

/// The longest contract proof, in bytes.
pub const CONTRACT_PROOF_LEN_MAX: usize = 4096;

/// What a contract answers that accepts: the selector of `isValidSignature(bytes32,bytes)`, in a word of its own.
const ACCEPTED: B256 = b256!("0x1626ba7e00000000000000000000000000000000000000000000000000000000");

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not `0x` and hex digits in lower case, of the right length.
    #[error("the proof is not `0x` and 130 hex digits in lower case")]
    Unreadable,
    /// Another account, another message, a high S, or a `v` other than 27 and 28.
    #[error("the signature does not hold for this address and this message")]
    Refused,
}

impl MessageError {
    /// The stable code.
    pub const fn code(self) -> Code {
        match self {
            Self::Unreadable => Code::SignatureMalformed,
            Self::Refused => Code::OwnershipNotProven,
        }
    }
}

/// The hash of a message as wallets sign it (EIP-191, version 0x45, `personal_sign`).
pub fn message_hash(message: &str) -> B256 {
    eip191_hash_message(message)
}

/// Verifies that the key of `account` signed `message`.
pub fn verify_message(account: Address, message: &str, proof: &str) -> Result<(), MessageError> {
    let bytes = read_hex(proof).ok_or(MessageError::Unreadable)?;
    let bytes: [u8; SIGNATURE_LEN] = bytes.try_into().map_err(|_| MessageError::Unreadable)?;
    if recover(&message_hash(message), &bytes) == Some(account) { Ok(()) } else { Err(MessageError::Refused) }
}

/// The call that asks a contract wallet whether it accepts `proof` for `message` (EIP-1271).
pub fn ownership_call(message: &str, proof: &str) -> Result<Vec<u8>, MessageError> {
    let signature = read_hex(proof)
        .filter(|bytes| bytes.len() <= CONTRACT_PROOF_LEN_MAX)
        .ok_or(MessageError::Unreadable)?;
    Ok(isValidSignatureCall { hash: message_hash(message), signature: Bytes::from(signature) }.abi_encode())
}

/// Whether what the contract returned is a yes: that word and nothing else. A revert, no code or no answer is a no.
pub fn accepts(returned: &[u8]) -> bool {
    returned == ACCEPTED.as_slice()
}

/// Whether an owner's key signed a possession text; what the text says is the caller's to compare.
pub fn verify_possession(owner: Address, text: &str, compact: &[u8; 64], recovery_id: u8) -> bool {
    let digest = B256::from(<[u8; 32]>::from(Sha256::digest(text.as_bytes())));
    recover_compact(&digest, compact, recovery_id) == Some(owner)
}

fn read_hex(proof: &str) -> Option<Vec<u8>> {
    let digits = proof.strip_prefix("0x").filter(|digits| digits.len() <= 2 * CONTRACT_PROOF_LEN_MAX)?;
    HEXLOWER.decode(digits.as_bytes()).ok()
}
