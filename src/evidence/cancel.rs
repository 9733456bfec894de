//! What the exchange signed to undo a request (law L2). Whether it still can be undone is decided elsewhere.

use super::canonical::{Form, Reader, Writer, same};
use super::request::{check_age, check_key_age, check_signature};
use super::signature::{Signed, read_signature};
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
    text: String,
    key_id: String,
    signature: [u8; 64],
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
    let signature = read_signature(signature)?;
    check_signature(trust, &cancel.organisation, key_id, cancel.asked_at, (text, &signature))?;
    check_key_age(trust, &cancel.organisation, key_id, now)?;
    check_age(cancel.asked_at, now, age_s_max)?;
    Ok(VerifiedCancel { cancel, text: text.to_owned(), key_id: key_id.to_owned(), signature })
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
