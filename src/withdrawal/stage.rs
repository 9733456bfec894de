//! How far a withdrawal has come, and what is said of it.

use super::Code;

/// The stages in order. A withdrawal only moves forward, or out of the line as refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Written down with its signed request.
    Asked,
    /// The travel rule has answered yes.
    Cleared,
    /// Coins are set aside and the unsigned transaction is fixed.
    Reserved,
    /// The co-signer has signed; from here the bytes can only be completed.
    Signed,
    /// Both signatures are in the transaction and it was handed out.
    Released,
}

impl Stage {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Cleared => "cleared",
            Self::Reserved => "reserved",
            Self::Signed => "signed",
            Self::Released => "released",
        }
    }
}

/// One reason, with its cure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The stable code.
    pub code: Code,
    /// What exactly, in one clause; no personal data, no secret. May be empty.
    pub detail: String,
}

impl Finding {
    /// A finding with a detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// What a caller is told of a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Under way; nothing is missing.
    Moving,
    /// Not yet: what is missing. Resumes by itself when it arrives.
    Held(Vec<Finding>),
    /// No, for good.
    Refused(Vec<Finding>),
    /// The transaction is out.
    Released,
}
