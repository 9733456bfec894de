//! The lines of a contract's yes in a statement: at one final block it accepted a proof for a message (EIP-1271). Knows no customer.

use alloy_primitives::{Address, B256};
use data_encoding::HEXLOWER;

use super::canonical::{Reader, Writer, malformed};
use super::field;
use super::statement_body::pair;
use super::statement_safe::{address, hash};
use crate::withdrawal::evm_address::{is_payable, spell};
use crate::withdrawal::{ChainId, Invalid};

/// What a contract accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnershipFact {
    /// The chain.
    pub chain: ChainId,
    /// The height of the final block.
    pub height: u64,
    /// Its hash.
    pub block_hash: B256,
    /// The contract that was asked.
    pub contract: Address,
    /// The hash of the message (EIP-191).
    pub message_hash: B256,
    /// SHA-256 of the proof as it is written, `0x` and lower-case hex digits.
    pub proof_digest: [u8; 32],
}

/// Adds the lines of a contract's yes.
pub(super) fn write_ownership(writer: Writer, fact: &OwnershipFact) -> Writer {
    writer
        .line("network", fact.chain)
        .line("block", format!("{} {:x}", fact.height, fact.block_hash))
        .line("contract", spell(fact.contract))
        .line("message", format!("{:x}", fact.message_hash))
        .line("proof", HEXLOWER.encode(&fact.proof_digest))
}

/// Reads the lines of a contract's yes.
pub(super) fn parse_ownership(reader: &mut Reader<'_>) -> Result<OwnershipFact, Invalid> {
    let chain = ChainId::parse(reader.take("network")?).map_err(|no| Invalid { field: "network", ..no })?;
    let (height, block_hash) = pair("block", reader.take("block")?)?;
    let (height, block_hash) = (field::number("block", height)?, hash("block", block_hash)?);
    let contract = address("contract", reader.take("contract")?)?;
    if !is_payable(contract) {
        return Err(malformed("contract", "is the zero address or a precompiled contract"));
    }
    let message_hash = hash("message", reader.take("message")?)?;
    let proof_digest = field::hex("proof", reader.take("proof")?)?;
    Ok(OwnershipFact { chain, height, block_hash, contract, message_hash, proof_digest })
}
