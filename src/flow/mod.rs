//! The story: the order in which things happen. Retries live here; clocks are read here and nowhere below.
//!
//! Read in this order: [`withdraw`] (one withdrawal from asked to released), [`writer`] (who decides, and when it is
//! durable), [`courier`] (how the co-signer is asked), [`rail`] (what differs from chain to chain, and how two signatures become a transaction),
//! `void` (what is taken back), [`treasury`] (the 3:7 share), [`position`] (where the money rests), [`brake`] (what a freeze
//! stops), [`recover`] (the same path after a crash), [`report`] (what the
//! counterparty is told afterwards), then [`cosign`] (the other party).

pub mod address;
pub mod approve;
pub mod audit;
pub mod batch;
pub mod brake;
pub mod clear;
pub mod context;
pub mod cosign;
pub mod courier;
pub mod daily;
pub mod desk;
mod emptying;
pub mod executed;
pub mod facts;
pub mod found;
pub mod ledger;
pub mod policies;
pub mod position;
pub mod rail;
pub mod recover;
pub mod refill;
mod refuel;
pub mod report;
pub mod reserve;
pub mod rotation;
pub mod signer;
pub mod statement;
pub mod transactions;
pub mod treasury;
pub mod view;
mod void;
pub mod wallet;
pub mod weigh;
pub mod withdraw;
pub mod writer;

use tokio::sync::oneshot;

use self::courier::Parcel;

use crate::bitcoin::refill::ColdCoin;
use crate::desk::{
    AddressOrder, AddressView, DeskError, Payload, RefillView, Refusal, SignedText, StatementReceipt,
    WalletView, WithdrawalView,
};
use crate::enclave::Word;
use crate::evidence::approval::Approval;
use crate::evidence::rejection::Rejection;
use crate::evidence::statement::VerifiedStatement;
use crate::evidence::{KeySigned, VerifiedCancel, VerifiedRegistration, VerifiedRemoval, VerifiedRequest};
use crate::withdrawal::{Amount, Code, Finding, ReservationId, Seconds, WithdrawalId};

/// Who waits for an answer.
pub type Reply<T> = oneshot::Sender<Result<T, DeskError>>;

/// What the exchange signed, to be handed on for another party to verify by itself.
fn handed_on(signed: &KeySigned) -> SignedText {
    SignedText {
        text: signed.text().to_owned(),
        key_id: signed.key_id().to_owned(),
        signature: *signed.signature(),
    }
}

/// What the writer can be asked to decide.
pub enum Command {
    /// A verified request, with the counterparty's answer where it is known already.
    Ask {
        /// The request.
        request: Box<VerifiedRequest>,
        /// The enclave's keyed hash of the travel-rule payload, hex, or `-`.
        payload: String,
        /// The counterparty's answer.
        answer: Option<Word>,
        /// The travel-rule payload, unread, for the enclave.
        personal: Option<Payload>,
        /// Why it would be refused if it were new; a repeat is answered with its outcome all the same (law L2).
        late: Option<Finding>,
        /// Told when it is settled or waits for something.
        reply: Reply<WithdrawalView>,
    },
    /// The counterparty has answered.
    Answered {
        /// About which withdrawal.
        id: WithdrawalId,
        /// What it said.
        word: Word,
    },
    /// The travel rule will not answer.
    Unanswered {
        /// About which withdrawal.
        id: WithdrawalId,
        /// Why.
        finding: Finding,
    },
    /// The travel rule wants to know what a withdrawal is worth, and there is no price.
    Unvalued {
        /// Which withdrawal.
        id: WithdrawalId,
        /// The payload that was to be sent.
        personal: Option<Payload>,
    },
    /// An operator's verified yes.
    Approve {
        /// Of which withdrawal.
        id: WithdrawalId,
        /// The evidence.
        approval: Approval,
        /// Told when it is durable.
        reply: Reply<WithdrawalView>,
    },
    /// An operator's verified no.
    Reject {
        /// The evidence.
        rejection: Rejection,
        /// The co-signer's word that it never signs it.
        receipt: SignedText,
        /// Told when it is durable.
        reply: Reply<WithdrawalView>,
    },
    /// The exchange takes a request back.
    Cancel {
        /// The verified text.
        cancel: VerifiedCancel,
        /// The co-signer's word that it never signs it; nothing, where it has signed it.
        receipt: Option<SignedText>,
        /// Told when it is durable.
        reply: Reply<WithdrawalView>,
    },
    /// A verified statement.
    State {
        /// The statement.
        statement: VerifiedStatement,
        /// Told when it is durable.
        reply: Reply<StatementReceipt>,
    },
    /// Deposit addresses are wanted.
    Allocate {
        /// For whom.
        orders: Vec<AddressOrder>,
        /// Told the addresses, with or without attestation yet.
        reply: Reply<Vec<Allocated>>,
    },
    /// A customer's own wallet is registered: verified here, and taken by the co-signer.
    Register {
        /// The evidence.
        registration: Box<VerifiedRegistration>,
        /// From when on the co-signer exempts it.
        effective_at: Seconds,
        /// Told when it is durable.
        reply: Reply<WalletView>,
    },
    /// A registration is removed.
    Remove {
        /// The evidence.
        removal: VerifiedRemoval,
        /// Told when it is durable.
        reply: Reply<WalletView>,
    },
    /// A refill from cold is wanted.
    RequestRefill {
        /// By whom.
        by: String,
        /// How much; what is wanted, where nothing is said.
        amount: Option<Amount>,
        /// Cold coins, proved.
        coins: Vec<ColdCoin>,
        /// Told when it is durable.
        reply: Reply<RefillView>,
    },
    /// A refill goes on.
    Refill {
        /// Which.
        id: String,
        /// How.
        step: RefillStep,
        /// Told when it is durable.
        reply: Reply<RefillView>,
    },
    /// The co-signer has attested addresses.
    Attested {
        /// Which, and its word.
        attested: Vec<(AddressOrder, SignedText)>,
        /// Told when it is durable.
        reply: Reply<()>,
    },
    /// Statements have reached the co-signer.
    Delivered {
        /// Their keys.
        keys: Vec<String>,
    },
    /// Both signatures are in the transaction.
    Finished {
        /// Of which reservation.
        reservation: ReservationId,
        /// The finished transaction.
        finished: transactions::Finished,
    },
    /// The co-signer said no, and has recorded the reservation as dead.
    CosignerRefused {
        /// To which reservation.
        reservation: ReservationId,
        /// About which withdrawal, why, and whether it is a not-yet.
        refusal: Refusal,
    },
    /// Something that people must look at.
    Alarm {
        /// About what, by the name of the log entry's field.
        about: (&'static str, String),
        /// What is wrong.
        finding: Finding,
    },
    /// The co-signer does not answer.
    CosignerSilent {
        /// About which reservation.
        reservation: ReservationId,
        /// Why it cannot be asked.
        code: Code,
    },
    /// Time has passed.
    Tick,
}

impl Command {
    /// Whether it is said once and by nobody who would say it again: it must not be lost.
    pub const fn is_news(&self) -> bool {
        match self {
            Self::Answered { .. }
            | Self::Unanswered { .. }
            | Self::Unvalued { .. }
            | Self::Delivered { .. }
            | Self::Finished { .. }
            | Self::CosignerRefused { .. }
            | Self::Alarm { .. } => true,
            Self::Ask { .. }
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Cancel { .. }
            | Self::State { .. }
            | Self::Allocate { .. }
            | Self::Register { .. }
            | Self::Remove { .. }
            | Self::RequestRefill { .. }
            | Self::Refill { .. }
            | Self::Attested { .. }
            | Self::CosignerSilent { .. }
            | Self::Tick => false,
        }
    }

