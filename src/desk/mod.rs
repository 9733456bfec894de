//! The counter between the faces and the flow: what is handed over, as plain words. No wire, no store, no decisions.
//!
//! Faces translate a call into these words and hand it across; the flow implements the traits. A desk also stands in
//! front of the co-signer, embedded or remote, so both are the same to whoever asks.
//!
//! A face drops the future of a call whose deadline passed or whose caller went away, at whatever point it waits. A desk
//! that has begun something which must not stop half-way hands it to a task of its own.

pub mod addresses;
pub mod approvals;
pub mod audit;
pub mod caller;
pub mod cosign;
pub mod freeze;
pub mod refills;
pub mod releases;
pub mod statements;
pub mod wallets;
pub mod withdrawals;

use futures_util::stream::BoxStream;

pub use addresses::{AddressDesk, AddressOrder, AddressView};
pub use approvals::{ApprovalDesk, ApprovalGiven, ApprovalOrder, PendingApproval, RejectionOrder};
pub use audit::{AuditDesk, AuditEntry, CheckpointView, ProofView};
pub use caller::{Caller, Role};
pub use cosign::{
    AttestationOrder, ClearanceEvidence, CosignDesk, CosignItem, CosignOrder, CosignOutcome, CosignPayment,
    CosignStatus, HeadAnswer, ItemVerdict, Recalled, Refusal, VoidOrder, Voided,
};
pub use freeze::{FreezeDesk, FreezeOrder, FreezeView, InForce, ResumeOrder, ResumePending};
pub use refills::{
    ColdCoinOrder, RefillAttestOrder, RefillAttestPart, RefillDesk, RefillOrder, RefillPart, RefillState,
    RefillView,
};
pub use releases::{ReleaseDesk, SafeRelease, SafeReleases};
pub use statements::{
    AssetPosition, DailyStatement, HotSafe, PositionDesk, PositionView, StatementDesk, StatementReceipt,
    SweepInTransit, TotalPosition,
};
pub use wallets::{ChallengeOrder, ChallengeView, WalletDesk, WalletEvidence, WalletReceipt, WalletView};
pub use withdrawals::{
    Cancellation, Payload, Prevout, WithdrawalDesk, WithdrawalFilter, WithdrawalOrder, WithdrawalPick,
    WithdrawalView,
};

use crate::withdrawal::{Code, Finding, Invalid};

/// A canonical text and the Ed25519 signature a machine put under it. Nothing about it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedText {
    /// The exact bytes that were signed, UTF-8.
    pub text: String,
    /// The trust file's name of the key.
    pub key_id: String,
    /// The raw Ed25519 signature (RFC 8032).
    pub signature: [u8; 64],
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageOrder {
    /// The most items to answer with; the face has already put it between 1 and its bound.
    pub size_max: u32,
    /// Where the last page ended, as that page said; `None` starts at the beginning.
    pub token: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What to ask the next page with; `None` at the end.
    pub next: Option<String>,
}

/// Answers that come one by one. Dropping it ends the work behind it.
pub type Answers<T> = BoxStream<'static, Result<T, DeskError>>;

/// Why a desk has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// What was handed over cannot be read; nothing was written.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The answer is no, and there is no resource to carry it (a statement, an approval, a reused request id).
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Finding),
    /// Something broke.
    #[error("{code}: {detail}")]
    Fault {
        /// The stable code.
        code: Code,
        /// What exactly, in one clause; no personal data, no secret.
        detail: String,
        /// Whether what was asked may have been done all the same.
        may_have_happened: bool,
    },
}

impl DeskError {
    /// A fault before anything was done.
    pub fn nothing_happened(code: Code, detail: impl Into<String>) -> Self {
        Self::Fault { code, detail: detail.into(), may_have_happened: false }
    }

    /// A fault after which the effect is unknown.
    pub fn may_have_happened(code: Code, detail: impl Into<String>) -> Self {
        Self::Fault { code, detail: detail.into(), may_have_happened: true }
    }

    /// There is no such thing.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::nothing_happened(Code::NotFound, what)
    }

    /// The stable code, whichever kind it is.
    pub const fn code(&self) -> Code {
        match self {
            Self::Invalid(invalid) => invalid.code,
            Self::Refused(finding) => finding.code,
            Self::Fault { code, .. } => *code,
        }
    }
}
