//! Withdrawals on the wire and at the desk.

use std::fmt;

use super::field::{self, required, time, time_to_wire};
use super::v1::{self, get_withdrawal_request::Pick};
use crate::desk::{
    Cancellation, Payload, Prevout, WithdrawalFilter, WithdrawalOrder, WithdrawalPick, WithdrawalView,
};
use crate::withdrawal::{
    Amount, Asset, Code, CustomerRef, Finding, Invalid, Organisation, Outcome, RequestId, Stage, VaspId,
    WithdrawalId, WithdrawalRequest,
};

const COLLECTION: &str = "withdrawals/";
const NAME_CURE: &str = "send `withdrawals/wd_` and 32 lower-case hex digits";
const ENUM_CURE: &str =
    "send one of the values of the proto file other than UNSPECIFIED, or leave the field out";

/// The resource name of a withdrawal.
pub fn name(id: WithdrawalId) -> String {
    format!("{COLLECTION}{id}")
}

/// Reads the resource name of a withdrawal.
pub fn id_of_name(name: &str) -> Result<WithdrawalId, Invalid> {
    if name.is_empty() {
        return Err(Invalid::new(Code::FieldMissing, "name", "is empty", NAME_CURE));
    }
    let id = name.strip_prefix(COLLECTION).ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        Invalid::new(Code::FieldMalformed, "name", format!("`{shown}` names no withdrawal"), NAME_CURE)
    })?;
    WithdrawalId::parse(id).map_err(|no| Invalid { field: "name", cure: NAME_CURE, ..no })
}

fn unspecified(field: &'static str) -> Invalid {
    Invalid::new(Code::FieldMissing, field, "is UNSPECIFIED", ENUM_CURE)
}

fn unknown(field: &'static str, value: i32) -> Invalid {
    Invalid::new(Code::FieldMalformed, field, format!("`{value}` is no value of this enum"), ENUM_CURE)
}

/// Reads a stage; UNSPECIFIED and numbers that are no stage are refused.
pub fn stage(value: i32) -> Result<Stage, Invalid> {
    use v1::WithdrawalStage as Wire;
    match Wire::try_from(value).map_err(|_| unknown("stage", value))? {
        Wire::Unspecified => Err(unspecified("stage")),
        Wire::Asked => Ok(Stage::Asked),
        Wire::Cleared => Ok(Stage::Cleared),
        Wire::Reserved => Ok(Stage::Reserved),
        Wire::Signed => Ok(Stage::Signed),
        Wire::Released => Ok(Stage::Released),
    }
}

/// A stage for the wire.
pub const fn stage_to_wire(stage: Stage) -> v1::WithdrawalStage {
    match stage {
        Stage::Asked => v1::WithdrawalStage::Asked,
        Stage::Cleared => v1::WithdrawalStage::Cleared,
        Stage::Reserved => v1::WithdrawalStage::Reserved,
        Stage::Signed => v1::WithdrawalStage::Signed,
        Stage::Released => v1::WithdrawalStage::Released,
    }
}

/// Reads an outcome with its findings; UNSPECIFIED and numbers that are no outcome are refused.
pub fn outcome(value: i32, findings: Vec<v1::Finding>) -> Result<Outcome, Invalid> {
    use v1::WithdrawalOutcome as Wire;
    let read = |unknown: Code| -> Vec<Finding> {
        findings.into_iter().map(|f| field::finding(&f.code, f.detail, unknown)).collect()
    };
    match Wire::try_from(value).map_err(|_| unknown("outcome", value))? {
        Wire::Unspecified => Err(unspecified("outcome")),
        Wire::Moving => Ok(Outcome::Moving),
        Wire::Held => Ok(Outcome::Held(read(Code::PolicyHeld))),
        Wire::Refused => Ok(Outcome::Refused(read(Code::PolicyRefused))),
        Wire::Released => Ok(Outcome::Released),
    }
}

