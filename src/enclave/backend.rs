//! Owns the questions an enclave puts to its own VASP, and the answers. Whoever implements [`Backend`] sees persons; nobody else does.

use std::future::Future;
use std::pin::Pin;

use super::answer::{Decision, Reason};
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
}

/// What a backend answers.
pub struct Verdict {
    /// Yes, no, or unknown.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The beneficiary as the VASP knows it; only with a yes.
    pub beneficiary: Option<Beneficiary>,
}

impl Verdict {
    /// Yes.
    pub fn verified(beneficiary: Option<Beneficiary>) -> Self {
        Self { decision: Decision::Verified, reason: Reason::Ok, beneficiary }
    }

    /// No.
    pub fn denied(reason: Reason) -> Self {
        Self { decision: Decision::Denied, reason, beneficiary: None }
    }

    /// It could not be found out.
    pub fn error() -> Self {
        Self { decision: Decision::Error, reason: Reason::UndefinedError, beneficiary: None }
    }

    /// The verdict as it may be signed: `OK` stands with a yes and with nothing else.
    pub(super) fn sound(self) -> Self {
        let is_ok = self.reason == Reason::Ok;
        if is_ok == (self.decision == Decision::Verified) { self } else { Self::error() }
    }
}

/// A backend at work.
pub type Judging<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// The VASP's own system: who holds which address, and whose identity was checked.
pub trait Backend: Send + Sync + 'static {
    /// Whether the address is one of this VASP's (and the name's, if one is given).
    fn verify_account<'a>(&'a self, question: &'a Question<'a>) -> Judging<'a>;

    /// Whether the address belongs to that person, whose identity was checked.
    fn verify_user<'a>(&'a self, question: &'a Question<'a>) -> Judging<'a>;
}

/// A backend without customers: knows no address.
pub struct NoCustomers;

impl Backend for NoCustomers {
    fn verify_account<'a>(&'a self, _: &'a Question<'a>) -> Judging<'a> {
        Box::pin(async { Verdict::denied(Reason::UnknownAddress) })
    }

    fn verify_user<'a>(&'a self, _: &'a Question<'a>) -> Judging<'a> {
        Box::pin(async { Verdict::denied(Reason::UnknownAddress) })
    }
}