    /// Tells whoever waits that nothing was decided.
    pub fn refuse(self, error: DeskError) {
        match self {
            Self::Ask { reply, .. }
            | Self::Approve { reply, .. }
            | Self::Reject { reply, .. }
            | Self::Cancel { reply, .. } => {
                let _ = reply.send(Err(error));
            }
            Self::State { reply, .. } => {
                let _ = reply.send(Err(error));
            }
            Self::Allocate { reply, .. } => {
                let _ = reply.send(Err(error));
            }
            Self::Register { reply, .. } | Self::Remove { reply, .. } => {
                let _ = reply.send(Err(error));
            }
            Self::RequestRefill { reply, .. } | Self::Refill { reply, .. } => {
                let _ = reply.send(Err(error));
            }
            Self::Attested { reply, .. } => {
                let _ = reply.send(Err(error));
            }
            Self::Answered { .. }
            | Self::Unanswered { .. }
            | Self::Unvalued { .. }
            | Self::Delivered { .. }
            | Self::Finished { .. }
            | Self::CosignerRefused { .. }
            | Self::Alarm { .. }
            | Self::CosignerSilent { .. }
            | Self::Tick => {}
        }
    }
}

/// How a refill goes on.
pub enum RefillStep {
    /// The co-signer's verified word came.
    Attested(SignedText),
    /// Its PSBTs are handed out.
    Exported,
    /// A signed copy was handed back, unread.
    Import(Vec<u8>),
    /// It is taken back, for this reason.
    Cancel(String),
    /// The co-signer never attests it.
    Denied(Code),
}

/// An address that has its index.
#[derive(Debug, Clone)]
pub struct Allocated {
    /// What was asked.
    pub order: AddressOrder,
    /// Index on branch 0, or among the addresses of the treasury Safe.
    pub index: u32,
    /// What it is derived from, as an attestation names it.
    pub wallet: String,
    /// The address.
    pub address: String,
    /// The co-signer's word, once there is one.
    pub attestation: Option<SignedText>,
}

impl Allocated {
    /// The finished view, if it is attested.
    pub fn view(self) -> Option<AddressView> {
        Some(AddressView {
            organisation: self.order.organisation,
            asset: self.order.asset,
            customer_ref: self.order.customer_ref,
            address: self.address,
            index: self.index,
            attestation: self.attestation?,
        })
    }
}

/// What is done outside once a batch is durable.
pub enum Effect {
    /// Take this reservation to the co-signer.
    Cosign(Box<Parcel>),
    /// Ask the counterparty about this withdrawal.
    Clear(WithdrawalId),
    /// Withdrawals have ended: their counterparties are to be told.
    Report,
    /// This one had ended before its counterparty verified it.
    ReportLate(WithdrawalId),
    /// Take the statement of this row to the co-signer.
    Deliver(String),
}