/// An outcome and its findings for the wire.
pub fn outcome_to_wire(outcome: Outcome) -> (v1::WithdrawalOutcome, Vec<v1::Finding>) {
    let write = |findings: Vec<Finding>| findings.into_iter().map(Into::into).collect();
    match outcome {
        Outcome::Moving => (v1::WithdrawalOutcome::Moving, Vec::new()),
        Outcome::Held(findings) => (v1::WithdrawalOutcome::Held, write(findings)),
        Outcome::Refused(findings) => (v1::WithdrawalOutcome::Refused, write(findings)),
        Outcome::Released => (v1::WithdrawalOutcome::Released, Vec::new()),
    }
}

/// Reads a filter; none given shows everything.
pub fn filter(wire: Option<v1::WithdrawalFilter>) -> Result<WithdrawalFilter, Invalid> {
    let wire = wire.unwrap_or_default();
    Ok(WithdrawalFilter {
        organisation: match wire.organisation.as_str() {
            "" => None,
            name => Some(Organisation::parse(name)?),
        },
        stage: wire.stage.map(stage).transpose()?,
        outcome: wire.outcome.map(|value| outcome(value, Vec::new())).transpose()?,
    })
}

/// A filter for the wire.
pub fn filter_to_wire(filter: WithdrawalFilter) -> v1::WithdrawalFilter {
    v1::WithdrawalFilter {
        organisation: filter.organisation.map(|o| o.to_string()).unwrap_or_default(),
        stage: filter.stage.map(|stage| stage_to_wire(stage).into()),
        outcome: filter.outcome.map(|outcome| outcome_to_wire(outcome).0.into()),
    }
}

impl TryFrom<v1::GetWithdrawalRequest> for WithdrawalPick {
    type Error = Invalid;

    fn try_from(wire: v1::GetWithdrawalRequest) -> Result<Self, Invalid> {
        match required(wire.pick, "pick")? {
            Pick::Name(name) => Ok(Self::Id(id_of_name(&name)?)),
            Pick::RequestKey(key) => {
                Ok(Self::Request(Organisation::parse(&key.organisation)?, RequestId::parse(&key.request_id)?))
            }
        }
    }
}

impl TryFrom<v1::CreateWithdrawalRequest> for WithdrawalOrder {
    type Error = Invalid;

    fn try_from(wire: v1::CreateWithdrawalRequest) -> Result<Self, Invalid> {
        // First of all into the box that wipes itself, so that an error below leaves nothing behind.
        let ivms101 = Payload::new(wire.ivms101_payload);
        Ok(Self { request: required(wire.request, "request")?.try_into()?, ivms101 })
    }
}

impl TryFrom<v1::PrepareWithdrawalRequest> for WithdrawalOrder {
    type Error = Invalid;

    fn try_from(wire: v1::PrepareWithdrawalRequest) -> Result<Self, Invalid> {
        let ivms101 = Payload::new(wire.ivms101_payload);
        Ok(Self { request: required(wire.request, "request")?.try_into()?, ivms101 })
    }
}

impl fmt::Debug for v1::CreateWithdrawalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateWithdrawalRequest").field("request", &self.request).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::PrepareWithdrawalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrepareWithdrawalRequest").field("request", &self.request).finish_non_exhaustive()
    }
}

impl From<Prevout> for v1::Prevout {
    fn from(prevout: Prevout) -> Self {
        Self {
            txid: prevout.txid,
            vout: prevout.vout,
            value_sat: prevout.value.to_string(),
            script_pubkey: prevout.script_pubkey,
        }
    }
}

impl TryFrom<v1::Prevout> for Prevout {
    type Error = Invalid;

    fn try_from(wire: v1::Prevout) -> Result<Self, Invalid> {
        Ok(Self {
            txid: wire.txid,
            vout: wire.vout,
            value: field::sum(&wire.value_sat, "value_sat")?,
            script_pubkey: wire.script_pubkey,
        })
    }
}

