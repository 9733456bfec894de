//! A desk that answers at once, waits until it is let go, or breaks, as the text it is given says.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::{iter, pending};
use tokio::sync::Semaphore;

use crate::desk::{
    AddressDesk, AddressOrder, AddressView, Answers, AttestationOrder, AuditDesk, AuditEntry, Caller,
    Cancellation, ChallengeOrder, CheckpointView, CosignDesk, CosignOrder, CosignOutcome, CosignStatus,
    DeskError, HeadAnswer, ItemVerdict, Page, PageOrder, ProofView, Recalled, RefillAttestOrder, SignedText,
    StatementReceipt, VoidOrder, Voided, WalletEvidence, WalletReceipt, WithdrawalDesk, WithdrawalFilter,
    WithdrawalOrder, WithdrawalPick, WithdrawalView,
};
use crate::withdrawal::{
    Amount, Asset, Code, CustomerRef, Finding, Network, Organisation, Outcome, RequestId, ReservationId,
    Seconds, Stage, VaspId, WithdrawalRequest,
};

/// The pretending desk.
pub struct Pretend {
    /// How many calls have come in.
    pub calls: AtomicUsize,
    /// One permit for each call that has begun to wait.
    pub waiting: Semaphore,
    /// One permit lets one waiting call go on.
    pub go: Semaphore,
}

impl Default for Pretend {
    fn default() -> Self {
        Self { calls: AtomicUsize::new(0), waiting: Semaphore::new(0), go: Semaphore::new(0) }
    }
}

impl Pretend {
    async fn do_as_told(&self, text: &str) -> Result<(), DeskError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match text {
            "wait" => {
                self.waiting.add_permits(1);
                self.go.acquire().await.unwrap().forget();
                Ok(())
            }
            "panic" => panic!("told to"),
            "reused" => Err(DeskError::Refused(Finding::new(Code::RequestIdReused, "another amount"))),
            "broken" => {
                Err(DeskError::may_have_happened(Code::StoreUnavailable, "the commit's answer was lost"))
            }
            _ => Ok(()),
        }
    }

    pub async fn until_one_waits(&self) {
        // A watchdog: where the call never comes, the test fails instead of waiting for ever.
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(20), self.waiting.acquire()).await;
        waiting.expect("no call came to wait").unwrap().forget();
    }
}

pub fn view(request_id: &str, log_index: u64) -> WithdrawalView {
    let request = WithdrawalRequest {
        organisation: Organisation::parse("exchange").unwrap(),
        request_id: RequestId::parse(request_id).unwrap(),
        customer_ref: CustomerRef::parse("c").unwrap(),
        asset: Asset::Bitcoin(Network::Regtest),
        destination: "bcrt1q".into(),
        amount: Amount::from_sat(5),
        fee_max: Amount::from_sat(5),
        beneficiary_vasp: VaspId(1),
        asked_at: Seconds(1),
    };
    WithdrawalView {
        id: request.id(),
        request,
        stage: Stage::Asked,
        outcome: Outcome::Held(vec![Finding::new(Code::ApprovalRequired, "one of treasury")]),
        txid: None,
        raw_transaction: Vec::new(),
        safe: None,
        prevouts: Vec::new(),
        fee: None,
        log_index,
        created_at: Seconds(1),
        updated_at: Seconds(2),
        void_receipt: None,
    }
}

#[tonic::async_trait]
impl WithdrawalDesk for Pretend {
    async fn create(&self, caller: &Caller, order: WithdrawalOrder) -> Result<WithdrawalView, DeskError> {
        assert_eq!(caller.name, "test");
        self.do_as_told(&order.request.text).await?;
        Ok(view("r1", 3))
    }

    async fn prepare(&self, _: &Caller, order: WithdrawalOrder) -> Result<WithdrawalView, DeskError> {
        self.do_as_told(&order.request.text).await?;
        Ok(view("r1", 3))
    }

    async fn find(&self, _: &Caller, pick: WithdrawalPick) -> Result<WithdrawalView, DeskError> {
        match pick {
            WithdrawalPick::Request(_, id) if id.as_str() == "r1" => Ok(view("r1", 3)),
            _ => Err(DeskError::not_found("no such withdrawal")),
        }
    }

    async fn list(
        &self,
        _: &Caller,
        _: WithdrawalFilter,
        page: PageOrder,
    ) -> Result<Page<WithdrawalView>, DeskError> {
        let items = (0..page.size_max.min(2)).map(|n| view(&format!("r{n}"), u64::from(n))).collect();
        Ok(Page { items, next: Some("more".into()) })
    }

    async fn watch(
        &self,
        _: &Caller,
        _: WithdrawalFilter,
        after: Option<u64>,
    ) -> Result<Answers<WithdrawalView>, DeskError> {
        let first = after.map(|index| Ok(view("r1", index + 1)));
        Ok(iter(first).chain(pending()).boxed())
    }

    async fn cancel(&self, _: &Caller, cancellation: SignedText) -> Result<Cancellation, DeskError> {
        self.do_as_told(&cancellation.text).await?;
        Ok(Cancellation { withdrawal: Some(view("r1", 4)), receipt: None })
    }
}

