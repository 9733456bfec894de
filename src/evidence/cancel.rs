//! What the exchange signed to undo a request (law L2). Whether it still can be undone is decided elsewhere.

use super::canonical::{Form, Reader, Writer, same};
use super::key_signed::KeySigned;
use super::request::check_age;
use super::signature::Signed;
use super::{NotProven, Trust, field};
use crate::withdrawal::{Invalid, Organisation, RequestId, Seconds, WithdrawalId};

/// The form of a cancellation.
pub static CANCEL: Form =
    Form::new("countersign withdrawal-cancel v1", &["organisation", "request_id", "asked_at"]);

/// What the exchange asks when it wants a request undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    /// Who asks.
    pub organisation: Organisation,
    /// The request that is to be undone.
    pub request_id: RequestId,
    /// When the exchange signed.
    pub asked_at: Seconds,
}

/// The canonical text of a cancellation.
pub fn render_cancel(cancel: &CancelRequest) -> String {
    Writer::new(&CANCEL)
        .line("organisation", &cancel.organisation)
        .line("request_id", &cancel.request_id)
        .line("asked_at", cancel.asked_at.0)
        .finish()
}

/// Reads the canonical text of a cancellation.
pub fn parse_cancel(text: &str) -> Result<CancelRequest, Invalid> {
    let mut reader = Reader::open(text, &CANCEL)?;
    let cancel = CancelRequest {
        organisation: Organisation::parse(reader.take("organisation")?)?,
        request_id: RequestId::parse(reader.take("request_id")?)?,
        asked_at: field::seconds("asked_at", reader.take("asked_at")?)?,
    };
    reader.close()?;
    same(text, &render_cancel(&cancel))?;
    Ok(cancel)
}

/// Renders and signs a cancellation, for clients.
pub fn sign_cancel(cancel: &CancelRequest, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Result<Signed, Invalid> {
    let text = render_cancel(cancel);
    parse_cancel(&text)?;
    Ok(Signed::of(text, sign))
}

/// A cancellation whose signature held and whose time was in range.
#[derive(Debug)]
pub struct VerifiedCancel {
    cancel: CancelRequest,
    signed: KeySigned,
}

/// The door for a cancellation: form, key, signature, then age.
pub fn verify_cancel(
    text: &str,
    key_id: &str,
    signature: &[u8],
    trust: &Trust,
    now: Seconds,
    age_s_max: u64,
) -> Result<VerifiedCancel, NotProven> {
    let cancel = parse_cancel(text)?;
    let signed = KeySigned::check((text, key_id, signature), &cancel.organisation, cancel.asked_at, trust)?;
    signed.check_key_age(&cancel.organisation, trust, now)?;
    check_age(cancel.asked_at, now, age_s_max)?;
    Ok(VerifiedCancel { cancel, signed })
}

impl VerifiedCancel {
    /// What is to be undone.
    pub fn cancel(&self) -> &CancelRequest {
        &self.cancel
    }

    /// The withdrawal that is to be undone.
    pub fn withdrawal(&self) -> WithdrawalId {
        WithdrawalId::of(&self.cancel.organisation, &self.cancel.request_id)
    }

    /// What was signed, by which key.
    pub fn signed(&self) -> &KeySigned {
        &self.signed
    }
}
