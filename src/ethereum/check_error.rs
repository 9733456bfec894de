//! Why a proposal is not what it should be.

use super::action::CallProblem;
use super::safe_tx::HashesDisagree;
use super::signature::SignatureError;
use crate::withdrawal::{Code, Invalid};

/// What is wrong with a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaymentProblem {
    /// Nobody who is to be paid this much of this.
    #[error("pays somebody, an amount or an asset that was not asked")]
    NotExpected,
    /// A payee is an address of one's own.
    #[error("pays an own address as if it were somebody else's")]
    PayeeIsOwn,
    /// A token would be sent to the token's own contract.
    #[error("sends a token to the token's own contract")]
    PayeeIsToken,
    /// Ether to a contract together with others.
    #[error("sends ether to a contract together with other payments")]
    CodeInBatch,
    /// More than may leave for this purpose.
    #[error("is larger than may leave for this purpose")]
    TooMuch,
    /// Another deposit address, asset, amount or deployment than is due, or in another order.
    #[error("is not what is due of the deposit addresses")]
    NotDue,
}

/// Why a proposal was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(Invalid),
    /// Something about the transaction as a whole.
    #[error("{0}")]
    Frame(&'static str),
    /// It takes another nonce than the one reserved: another anchor.
    #[error("the nonce is {found}, and {reserved} is reserved")]
    OtherNonce {
        /// The proposal's.
        found: u64,
        /// The party's own.
        reserved: u64,
    },
    /// The nonce was used up on chain already.
    #[error("the nonce {found} was used up; the Safe is at {at}")]
    NonceUsed {
        /// The proposal's.
        found: u64,
        /// The Safe's.
        at: u64,
    },
    /// Something about one call.
    #[error("call {at} {problem}")]
    Call {
        /// Its place.
        at: usize,
        /// What.
        problem: CallProblem,
    },
    /// Something about one payment.
    #[error("payment {at} {problem}")]
    Payment {
        /// Its place.
        at: usize,
        /// What.
        problem: PaymentProblem,
    },
    /// Somebody who is to be paid is not.
    #[error("a payee is not paid")]
    PayeeUnpaid,
    /// It is of no kind, or of two.
    #[error("the calls make it no withdrawal, sweep, refuel, emptying of deposits or rotation")]
    KindUnclear,
    /// The two computations of the hash disagree.
    #[error(transparent)]
    Hash(#[from] HashesDisagree),
    /// A signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl CheckError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Unreadable(invalid) => invalid.code,
            Self::Frame(_) | Self::PayeeUnpaid | Self::Signature(_) => Code::TransactionMismatch,
            Self::OtherNonce { .. } | Self::NonceUsed { .. } => Code::AnchorMismatch,
            Self::Call { .. } => Code::CallNotAllowed,
            Self::Payment { problem: PaymentProblem::PayeeIsOwn, .. } => Code::DestinationOwn,
            Self::Payment { problem: PaymentProblem::TooMuch, .. } => Code::KindNotAllowed,
            Self::Payment { .. } => Code::TransactionMismatch,
            Self::KindUnclear => Code::KindNotAllowed,
            Self::Hash(_) => Code::Internal,
        }
    }
}
