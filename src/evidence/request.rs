//! What the exchange signed: withdrawal requests (laws L1, L2). Knows no policy and no chain.
//!
//! Age is judged once, when a request is admitted. At recovery only signature and trust are judged again, or a request
//! that was admitted in time would be lost by waiting.

use super::canonical::{Form, Reader, Writer, same};
use super::key_signed::KeySigned;
use super::signature::Signed;
use super::{NotProven, SKEW_S_MAX, Trust, field};
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
    signed: KeySigned,
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
    verified.signed.check_key_age(&verified.request.organisation, trust, now)?;
    check_age(verified.request.asked_at, now, age_s_max)?;
    Ok(verified)
}

impl VerifiedRequest {
    /// The door for a request that was admitted before: form, key and signature, and no age.
    pub fn reverify(text: &str, key_id: &str, signature: &[u8], trust: &Trust) -> Result<Self, NotProven> {
        let request = parse_request(text)?;
        if !trust.enables(request.asset) {
            let problem = format!(
                "`{}` is not enabled: the trust file has no wallet or no token for it",
                request.asset
            );
            return Err(Invalid::new(Code::AssetUnknown, "asset", problem, Code::AssetUnknown.cure()).into());
        }
        let signed = (text, key_id, signature);
        let signed = KeySigned::check(signed, &request.organisation, request.asked_at, trust)?;
        Ok(Self { digest: signed.digest(), request, signed })
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

    /// What was signed, by which key.
    pub fn signed(&self) -> &KeySigned {
        &self.signed
    }
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