impl From<WithdrawalView> for v1::Withdrawal {
    fn from(view: WithdrawalView) -> Self {
        let (outcome, findings) = outcome_to_wire(view.outcome);
        let request = view.request;
        Self {
            name: name(view.id),
            organisation: request.organisation.to_string(),
            request_id: request.request_id.to_string(),
            customer_ref: request.customer_ref.to_string(),
            asset: request.asset.to_string(),
            destination: request.destination,
            amount: request.amount.to_string(),
            fee_max: request.fee_max.to_string(),
            beneficiary_vasp: request.beneficiary_vasp.to_string(),
            asked_time: Some(time_to_wire(request.asked_at)),
            stage: stage_to_wire(view.stage).into(),
            outcome: outcome.into(),
            findings,
            txid: view.txid.unwrap_or_default(),
            raw_transaction: view.raw_transaction,
            safe: view.safe.map(Into::into),
            prevouts: view.prevouts.into_iter().map(Into::into).collect(),
            fee: view.fee.map(|fee| fee.to_string()).unwrap_or_default(),
            log_index: view.log_index,
            create_time: Some(time_to_wire(view.created_at)),
            update_time: Some(time_to_wire(view.updated_at)),
            void_receipt: view.void_receipt.map(Into::into),
        }
    }
}

impl TryFrom<v1::Withdrawal> for WithdrawalView {
    type Error = Invalid;

