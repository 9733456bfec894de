//! What is handed over about withdrawals.

use zeroize::Zeroizing;

use super::{Answers, Caller, DeskError, Page, PageOrder, SignedText};
use crate::withdrawal::{
    Amount, Organisation, Outcome, RequestId, SafePlace, Seconds, Stage, WithdrawalId, WithdrawalRequest,
};

/// The IVMS101 payload of a request: personal data, on its way to the enclave and nowhere else (law L5).
///
/// It has no `Debug`, cannot be cloned, and is wiped when dropped.
pub struct Payload(Zeroizing<Vec<u8>>);

impl Payload {
    /// Takes the bytes as they came: JSON, unread.
    pub fn new(json: Vec<u8>) -> Self {
        Self(Zeroizing::new(json))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, for the enclave's door only.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, handed over without a copy, for the enclave's door only.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// A request to pay, as it came.
pub struct WithdrawalOrder {
    /// The canonical `countersign withdrawal-request v1` text, which is the request.
    pub request: SignedText,
    /// The originator and beneficiary in IVMS101 JSON; empty where the travel rule needs no names.
    pub ivms101: Payload,
}

/// Which withdrawal is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WithdrawalPick {
    /// By its id.
    Id(WithdrawalId),
    /// By what the exchange called it.
    Request(Organisation, RequestId),
}

/// Which withdrawals a list or a stream shows; what is `None` is not asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WithdrawalFilter {
    /// Only this organisation's.
    pub organisation: Option<Organisation>,
    /// Only those at this stage.
    pub stage: Option<Stage>,
    /// Only those with this outcome; the findings inside are not compared.
    pub outcome: Option<Outcome>,
}

impl WithdrawalFilter {
    /// Whether a withdrawal is to be shown.
    pub fn shows(&self, view: &WithdrawalView) -> bool {
        let same_outcome =
            |wanted: &Outcome| std::mem::discriminant(wanted) == std::mem::discriminant(&view.outcome);
        self.organisation.as_ref().is_none_or(|o| *o == view.request.organisation)
            && self.stage.is_none_or(|s| s == view.stage)
            && self.outcome.as_ref().is_none_or(same_outcome)
    }
}

/// An output that the released transaction spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prevout {
    /// The transaction that made it, in display order, lower-case hex.
    pub txid: String,
    /// Which of its outputs.
    pub vout: u32,
    /// How much it holds.
    pub value: Amount,
    /// Its script.
    pub script_pubkey: Vec<u8>,
}

/// A withdrawal as its readers see it. Holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawalView {
    /// Its id.
    pub id: WithdrawalId,
    /// What the exchange asked.
    pub request: WithdrawalRequest,
    /// How far it has come.
    pub stage: Stage,
    /// What is said of it.
    pub outcome: Outcome,
    /// The transaction's id in display order, from the stage reserved on; of a Safe the Safe transaction's hash.
    pub txid: Option<String>,
    /// The finished transaction, once released; empty before. Of a Safe the data of a call of `execTransaction`.
    pub raw_transaction: Vec<u8>,
    /// Which Safe makes the payment, and which nonce of it is taken, from the stage reserved on; none on Bitcoin.
    pub safe: Option<SafePlace>,
    /// What the transaction spends, in the order of its inputs; empty before the stage released.
    pub prevouts: Vec<Prevout>,
    /// The network fee, from the stage reserved on.
    pub fee: Option<Amount>,
    /// The index of the newest log entry about it.
    pub log_index: u64,
    /// When it was asked of us.
    pub created_at: Seconds,
    /// When it last changed.
    pub updated_at: Seconds,
    /// The co-signer's word that it never signs it, where it was taken back.
    pub void_receipt: Option<SignedText>,
}

/// What became of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// The withdrawal as it stands; none where it was never asked here.
    pub withdrawal: Option<WithdrawalView>,
    /// The co-signer's `countersign withdrawal-void v1` text; without it nothing is cancelled.
    pub receipt: Option<SignedText>,
}

/// The counter for withdrawals.
///
/// A refused or held withdrawal is a view with that outcome, not an error.
#[tonic::async_trait]
pub trait WithdrawalDesk: Send + Sync + 'static {
    /// Asks for a payment. Asked again with the same request it answers as it stands; with another under the same id
    /// it is `Refused` with REQUEST_ID_REUSED.
    async fn create(&self, caller: &Caller, order: WithdrawalOrder) -> Result<WithdrawalView, DeskError>;

    /// Starts the travel rule's verification of a request that will be asked later. Nothing is reserved.
    async fn prepare(&self, caller: &Caller, order: WithdrawalOrder) -> Result<WithdrawalView, DeskError>;

    /// Finds one; NOT_FOUND otherwise.
    async fn find(&self, caller: &Caller, pick: WithdrawalPick) -> Result<WithdrawalView, DeskError>;

    /// Lists them, oldest first.
    async fn list(
        &self,
        caller: &Caller,
        filter: WithdrawalFilter,
        page: PageOrder,
    ) -> Result<Page<WithdrawalView>, DeskError>;

    /// Every withdrawal last written at the log index `from` or later, then the changes as they come; without `from`,
    /// from now on.
    /// Each view's `log_index` is the cursor to go on from.
    async fn watch(
        &self,
        caller: &Caller,
        filter: WithdrawalFilter,
        from: Option<u64>,
    ) -> Result<Answers<WithdrawalView>, DeskError>;

    /// Cancels what the co-signer has not signed. `cancellation` is a signed `countersign withdrawal-cancel v1` text.
    async fn cancel(&self, caller: &Caller, cancellation: SignedText) -> Result<Cancellation, DeskError>;
}
