//! What is handed over about operators' approvals.

use super::{Caller, DeskError, Page, PageOrder, WithdrawalView};
use crate::withdrawal::{Finding, Seconds, WithdrawalId};

/// An approval already given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalGiven {
    /// The operator, as the trust file names the key.
    pub operator: String,
    /// The groups the operator belongs to, separated by spaces.
    pub group: String,
    /// When the withdrawal last changed: the approval was recorded then or before.
    pub at: Seconds,
}

/// A withdrawal that waits for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingApproval {
    /// The withdrawal.
    pub withdrawal: WithdrawalId,
    /// The canonical `countersign withdrawal-approval v1` text to be signed, with SSHSIG namespace
    /// `countersign-approval-v1`.
    pub text: String,
    /// Why approval is needed and whose is still missing.
    pub findings: Vec<Finding>,
    /// What was given so far.
    pub given: Vec<ApprovalGiven>,
    /// When the text is no longer accepted.
    pub expires_at: Seconds,
}

/// An operator's yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalOrder {
    /// Which withdrawal.
    pub withdrawal: WithdrawalId,
    /// The armored SSHSIG over the approval text.
    pub signature: String,
}

/// An operator's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionOrder {
    /// Which withdrawal.
    pub withdrawal: WithdrawalId,
    /// Why, in the operator's words; part of the signed text.
    pub reason: String,
    /// The armored SSHSIG over the canonical `countersign withdrawal-rejection v1` text with that reason.
    pub signature: String,
}

/// The counter for approvals.
#[tonic::async_trait]
pub trait ApprovalDesk: Send + Sync + 'static {
    /// What waits for operators, oldest first.
    async fn pending(&self, caller: &Caller, page: PageOrder) -> Result<Page<PendingApproval>, DeskError>;

    /// Takes a yes. A signature that does not hold is `Refused`.
    async fn approve(&self, caller: &Caller, order: ApprovalOrder) -> Result<WithdrawalView, DeskError>;

    /// Takes a no.
    async fn reject(&self, caller: &Caller, order: RejectionOrder) -> Result<WithdrawalView, DeskError>;
}
