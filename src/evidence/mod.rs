//! What others signed: canonical bytes and a signature in, a verified value out.
//!
//! Signer and co-signer use this same room, each with its own [`Trust`]. Absent here: clocks (`now` is an argument),
//! storage, and private keys; clients sign through a closure they bring along.
//!
//! Reading order: [`canonical`] (the one spelling) · [`signature`] and [`sshsig`] (who signs how) · [`trust`] (who is
//! believed) · [`request`] · [`cancel`] · [`void`] · [`statement`] · [`statement_safe`] · [`statement_ownership`] · [`answer`] · [`wallet_challenge`] ·
//! [`wallet_registration`] · [`wallet_witness`] · [`clearance`] · [`report`] · [`reported`] · [`passage`] · [`approval`] · [`freeze`] ·
//! [`resume`] · [`attestation`] · [`custody`] · [`possession`].

pub mod answer;
pub mod approval;
pub mod approval_text;
pub mod attestation;
pub mod cancel;
pub mod canonical;
pub mod clearance;
pub mod custody;
pub mod directory;
mod field;
#[cfg(any(test, fuzzing))]
pub mod fixture;
pub mod freeze;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod key_signed;
pub mod passage;
pub mod possession;
pub mod quorum;
pub mod refill_attestation;
pub mod rejection;
pub mod report;
pub mod reported;
pub mod request;
pub mod resume;
pub mod signature;
pub mod sshsig;
pub mod statement;
mod statement_body;
pub mod statement_deposits;
pub mod statement_ownership;
pub mod statement_safe;
pub mod subject;
#[cfg(test)]
mod tests;
pub mod trust;
pub mod trust_file;
mod trust_wallets;
pub mod void;
pub mod wallet_challenge;
pub mod wallet_registration;
pub mod wallet_witness;

use sha2::{Digest, Sha256};

use crate::withdrawal::{Code, Finding, Invalid};

pub use answer::{AnswerKind, AnswerResult, VerificationAnswer, sign_answer};
pub use approval::{Approval, people_of, verify_approval};
pub use approval_text::{ApprovalText, PolicyHashes, TravelRule};
pub use attestation::{AddressAttestation, VerifiedAttestation, sign_attestation, verify_attestation};
pub use cancel::{CancelRequest, VerifiedCancel, sign_cancel, verify_cancel};
pub use clearance::{Clearance, NameMatch};
pub use custody::{
    CustodyOrder, CustodyRefusal, VerifiedCustodyRefusal, sign_custody_refusal, verify_custody_refusal,
};
pub use directory::Directory;
pub use freeze::{Addressee, FreezeText, VerifiedFreeze, verify_freeze};
pub use key_signed::KeySigned;
pub use passage::{Exemption, Passage};
pub use possession::PossessionText;
pub use quorum::Quorum;
pub use refill_attestation::{
    RefillAttestation, RefillTransactionLine, sign_refill_attestation, verify_refill_attestation,
};
pub use rejection::{Rejection, RejectionText, verify_rejection};
pub use report::{VerificationReport, parse_report, render_report};
pub use reported::{Reported, RouteAnswer};
pub use request::{VerifiedRequest, sign_request, verify_request};
pub use resume::{ResumeText, VerifiedResume, verify_resume};
pub use signature::{Signed, ed25519};
pub use sshsig::{
    NAMESPACE_APPROVAL, NAMESPACE_FREEZE, NAMESPACE_RESUME, NAMESPACE_TRUST, sign_ssh, sign_ssh_with,
};
pub use statement::{
    Body, ChainFact, Coin, Statement, StatementKind, VerifiedStatement, sign_statement, verify_statement,
};
pub use statement_deposits::{DepositsFact, Held};
pub use statement_ownership::OwnershipFact;
pub use statement_safe::{Contract, Ending, ExecutedFact, SafeFact};
pub use subject::Subject;
pub use trust::Trust;
pub use trust_file::TrustContent;
pub use void::{VerifiedVoid, VoidCause, WithdrawalVoid, sign_void, verify_void};
pub use wallet_challenge::{
    VerifiedChallenge, WalletChallenge, WalletClaim, challenge_name, ownership_message, read_ownership,
    sign_challenge, verify_challenge,
};
pub use wallet_registration::{
    ProofKind, VerifiedRegistration, VerifiedRemoval, WalletRegistration, WalletRemoval, sign_registration,
    sign_removal, verify_registration, verify_removal,
};
pub use wallet_witness::{witnessed, write_witnessed};

/// How far another party's clock may run ahead of ours before its time counts as the future, in seconds.
pub const SKEW_S_MAX: u64 = 60;

/// Why something given as evidence proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// It cannot be read; the face answers INVALID_ARGUMENT.
    #[error(transparent)]
    Unreadable(#[from] Invalid),
    /// It can be read and does not hold; an ordinary answer with a stable code.
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Finding),
}

impl NotProven {
    /// The stable code of either kind.
    pub fn code(&self) -> Code {
        match self {
            Self::Unreadable(invalid) => invalid.code,
            Self::Refused(finding) => finding.code,
        }
    }

    fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused(Finding::new(code, detail))
    }
}

/// The SHA-256 of a canonical text: the name it goes by in logs and in other texts.
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
