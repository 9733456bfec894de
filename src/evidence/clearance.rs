//! The travel rule's yes: one door from a signed answer to a [`Clearance`] (laws L3, L4).
//!
//! Signer and co-signer go through it each for itself. Whether an amount is small enough to do without a name match is
//! for the caller to say; whether an answer was used before is for the caller's store.

use uuid::Uuid;

use super::answer::{AnswerKind, AnswerResult, VerificationAnswer, parse_answer};
use super::signature::{holds, read_signature};
use super::{NotProven, SKEW_S_MAX, Trust, VerifiedRequest};
use crate::withdrawal::{Code, Finding, Seconds, WithdrawalId};

/// Whether the person behind the address must have been verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameMatch {
    /// Yes: only an answer of kind `user` clears.
    Required,
    /// The caller found the value below the threshold: kind `account` clears as well.
    NotRequired,
}

/// The travel rule's yes to exactly one withdrawal, with its evidence.
#[derive(Debug)]
pub struct Clearance {
    answer: VerificationAnswer,
    withdrawal: WithdrawalId,
    heard_at: Seconds,
    expires_at: Seconds,
    text: String,
    signature: [u8; 64],
}

impl Clearance {
    /// The one door. The answer must be readable, signed by the active beneficiary VASP of the trust file, bound to
    /// this request in every field, say VERIFIED, be of a sufficient kind, and be neither from the future nor older
    /// than `age_s_max`. An answer that was good and has grown old is CLEARANCE_EXPIRED, which is a hold. Its age counts
    /// from the older of its own time and `now`: by a VASP whose clock is a little ahead nothing clears for longer.
    pub fn from_answer(
        text: &str,
        signature: &[u8],
        trust: &Trust,
        request: &VerifiedRequest,
        now: Seconds,
        age_s_max: u64,
        name_match: NameMatch,
    ) -> Result<Self, NotProven> {
        let answer = parse_answer(text)?;
        let signature = read_signature(signature)?;
        check_signer(&answer, text, &signature, trust)?;
        check_binding(&answer, trust, request)?;
        check_result(&answer, name_match)?;
        let (heard_at, expires_at) = check_age(&answer, now, age_s_max)?;
        Ok(Self { answer, withdrawal: request.id(), heard_at, expires_at, text: text.to_owned(), signature })
    }

    /// The withdrawal it clears, and no other.
    pub fn withdrawal(&self) -> WithdrawalId {
        self.withdrawal
    }

    /// Whether the person or only the address was verified.
    pub fn kind(&self) -> AnswerKind {
        self.answer.kind
    }

    /// The verification's id; each is used up once.
    pub fn uuid(&self) -> Uuid {
        self.answer.uuid
    }

    /// From when on its age counts: the older of the answer's own time and the time it was proved here.
    pub fn heard_at(&self) -> Seconds {
        self.heard_at
    }

    /// The last second at which it clears.
    pub fn expires_at(&self) -> Seconds {
        self.expires_at
    }

    /// Whether it still clears at `now`; otherwise the hold to report.
    pub fn check_current(&self, now: Seconds) -> Result<(), Finding> {
        if now <= self.expires_at {
            return Ok(());
        }
        Err(Finding::new(Code::ClearanceExpired, format!("it expired at {}", self.expires_at)))
    }

    /// What the beneficiary VASP said.
    pub fn answer(&self) -> &VerificationAnswer {
        &self.answer
    }

    /// The exact text that was signed, to be handed to the other party.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The beneficiary VASP's signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}

fn check_signer(
    answer: &VerificationAnswer,
    text: &str,
    signature: &[u8; 64],
    trust: &Trust,
) -> Result<(), NotProven> {
    let unknown = |what: &str| {
        NotProven::refused(Code::TravelRuleVaspUnknown, format!("VASP {} {what}", answer.beneficiary_vasp))
    };
    let vasp = trust.vasp(answer.beneficiary_vasp).ok_or_else(|| unknown("is not in the trust file"))?;
    if !vasp.active {
        return Err(unknown("is not active"));
    }
    let Some(key) = &vasp.identity_key else {
        let detail = format!("VASP {} has no key in the trust file that could sign", answer.beneficiary_vasp);
        return Err(NotProven::refused(Code::EvidenceInvalid, detail));
    };
    if !holds(key, text, signature) {
        return Err(NotProven::refused(Code::EvidenceInvalid, "the signature does not hold"));
    }
    Ok(())
}

/// An answer, or a report, says what the withdrawal says.
pub(super) fn check_binding(
    answer: &VerificationAnswer,
    trust: &Trust,
    verified: &VerifiedRequest,
) -> Result<(), NotProven> {
    let request = verified.request();
    let bound = [
        ("originating_vasp", answer.originating_vasp == trust.vasp_id()),
        ("beneficiary_vasp", answer.beneficiary_vasp == request.beneficiary_vasp),
        ("asset", answer.asset == request.asset),
        ("network", answer.network == request.asset.chain()),
        ("destination", answer.destination == request.destination),
        ("amount", answer.amount == request.amount),
        ("request_digest", answer.request_digest == *verified.digest()),
    ];
    match bound.into_iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((field, _)) => {
            Err(NotProven::refused(Code::EvidenceInvalid, format!("`{field}` is not that of the withdrawal")))
        }
    }
}

/// An answer, or a report, is neither from the future nor too old; until when it clears.
pub(super) fn check_age(
    answer: &VerificationAnswer,
    now: Seconds,
    age_s_max: u64,
) -> Result<(Seconds, Seconds), NotProven> {
    let heard_at = answer.answered_at.min(now);
    let expires_at = heard_at.plus(age_s_max);
    if answer.answered_at > now.plus(SKEW_S_MAX) {
        let detail = format!("answered at {}, it is {now}", answer.answered_at);
        return Err(NotProven::refused(Code::EvidenceInvalid, detail));
    }
    if now > expires_at {
        return Err(NotProven::refused(Code::ClearanceExpired, format!("it expired at {expires_at}")));
    }
    Ok((heard_at, expires_at))
}

/// An answer, or a report, is a sufficient yes.
pub(super) fn check_result(answer: &VerificationAnswer, name_match: NameMatch) -> Result<(), NotProven> {
    match (answer.result, answer.kind, name_match) {
        (AnswerResult::Denied, ..) => Err(NotProven::refused(Code::TravelRuleDenied, &answer.reason)),
        (AnswerResult::Error, ..) => {
            Err(NotProven::refused(Code::NoClearance, format!("the VASP answered ERROR, {}", answer.reason)))
        }
        (AnswerResult::Verified, AnswerKind::Account, NameMatch::Required) => {
            let detail = "the value needs the person verified, and only the address was";
            Err(NotProven::refused(Code::NoClearance, detail))
        }
        (AnswerResult::Verified, AnswerKind::User, _)
        | (AnswerResult::Verified, AnswerKind::Account, NameMatch::NotRequired) => Ok(()),
    }
}
