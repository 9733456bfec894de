//! What is handed over to freeze a party and to end a freeze.

use super::{Caller, DeskError};
use crate::withdrawal::{FreezeId, KeyRole, Scope, Seconds};

/// An operator's freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeOrder {
    /// The canonical `countersign freeze v1` text.
    pub text: String,
    /// The armored SSHSIG over it, namespace `countersign-freeze-v1`.
    pub signature: String,
}

/// A quorum's resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeOrder {
    /// The canonical `countersign resume v1` text.
    pub text: String,
    /// The armored SSHSIGs over it, namespace `countersign-resume-v1`, one for each person.
    pub signatures: Vec<String>,
}

/// A resume that waits for its delay to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumePending {
    /// How much resumes.
    pub scope: Scope,
    /// The largest log index that was reviewed.
    pub reviewed: u64,
    /// When it takes effect, by the party's own clock.
    pub effective_at: Seconds,
    /// Who signed.
    pub people: Vec<String>,
}

/// A freeze that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Its id, which a resume names; `None` where the marker cannot be read: freeze again to give it one.
    pub freeze: Option<FreezeId>,
    /// Who froze.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// What was asked from then on needs approval after the resume.
    pub since: Seconds,
    /// When the party took it, by its own clock.
    pub frozen_at: Seconds,
    /// The index of its log entry; `None` until the store could be written.
    pub log_index: Option<u64>,
    /// Whether sweeps to cold go on.
    pub sweeps_resumed: bool,
    /// The resume that waits.
    pub resume: Option<ResumePending>,
}

/// How a party stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeView {
    /// Which party.
    pub party: KeyRole,
    /// The freeze in force.
    pub in_force: Option<InForce>,
    /// How many entries its log has; zero until the store was opened.
    pub log_size: u64,
    /// How long a resume waits, in seconds.
    pub resume_delay_s: u64,
    /// The party's own time.
    pub at: Seconds,
}

/// The counter for freezing. It never waits for the store, the queue or the other party.
#[tonic::async_trait]
pub trait FreezeDesk: Send + Sync + 'static {
    /// How the party stands.
    async fn standing(&self, caller: &Caller) -> Result<FreezeView, DeskError>;

    /// Freezes. Once it answers nothing is being signed, and the marker is durable.
    async fn freeze(&self, caller: &Caller, order: FreezeOrder) -> Result<FreezeView, DeskError>;

    /// Takes a quorum's resume, which takes effect by itself after the delay.
    async fn resume(&self, caller: &Caller, order: ResumeOrder) -> Result<FreezeView, DeskError>;
}
