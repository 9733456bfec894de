//! Owns the reasons an enclave gives, and the little this room reads out of an answer. The answer's text is [`crate::evidence::answer`]'s.

pub use crate::evidence::{AnswerKind as Kind, AnswerResult as Decision};

use crate::evidence::answer::{REASON_OK, parse_named_answer};
use crate::withdrawal::Seconds;

/// Longest message beside a reason, in bytes.
const MESSAGE_LEN_MAX: usize = 1024;

/// Why, in the network's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Verified.
    Ok,
    /// The asset is not supported.
    UnknownSymbol,
    /// The network is not supported.
    UnknownNetwork,
    /// The address is not one of this VASP's.
    UnknownAddress,
    /// The originator sent too little.
    LackOfInformation,
    /// The beneficiary cannot supply what was asked for.
    UnavailableInformation,
    /// On a sanctions or deny list.
    Blacklisted,
    /// The beneficiary's identity was never checked.
    UnverifiedKyc,
    /// The name is another's.
    MismatchedName,
    /// The VASP's own policy.
    NotAllowed,
    /// The beneficiary gave another address back than the one it was asked about; said by the originator's own enclave.
    BeneficiaryAccountNotMatched,
    /// Nobody answered in time; said by the originator's own enclave.
    RequestTimeout,
    /// Anything else.
    UndefinedError,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::UnknownSymbol,
        Self::UnknownNetwork,
        Self::UnknownAddress,
        Self::LackOfInformation,
        Self::UnavailableInformation,
        Self::Blacklisted,
        Self::UnverifiedKyc,
        Self::MismatchedName,
        Self::NotAllowed,
        Self::BeneficiaryAccountNotMatched,
        Self::RequestTimeout,
        Self::UndefinedError,
    ];

    /// Reads the stable spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => REASON_OK,
            Self::UnknownSymbol => "UNKNOWN-SYMBOL",
            Self::UnknownNetwork => "UNKNOWN-NETWORK",
            Self::UnknownAddress => "UNKNOWN-ADDRESS",
            Self::LackOfInformation => "LACK-OF-INFORMATION",
            Self::UnavailableInformation => "UNAVAILABLE-INFORMATION",
            Self::Blacklisted => "BLACKLISTED",
            Self::UnverifiedKyc => "UNVERIFIED-KYC",
            Self::MismatchedName => "MISMATCHED-NAME",
            Self::NotAllowed => "NOT-ALLOWED",
            Self::BeneficiaryAccountNotMatched => "BENEFICIARY-ACCOUNT-NOT-MATCHED",
            Self::RequestTimeout => "REQUEST-TIMEOUT",
            Self::UndefinedError => "UNDEFINED-ERROR",
        }
    }
}

/// Reads the word of a kind.
pub(super) fn kind_of(text: &str) -> Option<Kind> {
    [Kind::User, Kind::Account].into_iter().find(|kind| kind.as_str() == text)
}

/// A message as it may be kept and passed on: bounded, and in plain characters.
pub(super) fn plain_message(text: String) -> Option<String> {
    let plain = !text.is_empty() && text.len() <= MESSAGE_LEN_MAX && !text.chars().any(char::is_control);
    plain.then_some(text)
}

/// When a kept answer was given; one that cannot be read is as old as can be.
pub(super) fn answered_at(text: &str) -> Seconds {
    parse_named_answer(text).map_or(Seconds(0), |answer| answer.answered_at)
}
