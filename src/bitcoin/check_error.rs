//! Why a transaction is not what it should be.

use super::fee::FeeError;
use super::placing::SignatureError;
use crate::withdrawal::{Code, Invalid};

/// What is wrong with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InputProblem {
    /// The party has not recorded this coin.
    #[error("is no coin on record")]
    Unknown,
    /// The coin is of another wallet.
    #[error("is a coin of another wallet")]
    OtherWallet,
    /// Amount or script are stated otherwise than recorded.
    #[error("is stated with another amount or script than recorded")]
    NotAsRecorded,
    /// The witness script is absent or another.
    #[error("carries another witness script than its own")]
    WitnessScript,
    /// Another signature type than SIGHASH_ALL is asked for.
    #[error("asks for another signature type than SIGHASH_ALL")]
    Sighash,
    /// The derivation is absent, of another key, or more than one.
    #[error("does not carry exactly the derivation of the receiver's key")]
    Derivation,
    /// The sequence number is another.
    #[error("does not signal replaceability as 0xfffffffd")]
    Sequence,
    /// A field is set that has no place between the parties.
    #[error("holds a field that has no place here")]
    ForeignField,
    /// A signature is absent, of another key, or not expected.
    #[error("does not carry exactly the signature expected")]
    Signature,
}

/// What is wrong with an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutputProblem {
    /// Nobody who is to be paid this much.
    #[error("pays somebody or an amount that was not asked")]
    NotExpected,
    /// Says to be own, and is not what the wallet derives there.
    #[error("says to be own and is not what the wallet derives")]
    NotOwn,
    /// Its index is further ahead than allowed.
    #[error("has an index too far ahead")]
    IndexTooFar,
    /// A second one of its kind.
    #[error("is a second output to the own or the cold wallet")]
    Second,
    /// Too small to be relayed.
    #[error("is smaller than is relayed")]
    Dust,
    /// A payee is an address of the paying wallet.
    #[error("pays an own address as if it were somebody else's")]
    PayeeIsOwn,
    /// A field is set that has no place between the parties.
    #[error("holds a field that has no place here")]
    ForeignField,
}

/// Why a PSBT was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Invalid),
    /// Something about the transaction as a whole.
    #[error("{0}")]
    Frame(&'static str),
    /// It may enter no block that is near the party's own tip: the tip is out of date, or was never stated.
    #[error("the lock time {height} lies ahead of the chain: the newest tip stated here is {tip_height}")]
    AheadOfTip {
        /// The lock time.
        height: u32,
        /// The party's own tip; zero where none was ever stated.
        tip_height: u32,
    },
    /// Something about one input.
    #[error("input {at} {problem}")]
    Input {
        /// Its place.
        at: usize,
        /// What.
        problem: InputProblem,
    },
    /// Something about one output.
    #[error("output {at} {problem}")]
    Output {
        /// Its place.
        at: usize,
        /// What.
        problem: OutputProblem,
    },
    /// Somebody who is to be paid is not.
    #[error("a payee is not paid")]
    PayeeUnpaid,
    /// It is of no kind, or of two.
    #[error("the outputs make it no withdrawal, no sweep and no consolidation")]
    KindUnclear,
    /// The fee breaks a bound.
    #[error(transparent)]
    Fee(#[from] FeeError),
    /// A signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl CheckError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Unreadable(invalid) => invalid.code,
            Self::Frame(_) | Self::PayeeUnpaid => Code::TransactionMismatch,
            Self::AheadOfTip { .. } => Code::FeeRateStale,
            Self::Input { problem: InputProblem::Unknown | InputProblem::OtherWallet, .. } => {
                Code::CoinUnknown
            }
            Self::Input { .. } => Code::TransactionMismatch,
            Self::Output { problem: OutputProblem::NotOwn | OutputProblem::IndexTooFar, .. } => {
                Code::ChangeNotOwn
            }
            Self::Output { problem: OutputProblem::PayeeIsOwn, .. } => Code::DestinationOwn,
            Self::Output { .. } => Code::TransactionMismatch,
            Self::KindUnclear => Code::KindNotAllowed,
            Self::Fee(error) => error.code(),
            Self::Signature(_) => Code::TransactionMismatch,
        }
    }
}
