//! How the travel rule lets a withdrawal pass: cleared by the counterparty, reported by an enclave server, or exempt because the destination is an own
//! customer's registered wallet (law L3).

use uuid::Uuid;

use super::{
    AnswerKind, Clearance, NotProven, Reported, TravelRule, VerificationAnswer, VerifiedRegistration,
    VerifiedRequest,
};
use crate::withdrawal::{Code, Seconds, WithdrawalId};

/// The exemption of exactly one withdrawal, with its evidence.
#[derive(Debug)]
pub struct Exemption {
    withdrawal: WithdrawalId,
    text: String,
    key_id: String,
    signature: [u8; 64],
}

impl Exemption {
    /// The one door. The request must name no VASP and be the same customer's, asset's and address's as the
    /// registration; and the registration must have been known here for `delay_s` since `first_seen`, before which it is
    /// WALLET_NOT_EFFECTIVE, which is a hold. That it was not removed is for the caller's store to say, at each decision
    /// anew.
    pub fn from_registration(
        registration: &VerifiedRegistration,
        request: &VerifiedRequest,
        (first_seen, delay_s): (Seconds, u64),
        now: Seconds,
    ) -> Result<Self, NotProven> {
        let (said, asked) = (&registration.registration().claim, request.request());
        let bound = [
            ("beneficiary_vasp", asked.beneficiary_vasp.is_self_hosted()),
            ("organisation", asked.organisation == said.organisation),
            ("customer_ref", asked.customer_ref == said.customer_ref),
            ("asset", asked.asset == said.asset),
            ("destination", asked.destination == said.address),
        ];
        if let Some((field, _)) = bound.into_iter().find(|(_, same)| !same) {
            let detail = format!("`{field}` is not that of the registered wallet");
            return Err(NotProven::refused(Code::EvidenceInvalid, detail));
        }
        let effective_at = first_seen.plus(delay_s);
        if now < effective_at {
            let detail = format!("it takes effect at {effective_at}");
            return Err(NotProven::refused(Code::WalletNotEffective, detail));
        }
        Ok(Self {
            withdrawal: request.id(),
            text: registration.signed().text().to_owned(),
            key_id: registration.signed().key_id().to_owned(),
            signature: *registration.signed().signature(),
        })
    }

    /// The withdrawal that is exempt, and no other.
    pub fn withdrawal(&self) -> WithdrawalId {
        self.withdrawal
    }
}

/// The travel rule's yes, of either kind.
#[derive(Debug)]
pub enum Passage {
    /// The beneficiary VASP answered.
    Cleared(Clearance),
    /// An enclave server says that the beneficiary VASP said yes; nobody signed.
    Reported(Reported),
    /// Nobody was to be asked.
    Exempt(Exemption),
}

impl Passage {
    /// How the travel rule was met.
    pub fn travel_rule(&self) -> TravelRule {
        match self {
            Self::Cleared(clearance) => match clearance.kind() {
                AnswerKind::User => TravelRule::Cleared,
                AnswerKind::Account => TravelRule::AddressOnly,
            },
            Self::Reported(_) => TravelRule::Unsigned,
            Self::Exempt(_) => TravelRule::Exempt,
        }
    }

    /// What the beneficiary VASP said; nothing where there is none.
    pub fn answer(&self) -> Option<&VerificationAnswer> {
        match self {
            Self::Cleared(clearance) => Some(clearance.answer()),
            Self::Reported(reported) => Some(reported.answer()),
            Self::Exempt(_) => None,
        }
    }

    /// From when on the age of an answer counts here; nothing where there is none.
    pub fn heard_at(&self) -> Option<Seconds> {
        match self {
            Self::Cleared(clearance) => Some(clearance.heard_at()),
            Self::Reported(reported) => Some(reported.heard_at()),
            Self::Exempt(_) => None,
        }
    }

    /// The verification's id; each is used up once. A registration exempts until it is removed.
    pub fn uuid(&self) -> Option<Uuid> {
        self.answer().map(|answer| answer.uuid)
    }

    /// The last second at which an answer clears.
    pub fn expires_at(&self) -> Option<Seconds> {
        match self {
            Self::Cleared(clearance) => Some(clearance.expires_at()),
            Self::Reported(reported) => Some(reported.expires_at()),
            Self::Exempt(_) => None,
        }
    }

    /// The exact text that was signed, or the report, to be handed to the other party.
    pub fn text(&self) -> &str {
        match self {
            Self::Cleared(clearance) => clearance.text(),
            Self::Reported(reported) => reported.text(),
            Self::Exempt(exemption) => &exemption.text,
        }
    }

    /// The name of the key that signed it: the VASP's id (signed or not), or the exchange's request key.
    pub fn key_id(&self) -> String {
        match self {
            Self::Cleared(clearance) => clearance.answer().beneficiary_vasp.to_string(),
            Self::Reported(reported) => reported.answer().beneficiary_vasp.to_string(),
            Self::Exempt(exemption) => exemption.key_id.clone(),
        }
    }

    /// The signature of the beneficiary VASP, or of the exchange; nothing under a report.
    pub fn signature(&self) -> Option<&[u8; 64]> {
        match self {
            Self::Cleared(clearance) => Some(clearance.signature()),
            Self::Reported(_) => None,
            Self::Exempt(exemption) => Some(&exemption.signature),
        }
    }
}
