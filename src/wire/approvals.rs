//! Approvals on the wire and at the desk.

use super::field::{self, time, time_to_wire};
use super::{v1, withdrawals};
use crate::desk::{ApprovalGiven, ApprovalOrder, PendingApproval, RejectionOrder};
use crate::withdrawal::{Code, Invalid};

const SIGNATURE_LEN_MAX: usize = 8192;
const REASON_CHARS_MAX: usize = 200;

fn armored(text: String) -> Result<String, Invalid> {
    let cure = "send the armored output of `ssh-keygen -Y sign`";
    if text.is_empty() {
        return Err(Invalid::new(Code::FieldMissing, "signature", "is empty", cure));
    }
    if text.len() > SIGNATURE_LEN_MAX {
        let problem = format!("is {} bytes long, the limit is {SIGNATURE_LEN_MAX}", text.len());
        return Err(Invalid::new(Code::FieldTooLong, "signature", problem, cure));
    }
    Ok(text)
}

fn reason(text: String) -> Result<String, Invalid> {
    let cure = "send one line of 1 to 200 characters, without blanks at its ends";
    let length = text.chars().count();
    if length == 0 {
        return Err(Invalid::new(Code::FieldMissing, "reason", "is empty", cure));
    }
    if length > REASON_CHARS_MAX {
        let problem = format!("is {length} characters long, the limit is {REASON_CHARS_MAX}");
        return Err(Invalid::new(Code::FieldTooLong, "reason", problem, cure));
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(Invalid::new(Code::FieldMalformed, "reason", "is not one plain line", cure));
    }
    Ok(text)
}

impl TryFrom<v1::ApproveWithdrawalRequest> for ApprovalOrder {
    type Error = Invalid;

    fn try_from(wire: v1::ApproveWithdrawalRequest) -> Result<Self, Invalid> {
        Ok(Self { withdrawal: withdrawals::id_of_name(&wire.name)?, signature: armored(wire.signature)? })
    }
}

impl TryFrom<v1::RejectWithdrawalRequest> for RejectionOrder {
    type Error = Invalid;

    fn try_from(wire: v1::RejectWithdrawalRequest) -> Result<Self, Invalid> {
        Ok(Self {
            withdrawal: withdrawals::id_of_name(&wire.name)?,
            reason: reason(wire.reason)?,
            signature: armored(wire.signature)?,
        })
    }
}

impl From<PendingApproval> for v1::Approval {
    fn from(pending: PendingApproval) -> Self {
        Self {
            withdrawal: withdrawals::name(pending.withdrawal),
            text: pending.text,
            findings: pending.findings.into_iter().map(Into::into).collect(),
            given: pending.given.into_iter().map(Into::into).collect(),
            expire_time: Some(time_to_wire(pending.expires_at)),
        }
    }
}

impl From<ApprovalGiven> for v1::ApprovalGiven {
    fn from(given: ApprovalGiven) -> Self {
        Self { operator: given.operator, group: given.group, create_time: Some(time_to_wire(given.at)) }
    }
}

impl TryFrom<v1::Approval> for PendingApproval {
    type Error = Invalid;

    fn try_from(wire: v1::Approval) -> Result<Self, Invalid> {
        let read = |f: v1::Finding| field::finding(&f.code, f.detail, Code::PolicyHeld);
        Ok(Self {
            withdrawal: withdrawals::id_of_name(&wire.withdrawal)?,
            text: wire.text,
            findings: wire.findings.into_iter().map(read).collect(),
            given: wire.given.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            expires_at: time(wire.expire_time, "expire_time")?,
        })
    }
}

impl TryFrom<v1::ApprovalGiven> for ApprovalGiven {
    type Error = Invalid;

    fn try_from(wire: v1::ApprovalGiven) -> Result<Self, Invalid> {
        Ok(Self { operator: wire.operator, group: wire.group, at: time(wire.create_time, "create_time")? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::withdrawal::{Finding, Organisation, RequestId, Seconds, WithdrawalId};

    fn id() -> WithdrawalId {
        WithdrawalId::of(&Organisation::parse("o").unwrap(), &RequestId::parse("r").unwrap())
    }

    #[test]
    fn a_pending_approval_comes_back_from_the_wire_as_it_was() {
        let pending = PendingApproval {
            withdrawal: id(),
            text: "countersign withdrawal-approval v1\n".into(),
            findings: vec![Finding::new(Code::ApprovalRequired, "one of treasury")],
            given: vec![ApprovalGiven { operator: "kim".into(), group: "risk".into(), at: Seconds(3) }],
            expires_at: Seconds(9),
        };
        assert_eq!(PendingApproval::try_from(v1::Approval::from(pending.clone())), Ok(pending));
    }

    #[test]
    fn a_reason_that_would_break_the_signed_text_is_refused() {
        let ask = |reason: &str| {
            RejectionOrder::try_from(v1::RejectWithdrawalRequest {
                name: withdrawals::name(id()),
                reason: reason.into(),
                signature: "s".into(),
            })
        };
        assert_eq!(ask("고객이 취소").unwrap().reason, "고객이 취소");
        for wrong in ["", " a", "a ", "a\nresult: approved", "a\rb", &"x".repeat(201)] {
            assert_eq!(ask(wrong).unwrap_err().field, "reason", "{wrong:?}");
        }
    }

    #[test]
    fn an_approval_without_a_signature_is_refused() {
        let wire = v1::ApproveWithdrawalRequest { name: withdrawals::name(id()), signature: String::new() };
        assert_eq!(ApprovalOrder::try_from(wire).unwrap_err().code, Code::FieldMissing);
    }
}
