//! Messages signed with an address (BIP-0322, simple): whoever can spend from it signed exactly this text.
//!
//! What the message says is not known here. The script interpreter of Bitcoin Core decides; before it is asked, only the
//! plain forms are let through: P2WPKH, P2TR by its key, and P2WSH 2-of-3, each signed over everything.

use ::bitcoin::consensus::encode;
use ::bitcoin::hashes::{Hash, HashEngine, sha256};
use ::bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_PUSHNUM_2, OP_PUSHNUM_3, OP_RETURN};
use ::bitcoin::script::Builder;
use ::bitcoin::{
    Amount, EcdsaSighashType, OutPoint, PublicKey, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn,
    TxOut, Txid, Witness, absolute, ecdsa, opcodes, script, taproot, transaction,
};
use data_encoding::BASE64;

use super::address::{AddressKind, Destination};
use super::consensus::verify_bytes;
use crate::withdrawal::Code;

/// The longest proof, in characters: a 2-of-3 takes some 360.
pub const PROOF_LEN_MAX: usize = 512;

/// The tag of BIP-0322's message hash.
const TAG: &[u8] = b"BIP0322-signed-message";

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the base64 of one witness, in its one spelling, and nothing after it.
    #[error("the proof is not the base64 of one witness and nothing else")]
    Unreadable,
    /// The address is of a kind that this form does not prove.
    #[error("an address of this kind is not proved: give one of type P2WPKH, P2WSH (2-of-3) or P2TR")]
    Kind,
    /// The witness is not of the form this kind of address has.
    #[error("the witness is not the plain one of this kind of address")]
    Form,
    /// A signature is not over everything.
    #[error("a signature is of another type than ALL")]
    Sighash,
    /// The script does not accept it: another key, another message or another network.
    #[error("the signature does not hold for this address and this message")]
    Refused,
}

impl MessageError {
    /// The stable code.
    pub const fn code(self) -> Code {
        match self {
            Self::Unreadable => Code::SignatureMalformed,
            Self::Kind | Self::Form | Self::Sighash | Self::Refused => Code::OwnershipNotProven,
        }
    }
}

/// Verifies that whoever can spend from `address` signed `message`.
pub fn verify_message(address: &Destination, message: &str, proof: &str) -> Result<(), MessageError> {
    let witness = read_witness(proof)?;
    check_form(address, &witness)?;
    let spent = TxOut { value: Amount::ZERO, script_pubkey: address.script_pubkey().to_owned() };
    let to_spend = to_spend(spent.script_pubkey.clone(), message);
    let to_sign = to_sign(to_spend.compute_txid(), witness);
    verify_bytes(&encode::serialize(&to_sign), &[spent]).map_err(|_| MessageError::Refused)
}

fn read_witness(proof: &str) -> Result<Witness, MessageError> {
    if proof.len() > PROOF_LEN_MAX {
        return Err(MessageError::Unreadable);
    }
    let bytes = BASE64.decode(proof.as_bytes()).map_err(|_| MessageError::Unreadable)?;
    // Trailing bytes are an error here already; the comparison refuses every longer spelling of a length.
    let witness: Witness = encode::deserialize(&bytes).map_err(|_| MessageError::Unreadable)?;
    if encode::serialize(&witness) != bytes {
        return Err(MessageError::Unreadable);
    }
    Ok(witness)
}

/// Consensus alone would take any sighash type, any script and loose encodings: these are not let through to it.
fn check_form(address: &Destination, witness: &Witness) -> Result<(), MessageError> {
    let parts: Vec<&[u8]> = witness.iter().collect();
    match (address.kind(), parts.as_slice()) {
        (AddressKind::P2wpkh, [signature, key]) => {
            check_key(key)?;
            check_ecdsa(signature)
        }
        (AddressKind::P2tr, [signature]) => check_schnorr(signature),
        (AddressKind::P2wsh, [[], first, second, script]) => {
            check_two_of_three(script)?;
            check_ecdsa(first)?;
            check_ecdsa(second)
        }
        (AddressKind::P2wpkh | AddressKind::P2tr | AddressKind::P2wsh, _) => Err(MessageError::Form),
        (AddressKind::P2pkh | AddressKind::P2sh, _) => Err(MessageError::Kind),
    }
}

