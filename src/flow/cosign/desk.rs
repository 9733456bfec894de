//! The counter of the co-signer: one question at a time, from the witnessed head to the signatures.
//!
//! Order: witness → prove each item by itself (on every core) → decide in order → ONE commit → sign. A question asked
//! twice gives the same bytes, because the same transaction is signed again (RFC 6979), or because a custodian's signature
//! is kept.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::error;

use super::custody::{self, KeyB};
use super::party::Party;
use crate::audit::{LogKey, WitnessKey};
use crate::desk::{
    AttestationOrder, ChallengeOrder, CosignDesk, CosignOrder, CosignOutcome, CosignStatus, DeskError,
    Recalled, RefillAttestOrder, SignedText, StatementReceipt, VoidOrder, Voided, WalletEvidence,
    WalletReceipt,
};
use crate::enclave::verifyvasp::Route;
use crate::flow::context::Context;
use crate::flow::ledger::journal::LogView;
use crate::keys::{IdentityKey, SeatKeys};
use crate::store::{StoreSecret, StoreUrl};
use crate::withdrawal::{Code, Finding, ReservationId};

/// How often it looks whether a freeze or a resume is to be noted.
const NOTE_EVERY: Duration = Duration::from_millis(250);

/// What a co-signer is made of.
pub struct CosignerParts {
    /// What it decides with: its own.
    pub context: Arc<Context>,
    /// Its own store.
    pub store: StoreUrl,
    /// The secret of its rows' tags.
    pub secret: StoreSecret,
    /// The key its own log signs with.
    pub log_key: LogKey,
    /// The identity behind its log.
    pub log_identity: Arc<IdentityKey>,
    /// The key it cosigns the signer's heads with.
    pub witness_key: WitnessKey,
    /// The identity behind that key.
    pub witness_identity: Arc<IdentityKey>,
    /// The identity it attests addresses with.
    pub attestation: Arc<IdentityKey>,
    /// Key B, or who holds it.
    pub hot_key: KeyB,
    /// Its seat among the owners of the Safes; a custodian of key B has none.
    pub seat: Arc<SeatKeys>,
    /// Its own way to an enclave server, for verifications that no VASP signs; without one they clear nothing here.
    pub route: Option<Arc<Route>>,
}

/// A running co-signer.
///
/// Every question runs in a task of its own: a caller who hangs up must not leave memory ahead of the store.
#[derive(Clone)]
pub struct Cosigner(Arc<Party>);

impl Cosigner {
    /// Opens its store and reads back what it knows.
    pub async fn start(parts: CosignerParts) -> Result<Self, crate::flow::signer::StartFault> {
        let party = Arc::new(Party::open(parts).await?);
        tokio::spawn(keep_noting(Arc::downgrade(&party)));
        tokio::spawn(custody::keep_asking(Arc::downgrade(&party)));
        Ok(Self(party))
    }

    /// Its own log.
    pub fn log(&self) -> Arc<LogView> {
        self.0.log.clone()
    }

    async fn finish<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, DeskError>> + Send + 'static,
    ) -> Result<T, DeskError> {
        match tokio::spawn(question).await {
            Ok(answer) => answer,
            Err(broken) => {
                error!(code = %Code::Internal, "a question broke off: {broken}");
                let mut core = self.0.core.lock().await;
                self.0.reload(&mut core).await;
                Err(DeskError::may_have_happened(Code::Internal, "the question broke off; ask it again"))
            }
        }
    }
}

/// Notes freezes and resumes for as long as the party lives.
async fn keep_noting(party: Weak<Party>) {
    while let Some(party) = party.upgrade() {
        party.note_freezes().await;
        drop(party);
        tokio::time::sleep(NOTE_EVERY).await;
    }
}

#[tonic::async_trait]
impl CosignDesk for Cosigner {
    async fn status(&self) -> Result<CosignStatus, DeskError> {
        self.0.status().await
    }

    async fn submit_statements(
        &self,
        statements: Vec<SignedText>,
    ) -> Result<Vec<Result<StatementReceipt, Finding>>, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.submit_statements(statements).await }).await
    }

    async fn attest_addresses(&self, orders: Vec<AttestationOrder>) -> Result<Vec<SignedText>, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.attest_addresses(orders).await }).await
    }

    async fn attest_refill(&self, order: RefillAttestOrder) -> Result<SignedText, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.attest_refill(order).await }).await
    }

    async fn challenge(&self, order: ChallengeOrder) -> Result<SignedText, DeskError> {
        self.0.challenge(order).await
    }

    async fn register(&self, evidence: WalletEvidence) -> Result<WalletReceipt, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.register(evidence).await }).await
    }

    async fn remove(&self, removal: SignedText) -> Result<(), DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.remove(removal).await }).await
    }

    async fn void(&self, order: VoidOrder) -> Result<Voided, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.void(order).await }).await
    }

    async fn countersign(&self, order: CosignOrder) -> Result<CosignOutcome, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.countersign(order).await }).await
    }

    async fn recall(&self, reservations: Vec<ReservationId>) -> Result<Vec<Recalled>, DeskError> {
        let party = self.0.clone();
        self.finish(async move { party.recall(reservations).await }).await
    }
}
