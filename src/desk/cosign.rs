//! What is handed over between the signer and the co-signer. Neither believes the other: everything here is verified.

use super::{
    ChallengeOrder, DeskError, RefillAttestOrder, SignedText, StatementReceipt, WalletEvidence, WalletReceipt,
};
use crate::withdrawal::{Chain, CustomerRef, Finding, Organisation, ReservationId, WithdrawalId};

/// What the co-signer says of itself; the signer compares it with its own configuration at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignStatus {
    /// The size of the signer's log that it has witnessed.
    pub known_size: u64,
    /// The fingerprint of the wallet it signs for, hex.
    pub wallet: String,
    /// The hash of its own policy, hex.
    pub policy_hash: String,
    /// The hashes of earlier policies of its own than which that one is no looser, hex.
    pub policies_kept: Vec<String>,
    /// The version of its own trust file.
    pub trust_version: u64,
    /// The name of the key it attests addresses with.
    pub attestation_key_id: String,
    /// That key (Ed25519).
    pub attestation_key: [u8; 32],
    /// The verifier key of its cosignatures, as C2SP signed-note spells it.
    pub witness_key: String,
}

/// An address the co-signer is to derive by itself and vouch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationOrder {
    /// The exchange or one of its legal entities.
    pub organisation: Organisation,
    /// Whose address it is.
    pub customer_ref: CustomerRef,
    /// The network or chain it is on.
    pub network: Chain,
    /// The branch: 0 for deposits.
    pub branch: u32,
    /// The index on that branch.
    pub index: u32,
}

/// The travel rule's evidence for one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClearanceEvidence {
    /// The beneficiary VASP's signed `countersign verification-answer v1` text.
    Answer(SignedText),
    /// The signer's `countersign verification-report v1` text, which nobody signed: the co-signer asks by its own route.
    Reported(String),
    /// The exchange's signed `countersign wallet-registration v1` text, which the co-signer knows for long enough.
    Exempt(SignedText),
}

/// One withdrawal that a transaction pays, with everything needed to judge it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignPayment {
    /// The exchange's signed request.
    pub request: SignedText,
    /// The travel rule's evidence; without it the answer is no.
    pub clearance: Option<ClearanceEvidence>,
    /// The armored SSHSIGs of operators.
    pub approvals: Vec<String>,
}

/// One transaction to be signed. What kind it is the co-signer sees from its outputs (law L9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignItem {
    /// The reservation.
    pub reservation: ReservationId,
    /// The PSBT (BIP-174) without signatures.
    pub psbt: Vec<u8>,
    /// The log leaf that recorded the reservation.
    pub leaf: Vec<u8>,
    /// Where in the log it is.
    pub leaf_index: u64,
    /// That it is in the tree of the checkpoint (RFC 6962).
    pub inclusion: Vec<[u8; 32]>,
    /// The withdrawals it pays; none for a sweep and its like.
    pub payments: Vec<CosignPayment>,
}

/// One head to witness, and the transactions recorded under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignOrder {
    /// The signer's new checkpoint, a signed note.
    pub checkpoint: String,
    /// The size the consistency proof starts from.
    pub old_size: u64,
    /// That the old tree is the beginning of the new one (RFC 6962).
    pub consistency: Vec<[u8; 32]>,
    /// The hash of the signer's own policy, hex, as operators' approvals name it.
    pub policy: String,
    /// The hashes of earlier policies of its own than which that one is no looser, hex.
    pub policies_kept: Vec<String>,
    /// The transactions.
    pub items: Vec<CosignItem>,
}

/// What became of the checkpoint (C2SP tlog-witness).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadAnswer {
    /// Witnessed: the note line with the cosignature.
    Cosigned(String),
    /// Nothing was done because `old_size` is not what the co-signer knows; ask again from this size.
    KnownSize(u64),
}

/// The co-signer's no to one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The withdrawal it is about, where it is about one.
    pub withdrawal: Option<WithdrawalId>,
    /// Its own code and what exactly.
    pub finding: Finding,
    /// Whether it is a not-yet.
    pub is_hold: bool,
}

/// The co-signer's answer to one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemVerdict {
    /// The PSBT with its signature on every input.
    Signed(Vec<u8>),
    /// No, or not yet; nothing was signed.
    Refused(Refusal),
    /// Decided and booked, and the signature is still to come: nothing may be given up, and the question is asked again.
    Pending(Finding),
}

/// The co-signer's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignOutcome {
    /// What became of the checkpoint.
    pub head: HeadAnswer,
    /// One verdict for each transaction, in the order asked; empty where the head was not witnessed.
    pub verdicts: Vec<(ReservationId, ItemVerdict)>,
}

/// What the co-signer has of a reservation (law L20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recalled {
    /// It has signed; the same bytes again.
    Signed(Vec<u8>),
    /// It has not signed, and has now recorded that it never will.
    Dead,
    /// It has decided yes, and others may have signed by now: it cannot say never any more.
    Pending(Finding),
}

/// The word that takes a withdrawal back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoidOrder {
    /// The exchange's signed `countersign withdrawal-cancel v1` text.
    Cancellation(SignedText),
    /// An operator's no.
    Rejection {
        /// The exchange's signed request that it is about.
        request: SignedText,
        /// The `countersign withdrawal-rejection v1` text.
        text: String,
        /// The armored SSHSIG over it.
        signature: String,
    },
}

/// What became of a withdrawal that was taken back: one of the two, for ever (law L2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voided {
    /// The co-signer never signs it: its signed `countersign withdrawal-void v1` text.
    Receipt(SignedText),
    /// Too late: it has signed a transaction for it.
    Signed,
}

/// The counter of the co-signer: the same whether it is embedded or on another machine.
///
/// A fault of the remote one says whether the effect may have happened; after such a fault ask `recall`.
#[tonic::async_trait]
pub trait CosignDesk: Send + Sync + 'static {
    /// What it says of itself.
    async fn status(&self) -> Result<CosignStatus, DeskError>;

    /// Hands over observers' statements; each is answered by itself, in order.
    async fn submit_statements(
        &self,
        statements: Vec<SignedText>,
    ) -> Result<Vec<Result<StatementReceipt, Finding>>, DeskError>;

    /// Asks it to derive addresses and vouch for them; one signed attestation for each, in order.
    async fn attest_addresses(&self, orders: Vec<AttestationOrder>) -> Result<Vec<SignedText>, DeskError>;

    /// Asks it to derive a refill's address, to judge the share by its own facts, and to vouch for both.
    async fn attest_refill(&self, order: RefillAttestOrder) -> Result<SignedText, DeskError>;

    /// Asks it for a challenge, by which it knows later that a customer signed lately.
    async fn challenge(&self, order: ChallengeOrder) -> Result<SignedText, DeskError>;

    /// Hands over a registration of a customer's own wallet; its delay begins when the co-signer first sees it.
    async fn register(&self, evidence: WalletEvidence) -> Result<WalletReceipt, DeskError>;

    /// Hands over a removal.
    async fn remove(&self, removal: SignedText) -> Result<(), DeskError>;

    /// Takes a withdrawal back for good, unless it is signed; asked again it answers the same.
    async fn void(&self, order: VoidOrder) -> Result<Voided, DeskError>;

    /// Asks it to witness a head and to decide and sign what is recorded under it.
    async fn countersign(&self, order: CosignOrder) -> Result<CosignOutcome, DeskError>;

    /// Asks what it has of each reservation, and ends those it has not signed; in order.
    async fn recall(&self, reservations: Vec<ReservationId>) -> Result<Vec<Recalled>, DeskError>;
}
