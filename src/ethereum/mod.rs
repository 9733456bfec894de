//! Ethereum and chains like it: Safe wallets, addresses, amounts, building, *checking* (does this Safe transaction do
//! exactly what was reserved?), placing signatures, the transactions that pay gas, and what receipts say.
//!
//! Pure computation: nothing here sees a private key, a database, a clock, a network or a source of randomness.
//!
//! Reading order: `chain`, `address`, `asset`, `units` (words) → `pins`, `wallet`, `deposit`, `reading` (the Safe) →
//! `safe_tx`, `abi`, `action`, `build`, `proposal` (what is signed) → `check`, `checked`, `signature` (the gate) →
//! `signed`, `execution`, `revert`, `receipt`, `witness` (on chain) → `message` (ownership).

mod abi;
pub mod action;
pub mod address;
pub mod build;
pub mod check;
pub mod check_error;
pub mod checked;
pub mod deposit;
pub mod execution;
#[cfg(any(test, fuzzing))]
pub(crate) mod fixture;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod message;
pub mod pins;
pub mod proposal;
pub mod reading;
pub mod receipt;
pub mod revert;
pub mod safe_tx;
pub mod signature;
pub mod signed;
pub mod token;
pub mod units;
pub mod wallet;
pub mod witness;

pub use crate::withdrawal::{ChainId, EvmAsset};
pub use action::{Action, CallProblem, OwnerSwap, Payee};
pub use address::Destination;
pub use build::{BuildError, DepositDue, Task, Unsigned, UnsignedPlan, swap_of};
pub use check::{Executor, Expectations, TransactionKind, check_proposal};
pub use check_error::{CheckError, PaymentProblem};
pub use checked::{CheckedSafeTx, FinishedSafeTx};
pub use deposit::Deposits;
pub use execution::{Execution, ExecutionPlan, GasTerms};
pub use message::{MessageError, accepts, message_hash, ownership_call, verify_message, verify_possession};
pub use pins::{Release, Singleton};
pub use proposal::Proposal;
pub use reading::{NotAsPinned, SafeDifference, SafeFacts, TrustedSafe, judge};
pub use receipt::{Receipt, Verdict, judge_receipt};
pub use revert::Revert;
pub use safe_tx::{Operation, SafeCall};
pub use signature::{PackedSignatures, SignatureError, VerifiedSignature, address_of};
pub use signed::SignedSafeTx;
pub use token::TokenPin;
pub use units::Units;
pub use wallet::{Blueprint, Make, Owners, SafeWallet};
pub use witness::{Witnessed, witness};

/// The types of alloy that appear in this room's words.
pub use alloy_primitives::{Address, B256, Bytes, U256};

use std::sync::LazyLock;

use secp256k1::{Secp256k1, VerifyOnly};

/// The one context for public-key arithmetic; it cannot sign.
pub(crate) fn verifier() -> &'static Secp256k1<VerifyOnly> {
    static VERIFIER: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);
    &VERIFIER
}

#[cfg(test)]
mod tests;