fn check_key(bytes: &[u8]) -> Result<(), MessageError> {
    match PublicKey::from_slice(bytes) {
        Ok(key) if key.compressed => Ok(()),
        _ => Err(MessageError::Form),
    }
}

fn check_ecdsa(bytes: &[u8]) -> Result<(), MessageError> {
    let signature = ecdsa::Signature::from_slice(bytes).map_err(|_| MessageError::Form)?;
    if signature.sighash_type != EcdsaSighashType::All {
        return Err(MessageError::Sighash);
    }
    let mut low = signature.signature;
    low.normalize_s();
    let plain = low == signature.signature && signature.to_vec() == bytes;
    if plain { Ok(()) } else { Err(MessageError::Form) }
}

fn check_schnorr(bytes: &[u8]) -> Result<(), MessageError> {
    let signature = taproot::Signature::from_slice(bytes).map_err(|_| MessageError::Form)?;
    match signature.sighash_type {
        TapSighashType::Default | TapSighashType::All => Ok(()),
        _ => Err(MessageError::Sighash),
    }
}

/// `2 <key> <key> <key> 3 OP_CHECKMULTISIG`, each key compressed.
fn check_two_of_three(bytes: &[u8]) -> Result<(), MessageError> {
    let script = ScriptBuf::from_bytes(bytes.to_vec());
    let parts: Result<Vec<_>, script::Error> = script.instructions_minimal().collect();
    let parts = parts.map_err(|_| MessageError::Form)?;
    let [two, keys @ .., three, check] = parts.as_slice() else { return Err(MessageError::Form) };
    let is = |part: &script::Instruction<'_>, opcode: opcodes::Opcode| part.opcode() == Some(opcode);
    if keys.len() != 3 || !is(two, OP_PUSHNUM_2) || !is(three, OP_PUSHNUM_3) || !is(check, OP_CHECKMULTISIG) {
        return Err(MessageError::Form);
    }
    keys.iter().try_for_each(|key| check_key(key.push_bytes().map_or(&[], |bytes| bytes.as_bytes())))
}

/// The tagged hash of a message (BIP-0340's construction).
fn message_hash(message: &str) -> [u8; 32] {
    let tag = sha256::Hash::hash(TAG);
    let mut engine = sha256::Hash::engine();
    engine.input(tag.as_byte_array());
    engine.input(tag.as_byte_array());
    engine.input(message.as_bytes());
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// BIP-0322's virtual transaction that pays nothing to the address and commits to the message.
fn to_spend(script_pubkey: ScriptBuf, message: &str) -> Transaction {
    let commitment = Builder::new().push_int(0).push_slice(message_hash(message)).into_script();
    let spent = OutPoint { txid: Txid::all_zeros(), vout: u32::MAX };
    virtual_transaction(spent, commitment, Witness::new(), script_pubkey)
}

/// BIP-0322's virtual transaction that spends it; its witness is the proof.
fn to_sign(to_spend: Txid, witness: Witness) -> Transaction {
    let nothing = Builder::new().push_opcode(OP_RETURN).into_script();
    virtual_transaction(OutPoint { txid: to_spend, vout: 0 }, ScriptBuf::new(), witness, nothing)
}

fn virtual_transaction(
    previous_output: OutPoint,
    script_sig: ScriptBuf,
    witness: Witness,
    script_pubkey: ScriptBuf,
) -> Transaction {
    Transaction {
        version: transaction::Version(0),
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn { previous_output, script_sig, sequence: Sequence::ZERO, witness }],
        output: vec![TxOut { value: Amount::ZERO, script_pubkey }],
    }
}

/// The transaction a wallet signs for a message, with an empty witness; for clients and tests that hold the key.
pub fn unsigned_message(address: &Destination, message: &str) -> Transaction {
    let to_spend = to_spend(address.script_pubkey().to_owned(), message);
    to_sign(to_spend.compute_txid(), Witness::new())
}
