//! Bitcoin: descriptors, addresses, choosing coins, building, *checking* (does this transaction do exactly what was
//! reserved?), placing signatures, and the consensus rules' word on the result.
//!
//! Pure computation: nothing here sees a private key, a database, a clock, a network or a source of randomness. What
//! must be random comes in as an argument.

pub mod account_key;
pub mod address;
pub mod build;
pub mod check;
pub mod check_error;
pub mod check_outputs;
pub mod checked;
pub mod coin;
pub mod coin_index;
pub mod consensus;
pub mod custody;
pub mod descriptor;
pub mod fee;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod message;
pub mod own_script;
pub mod placing;
pub mod psbt_reader;
pub mod refill;
pub mod select;
pub mod settle;

pub use account_key::AccountKey;
pub use address::{AddressKind, Destination};
pub use build::{BuildError, Chance, OwnOutput, Payee, Unsigned, UnsignedPlan};
pub use check::{Expectations, Pinned, TransactionKind, check_psbt};
pub use check_error::{CheckError, InputProblem, OutputProblem};
pub use check_outputs::OwnOutputFound;
pub use checked::{CheckedInput, CheckedTransaction};
pub use coin::{Coin, OwnCoin, ProofError, ProvenOutput, RawTransaction, prove};
pub use coin_index::CoinIndex;
pub use consensus::{ConsensusError, verify_consensus};
pub use custody::AnswerError;
pub use descriptor::{KeySlot, WalletDescriptor};
pub use fee::{FeeCaps, FeeError};
pub use message::{MessageError, unsigned_message, verify_message};
pub use own_script::{Branch, OwnScript};
pub use placing::{FinishedTransaction, SignatureError, VerifiedSignatures};
pub use select::{select, select_consolidation, select_sweep};
pub use settle::{FeeTerms, OutputNeed, SelectError, Selection};

use std::sync::LazyLock;

use ::bitcoin::secp256k1::{Secp256k1, VerifyOnly};

/// The most satoshi there can ever be.
pub const MONEY_SAT_MAX: u64 = 2_100_000_000_000_000;

/// The one context for public-key arithmetic; it cannot sign.
pub(crate) fn verifier() -> &'static Secp256k1<VerifyOnly> {
    static VERIFIER: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);
    &VERIFIER
}

#[cfg(test)]
mod tests;
