//! Coins: what an own output is, and the proof of its amount from the raw transaction that created it (law L18).
//!
//! It does not know whether the transaction is in a block; confirmations are an observer's word.

use std::sync::Arc;

use ::bitcoin::consensus::encode;
use ::bitcoin::{OutPoint, Script, ScriptBuf, Transaction, Txid};

use super::MONEY_SAT_MAX;
use super::descriptor::WalletDescriptor;
use super::own_script::{Branch, OwnScript};
use crate::withdrawal::{Code, Invalid};

/// Longest raw transaction that is read, in bytes: the largest that nodes relay (400,000 weight units).
pub const RAW_TRANSACTION_LEN_MAX: usize = 400_000;

/// An own output, as the ledger keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coin {
    /// Which output of which transaction.
    pub outpoint: OutPoint,
    /// Its proven amount in satoshi.
    pub amount_sat: u64,
    /// The branch of its address.
    pub branch: Branch,
    /// The index of its address.
    pub index: u32,
}

/// A coin with its script at hand, so that nothing is derived twice.
#[derive(Debug, Clone)]
pub struct OwnCoin {
    /// Which output of which transaction.
    pub outpoint: OutPoint,
    /// Its proven amount in satoshi.
    pub amount_sat: u64,
    /// Its script, derived by the party itself.
    pub script: Arc<OwnScript>,
}

impl Coin {
    /// The coin with its script, derived from the wallet (three curve multiplications).
    pub fn with_script(&self, wallet: &WalletDescriptor) -> Result<OwnCoin, Invalid> {
        let script = Arc::new(wallet.script(self.branch, self.index)?);
        Ok(OwnCoin { outpoint: self.outpoint, amount_sat: self.amount_sat, script })
    }
}

impl OwnCoin {
    /// The coin as the ledger keeps it.
    pub fn coin(&self) -> Coin {
        let (branch, index) = (self.script.branch(), self.script.index());
        Coin { outpoint: self.outpoint, amount_sat: self.amount_sat, branch, index }
    }
}

/// Why a raw transaction does not prove an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Longer than the limit.
    #[error("the raw transaction is {len} bytes long, the limit is {RAW_TRANSACTION_LEN_MAX}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// Not a transaction, or more than one.
    #[error("the raw transaction cannot be read: {0}")]
    Unreadable(String),
    /// No transaction of the network could look so.
    #[error("the raw transaction has no inputs, no outputs, or more value than there can be")]
    Impossible,
    /// It is another transaction than stated.
    #[error("the raw transaction is `{found}`, not `{stated}`")]
    OtherTransaction {
        /// The id computed from the bytes.
        found: Txid,
        /// The id stated.
        stated: Txid,
    },
    /// It has no such output.
    #[error("the transaction has no output {vout}")]
    NoSuchOutput {
        /// The output asked for.
        vout: u32,
    },
    /// The output pays another script than expected.
    #[error("output {vout} does not pay the expected script")]
    OtherScript {
        /// The output asked for.
        vout: u32,
    },
}

impl ProofError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        Code::CoinProofInvalid
    }
}

/// A transaction read from its own bytes; what it says of its outputs is true of its id.
#[derive(Debug)]
pub struct RawTransaction {
    transaction: Transaction,
    txid: Txid,
}

/// An output whose amount and script are proved by its transaction's bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct ProvenOutput {
    outpoint: OutPoint,
    amount_sat: u64,
    script_pubkey: ScriptBuf,
    coinbase: bool,
}

impl RawTransaction {
    /// Whether a block created it: then it cannot be spent before it is 100 blocks deep.
    pub fn is_coinbase(&self) -> bool {
        self.transaction.is_coinbase()
    }

    /// Reads one transaction, with or without its witnesses: the id does not cover them. Trailing bytes are refused.
    pub fn read(raw: &[u8]) -> Result<Self, ProofError> {
        if raw.len() > RAW_TRANSACTION_LEN_MAX {
            return Err(ProofError::TooLong { len: raw.len() });
        }
        let transaction: Transaction =
            encode::deserialize(raw).map_err(|error| ProofError::Unreadable(error.to_string()))?;
        let total = transaction.output.iter().try_fold(0u64, |sum, out| sum.checked_add(out.value.to_sat()));
        let possible = total.is_some_and(|sat| sat <= MONEY_SAT_MAX);
        if !possible || transaction.input.is_empty() || transaction.output.is_empty() {
            return Err(ProofError::Impossible);
        }
        let txid = transaction.compute_txid();
        Ok(Self { transaction, txid })
    }

    /// The id, computed from the bytes.
    pub fn txid(&self) -> Txid {
        self.txid
    }

    /// What it spends.
    pub fn spends(&self) -> impl Iterator<Item = OutPoint> + '_ {
        self.transaction.input.iter().map(|input| input.previous_output)
    }

    /// Its outputs in order: amount in satoshi and script.
    pub fn outputs(&self) -> impl Iterator<Item = (u64, &Script)> + '_ {
        self.transaction.output.iter().map(|out| (out.value.to_sat(), out.script_pubkey.as_script()))
    }

    /// Proves that output `vout` pays `expected`, and how much.
    pub fn prove(&self, vout: u32, expected: &Script) -> Result<ProvenOutput, ProofError> {
        let at = usize::try_from(vout).map_err(|_| ProofError::NoSuchOutput { vout })?;
        let out = self.transaction.output.get(at).ok_or(ProofError::NoSuchOutput { vout })?;
        if *out.script_pubkey != *expected {
            return Err(ProofError::OtherScript { vout });
        }
        Ok(ProvenOutput {
            outpoint: OutPoint { txid: self.txid, vout },
            amount_sat: out.value.to_sat(),
            script_pubkey: out.script_pubkey.clone(),
            coinbase: self.is_coinbase(),
        })
    }
}

/// Proves from `raw` that the output stated exists and pays `expected`.
pub fn prove(raw: &[u8], stated: OutPoint, expected: &Script) -> Result<ProvenOutput, ProofError> {
    let transaction = RawTransaction::read(raw)?;
    if transaction.txid != stated.txid {
        return Err(ProofError::OtherTransaction { found: transaction.txid, stated: stated.txid });
    }
    transaction.prove(stated.vout, expected)
}

impl ProvenOutput {
    /// Which output of which transaction.
    pub fn outpoint(&self) -> OutPoint {
        self.outpoint
    }

    /// Its amount in satoshi.
    pub fn amount_sat(&self) -> u64 {
        self.amount_sat
    }

    /// Its script.
    pub fn script_pubkey(&self) -> &Script {
        &self.script_pubkey
    }

    /// Whether a block created it: then it cannot be spent before it is 100 blocks deep.
    pub fn coinbase(&self) -> bool {
        self.coinbase
    }
}
