//! What is handed over about customers' own wallets (law L3).

use super::{Caller, DeskError, Page, PageOrder, SignedText};
use crate::withdrawal::{Asset, CustomerRef, Organisation, Seconds};

/// A challenge asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeOrder {
    /// The exchange or one of its legal entities.
    pub organisation: Organisation,
    /// Whose wallet it is said to be.
    pub customer_ref: CustomerRef,
    /// What is to be paid there.
    pub asset: Asset,
    /// The wallet's address.
    pub address: String,
}

/// A challenge, and what the customer signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeView {
    /// The co-signer's `countersign wallet-challenge v1` text, signed with its attestation key.
    pub challenge: SignedText,
    /// Its name: the digest of that text, hex.
    pub name: String,
    /// The message to be signed with the wallet, byte for byte.
    pub message: String,
    /// The last second at which it may be used.
    pub expires_at: Seconds,
}

/// A registration with what it answers. Nothing about it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletEvidence {
    /// The exchange's `countersign wallet-registration v1` text.
    pub registration: SignedText,
    /// The co-signer's challenge.
    pub challenge: SignedText,
}

/// That a registration was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalletReceipt {
    /// From when on it exempts.
    pub effective_at: Seconds,
    /// The index of the log entry that says so.
    pub log_index: u64,
}

/// A registered wallet as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletView {
    /// The registration's name: that of its challenge, hex.
    pub name: String,
    /// Whose customer it is.
    pub organisation: Organisation,
    /// Whose wallet it is.
    pub customer_ref: CustomerRef,
    /// What may be paid there.
    pub asset: Asset,
    /// The address.
    pub address: String,
    /// From when on both parties exempt it.
    pub effective_at: Seconds,
    /// When it was removed.
    pub removed_at: Option<Seconds>,
    /// The registration itself.
    pub evidence: WalletEvidence,
}

/// The counter for customers' own wallets.
#[tonic::async_trait]
pub trait WalletDesk: Send + Sync + 'static {
    /// Has the co-signer issue a challenge.
    async fn challenge(&self, caller: &Caller, order: ChallengeOrder) -> Result<ChallengeView, DeskError>;

    /// Takes a registration to both parties. The same one again is answered as it stands.
    async fn register(&self, caller: &Caller, evidence: WalletEvidence) -> Result<WalletView, DeskError>;

    /// The registration with that name.
    async fn registered(&self, caller: &Caller, name: &str) -> Result<WalletView, DeskError>;

    /// The registrations, removed ones too, by name.
    async fn registrations(
        &self,
        caller: &Caller,
        organisation: Option<Organisation>,
        page: PageOrder,
    ) -> Result<Page<WalletView>, DeskError>;

    /// Takes a removal to both parties; it is answered when both have it.
    async fn remove(&self, caller: &Caller, removal: SignedText) -> Result<WalletView, DeskError>;
}
