//! The proposal: what passes between the parties. Chain, Safe, nonce, and the execution with the signatures it has so far.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolType, SolValue};

use super::abi::{ProposalFields, execTransactionCall, read_call};
use super::action::{CallProblem, read_gas};
use super::build::execution;
use super::check_error::CheckError;
use super::safe_tx::{Operation, SafeCall};
use super::wallet::SafeWallet;
use crate::withdrawal::ChainId;
use crate::withdrawal::{Code, Invalid};

/// The longest proposal that is read, in bytes: a batch of the most calls takes some 140,000.
pub const PROPOSAL_LEN_MAX: usize = 256 * 1024;

/// A Safe transaction on its way between the parties. Nothing in it is believed before it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    chain: ChainId,
    safe: Address,
    call: SafeCall,
    signatures: Bytes,
}

impl Proposal {
    /// One without signatures.
    pub fn new(wallet: &SafeWallet, call: SafeCall) -> Self {
        Self { chain: wallet.chain(), safe: wallet.address(), call, signatures: Bytes::new() }
    }

    /// The same with these packed signatures and no others.
    pub(super) fn with(&self, signatures: Vec<u8>) -> Self {
        Self { signatures: signatures.into(), ..self.clone() }
    }

    /// Reads one, in its one spelling and to the last byte.
    pub fn read(bytes: &[u8]) -> Result<Self, CheckError> {
        if bytes.len() > PROPOSAL_LEN_MAX {
            return Err(unreadable(Code::FieldTooLong, "is longer than any proposal"));
        }
        let fields = <ProposalFields as SolType>::abi_decode_params_validate(bytes)
            .ok()
            .filter(|fields| fields.abi_encode_params() == bytes)
            .ok_or_else(|| unreadable(Code::FieldMalformed, "is not the encoding of one proposal"))?;
        let number = |number: U256| u64::try_from(number).ok();
        let chain = number(fields.chainId)
            .and_then(ChainId::new)
            .ok_or_else(|| unreadable(Code::FieldMalformed, "names no chain"))?;
        let nonce = number(fields.nonce)
            .ok_or_else(|| unreadable(Code::FieldMalformed, "names a nonce beyond what is counted"))?;
        let execution = read_call::<execTransactionCall>(&fields.execution)
            .ok_or_else(|| unreadable(Code::FieldMalformed, "does not hold one execution"))?;
        let (call, signatures) = read_execution(execution, nonce)?;
        Ok(Self { chain, safe: fields.safe, call, signatures })
    }

    /// The bytes, in their one spelling.
    pub fn bytes(&self) -> Vec<u8> {
        ProposalFields {
            chainId: U256::from(self.chain.number()),
            safe: self.safe,
            nonce: U256::from(self.call.nonce),
            execution: execution(&self.call, self.signatures.to_vec()).into(),
        }
        .abi_encode_params()
    }

    /// The chain it names.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// The Safe it names.
    pub const fn safe(&self) -> Address {
        self.safe
    }

    /// The Safe transaction.
    pub const fn call(&self) -> &SafeCall {
        &self.call
    }

    /// The packed signatures it carries.
    pub fn signatures(&self) -> &[u8] {
        &self.signatures
    }
}

/// Reads an execution: the Safe transaction of this nonce, and the packed signatures.
pub(super) fn read_execution(
    execution: execTransactionCall,
    nonce: u64,
) -> Result<(SafeCall, Bytes), CheckError> {
    let wrong = |problem| CheckError::Call { at: 0, problem };
    let safe_tx_gas = read_gas(&execution).map_err(wrong)?;
    let operation = Operation::from_number(execution.operation).ok_or(wrong(CallProblem::DelegateCall))?;
    let execTransactionCall { to, value, data, signatures, .. } = execution;
    Ok((SafeCall { to, value, data, operation, safe_tx_gas, nonce }, signatures))
}

fn unreadable(code: Code, problem: &str) -> CheckError {
    let cure = "send the proposal as the signer wrote it, unchanged";
    CheckError::Unreadable(Invalid::new(code, "proposal", problem, cure))
}
