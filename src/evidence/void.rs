//! What the co-signer signed of a withdrawal that was taken back: that it will never sign a transaction for it (law L2).
//! Without this word a no is the signer's alone, and a stolen signer could still pay.

use std::fmt;

use ed25519_dalek::VerifyingKey;

use super::canonical::{Form, Reader, Writer, malformed, same};
use super::signature::{Signed, holds, read_signature};
use super::{NotProven, digest, field};
use crate::withdrawal::{Code, Invalid, Organisation, RequestId, Seconds, WithdrawalId};

/// The form of a receipt.
pub static VOID: Form = Form::new(
    "countersign withdrawal-void v1",
    &["withdrawal", "organisation", "request_id", "cause", "evidence", "voided_at"],
);

/// Whose word made it void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoidCause {
    /// The exchange took its request back.
    Cancelled,
    /// An operator rejected it.
    Rejected,
}

impl VoidCause {
    const ALL: [Self; 2] = [Self::Cancelled, Self::Rejected];

    /// The spelling in the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }

    /// The code that says the same of a withdrawal.
    pub const fn code(self) -> Code {
        match self {
            Self::Cancelled => Code::Cancelled,
            Self::Rejected => Code::RejectedByOperator,
        }
    }

    fn parse(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|cause| cause.as_str() == text);
        found.ok_or_else(|| malformed("cause", "is neither cancelled nor rejected"))
    }
}

impl fmt::Display for VoidCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A withdrawal that is void for ever, whatever request stands behind its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawalVoid {
    /// Whose request it was.
    pub organisation: Organisation,
    /// What the exchange called it.
    pub request_id: RequestId,
    /// Whose word made it void.
    pub cause: VoidCause,
    /// SHA-256 of the cancellation's or rejection's text.
    pub evidence: [u8; 32],
    /// When the co-signer wrote it down.
    pub voided_at: Seconds,
}

impl WithdrawalVoid {
    /// The withdrawal it is about.
    pub fn withdrawal(&self) -> WithdrawalId {
        WithdrawalId::of(&self.organisation, &self.request_id)
    }
}

/// The canonical text of a receipt.
pub fn render_void(void: &WithdrawalVoid) -> String {
    Writer::new(&VOID)
        .line("withdrawal", void.withdrawal())
        .line("organisation", &void.organisation)
        .line("request_id", &void.request_id)
        .line("cause", void.cause)
        .line("evidence", data_encoding::HEXLOWER.encode(&void.evidence))
        .line("voided_at", void.voided_at.0)
        .finish()
}

/// Reads the canonical text of a receipt; every other spelling is refused.
pub fn parse_void(text: &str) -> Result<WithdrawalVoid, Invalid> {
    let mut reader = Reader::open(text, &VOID)?;
    let named = reader.take("withdrawal")?;
    let void = WithdrawalVoid {
        organisation: Organisation::parse(reader.take("organisation")?)?,
        request_id: RequestId::parse(reader.take("request_id")?)?,
        cause: VoidCause::parse(reader.take("cause")?)?,
        evidence: field::hex("evidence", reader.take("evidence")?)?,
        voided_at: field::seconds("voided_at", reader.take("voided_at")?)?,
    };
    reader.close()?;
    if named != void.withdrawal().to_string() {
        return Err(malformed("withdrawal", "is not that of the organisation and request id"));
    }
    same(text, &render_void(&void))?;
    Ok(void)
}

/// Renders and signs a receipt, for the co-signer; refuses one that could not be read back.
pub fn sign_void(void: &WithdrawalVoid, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Result<Signed, Invalid> {
    let text = render_void(void);
    parse_void(&text)?;
    Ok(Signed::of(text, sign))
}

/// A receipt whose signature held.
#[derive(Debug)]
pub struct VerifiedVoid {
    void: WithdrawalVoid,
    digest: [u8; 32],
}

/// The door: form, signature under the co-signer's attestation key, and that it is of this withdrawal. A receipt does not
/// grow old.
pub fn verify_void(
    text: &str,
    signature: &[u8],
    key: &VerifyingKey,
    withdrawal: WithdrawalId,
) -> Result<VerifiedVoid, NotProven> {
    let void = parse_void(text)?;
    let signature = read_signature(signature)?;
    if key.is_weak() || !holds(key, text, &signature) {
        return Err(NotProven::refused(Code::EvidenceInvalid, "the co-signer did not sign this receipt"));
    }
    if void.withdrawal() != withdrawal {
        let detail = format!("the receipt is of {}, not of {withdrawal}", void.withdrawal());
        return Err(NotProven::refused(Code::EvidenceInvalid, detail));
    }
    Ok(VerifiedVoid { void, digest: digest(text) })
}

impl VerifiedVoid {
    /// What the co-signer says.
    pub fn void(&self) -> &WithdrawalVoid {
        &self.void
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
