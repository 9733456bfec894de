//! What the beneficiary VASP signed: the travel rule's answer, and the [`Clearance`] that may follow (laws L3–L5).
//!
//! Signer and co-signer go through the same door, each for itself. Whether an amount is small enough to do without a
//! name match is for the caller to say; whether an answer was used before is for the caller's store.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use uuid::{Uuid, Variant};

use super::canonical::{Form, Reader, Writer, malformed, same};
use super::signature::{Signed, holds, read_signature};
use super::{NotProven, SKEW_S_MAX, Trust, VerifiedRequest, field};
use crate::withdrawal::{Amount, Asset, Code, Finding, Invalid, Network, Seconds, VaspId, WithdrawalId};

/// The form of an answer.
pub static ANSWER: Form = Form::new(
    "countersign verification-answer v1",
    &[
        "uuid", "kind", "originating_vasp", "beneficiary_vasp", "asset", "network", "destination", "amount",
        "commitment", "result", "reason", "answered_at", "request_digest",
    ],
);

/// The reason that stands in every answer that says yes.
pub const REASON_OK: &str = "OK";

/// What the beneficiary VASP was asked to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerKind {
    /// The address and the person behind it.
    User,
    /// The address alone.
    Account,
}

impl AnswerKind {
    /// The word in the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Account => "account",
        }
    }
}

/// What the beneficiary VASP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerResult {
    /// Yes.
    Verified,
    /// No.
    Denied,
    /// It could not tell.
    Error,
}

impl AnswerResult {
    /// The word in the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED",
            Self::Denied => "DENIED",
            Self::Error => "ERROR",
        }
    }
}

/// One answer, as the beneficiary VASP signs it. It holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationAnswer {
    /// The verification's id, version 4; each is used up once.
    pub uuid: Uuid,
    /// What was verified.
    pub kind: AnswerKind,
    /// Who sends.
    pub originating_vasp: VaspId,
    /// Who receives, and signs this.
    pub beneficiary_vasp: VaspId,
    /// What is sent.
    pub asset: Asset,
    /// On which network.
    pub network: Network,
    /// Where to.
    pub destination: String,
    /// How much, in base units.
    pub amount: Amount,
    /// See [`commitment`]; there for kind `user`, absent (`-`) for kind `account`.
    pub commitment: Option<[u8; 32]>,
    /// Yes or no.
    pub result: AnswerResult,
    /// A reason code: `OK` exactly when the result is VERIFIED.
    pub reason: String,
    /// When the beneficiary VASP signed.
    pub answered_at: Seconds,
    /// SHA-256 of the withdrawal request's text.
    pub request_digest: [u8; 32],
}

/// The salted commitment to the canonical beneficiary payload: what was verified can be shown later, by whoever still
/// has payload and salt, and nobody else learns anything from it.
pub fn commitment(salt: &[u8; 32], beneficiary_payload: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"countersign beneficiary-commitment v1\n");
    hash.update(salt);
    hash.update(beneficiary_payload);
    hash.finalize().into()
}

/// The canonical text of an answer.
pub fn render_answer(answer: &VerificationAnswer) -> String {
    let commitment = answer.commitment.map_or_else(|| "-".to_owned(), |bytes| HEXLOWER.encode(&bytes));
    Writer::new(&ANSWER)
        .line("uuid", answer.uuid.hyphenated())
        .line("kind", answer.kind.as_str())
        .line("originating_vasp", answer.originating_vasp)
        .line("beneficiary_vasp", answer.beneficiary_vasp)
        .line("asset", answer.asset)
        .line("network", answer.network)
        .line("destination", &answer.destination)
        .line("amount", answer.amount)
        .line("commitment", commitment)
        .line("result", answer.result.as_str())
        .line("reason", &answer.reason)
        .line("answered_at", answer.answered_at.0)
        .line("request_digest", HEXLOWER.encode(&answer.request_digest))
        .finish()
}