#[tonic::async_trait]
impl AddressDesk for Pretend {
    async fn create_batch(
        &self,
        _: &Caller,
        orders: Vec<AddressOrder>,
    ) -> Result<Vec<AddressView>, DeskError> {
        let attestation = SignedText { text: "a\n".into(), key_id: "b".into(), signature: [1; 64] };
        Ok((0u32..)
            .zip(orders)
            .map(|(index, order)| AddressView {
                organisation: order.organisation,
                asset: order.asset,
                customer_ref: order.customer_ref,
                address: format!("address {index}"),
                index,
                attestation: attestation.clone(),
            })
            .collect())
    }
}

#[tonic::async_trait]
impl AuditDesk for Pretend {
    async fn entries(
        &self,
        _: &Caller,
        from: u64,
        until: Option<u64>,
    ) -> Result<Answers<AuditEntry>, DeskError> {
        let last = until.unwrap_or(100);
        let entries = (from..last).map(|index| Ok(AuditEntry { index, leaf: b"{}".to_vec() }));
        let end = DeskError::nothing_happened(Code::StoreTampered, "a row's tag does not hold");
        Ok(iter(entries.chain((until.is_none()).then_some(Err(end)))).boxed())
    }

    async fn checkpoint(&self, _: &Caller) -> Result<CheckpointView, DeskError> {
        Ok(CheckpointView { note: "n".into(), tree_size: 100, root: [1; 32] })
    }

    async fn inclusion(&self, _: &Caller, _: u64, tree_size: u64) -> Result<ProofView, DeskError> {
        Ok(ProofView { hashes: vec![[2; 32]], tree_size, root: [1; 32] })
    }

    async fn consistency(&self, _: &Caller, _: u64, tree_size: u64) -> Result<ProofView, DeskError> {
        Ok(ProofView { hashes: vec![[3; 32]], tree_size, root: [1; 32] })
    }
}

#[tonic::async_trait]
impl CosignDesk for Pretend {
    async fn status(&self) -> Result<CosignStatus, DeskError> {
        Ok(CosignStatus {
            known_size: 9,
            wallet: "w".into(),
            policy_hash: "p".into(),
            policies_kept: Vec::new(),
            trust_version: 1,
            attestation_key_id: "a".into(),
            attestation_key: [4; 32],
            witness_key: "v".into(),
        })
    }

    async fn submit_statements(
        &self,
        statements: Vec<SignedText>,
    ) -> Result<Vec<Result<StatementReceipt, Finding>>, DeskError> {
        let answer = |signed: &SignedText| match signed.text.as_str() {
            "old" => Err(Finding::new(Code::StatementOutOfOrder, "5 is not above 5")),
            _ => Ok(StatementReceipt { number: 6, log_index: 7 }),
        };
        Ok(statements.iter().map(answer).collect())
    }

    async fn attest_addresses(&self, orders: Vec<AttestationOrder>) -> Result<Vec<SignedText>, DeskError> {
        let attest = |order: AttestationOrder| SignedText {
            text: format!("index {}", order.index),
            key_id: "a".into(),
            signature: [5; 64],
        };
        Ok(orders.into_iter().map(attest).collect())
    }

    async fn attest_refill(&self, order: RefillAttestOrder) -> Result<SignedText, DeskError> {
        Ok(SignedText { text: format!("refill {}", order.refill), key_id: "a".into(), signature: [7; 64] })
    }

    async fn challenge(&self, order: ChallengeOrder) -> Result<SignedText, DeskError> {
        Ok(SignedText { text: format!("for {}", order.address), key_id: "a".into(), signature: [6; 64] })
    }

    async fn register(&self, evidence: WalletEvidence) -> Result<WalletReceipt, DeskError> {
        let length = u64::try_from(evidence.registration.text.len()).unwrap_or(0);
        Ok(WalletReceipt { effective_at: Seconds(86_400), log_index: length })
    }

    async fn remove(&self, removal: SignedText) -> Result<(), DeskError> {
        match removal.text.as_str() {
            "unknown" => Err(DeskError::Refused(Finding::new(Code::WalletNotRegistered, "none"))),
            _ => Ok(()),
        }
    }

    async fn void(&self, order: VoidOrder) -> Result<Voided, DeskError> {
        Ok(match order {
            VoidOrder::Cancellation(cancellation) => Voided::Receipt(cancellation),
            VoidOrder::Rejection { .. } => Voided::Signed,
        })
    }

    async fn countersign(&self, order: CosignOrder) -> Result<CosignOutcome, DeskError> {
        self.do_as_told(&order.checkpoint).await?;
        let mut verdicts: Vec<_> =
            order.items.into_iter().map(|item| (item.reservation, ItemVerdict::Signed(item.psbt))).collect();
        match order.checkpoint.as_str() {
            "behind" => return Ok(CosignOutcome { head: HeadAnswer::KnownSize(9), verdicts: Vec::new() }),
            "swapped" => verdicts.reverse(),
            "short" => verdicts.truncate(1),
            _ => (),
        }
        Ok(CosignOutcome { head: HeadAnswer::Cosigned("line\n".into()), verdicts })
    }

    async fn recall(&self, reservations: Vec<ReservationId>) -> Result<Vec<Recalled>, DeskError> {
        let first = reservations.first().copied();
        let state = |id| if Some(id) == first { Recalled::Signed(vec![1]) } else { Recalled::Dead };
        Ok(reservations.into_iter().map(state).collect())
    }
}
