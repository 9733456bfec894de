//! Freezes and resumes on the wire and at the desk.

use super::field::{required, time, time_to_wire};
use super::v1;
use crate::desk::{FreezeOrder, FreezeView, InForce, ResumeOrder, ResumePending};
use crate::withdrawal::{Code, FreezeId, Invalid, KeyRole, Scope};

const TEXT_LEN_MAX: usize = 4_096;
const SIGNATURE_LEN_MAX: usize = 8_192;
const SIGNATURES_MAX: usize = 64;

fn bounded(field: &'static str, text: String, len_max: usize) -> Result<String, Invalid> {
    let cure = "send the text of docs/requests.md and the armored output of `ssh-keygen -Y sign`";
    if text.is_empty() {
        return Err(Invalid::new(Code::FieldMissing, field, "is empty", cure));
    }
    if text.len() > len_max {
        let problem = format!("is {} bytes long, the limit is {len_max}", text.len());
        return Err(Invalid::new(Code::FieldTooLong, field, problem, cure));
    }
    Ok(text)
}

impl TryFrom<v1::FreezeRequest> for FreezeOrder {
    type Error = Invalid;

    fn try_from(wire: v1::FreezeRequest) -> Result<Self, Invalid> {
        Ok(Self {
            text: bounded("text", wire.text, TEXT_LEN_MAX)?,
            signature: bounded("signature", wire.signature, SIGNATURE_LEN_MAX)?,
        })
    }
}

impl TryFrom<v1::ResumeRequest> for ResumeOrder {
    type Error = Invalid;

