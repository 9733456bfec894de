//! Which policies an approval may name and still count: those in force, and earlier ones that were only tightened (law L14,
//! ADR 30). Each party judges its own change from what it kept itself; of the other's it knows what that one says.

use tracing::{info, warn};
use wallet_policy::{Outline, Policy};

use super::context::Context;
use crate::desk::CosignDesk;
use crate::evidence::PolicyHashes;

/// How many earlier policies of one party may be named beside the one in force.
pub const KEPT_MAX: usize = 3;

/// A policy's hash.
pub type PolicyHash = [u8; 32];

/// What a party knows of policies besides its own in force.
#[derive(Debug, Default)]
pub struct Policies {
    kept: Vec<PolicyHash>,
    other: Vec<PolicyHash>,
}

/// Reads hashes as the parties tell them, the one in force first; what cannot be read is left out.
pub fn read_hashes<'a>(told: impl IntoIterator<Item = &'a String>) -> Vec<PolicyHash> {
    let hash = |text: &String| data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok();
    told.into_iter().take(KEPT_MAX.saturating_add(1)).filter_map(hash).collect()
}

impl Context {
    /// Earlier policies of this party than which the one in force is no looser, hex.
    pub fn policies_kept(&self) -> Vec<String> {
        self.policies().kept.iter().map(|hash| data_encoding::HEXLOWER.encode(hash)).collect()
    }

    /// The own policy in force, and those kept.
    fn own_policies(&self) -> Vec<PolicyHash> {
        std::iter::once(self.policy.hash()).chain(self.policies().kept.iter().copied()).collect()
    }

    /// Learns the hashes of the co-signer's policies, the one in force first (signer only).
    pub fn learn_policies(&self, other: Vec<PolicyHash>) {
        self.policies.write().unwrap_or_else(std::sync::PoisonError::into_inner).other = other;
    }

    /// The policies that an approval may name, those in force first; none while the co-signer has not told its own (signer
    /// only).
    pub fn approvable(&self) -> Vec<PolicyHashes> {
        let others = self.policies().other.clone();
        pairs(&self.own_policies(), &others)
    }

    /// The same at the co-signer, by the policies that the signer tells.
    pub fn approvable_with(&self, signer: &[PolicyHash]) -> Vec<PolicyHashes> {
        pairs(signer, &self.own_policies())
    }

    fn policies(&self) -> std::sync::RwLockReadGuard<'_, Policies> {
        self.policies.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn pairs(signer: &[PolicyHash], cosigner: &[PolicyHash]) -> Vec<PolicyHashes> {
    let with = |signer: &PolicyHash| {
        let signer = *signer;
        cosigner.iter().map(move |cosigner| PolicyHashes { signer, cosigner: *cosigner })
    };
    signer.iter().flat_map(with).collect()
}

/// Asks the co-signer for the hashes of its policies, which approvals name; whether it said them.
pub async fn ask(context: &Context, cosigner: &dyn CosignDesk) -> bool {
    let told = match cosigner.status().await {
        Ok(status) => read_hashes(std::iter::once(&status.policy_hash).chain(&status.policies_kept)),
        Err(fault) => {
            warn!(code = %fault.code(), "the co-signer does not say its policy yet: {fault}");
            return false;
        }
    };
    let is_known = !told.is_empty();
    context.learn_policies(told);
    is_known
}

/// The policies that a party had in force, newest first, as its row keeps them: one a line. A line that this version of the
/// program cannot read is left out: a policy that is not known here voids what names it.
pub fn read_kept(content: &str) -> Vec<Outline> {
    content.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The row with the policy in force in front, and as many earlier ones as may count.
pub fn write_kept(policy: &Policy, earlier: &[Outline]) -> String {
    let others = earlier.iter().filter(|old| old.hash() != policy.hash()).take(KEPT_MAX);
    let line = |outline: &Outline| serde_json::to_string(outline).ok();
    std::iter::once(policy.outline()).chain(others).filter_map(line).map(|line| line + "\n").collect()
}

/// Judges the own change: of the earlier policies those than which the one in force is no looser are kept.
pub fn keep(context: &Context, earlier: &[Outline]) {
    let policy = &context.policy;
    let tightened = |old: &&Outline| old.hash() != policy.hash() && !policy.loosens(old);
    let kept = earlier.iter().filter(tightened).take(KEPT_MAX).map(Outline::hash).collect();
    if let Some(last) = earlier.first().filter(|last| last.hash() != policy.hash()) {
        let approvals = if policy.loosens(last) { "void" } else { "kept" };
        info!(policy = %policy.hash_hex(), approvals, "another policy is in force than at the last start");
    }
    context.policies.write().unwrap_or_else(std::sync::PoisonError::into_inner).kept = kept;
}
