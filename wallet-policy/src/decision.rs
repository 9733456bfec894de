//! Owns the answer: release, hold or refuse, with what is missing and the hash of the policy that said so.

use crate::code::{Effect, PolicyCode};

/// One rule's no.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The stable code.
    pub code: PolicyCode,
    /// The id of the rule that says it: as the policy file spells it, or `guard/...` for one that is compiled in.
    pub policy: String,
    /// What exactly, in one clause; no personal data.
    pub detail: String,
    /// What to do about it.
    pub cure: String,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may leave.
    Release,
    /// Not yet: everything that is missing, sorted.
    Hold(Vec<Finding>),
    /// No, for good: everything that refuses, sorted. What would only hold is left out.
    Refuse(Vec<Finding>),
}

/// A verdict and the policy it comes from. Only [`crate::Policy::decide`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    verdict: Verdict,
    policy_hash: [u8; 32],
}

impl Decision {
    /// Weighs the findings: one that refuses beats all that hold, none at all releases.
    pub(crate) fn weigh(findings: Vec<(Effect, Finding)>, policy_hash: [u8; 32]) -> Self {
        let refuses = findings.iter().any(|(effect, _)| *effect == Effect::Refuse);
        let said = if refuses { Effect::Refuse } else { Effect::Hold };
        let mut said: Vec<Finding> =
            findings.into_iter().filter(|(e, _)| *e == said).map(|(_, f)| f).collect();
        said.sort();
        said.dedup();
        let verdict = match (refuses, said.is_empty()) {
            (true, _) => Verdict::Refuse(said),
            (false, false) => Verdict::Hold(said),
            (false, true) => Verdict::Release,
        };
        Self { verdict, policy_hash }
    }

    /// What was decided.
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// What was decided, by value.
    pub fn into_verdict(self) -> Verdict {
        self.verdict
    }

    /// The hash of the policy that decided (L6).
    pub const fn policy_hash(&self) -> [u8; 32] {
        self.policy_hash
    }

    /// Whether it may leave.
    pub const fn is_release(&self) -> bool {
        matches!(self.verdict, Verdict::Release)
    }
}
