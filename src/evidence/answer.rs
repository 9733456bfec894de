//! What the beneficiary VASP says under the travel rule, as text (laws L3–L5). It holds no personal data, and it clears
//! nothing by itself: see [`super::clearance`].

use std::fmt::Display;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use uuid::{Uuid, Variant};

use super::canonical::{Form, Reader, Writer, malformed, same};
use super::field;
use super::signature::Signed;
use crate::withdrawal::{Amount, Asset, Chain, Invalid, Seconds, VaspId};

/// The form of an answer.
pub static ANSWER: Form = Form::new(
    "countersign verification-answer v1",
    &[
        "uuid",
        "kind",
        "originating_vasp",
        "beneficiary_vasp",
        "asset",
        "network",
        "destination",
        "amount",
        "commitment",
        "result",
        "reason",
        "answered_at",
        "request_digest",
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

/// One answer, as the beneficiary VASP signs it. It holds no personal data. What it is about is an asset that this house pays, or, as a
/// [`NamedAnswer`], any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationAnswer<A = Asset, N = Chain> {
    /// The verification's id, version 4; each is used up once.
    pub uuid: Uuid,
    /// What was verified.
    pub kind: AnswerKind,
    /// Who sends.
    pub originating_vasp: VaspId,
    /// Who receives, and signs this.
    pub beneficiary_vasp: VaspId,
    /// What is sent.
    pub asset: A,
    /// On which network.
    pub network: N,
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

/// An answer about any asset, by its CAIP-19 id and its network's name. It clears nothing that is signed here: a clearance is made of an
/// answer about an asset that this house pays.
pub type NamedAnswer = VerificationAnswer<String, String>;

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
pub fn render_answer<A: Display, N: Display>(answer: &VerificationAnswer<A, N>) -> String {
    write_lines(Writer::new(&ANSWER), answer).finish()
}

/// The lines of an answer, which a report has as well.
pub(super) fn write_lines<A: Display, N: Display>(
    writer: Writer,
    answer: &VerificationAnswer<A, N>,
) -> Writer {
    let commitment = answer.commitment.map_or_else(|| "-".to_owned(), |bytes| HEXLOWER.encode(&bytes));
    writer
        .line("uuid", answer.uuid.hyphenated())
        .line("kind", answer.kind.as_str())
        .line("originating_vasp", answer.originating_vasp)
        .line("beneficiary_vasp", answer.beneficiary_vasp)
        .line("asset", &answer.asset)
        .line("network", &answer.network)
        .line("destination", &answer.destination)
        .line("amount", answer.amount)
        .line("commitment", commitment)
        .line("result", answer.result.as_str())
        .line("reason", &answer.reason)
        .line("answered_at", answer.answered_at.0)
        .line("request_digest", HEXLOWER.encode(&answer.request_digest))
}

/// Reads the canonical text of an answer; every other spelling is refused.
pub fn parse_answer(text: &str) -> Result<VerificationAnswer, Invalid> {
    let mut reader = Reader::open(text, &ANSWER)?;
    let answer = read_lines(&mut reader)?;
    reader.close()?;
    same(text, &render_answer(&answer))?;
    Ok(answer)
}

/// The same for an answer about any asset.
pub fn parse_named_answer(text: &str) -> Result<NamedAnswer, Invalid> {
    let mut reader = Reader::open(text, &ANSWER)?;
    let named = |reader: &mut Reader<'_>| {
        let asset = asset_name(reader.take("asset")?)?;
        let network = network_name(reader.take("network")?)?;
        let destination = field::destination(reader.take("destination")?)?;
        Ok((asset, network, destination, Amount::parse("amount", reader.take("amount")?)?))
    };
    let answer = read_with(&mut reader, named)?;
    reader.close()?;
    same(text, &render_answer(&answer))?;
    Ok(answer)
}

/// The CAIP-19 id of an asset, known here or not: a namespace and a chain, then a kind and a reference.
pub fn asset_name(text: &str) -> Result<String, Invalid> {
    let plain = |part: &str| {
        let is_sign = |b: u8| b.is_ascii_alphanumeric() || b"-._%".contains(&b);
        !part.is_empty() && part.len() <= 128 && part.bytes().all(is_sign)
    };
    let pair = |text: &str| text.split_once(':').is_some_and(|(name, rest)| plain(name) && plain(rest));
    match text.split_once('/') {
        Some((chain, asset)) if pair(chain) && pair(asset) => Ok(text.to_owned()),
        _ => Err(malformed("asset", "is no CAIP-19 id")),
    }
}

/// The name of a network: 1 to 64 printable characters without blanks.
pub fn network_name(text: &str) -> Result<String, Invalid> {
    if text.len() > 64 {
        return Err(malformed("network", "is longer than 64 characters"));
    }
    field::graphic("network", text)
}

/// Reads the lines of an answer; the caller compares the whole text with its one spelling.
pub(super) fn read_lines(reader: &mut Reader<'_>) -> Result<VerificationAnswer, Invalid> {
    read_with(reader, |reader| {
        let asset = field::asset("asset", reader.take("asset")?)?;
        let network = field::chain("network", reader.take("network")?)?;
        let destination = field::destination(reader.take("destination")?)?;
        Ok((asset, network, destination, field::amount("amount", reader.take("amount")?, asset)?))
    })
}

/// Reads the lines, those about what is sent by their own reader.
fn read_with<A, N>(
    reader: &mut Reader<'_>,
    sent: impl FnOnce(&mut Reader<'_>) -> Result<(A, N, String, Amount), Invalid>,
) -> Result<VerificationAnswer<A, N>, Invalid> {
    let uuid = parse_uuid(reader.take("uuid")?)?;
    let kind = match reader.take("kind")? {
        "user" => AnswerKind::User,
        "account" => AnswerKind::Account,
        _ => return Err(malformed("kind", "is neither user nor account")),
    };
    let originating_vasp = field::vasp("originating_vasp", reader.take("originating_vasp")?)?;
    let beneficiary_vasp = field::vasp("beneficiary_vasp", reader.take("beneficiary_vasp")?)?;
    let (asset, network, destination, amount) = sent(reader)?;
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
    Ok(VerificationAnswer {
        uuid,
        kind,
        originating_vasp,
        beneficiary_vasp,
        asset,
        network,
        destination,
        amount,
        commitment,
        result,
        reason,
        answered_at,
        request_digest,
    })
}

pub(super) fn parse_uuid(text: &str) -> Result<Uuid, Invalid> {
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

/// The same for an answer about any asset.
pub fn sign_named_answer(
    answer: &NamedAnswer,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_answer(answer);
    parse_named_answer(&text)?;
    Ok(Signed::of(text, sign))
}
