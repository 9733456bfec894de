//! The transactions of the executor, the account that only pays gas: building (EIP-1559), replacing, signing, reading any
//! signed one back (EIP-155, EIP-2930, EIP-1559). It moves no customer money and sends no value.

use alloy_consensus::TxEip1559;
use alloy_consensus::transaction::{SignableTransaction, Transaction, TxEnvelope};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};

use super::signature::{SignatureError, recover_compact};
use super::units::Units;
use crate::withdrawal::ChainId;
use crate::withdrawal::{Code, Invalid};

/// The longest transaction that is read, in bytes: what nodes take into their pools.
pub const TRANSACTION_LEN_MAX: usize = 128 * 1024;

/// By how much nodes want both fees raised before they take a replacement, in percent.
const BUMP_PERCENT: u128 = 10;

/// What a transaction may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasTerms {
    /// The most gas it may use.
    pub gas_limit: u64,
    /// The most wei for a unit of gas, base fee and tip together.
    pub fee_per_gas_max: u128,
    /// The most of it that goes to the block's builder.
    pub tip_per_gas_max: u128,
}

impl GasTerms {
    /// The most wei it can cost; `None` beyond 256 bits, which is no fee that anybody pays.
    pub fn fee_max(&self) -> Option<Units> {
        U256::from(self.gas_limit).checked_mul(U256::from(self.fee_per_gas_max)).map(Units::new)
    }

    /// Whether nodes take it in the place of one with those terms: both fees raised by a tenth, rounded up.
    pub fn replaces(&self, old: &Self) -> bool {
        let enough = |new: u128, old: u128| bumped(old).is_some_and(|least| new >= least);
        enough(self.fee_per_gas_max, old.fee_per_gas_max) && enough(self.tip_per_gas_max, old.tip_per_gas_max)
    }

    /// The smallest terms that replace these; `None` where they would cost more than that per gas.
    pub fn raised(&self, fee_per_gas_cap: u128) -> Option<Self> {
        let fee_per_gas_max = bumped(self.fee_per_gas_max)?;
        let tip_per_gas_max = bumped(self.tip_per_gas_max)?;
        (fee_per_gas_max <= fee_per_gas_cap).then_some(Self {
            gas_limit: self.gas_limit,
            fee_per_gas_max,
            tip_per_gas_max,
        })
    }
}

/// The least a fee must become; always more than it was.
fn bumped(fee: u128) -> Option<u128> {
    let raised = fee.checked_mul(100 + BUMP_PERCENT)?.div_ceil(100);
    Some(raised.max(fee.checked_add(1)?))
}

/// Everything that decides what an executor's transaction is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionPlan {
    /// The chain.
    pub chain: ChainId,
    /// The executor's own nonce.
    pub nonce: u64,
    /// The contract that is called: a Safe, or a factory.
    pub to: Address,
    /// The data of the call.
    pub data: Vec<u8>,
    /// What it may cost.
    pub gas: GasTerms,
}

/// Why nothing was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// No gas, or a tip above the fee.
    #[error("the gas limit is zero, or the tip is above the whole fee")]
    Gas,
    /// EIP-2681: this nonce can never be used.
    #[error("the nonce is the last there is")]
    Nonce,
    /// Nodes take no transaction of this size.
    #[error("the transaction is longer than {TRANSACTION_LEN_MAX} bytes")]
    TooLong,
}

/// An executor's transaction without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution(TxEip1559);

impl Execution {
    /// Builds the transaction of a plan: EIP-1559, no value, no access list.
    pub fn build(plan: ExecutionPlan) -> Result<Self, ExecutionError> {
        let ExecutionPlan { chain, nonce, to, data, gas } = plan;
        if gas.gas_limit == 0 || gas.tip_per_gas_max > gas.fee_per_gas_max {
            return Err(ExecutionError::Gas);
        }
        if nonce == u64::MAX {
            return Err(ExecutionError::Nonce);
        }
        if data.len() > TRANSACTION_LEN_MAX.saturating_sub(300) {
            return Err(ExecutionError::TooLong);
        }
        Ok(Self(TxEip1559 {
            chain_id: chain.number(),
            nonce,
            gas_limit: gas.gas_limit,
            max_fee_per_gas: gas.fee_per_gas_max,
            max_priority_fee_per_gas: gas.tip_per_gas_max,
            to: TxKind::Call(to),
            value: U256::ZERO,
            access_list: AccessList::default(),
            input: Bytes::from(data),
        }))
    }

