//! The words: what was asked, how far it has come, and why not. No I/O, no clock, no keys.

pub mod amount;
pub mod asset;
pub mod code;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod id;
pub mod key_role;
pub mod request;
pub mod stage;
pub mod time;

pub use amount::{Amount, FeeRate, Krw};
pub use asset::{Asset, Network};
pub use code::{Code, Kind};
pub use id::{CustomerRef, Organisation, RequestId, ReservationId, VaspId, WithdrawalId};
pub use key_role::KeyRole;
pub use request::WithdrawalRequest;
pub use stage::{Finding, Outcome, Stage};
pub use time::Seconds;

/// Something given from outside that cannot be read: names the field, what is wrong, and the cure.
///
/// An `Invalid` never reaches a decision; the face answers it as INVALID_ARGUMENT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: field `{field}`: {problem}; {cure}")]
pub struct Invalid {
    /// The stable code.
    pub code: Code,
    /// The field as the caller spelled it.
    pub field: &'static str,
    /// What is wrong with it, in one clause.
    pub problem: String,
    /// What to send instead.
    pub cure: &'static str,
}

impl Invalid {
    /// Says no to one field.
    pub fn new(code: Code, field: &'static str, problem: impl Into<String>, cure: &'static str) -> Self {
        Self { code, field, problem: problem.into(), cure }
    }
}
