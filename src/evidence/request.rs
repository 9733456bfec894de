//! What the exchange signed: withdrawal requests (laws L1, L2). Knows no policy and no chain.
//!
//! Age is judged once, when a request is admitted. At recovery only signature and trust are judged again, or a request
//! that was admitted in time would be lost by waiting.

use ed25519_dalek::VerifyingKey;

use super::canonical::{Form, Reader, Writer, same};
use super::signature::{Signed, holds, read_signature};
use super::{NotProven, SKEW_S_MAX, Trust, digest, field};
use crate::withdrawal::{
    Code, CustomerRef, Invalid, Organisation, RequestId, Seconds, WithdrawalId, WithdrawalRequest,
};

/// The form of a withdrawal request.
pub static REQUEST: Form = Form::new(
    "countersign withdrawal-request v1",
    &[
        "organisation",
        "request_id",
        "customer_ref",
        "asset",
        "destination",
        "amount",
        "fee_max",
        "beneficiary_vasp",
        "asked_at",
    ],
);

/// The canonical text of a request.
pub fn render_request(request: &WithdrawalRequest) -> String {
    Writer::new(&REQUEST)
        .line("organisation", &request.organisation)
        .line("request_id", &request.request_id)
        .line("customer_ref", &request.customer_ref)
        .line("asset", request.asset)
        .line("destination", &request.destination)
        .line("amount", request.amount)
        .line("fee_max", request.fee_max)
        .line("beneficiary_vasp", request.beneficiary_vasp)
        .line("asked_at", request.asked_at.0)
        .finish()
}

/// Reads the canonical text of a request; every other spelling is refused.
pub fn parse_request(text: &str) -> Result<WithdrawalRequest, Invalid> {
    let mut reader = Reader::open(text, &REQUEST)?;
    let organisation = Organisation::parse(reader.take("organisation")?)?;
    let request_id = RequestId::parse(reader.take("request_id")?)?;
    let customer_ref = CustomerRef::parse(reader.take("customer_ref")?)?;
    let asset = field::asset("asset", reader.take("asset")?)?;
    let request = WithdrawalRequest {
        organisation,
        request_id,
        customer_ref,
        asset,
        destination: field::destination(reader.take("destination")?)?,
        amount: field::amount("amount", reader.take("amount")?, asset)?,
        fee_max: field::amount("fee_max", reader.take("fee_max")?, asset)?,
        beneficiary_vasp: field::vasp("beneficiary_vasp", reader.take("beneficiary_vasp")?)?,
        asked_at: field::seconds("asked_at", reader.take("asked_at")?)?,
    };
    reader.close()?;
    same(text, &render_request(&request))?;
    Ok(request)
}

/// Renders and signs a request, for clients; refuses one that could not be read back.
pub fn sign_request(
    request: &WithdrawalRequest,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_request(request);
    parse_request(&text)?;
    Ok(Signed::of(text, sign))
}

/// A request whose signature held under this party's own trust file.
#[derive(Debug)]
pub struct VerifiedRequest {
    request: WithdrawalRequest,
    digest: [u8; 32],
    text: String,
    key_id: String,
    signature: [u8; 64],
}

/// The door for a new request: form, key, signature, then age.
pub fn verify_request(
    text: &str,
    key_id: &str,
    signature: &[u8],
    trust: &Trust,
    now: Seconds,
    age_s_max: u64,
) -> Result<VerifiedRequest, NotProven> {
    let verified = VerifiedRequest::reverify(text, key_id, signature, trust)?;
    check_key_age(trust, &verified.request.organisation, key_id, now)?;
    check_age(verified.request.asked_at, now, age_s_max)?;
    Ok(verified)
}

impl VerifiedRequest {
    /// The door for a request that was admitted before: form, key and signature, and no age.
    pub fn reverify(text: &str, key_id: &str, signature: &[u8], trust: &Trust) -> Result<Self, NotProven> {
        let request = parse_request(text)?;
        let signature = read_signature(signature)?;
        if !trust.networks().any(|network| network == request.asset.network()) {
            let problem = format!("`{}` is not enabled: the trust file has no wallet for it", request.asset);
            return Err(Invalid::new(Code::AssetUnknown, "asset", problem, Code::AssetUnknown.cure()).into());
        }
        check_signature(trust, &request.organisation, key_id, request.asked_at, (text, &signature))?;
        Ok(Self {
            request,
            digest: digest(text),
            text: text.to_owned(),
            key_id: key_id.to_owned(),
            signature,
        })
    }

    /// What was asked.
    pub fn request(&self) -> &WithdrawalRequest {
        &self.request
    }

    /// The id every party computes for it.
    pub fn id(&self) -> WithdrawalId {
        self.request.id()
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The exact text that was signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the request key in the trust file.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The exchange's signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}

pub(super) fn check_signature(
    trust: &Trust,
    organisation: &Organisation,
    key_id: &str,
    asked_at: Seconds,
    (text, signature): (&str, &[u8; 64]),
) -> Result<(), NotProven> {
    let (key, not_after) = find_key(trust, organisation, key_id)?;
    if not_after.is_some_and(|end| asked_at > end) {
        return Err(NotProven::refused(
            Code::RequestKeyUnknown,
            "the key had ended when the request was signed",
        ));
    }
    if !holds(key, text, signature) {
        return Err(NotProven::refused(Code::RequestSignatureInvalid, ""));
    }
    Ok(())
}

/// A key that has ended admits nothing new, whatever time the text claims.
pub(super) fn check_key_age(
    trust: &Trust,
    organisation: &Organisation,
    key_id: &str,
    now: Seconds,
) -> Result<(), NotProven> {
    let (_, not_after) = find_key(trust, organisation, key_id)?;
    match not_after {
        Some(end) if now > end => {
            Err(NotProven::refused(Code::RequestKeyUnknown, format!("the key ended {end}")))
        }
        _ => Ok(()),
    }
}

fn find_key<'t>(
    trust: &'t Trust,
    organisation: &Organisation,
    key_id: &str,
) -> Result<(&'t VerifyingKey, Option<Seconds>), NotProven> {
    trust.request_key(organisation, key_id).ok_or_else(|| {
        let key_id: String = key_id.chars().take(64).flat_map(char::escape_debug).collect();
        NotProven::refused(Code::RequestKeyUnknown, format!("`{key_id}` of `{organisation}`"))
    })
}

pub(super) fn check_age(asked_at: Seconds, now: Seconds, age_s_max: u64) -> Result<(), NotProven> {
    let no = |detail: String| Err(NotProven::refused(Code::RequestTimeOutOfRange, detail));
    if asked_at > now.plus(SKEW_S_MAX) {
        return no(format!("asked at {asked_at}, it is {now}"));
    }
    match now.since(asked_at) {
        Some(age) if age > age_s_max => no(format!("{age} s old, the limit is {age_s_max}")),
        _ => Ok(()),
    }
}
