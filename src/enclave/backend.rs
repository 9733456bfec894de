//! Owns the questions an enclave puts to its own VASP, and the answers. Whoever implements [`Backend`] sees persons; nobody else does.

use std::future::Future;
use std::pin::Pin;

use super::answer::{Decision, Reason};
use super::asset_info::AssetInfo;
use super::ivms::{Beneficiary, Payload};
use crate::withdrawal::{Amount, VaspId};

/// What a backend is asked.
pub struct Question<'a> {
    /// The verification.
    pub uuid: &'a str,
    /// Who asks.
    pub originating_vasp: VaspId,
    /// The asset's ticker.
    pub symbol: &'a str,
    /// The network's name.
    pub network: &'a str,
    /// The address.
    pub destination: &'a str,
    /// How much, in base units.
    pub amount: Amount,
    /// The persons; always there when a user is asked about.
    pub payload: Option<&'a Payload>,
    /// Asset and worth as the originator states them; only where a user is asked about through the documented API.
    pub asset_info: Option<&'a AssetInfo>,
    /// Which parts of the beneficiary the originator needs, by the codes of `requiredBeneficiaryInfo`.
    pub required: &'a [String],
}

/// What a backend answers.
pub struct Verdict {
    /// Yes, no, or unknown.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The beneficiary as the VASP knows it; only with a yes.
    pub beneficiary: Option<Beneficiary>,
    /// The reason's parameter, such as the codes of what is missing. Goes to the other VASP sealed, and is no evidence.
    pub message: Option<String>,
}

impl Verdict {
    /// Yes.
    pub fn verified(beneficiary: Option<Beneficiary>) -> Self {
        Self { decision: Decision::Verified, reason: Reason::Ok, beneficiary, message: None }
    }

    /// No.
    pub fn denied(reason: Reason) -> Self {
        Self { decision: Decision::Denied, reason, beneficiary: None, message: None }
    }

    /// It could not be found out.
    pub fn error() -> Self {
        Self { decision: Decision::Error, reason: Reason::UndefinedError, beneficiary: None, message: None }
    }

    /// The same with the reason's parameter.
    pub fn with_message(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }

    /// The verdict as it may be signed: `OK` stands with a yes and with nothing else.
    pub(super) fn sound(self) -> Self {
        let is_ok = self.reason == Reason::Ok;
        if is_ok == (self.decision == Decision::Verified) { self } else { Self::error() }
    }
}

/// How far a verified transfer has come, as its originating VASP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferStatus {
    /// Not handed to the chain yet.
    Pending,
    /// Handed to the chain, not mined.
    Processing,
    /// Mined, not final.
    WaitConfirm,
    /// Final.
    Confirmed,
    /// It will not happen.
    Canceled,
}

impl TransferStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Processing, Self::WaitConfirm, Self::Confirmed, Self::Canceled];

    /// Reads the stable spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Processing => "PROCESSING",
            Self::WaitConfirm => "WAIT-CONFIRM",
            Self::Confirmed => "CONFIRMED",
            Self::Canceled => "CANCELED",
        }
    }
}

/// A verified transfer on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// How far it has come.
    pub status: TransferStatus,
    /// Its transaction exactly as a node prints it, once there is one.
    pub tx_hash: Option<String>,
    /// The output's index, where the chain has outputs.
    pub vout: Option<String>,
}

/// What a backend is told without having asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackKind {
    /// A verification it asked for has its result.
    VerificationResult,
    /// The originator names the transaction of a verification.
    TxReport,
    /// The originator takes a verified transfer back.
    ErrorReport,
}

impl CallbackKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::VerificationResult, Self::TxReport, Self::ErrorReport];

    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerificationResult => "VERIFICATION_RESULT",
            Self::TxReport => "TX_REPORT",
            Self::ErrorReport => "ERROR_REPORT",
        }
    }
}

/// A backend at work.
pub type Working<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The VASP's own system: who holds which address, and whose identity was checked.
pub trait Backend: Send + Sync + 'static {
    /// Whether the address is one of this VASP's (and the name's, if one is given).
    fn verify_account<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict>;

    /// How far the transfer of a verification has come that this VASP asked for; nothing, if it cannot be found out.
    fn transaction_status<'a>(&'a self, uuid: &'a str) -> Working<'a, Option<Transfer>> {
        let _ = uuid;
        Box::pin(async { None })
    }

    /// Tells the backend; whether it took it. `data` is the JSON of the documented callback and may hold persons.
    fn callback<'a>(&'a self, kind: CallbackKind, data: &'a str) -> Working<'a, bool> {
        let _ = (kind, data);
        Box::pin(async { true })
    }

    /// Whether the address belongs to that person, whose identity was checked.
    fn verify_user<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict>;
}

/// A backend without customers: knows no address.
pub struct NoCustomers;

impl Backend for NoCustomers {
    fn verify_account<'a>(&'a self, _: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async { Verdict::denied(Reason::UnknownAddress) })
    }

    fn verify_user<'a>(&'a self, _: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async { Verdict::denied(Reason::UnknownAddress) })
    }
}