    fn try_from(wire: v1::Withdrawal) -> Result<Self, Invalid> {
        Ok(Self {
            id: id_of_name(&wire.name)?,
            request: WithdrawalRequest {
                organisation: Organisation::parse(&wire.organisation)?,
                request_id: RequestId::parse(&wire.request_id)?,
                customer_ref: CustomerRef::parse(&wire.customer_ref)?,
                asset: Asset::parse(&wire.asset)?,
                destination: wire.destination,
                amount: Amount::parse("amount", &wire.amount)?,
                fee_max: field::sum(&wire.fee_max, "fee_max")?,
                beneficiary_vasp: VaspId::parse(&wire.beneficiary_vasp)?,
                asked_at: time(wire.asked_time, "asked_time")?,
            },
            stage: stage(wire.stage)?,
            outcome: outcome(wire.outcome, wire.findings)?,
            txid: Some(wire.txid).filter(|txid| !txid.is_empty()),
            raw_transaction: wire.raw_transaction,
            safe: wire.safe.map(TryInto::try_into).transpose()?,
            prevouts: wire.prevouts.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            fee: match wire.fee.as_str() {
                "" => None,
                fee => Some(field::sum(fee, "fee")?),
            },
            log_index: wire.log_index,
            created_at: time(wire.create_time, "create_time")?,
            updated_at: time(wire.update_time, "update_time")?,
            void_receipt: wire.void_receipt.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Cancellation> for v1::CancelWithdrawalResponse {
    fn from(cancellation: Cancellation) -> Self {
        Self {
            withdrawal: cancellation.withdrawal.map(Into::into),
            void_receipt: cancellation.receipt.map(Into::into),
        }
    }
}

impl TryFrom<v1::CancelWithdrawalResponse> for Cancellation {
    type Error = Invalid;

    fn try_from(wire: v1::CancelWithdrawalResponse) -> Result<Self, Invalid> {
        Ok(Self {
            withdrawal: wire.withdrawal.map(TryInto::try_into).transpose()?,
            receipt: wire.void_receipt.map(TryInto::try_into).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::withdrawal::{Network, SafePlace, Seconds};

    fn view(stage: Stage, outcome: Outcome, finished: bool) -> WithdrawalView {
        let request = WithdrawalRequest {
            organisation: Organisation::parse("exchange-kr").unwrap(),
            request_id: RequestId::parse("r:1").unwrap(),
            customer_ref: CustomerRef::parse("customer 7").unwrap(),
            asset: Asset::Bitcoin(Network::Regtest),
            destination: "bcrt1q".into(),
            amount: Amount::from_sat(150_000),
            fee_max: Amount::from_sat(2_000),
            beneficiary_vasp: VaspId(u64::MAX),
            asked_at: Seconds(1_700_000_000),
        };
        WithdrawalView {
            id: request.id(),
            request,
            stage,
            outcome,
            txid: finished.then(|| "ab".repeat(32)),
            raw_transaction: if finished { vec![2, 0, 0, 0] } else { Vec::new() },
            safe: finished
                .then(|| SafePlace::parse("eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed/5").unwrap()),
            prevouts: if finished {
                vec![Prevout {
                    txid: "cd".repeat(32),
                    vout: 1,
                    value: Amount::from_sat(9),
                    script_pubkey: vec![0],
                }]
            } else {
                Vec::new()
            },
            fee: finished.then(|| Amount::from_sat(141)),
            log_index: 12,
            created_at: Seconds(1_700_000_001),
            updated_at: Seconds(1_700_000_002),
            void_receipt: (!finished).then(|| crate::desk::SignedText {
                text: "void\n".into(),
                key_id: "attestation".into(),
                signature: [3; 64],
            }),
        }
    }

    #[test]
    fn a_withdrawal_comes_back_from_the_wire_as_it_was_in_every_stage_and_outcome() {
        let held = Outcome::Held(vec![
            Finding::new(Code::ApprovalRequired, "group a"),
            Finding::new(Code::PriceStale, ""),
        ]);
        let refused = Outcome::Refused(vec![Finding::new(Code::NoClearance, "")]);
        for (stage, outcome, finished) in [
            (Stage::Asked, held, false),
            (Stage::Cleared, refused, false),
            (Stage::Reserved, Outcome::Moving, false),
            (Stage::Signed, Outcome::Moving, false),
            (Stage::Released, Outcome::Released, true),
        ] {
            let before = view(stage, outcome, finished);
            let wire = v1::Withdrawal::from(before.clone());
            assert_eq!(WithdrawalView::try_from(wire), Ok(before));
        }
    }

    #[test]
    fn unspecified_and_unknown_enum_values_are_refused() {
        assert_eq!(stage(0).unwrap_err().code, Code::FieldMissing);
        assert_eq!(stage(99).unwrap_err().code, Code::FieldMalformed);
        assert_eq!(outcome(0, Vec::new()).unwrap_err().code, Code::FieldMissing);
        assert_eq!(outcome(-1, Vec::new()).unwrap_err().code, Code::FieldMalformed);
        let wire = v1::WithdrawalFilter { stage: Some(0), ..Default::default() };
        assert_eq!(filter(Some(wire)).unwrap_err().field, "stage");
        assert_eq!(filter(None), Ok(WithdrawalFilter::default()));
    }

    #[test]
    fn a_filter_comes_back_from_the_wire_and_shows_what_it_should() {
        let wanted = WithdrawalFilter {
            organisation: Some(Organisation::parse("exchange-kr").unwrap()),
            stage: Some(Stage::Asked),
            outcome: Some(Outcome::Held(Vec::new())),
        };
        assert_eq!(filter(Some(filter_to_wire(wanted.clone()))), Ok(wanted.clone()));
        let held = Outcome::Held(vec![Finding::new(Code::PriceStale, "")]);
        assert!(wanted.shows(&view(Stage::Asked, held.clone(), false)));
        assert!(!wanted.shows(&view(Stage::Cleared, held, false)));
        assert!(!wanted.shows(&view(Stage::Asked, Outcome::Moving, false)));
    }

    #[test]
    fn a_name_without_its_collection_is_refused() {
        let id = view(Stage::Asked, Outcome::Moving, false).id;
        assert_eq!(id_of_name(&name(id)), Ok(id));
        for wrong in ["", "withdrawals/", &id.to_string(), "withdrawals/wd_00", "addresses/wd_00"] {
            assert_eq!(id_of_name(wrong).unwrap_err().field, "name", "{wrong}");
        }
    }

    #[test]
    fn printing_a_request_shows_no_personal_data() {
        let request = v1::CreateWithdrawalRequest { request: None, ivms101_payload: b"Kim Minjun".to_vec() };
        let prepare = v1::PrepareWithdrawalRequest { request: None, ivms101_payload: b"Kim Minjun".to_vec() };
        let bytes = format!("{:?}", b"Kim Minjun".to_vec());
        for shown in [format!("{request:?}"), format!("{prepare:?}")] {
            assert!(!shown.contains("Kim") && !shown.contains(&bytes), "{shown}");
        }
    }
}