/// Reads the canonical text of an answer; every other spelling is refused.
pub fn parse_answer(text: &str) -> Result<VerificationAnswer, Invalid> {
    let mut reader = Reader::open(text, &ANSWER)?;
    let uuid = parse_uuid(reader.take("uuid")?)?;
    let kind = match reader.take("kind")? {
        "user" => AnswerKind::User,
        "account" => AnswerKind::Account,
        _ => return Err(malformed("kind", "is neither user nor account")),
    };
    let originating_vasp = field::vasp("originating_vasp", reader.take("originating_vasp")?)?;
    let beneficiary_vasp = field::vasp("beneficiary_vasp", reader.take("beneficiary_vasp")?)?;
    let asset = field::asset("asset", reader.take("asset")?)?;
    let network = field::network("network", reader.take("network")?)?;
    let destination = field::destination(reader.take("destination")?)?;
    let amount = field::amount("amount", reader.take("amount")?, asset)?;
    let commitment = parse_commitment(kind, reader.take("commitment")?)?;
    let result = match reader.take("result")? {
        "VERIFIED" => AnswerResult::Verified,
        "DENIED" => AnswerResult::Denied,
        "ERROR" => AnswerResult::Error,
        _ => return Err(malformed("result", "is none of VERIFIED, DENIED, ERROR")),
    };
    let reason = parse_reason(result, reader.take("reason")?)?;
    let answered_at = field::seconds("answered_at", reader.take("answered_at")?)?;
    let request_digest = field::hex("request_digest", reader.take("request_digest")?)?;
    reader.close()?;
    let answer = VerificationAnswer {
        uuid, kind, originating_vasp, beneficiary_vasp, asset, network, destination, amount, commitment, result,
        reason, answered_at, request_digest,
    };
    same(text, &render_answer(&answer))?;
    Ok(answer)
}

fn parse_uuid(text: &str) -> Result<Uuid, Invalid> {
    Uuid::try_parse(text)
        .ok()
        .filter(|uuid| uuid.get_version_num() == 4 && uuid.get_variant() == Variant::RFC4122)
        .filter(|uuid| uuid.hyphenated().to_string() == text)
        .ok_or_else(|| malformed("uuid", "is not a lower-case version 4 UUID with hyphens"))
}

fn parse_commitment(kind: AnswerKind, text: &str) -> Result<Option<[u8; 32]>, Invalid> {
    match (kind, text) {
        (AnswerKind::Account, "-") => Ok(None),
        (AnswerKind::Account, _) => Err(malformed("commitment", "is not `-`, as kind `account` has it")),
        (AnswerKind::User, text) => field::hex("commitment", text).map(Some),
    }
}

/// A reason is a code, so that no personal data can hide in it (law L5).
fn parse_reason(result: AnswerResult, text: &str) -> Result<String, Invalid> {
    let code = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if text.len() > 64 || !text.bytes().all(code) || !text.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Err(malformed("reason", "is not a code of 1 to 64 of A-Z 0-9 - _ that starts with a letter"));
    }
    if (text == REASON_OK) != (result == AnswerResult::Verified) {
        return Err(malformed("reason", "is `OK` exactly when the result is VERIFIED"));
    }
    Ok(text.to_owned())
}

/// Renders and signs an answer, for beneficiary VASPs; refuses one that could not be read back.
pub fn sign_answer(
    answer: &VerificationAnswer,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_answer(answer);
    parse_answer(&text)?;
    Ok(Signed::of(text, sign))
}

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
    expires_at: Seconds,
    text: String,
    signature: [u8; 64],
}

impl Clearance {
    /// The one door. The answer must be readable, signed by the active beneficiary VASP of the trust file, bound to
    /// this request in every field, say VERIFIED, be of a sufficient kind, and be neither from the future nor older
    /// than `age_s_max`. An answer that was good and has grown old is CLEARANCE_EXPIRED, which is a hold.
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
        let expires_at = answer.answered_at.plus(age_s_max);
        if answer.answered_at > now.plus(SKEW_S_MAX) {
            let detail = format!("answered at {}, it is {now}", answer.answered_at);
            return Err(NotProven::refused(Code::EvidenceInvalid, detail));
        }
        if now > expires_at {
            return Err(NotProven::refused(Code::ClearanceExpired, format!("it expired at {expires_at}")));
        }
        Ok(Self { answer, withdrawal: request.id(), expires_at, text: text.to_owned(), signature })
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
    if !holds(&vasp.identity_key, text, signature) {
        return Err(NotProven::refused(Code::EvidenceInvalid, "the signature does not hold"));
    }
    Ok(())
}

fn check_binding(answer: &VerificationAnswer, trust: &Trust, verified: &VerifiedRequest) -> Result<(), NotProven> {
    let request = verified.request();
    let bound = [
        ("originating_vasp", answer.originating_vasp == trust.vasp_id()),
        ("beneficiary_vasp", answer.beneficiary_vasp == request.beneficiary_vasp),
        ("asset", answer.asset == request.asset),
        ("network", answer.network == request.asset.network()),
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

fn check_result(answer: &VerificationAnswer, name_match: NameMatch) -> Result<(), NotProven> {
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
