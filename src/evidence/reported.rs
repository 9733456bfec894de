//! The travel rule's yes that nobody signed: two doors from what an enclave server says to a [`Reported`] (law L4). The signer's takes
//! the report of its own enclave, the co-signer's what its own route says.
//!
//! A VASP is cleared so only where the trust file of this very party says that it signs nothing. Whether the amount is within the lower
//! limit is for the policy; whether the verification was used before is for the caller's store.

use uuid::Uuid;

use super::answer::{AnswerKind, AnswerResult, VerificationAnswer};
use super::clearance::{check_age, check_binding, check_result};
use super::report::{VerificationReport, parse_report};
use super::{NameMatch, NotProven, Trust, VerifiedRequest};
use crate::withdrawal::{Amount, Asset, Code, Seconds, VaspId, WithdrawalId};

/// What an enclave server says of one verification to a party that asks by itself. No person is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteAnswer {
    /// Where it was asked.
    pub route: String,
    /// The verification.
    pub uuid: Uuid,
    /// Whether the beneficiary's name had to match.
    pub named: bool,
    /// Who sends.
    pub originating_vasp: VaspId,
    /// Who receives.
    pub beneficiary_vasp: VaspId,
    /// What is sent; nothing where symbol and network are none of ours.
    pub asset: Option<Asset>,
    /// Where to.
    pub destination: String,
    /// How much; nothing where it is no whole number of base units.
    pub amount: Option<Amount>,
    /// Yes, no, or could not tell; nothing while it waits.
    pub result: Option<AnswerResult>,
    /// The reason, a code.
    pub reason: String,
    /// When the result was set.
    pub verified_at: Option<Seconds>,
}

/// The travel rule's yes to exactly one withdrawal, which an enclave server vouches for and no VASP has signed.
#[derive(Debug)]
pub struct Reported {
    report: VerificationReport,
    withdrawal: WithdrawalId,
    heard_at: Seconds,
    expires_at: Seconds,
    text: String,
}

impl Reported {
    /// The signer's door: the report of its own enclave. It must be readable, of a VASP that signs nothing, bound to this request in
    /// every field, say VERIFIED with the name matched, and be neither from the future nor older than `age_s_max`.
    pub fn from_report(
        text: &str,
        trust: &Trust,
        request: &VerifiedRequest,
        now: Seconds,
        age_s_max: u64,
    ) -> Result<Self, NotProven> {
        Self::admit(parse_report(text)?, text, trust, request, (now, age_s_max))
    }

    /// The co-signer's door. Of the signer's report only the verification's id, and the commitment, which says nothing to anybody
    /// without the persons, are taken; all else is what its own route says, and must be so by the same measures.
    pub fn from_route(
        text: &str,
        heard: &RouteAnswer,
        trust: &Trust,
        request: &VerifiedRequest,
        now: Seconds,
        age_s_max: u64,
    ) -> Result<Self, NotProven> {
        let claimed = parse_report(text)?;
        let not_it = |what: &str| NotProven::refused(Code::EvidenceInvalid, format!("own route: {what}"));
        if heard.uuid != claimed.said.uuid {
            return Err(not_it("it tells of another verification"));
        }
        let Some(result) = heard.result else {
            let detail = format!("verification {} has no result there", heard.uuid);
            return Err(NotProven::refused(Code::RouteUnconfirmed, detail));
        };
        let asset = heard.asset.ok_or_else(|| not_it("the asset is none of ours"))?;
        let said = VerificationAnswer {
            uuid: heard.uuid,
            kind: if heard.named { AnswerKind::User } else { AnswerKind::Account },
            originating_vasp: heard.originating_vasp,
            beneficiary_vasp: heard.beneficiary_vasp,
            asset,
            network: asset.chain(),
            destination: heard.destination.clone(),
            amount: heard.amount.ok_or_else(|| not_it("the amount cannot be read"))?,
            commitment: claimed.said.commitment.filter(|_| heard.named),
            result,
            reason: heard.reason.clone(),
            answered_at: heard.verified_at.ok_or_else(|| not_it("it does not say when"))?,
            request_digest: *request.digest(),
        };
        let report = VerificationReport { said, route: heard.route.clone() };
        Self::admit(report, text, trust, request, (now, age_s_max))
    }

    fn admit(
        report: VerificationReport,
        text: &str,
        trust: &Trust,
        request: &VerifiedRequest,
        (now, age_s_max): (Seconds, u64),
    ) -> Result<Self, NotProven> {
        check_speaker(report.said.beneficiary_vasp, trust)?;
        check_binding(&report.said, trust, request)?;
        check_result(&report.said, NameMatch::Required)?;
        let (heard_at, expires_at) = check_age(&report.said, now, age_s_max)?;
        Ok(Self { report, withdrawal: request.id(), heard_at, expires_at, text: text.to_owned() })
    }

    /// The withdrawal it clears, and no other.
    pub fn withdrawal(&self) -> WithdrawalId {
        self.withdrawal
    }

    /// What was said.
    pub fn answer(&self) -> &VerificationAnswer {
        &self.report.said
    }

    /// The enclave server that said it to this party.
    pub fn route(&self) -> &str {
        &self.report.route
    }

    /// From when on its age counts: the older of the server's time and the time it was proved here.
    pub fn heard_at(&self) -> Seconds {
        self.heard_at
    }

    /// The last second at which it clears.
    pub fn expires_at(&self) -> Seconds {
        self.expires_at
    }

    /// The signer's report, to be handed to the other party.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A VASP that can sign must: a report for it would be a way around its key.
pub fn check_speaker(id: VaspId, trust: &Trust) -> Result<(), NotProven> {
    let unknown = |what: &str| NotProven::refused(Code::TravelRuleVaspUnknown, format!("VASP {id} {what}"));
    let vasp = trust.vasp(id).ok_or_else(|| unknown("is not in the trust file"))?;
    if !vasp.active {
        return Err(unknown("is not active"));
    }
    if vasp.identity_key.is_some() {
        let detail = format!("VASP {id} signs its answers by the trust file, and nobody signed this one");
        return Err(NotProven::refused(Code::EvidenceInvalid, detail));
    }
    Ok(())
}