    /// What the executor signs.
    pub fn hash(&self) -> B256 {
        self.0.signature_hash()
    }

    /// Puts the signature in, if it is this executor's.
    pub fn finish(
        self,
        executor: Address,
        compact: &[u8; 64],
        recovery_id: u8,
    ) -> Result<FinishedExecution, SignatureError> {
        let signer = recover_compact(&self.hash(), compact, recovery_id).ok_or(SignatureError::Wrong(0))?;
        if signer != executor {
            return Err(SignatureError::NotOwner(0));
        }
        let signature = Signature::from_bytes_and_parity(compact, recovery_id == 1);
        let signed = TxEnvelope::from(self.0.into_signed(signature));
        Ok(FinishedExecution { bytes: signed.encoded_2718(), hash: *signed.tx_hash() })
    }
}

/// A transaction that any node takes. Only [`Execution::finish`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedExecution {
    bytes: Vec<u8>,
    hash: B256,
}

impl FinishedExecution {
    /// The transaction as the network takes it (EIP-2718).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its hash.
    pub const fn hash(&self) -> B256 {
        self.hash
    }
}

/// A signed transaction as it was read, with the account that signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTransaction {
    /// The chain it is for.
    pub chain: ChainId,
    /// The account that signed it.
    pub sender: Address,
    /// The account's nonce.
    pub nonce: u64,
    /// Who is called; `None` creates a contract.
    pub to: Option<Address>,
    /// The wei sent along.
    pub value: U256,
    /// The data.
    pub data: Bytes,
    /// What it may cost; an older one has one price for both fees.
    pub gas: GasTerms,
    /// What was signed.
    pub signing_hash: B256,
    /// Its hash.
    pub hash: B256,
}

impl SignedTransaction {
    /// Reads a signed transaction in its one spelling. One without a chain id, of another type, or with a high S is refused.
    pub fn read(bytes: &[u8]) -> Result<Self, Invalid> {
        let no = |problem: &str| {
            let cure = "send one signed transaction of type 0 with a chain id, 1 or 2, and nothing after it";
            Invalid::new(Code::FieldMalformed, "transaction", problem, cure)
        };
        if bytes.len() > TRANSACTION_LEN_MAX {
            return Err(no("is longer than any node takes"));
        }
        let read = TxEnvelope::decode_2718_exact(bytes)
            .ok()
            .filter(|read| read.encoded_2718() == bytes)
            .ok_or_else(|| no("is not the encoding of one signed transaction"))?;
        let known = matches!(read, TxEnvelope::Legacy(_) | TxEnvelope::Eip2930(_) | TxEnvelope::Eip1559(_));
        let chain = read.chain_id().and_then(ChainId::new).filter(|_| known);
        let chain = chain.ok_or_else(|| no("is of another type, or is bound to no chain"))?;
        let signing_hash = read.signature_hash();
        let sender =
            sender(read.signature(), &signing_hash).ok_or_else(|| no("carries no signature that holds"))?;
        let fee_per_gas_max = read.max_fee_per_gas();
        Ok(Self {
            chain,
            sender,
            nonce: read.nonce(),
            to: read.to(),
            value: read.value(),
            data: read.input().clone(),
            gas: GasTerms {
                gas_limit: read.gas_limit(),
                fee_per_gas_max,
                tip_per_gas_max: read.max_priority_fee_per_gas().unwrap_or(fee_per_gas_max),
            },
            signing_hash,
            hash: *read.tx_hash(),
        })
    }
}

fn sender(signature: &Signature, hash: &B256) -> Option<Address> {
    let bytes = signature.as_bytes();
    let (compact, _) = bytes.split_first_chunk::<64>()?;
    recover_compact(hash, compact, u8::from(signature.v()))
}
