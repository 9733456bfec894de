//! A finished Safe transaction read back from its bytes: decoded, hashed, both owners recovered. Nothing about it is believed.
//!
//! It is the way in for whoever only carries it to the chain. Whether it should be paid was decided before it was signed.

use alloy_primitives::{Address, B256};

use super::abi::{execTransactionCall, read_call};
use super::action::{Action, read_actions};
use super::build::execution;
use super::check_error::CheckError;
use super::proposal::read_execution;
use super::safe_tx::SafeCall;
use super::signature::{PackedSignatures, SignatureError};
use super::wallet::{SafeWallet, THRESHOLD};
use crate::withdrawal::{Code, Invalid};

/// The longest call that is read: a transaction around it has room in a node's pool.
pub const EXECUTION_LEN_MAX: usize = super::execution::TRANSACTION_LEN_MAX - 300;

/// Gas of the Safe itself: two recoveries, its nonce, its event, and what is cold before it is touched.
const SAFE_GAS: u64 = 80_000;

/// A Safe transaction with two owners' signatures. Only [`SignedSafeTx::read`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedSafeTx {
    safe: Address,
    call: SafeCall,
    hash: B256,
    actions: Vec<Action>,
    data: Vec<u8>,
}

impl SignedSafeTx {
    /// Reads the data of `execTransaction` for this nonce of this Safe, in its one spelling and to the last byte. Both
    /// signatures must be owners' over the hash that is computed here, twice.
    pub fn read(data: &[u8], nonce: u64, wallet: &SafeWallet) -> Result<Self, CheckError> {
        if data.len() > EXECUTION_LEN_MAX {
            return Err(unreadable(Code::FieldTooLong, "is longer than nodes take"));
        }
        let call = read_call::<execTransactionCall>(data)
            .ok_or_else(|| unreadable(Code::FieldMalformed, "is no `execTransaction` in its one spelling"))?;
        let (call, packed) = read_execution(call, nonce)?;
        let actions =
            read_actions(&call, wallet).map_err(|(at, problem)| CheckError::Call { at, problem })?;
        let hash = call.hash(wallet)?;
        let signatures = PackedSignatures::read(&packed, hash, wallet.owners())?;
        if signatures.all().len() != THRESHOLD {
            return Err(SignatureError::NotTwoOwners.into());
        }
        if execution(&call, packed.to_vec()) != data {
            return Err(unreadable(Code::FieldMalformed, "is not written back the same"));
        }
        Ok(Self { safe: wallet.address(), call, hash, actions, data: data.to_vec() })
    }

    /// The Safe to call.
    pub const fn safe(&self) -> Address {
        self.safe
    }

    /// The Safe's nonce that it takes.
    pub const fn nonce(&self) -> u64 {
        self.call.nonce
    }

    /// What the owners signed, and what the Safe's events name.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The Safe transaction.
    pub const fn call(&self) -> &SafeCall {
        &self.call
    }

    /// What it does, call by call.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The data of the call.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The most gas that executing it takes, with everything that the Safe wants left over (GS010) and `more` on top.
    /// Computed and not asked for, so that it is known before the nonces in front of it are used up. `None` beyond 64 bits.
    pub fn gas_limit(&self, more: u64) -> Option<u64> {
        let kept = self.call.safe_tx_gas;
        let with_rest = kept.checked_mul(64)?.div_ceil(63).max(kept.checked_add(2_500)?).checked_add(500)?;
        let within = self.carrying_gas()?.checked_add(SAFE_GAS)?.checked_add(with_rest)?;
        // the proxy hands on all but one part in 64 (EIP-150), and the Safe looks at what it got
        let run = within.checked_mul(64)?.div_ceil(63);
        let tokens = self.tokens()?;
        // EIP-2028, and the floor of EIP-7623, which is above it only where next to nothing is run
        let paid = tokens.checked_mul(4)?.checked_add(run)?.max(tokens.checked_mul(10)?);
        paid.checked_add(21_000)?.checked_add(more)
    }

    /// The data in the unit that calldata is paid by: one for a zero byte, four for another.
    fn tokens(&self) -> Option<u64> {
        let bytes = u64::try_from(self.data.len()).ok()?;
        let zero = u64::try_from(self.data.iter().filter(|byte| **byte == 0).count()).ok()?;
        bytes.checked_sub(zero)?.checked_mul(4)?.checked_add(zero)
    }

    /// The Safe hashes the data, copies it a few times, and one that tells writes all of it into the log, at eight for a byte; memory
    /// costs more the more there is.
    fn carrying_gas(&self) -> Option<u64> {
        let words = u64::try_from(self.data.len().div_ceil(32)).ok()?;
        let memory = words.checked_mul(4)?;
        let grown = memory.checked_mul(3)?.checked_add(memory.checked_mul(memory)? / 512)?;
        grown.checked_add(words.checked_mul(20 + 8 * 32)?)
    }
}

fn unreadable(code: Code, problem: &str) -> CheckError {
    let cure = "send the data of `execTransaction` as the signer finished it, with its nonce, unchanged";
    CheckError::Unreadable(Invalid::new(code, "execution", problem, cure))
}
