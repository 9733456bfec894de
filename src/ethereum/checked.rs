//! What the checker found good: a Safe transaction that does exactly what was expected; its signatures are placed here.

use alloy_primitives::{Address, B256};

use super::action::Action;
use super::build::execution;
use super::check::TransactionKind;
use super::proposal::Proposal;
use super::safe_tx::SafeCall;
use super::signature::{PackedSignatures, SignatureError, VerifiedSignature, pack};
use super::wallet::SafeWallet;
use crate::withdrawal::KeyRole;

/// A Safe transaction found to do exactly what was expected. It exists only if [`super::check_proposal`] says so.
#[derive(Debug)]
pub struct CheckedSafeTx {
    proposal: Proposal,
    wallet: SafeWallet,
    hash: B256,
    kind: TransactionKind,
    actions: Vec<Action>,
    signature: Option<VerifiedSignature>,
}

/// An execution with two owners' signatures, as the Safe takes it from anybody. Only [`CheckedSafeTx::finish`] makes it.
#[derive(Debug)]
pub struct FinishedSafeTx {
    safe: Address,
    hash: B256,
    data: Vec<u8>,
}

impl FinishedSafeTx {
    /// The Safe to call.
    pub const fn safe(&self) -> Address {
        self.safe
    }

    /// The hash that was reserved, which its events name.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The data of the call.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

impl CheckedSafeTx {
    pub(super) fn new(
        proposal: Proposal,
        wallet: SafeWallet,
        hash: B256,
        kind: TransactionKind,
        actions: Vec<Action>,
        signature: Option<VerifiedSignature>,
    ) -> Self {
        Self { proposal, wallet, hash, kind, actions, signature }
    }

    /// What the owners sign.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// What it is, decided from its calls.
    pub const fn kind(&self) -> TransactionKind {
        self.kind
    }

    /// What it does, call by call.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The Safe transaction.
    pub const fn call(&self) -> &SafeCall {
        self.proposal.call()
    }

    /// The other party's signature that the proposal carried, verified.
    pub const fn signature(&self) -> Option<&VerifiedSignature> {
        self.signature.as_ref()
    }

    /// Verifies a signature of one owner over the hash computed here.
    pub fn verify(
        &self,
        role: KeyRole,
        compact: &[u8; 64],
        recovery_id: u8,
    ) -> Result<VerifiedSignature, SignatureError> {
        VerifiedSignature::verify(self.wallet.owners(), role, self.hash, compact, recovery_id)
    }

    /// Takes a party's own signature without recovering it a third time: the caller vouches that the keys room made it
    /// for exactly this hash under the public key of this owner, and recovered it with a second implementation before it
    /// was handed out. What leaves is judged again, by the other party or as a whole in [`Self::finish`].
    pub fn danger_vouch_own(&self, role: KeyRole, compact: &[u8; 64], recovery_id: u8) -> VerifiedSignature {
        VerifiedSignature::danger_own(self.wallet.owners(), role, self.hash, compact, recovery_id)
    }

    /// The proposal with this as its only signature.
    pub fn proposal_with(&self, signed: &VerifiedSignature) -> Result<Vec<u8>, SignatureError> {
        if signed.hash() != self.hash {
            return Err(SignatureError::NotExpected);
        }
        Ok(self.proposal.with(signed.bytes().to_vec()).bytes())
    }

    /// Packs two owners' signatures, and reads them once more as the contract does: sorted, recovered, owners' both.
    pub fn finish(
        &self,
        one: &VerifiedSignature,
        other: &VerifiedSignature,
    ) -> Result<FinishedSafeTx, SignatureError> {
        let packed = pack(one, other)?;
        PackedSignatures::read(&packed, self.hash, self.wallet.owners())?;
        let data = execution(self.proposal.call(), packed);
        Ok(FinishedSafeTx { safe: self.wallet.address(), hash: self.hash, data })
    }
}