    fn try_from(wire: v1::ResumeRequest) -> Result<Self, Invalid> {
        if wire.signatures.len() > SIGNATURES_MAX {
            let problem = format!("has {} items, the limit is {SIGNATURES_MAX}", wire.signatures.len());
            let cure = "send one signature for each person";
            return Err(Invalid::new(Code::FieldTooLong, "signatures", problem, cure));
        }
        let signatures = wire.signatures.into_iter();
        let signatures = signatures.map(|armored| bounded("signatures", armored, SIGNATURE_LEN_MAX));
        Ok(Self {
            text: bounded("text", wire.text, TEXT_LEN_MAX)?,
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }
}

impl From<FreezeView> for v1::FreezeState {
    fn from(view: FreezeView) -> Self {
        let party = match view.party {
            KeyRole::Signer => v1::Party::Signer,
            KeyRole::Cosigner => v1::Party::Cosigner,
            KeyRole::Vault => v1::Party::Unspecified,
        };
        Self {
            party: party.into(),
            freeze: view.in_force.map(Into::into),
            log_size: view.log_size,
            resume_delay_seconds: view.resume_delay_s,
            read_time: Some(time_to_wire(view.at)),
        }
    }
}

impl From<InForce> for v1::FreezeInForce {
    fn from(freeze: InForce) -> Self {
        Self {
            freeze: freeze.freeze.map(|id| id.to_string()).unwrap_or_default(),
            operator: freeze.operator,
            reason: freeze.reason,
            since_time: Some(time_to_wire(freeze.since)),
            freeze_time: Some(time_to_wire(freeze.frozen_at)),
            log_index: freeze.log_index,
            sweeps_resumed: freeze.sweeps_resumed,
            resume: freeze.resume.map(Into::into),
        }
    }
}

impl From<ResumePending> for v1::PendingResume {
    fn from(pending: ResumePending) -> Self {
        let scope = match pending.scope {
            Scope::All => v1::ResumeScope::All,
            Scope::Sweeps => v1::ResumeScope::Sweeps,
        };
        Self {
            scope: scope.into(),
            reviewed: pending.reviewed,
            effective_time: Some(time_to_wire(pending.effective_at)),
            operators: pending.people,
        }
    }
}

fn unspecified(field: &'static str) -> Invalid {
    Invalid::new(Code::FieldMissing, field, "is not specified", "ask a service of this version")
}

impl TryFrom<v1::FreezeState> for FreezeView {
    type Error = Invalid;

    fn try_from(wire: v1::FreezeState) -> Result<Self, Invalid> {
        let party = match wire.party() {
            v1::Party::Signer => KeyRole::Signer,
            v1::Party::Cosigner => KeyRole::Cosigner,
            v1::Party::Unspecified => return Err(unspecified("party")),
        };
        Ok(Self {
            party,
            in_force: wire.freeze.map(InForce::try_from).transpose()?,
            log_size: wire.log_size,
            resume_delay_s: wire.resume_delay_seconds,
            at: time(wire.read_time, "read_time")?,
        })
    }
}

impl TryFrom<v1::FreezeInForce> for InForce {
    type Error = Invalid;

    fn try_from(wire: v1::FreezeInForce) -> Result<Self, Invalid> {
        let named = !wire.freeze.is_empty();
        Ok(Self {
            freeze: named.then(|| FreezeId::parse(&wire.freeze)).transpose()?,
            operator: wire.operator,
            reason: wire.reason,
            since: time(wire.since_time, "since_time")?,
            frozen_at: time(wire.freeze_time, "freeze_time")?,
            log_index: wire.log_index,
            sweeps_resumed: wire.sweeps_resumed,
            resume: wire.resume.map(ResumePending::try_from).transpose()?,
        })
    }
}

impl TryFrom<v1::PendingResume> for ResumePending {
    type Error = Invalid;

    fn try_from(wire: v1::PendingResume) -> Result<Self, Invalid> {
        let scope = match wire.scope() {
            v1::ResumeScope::All => Some(Scope::All),
            v1::ResumeScope::Sweeps => Some(Scope::Sweeps),
            v1::ResumeScope::Unspecified => None,
        };
        Ok(Self {
            scope: required(scope, "scope")?,
            reviewed: wire.reviewed,
            effective_at: time(wire.effective_time, "effective_time")?,
            people: wire.operators,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::withdrawal::Seconds;

    #[test]
    fn how_a_party_stands_comes_over_the_wire_as_it_was() {
        let resume = ResumePending {
            scope: Scope::Sweeps,
            reviewed: 9,
            effective_at: Seconds(8),
            people: vec!["kim".into(), "lee".into()],
        };
        let freeze = InForce {
            freeze: Some(FreezeId::of_bytes([7; 16])),
            operator: "kim".into(),
            reason: "a drill".into(),
            since: Seconds(5),
            frozen_at: Seconds(6),
            log_index: Some(0),
            sweeps_resumed: true,
            resume: Some(resume),
        };
        let nameless = InForce { freeze: None, log_index: None, resume: None, ..freeze.clone() };
        for in_force in [Some(freeze), Some(nameless), None] {
            let party = KeyRole::Cosigner;
            let view = FreezeView { party, in_force, log_size: 11, resume_delay_s: 60, at: Seconds(12) };
            assert_eq!(FreezeView::try_from(v1::FreezeState::from(view.clone())), Ok(view));
        }
        let nobody = v1::FreezeState { party: 0, ..v1::FreezeState::default() };
        assert_eq!(FreezeView::try_from(nobody).unwrap_err().field, "party");
    }

    #[test]
    fn what_is_empty_or_too_long_is_refused_by_its_field() {
        let order = |text: &str, signature: &str| {
            FreezeOrder::try_from(v1::FreezeRequest { text: text.into(), signature: signature.into() })
        };
        assert_eq!(order("", "x").unwrap_err().field, "text");
        assert_eq!(order("x", "").unwrap_err().field, "signature");
        assert_eq!(order(&"x".repeat(4_097), "x").unwrap_err().code, Code::FieldTooLong);
        let signatures = vec!["x".to_owned(); 65];
        let order = ResumeOrder::try_from(v1::ResumeRequest { text: "x".into(), signatures });
        assert_eq!(order.unwrap_err().field, "signatures");
    }
}
