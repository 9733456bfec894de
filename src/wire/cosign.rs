//! What passes between signer and co-signer, on the wire and at the desk. Both directions: each side reads and writes.

use super::BATCH_LEN_MAX;
use super::field::{self, hash, hashes, hashes_to_wire, required, too_many};
use super::v1::{
    self, countersign_payment::Clearance, countersign_response::Head, countersign_result::Verdict,
};
use super::v1::{recalled_reservation::State, statement_answer::Answer};
use super::v1::{void_withdrawal_request::Evidence, void_withdrawal_response::State as VoidState};
use crate::desk::{
    AttestationOrder, ClearanceEvidence, CosignItem, CosignOrder, CosignOutcome, CosignPayment, CosignStatus,
    HeadAnswer, ItemVerdict, Recalled, Refusal, StatementReceipt, VoidOrder, Voided,
};
use crate::withdrawal::{
    Chain, Code, CustomerRef, Finding, Invalid, Kind, Organisation, ReservationId, WithdrawalId,
};

/// The most approvals or payments that one item may carry.
const PARTS_MAX: usize = 100;
/// The most earlier policies that a party may name.
const POLICIES_KEPT_MAX: usize = 8;
/// Longest report of a verification, in bytes, as its form allows.
const REPORT_LEN_MAX: usize = 4096;

fn kept(hashes: Vec<String>) -> Result<Vec<String>, Invalid> {
    if hashes.len() <= POLICIES_KEPT_MAX {
        return Ok(hashes);
    }
    let problem = format!("has {} items, the limit is {POLICIES_KEPT_MAX}", hashes.len());
    Err(Invalid::new(Code::FieldTooLong, "policies_kept", problem, "name the newest alone"))
}

impl From<CosignStatus> for v1::CosignerStatus {
    fn from(status: CosignStatus) -> Self {
        Self {
            known_size: status.known_size,
            wallet_fingerprint: status.wallet,
            policy_hash: status.policy_hash,
            policies_kept: status.policies_kept,
            trust_version: status.trust_version,
            attestation_key_id: status.attestation_key_id,
            attestation_key: status.attestation_key.to_vec(),
            witness_key: status.witness_key,
        }
    }
}

impl TryFrom<v1::CosignerStatus> for CosignStatus {
    type Error = Invalid;

    fn try_from(wire: v1::CosignerStatus) -> Result<Self, Invalid> {
        Ok(Self {
            known_size: wire.known_size,
            wallet: wire.wallet_fingerprint,
            policy_hash: wire.policy_hash,
            policies_kept: kept(wire.policies_kept)?,
            trust_version: wire.trust_version,
            attestation_key_id: wire.attestation_key_id,
            attestation_key: hash(&wire.attestation_key, "attestation_key")?,
            witness_key: wire.witness_key,
        })
    }
}

/// The answer to one statement, for the wire.
pub fn statement_answer_to_wire(answer: Result<StatementReceipt, Finding>) -> v1::StatementAnswer {
    let answer = match answer {
        Ok(receipt) => {
            Answer::Accepted(v1::StatementAccepted { number: receipt.number, log_index: receipt.log_index })
        }
        Err(finding) => Answer::Refused(finding.into()),
    };
    v1::StatementAnswer { answer: Some(answer) }
}

/// Reads the answer to one statement.
pub fn statement_answer(wire: v1::StatementAnswer) -> Result<Result<StatementReceipt, Finding>, Invalid> {
    Ok(match required(wire.answer, "answer")? {
        Answer::Accepted(yes) => Ok(StatementReceipt { number: yes.number, log_index: yes.log_index }),
        Answer::Refused(no) => Err(field::finding(&no.code, no.detail, Code::CosignerRefused)),
    })
}

impl From<AttestationOrder> for v1::AddressToAttest {
    fn from(order: AttestationOrder) -> Self {
        Self {
            organisation: order.organisation.to_string(),
            customer_ref: order.customer_ref.to_string(),
            branch: order.branch,
            index: order.index,
            network: order.network.to_string(),
        }
    }
}

impl TryFrom<v1::AddressToAttest> for AttestationOrder {
    type Error = Invalid;

    fn try_from(wire: v1::AddressToAttest) -> Result<Self, Invalid> {
        Ok(Self {
            organisation: Organisation::parse(&wire.organisation)?,
            customer_ref: CustomerRef::parse(&wire.customer_ref)?,
            branch: wire.branch,
            index: wire.index,
            network: Chain::parse(&wire.network)?,
        })
    }
}

impl From<CosignOrder> for v1::CountersignRequest {
    fn from(order: CosignOrder) -> Self {
        Self {
            checkpoint: order.checkpoint,
            old_size: order.old_size,
            consistency_proof: hashes_to_wire(&order.consistency),
            items: order.items.into_iter().map(Into::into).collect(),
            policy_hash: order.policy,
            policies_kept: order.policies_kept,
        }
    }
}

impl TryFrom<v1::CountersignRequest> for CosignOrder {
    type Error = Invalid;

    fn try_from(wire: v1::CountersignRequest) -> Result<Self, Invalid> {
        if wire.items.len() > BATCH_LEN_MAX {
            return Err(too_many(wire.items.len(), "items"));
        }
        if wire.checkpoint.is_empty() {
            return Err(Invalid::new(Code::FieldMissing, "checkpoint", "is empty", "send the signed note"));
        }
        Ok(Self {
            checkpoint: wire.checkpoint,
            old_size: wire.old_size,
            consistency: hashes(&wire.consistency_proof, "consistency_proof")?,
            policy: wire.policy_hash,
            policies_kept: kept(wire.policies_kept)?,
            items: wire.items.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<CosignItem> for v1::CountersignItem {
    fn from(item: CosignItem) -> Self {
        Self {
            reservation: item.reservation.to_string(),
            psbt: item.psbt,
            leaf: item.leaf,
            leaf_index: item.leaf_index,
            inclusion_proof: hashes_to_wire(&item.inclusion),
            payments: item.payments.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::CountersignItem> for CosignItem {
    type Error = Invalid;

    fn try_from(wire: v1::CountersignItem) -> Result<Self, Invalid> {
        let payments = field::at_most(wire.payments, PARTS_MAX, "payments")?;
        Ok(Self {
            reservation: ReservationId::parse(&wire.reservation)?,
            psbt: wire.psbt,
            leaf: wire.leaf,
            leaf_index: wire.leaf_index,
            inclusion: hashes(&wire.inclusion_proof, "inclusion_proof")?,
            payments: payments.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

fn report(text: String) -> Result<String, Invalid> {
    if text.len() > REPORT_LEN_MAX {
        let problem = format!("is {} bytes long, the limit is {REPORT_LEN_MAX}", text.len());
        let cure = "send the report as the enclave wrote it";
        return Err(Invalid::new(Code::FieldTooLong, "verification_report", problem, cure));
    }
    Ok(text)
}

impl From<CosignPayment> for v1::CountersignPayment {
    fn from(payment: CosignPayment) -> Self {
        Self {
            request: Some(payment.request.into()),
            clearance: payment.clearance.map(|evidence| match evidence {
                ClearanceEvidence::Answer(signed) => Clearance::VerificationAnswer(signed.into()),
                ClearanceEvidence::Reported(text) => Clearance::VerificationReport(text),
                ClearanceEvidence::Exempt(signed) => Clearance::WalletRegistration(signed.into()),
            }),
            approvals: payment.approvals,
        }
    }
}

impl TryFrom<v1::CountersignPayment> for CosignPayment {
    type Error = Invalid;

    fn try_from(wire: v1::CountersignPayment) -> Result<Self, Invalid> {
        let approvals = field::at_most(wire.approvals, PARTS_MAX, "approvals")?;
        let clearance = match wire.clearance {
            Some(Clearance::VerificationAnswer(signed)) => {
                Some(ClearanceEvidence::Answer(signed.try_into()?))
            }
            Some(Clearance::VerificationReport(text)) => Some(ClearanceEvidence::Reported(report(text)?)),
            Some(Clearance::WalletRegistration(signed)) => {
                Some(ClearanceEvidence::Exempt(signed.try_into()?))
            }
            None => None,
        };
        Ok(Self { request: required(wire.request, "request")?.try_into()?, clearance, approvals })
    }
}

impl From<CosignOutcome> for v1::CountersignResponse {
    fn from(outcome: CosignOutcome) -> Self {
        let head = match outcome.head {
            HeadAnswer::Cosigned(line) => Head::Cosignature(line),
            HeadAnswer::KnownSize(size) => Head::KnownSize(size),
        };
        let results = outcome.verdicts.into_iter().map(|(reservation, verdict)| v1::CountersignResult {
            reservation: reservation.to_string(),
            verdict: Some(match verdict {
                ItemVerdict::Signed(psbt) => Verdict::SignedPsbt(psbt),
                ItemVerdict::Refused(refusal) => Verdict::Refusal(refusal.into()),
                ItemVerdict::Pending(finding) => Verdict::Pending(pending_to_wire(finding)),
            }),
        });
        Self { head: Some(head), results: results.collect() }
    }
}

impl TryFrom<v1::CountersignResponse> for CosignOutcome {
    type Error = Invalid;

    fn try_from(wire: v1::CountersignResponse) -> Result<Self, Invalid> {
        let head = match required(wire.head, "head")? {
            Head::Cosignature(line) => HeadAnswer::Cosigned(line),
            Head::KnownSize(size) => HeadAnswer::KnownSize(size),
        };
        let read = |result: v1::CountersignResult| {
            let verdict = match required(result.verdict, "verdict")? {
                Verdict::SignedPsbt(psbt) => ItemVerdict::Signed(psbt),
                Verdict::Refusal(refusal) => ItemVerdict::Refused(refusal.try_into()?),
                Verdict::Pending(pending) => ItemVerdict::Pending(pending_of(pending)),
            };
            Ok((ReservationId::parse(&result.reservation)?, verdict))
        };
        Ok(Self { head, verdicts: wire.results.into_iter().map(read).collect::<Result<_, Invalid>>()? })
    }
}

fn pending_to_wire(finding: Finding) -> v1::CosignerPending {
    v1::CosignerPending { code: finding.code.as_str().to_owned(), detail: finding.detail }
}

/// What is waited for; a code that is not known, or that is no hold, holds all the same.
fn pending_of(wire: v1::CosignerPending) -> Finding {
    let finding = field::finding(&wire.code, wire.detail, Code::CosignerHolds);
    match finding.code.kind() {
        Kind::Hold => finding,
        Kind::Invalid | Kind::Refuse | Kind::Fault => Finding { code: Code::CosignerHolds, ..finding },
    }
}

impl From<Refusal> for v1::CosignerRefusal {
    fn from(refusal: Refusal) -> Self {
        Self {
            withdrawal: refusal.withdrawal.map(|id| id.to_string()).unwrap_or_default(),
            code: refusal.finding.code.as_str().to_owned(),
            detail: refusal.finding.detail,
            is_hold: refusal.is_hold,
        }
    }
}

impl TryFrom<v1::CosignerRefusal> for Refusal {
    type Error = Invalid;

    fn try_from(wire: v1::CosignerRefusal) -> Result<Self, Invalid> {
        let unknown = if wire.is_hold { Code::CosignerHolds } else { Code::CosignerRefused };
        Ok(Self {
            withdrawal: match wire.withdrawal.as_str() {
                "" => None,
                id => Some(WithdrawalId::parse(id)?),
            },
            finding: field::finding(&wire.code, wire.detail, unknown),
            is_hold: wire.is_hold,
        })
    }
}

impl From<VoidOrder> for v1::VoidWithdrawalRequest {
    fn from(order: VoidOrder) -> Self {
        let evidence = match order {
            VoidOrder::Cancellation(cancellation) => Evidence::Cancellation(cancellation.into()),
            VoidOrder::Rejection { request, text, signature } => {
                Evidence::Rejection(v1::SignedRejection { request: Some(request.into()), text, signature })
            }
        };
        Self { evidence: Some(evidence) }
    }
}

impl TryFrom<v1::VoidWithdrawalRequest> for VoidOrder {
    type Error = Invalid;

    fn try_from(wire: v1::VoidWithdrawalRequest) -> Result<Self, Invalid> {
        Ok(match required(wire.evidence, "evidence")? {
            Evidence::Cancellation(cancellation) => Self::Cancellation(cancellation.try_into()?),
            Evidence::Rejection(v1::SignedRejection { request, text, signature }) => {
                Self::Rejection { request: required(request, "request")?.try_into()?, text, signature }
            }
        })
    }
}

impl From<Voided> for v1::VoidWithdrawalResponse {
    fn from(voided: Voided) -> Self {
        let state = match voided {
            Voided::Receipt(receipt) => VoidState::Receipt(receipt.into()),
            Voided::Signed => VoidState::Signed(v1::WithdrawalSigned {}),
        };
        Self { state: Some(state) }
    }
}

impl TryFrom<v1::VoidWithdrawalResponse> for Voided {
    type Error = Invalid;

    fn try_from(wire: v1::VoidWithdrawalResponse) -> Result<Self, Invalid> {
        Ok(match required(wire.state, "state")? {
            VoidState::Receipt(receipt) => Self::Receipt(receipt.try_into()?),
            VoidState::Signed(v1::WithdrawalSigned {}) => Self::Signed,
        })
    }
}

/// What the co-signer has of a reservation, for the wire.
pub fn recalled_to_wire(reservation: ReservationId, recalled: Recalled) -> v1::RecalledReservation {
    let state = match recalled {
        Recalled::Signed(psbt) => State::SignedPsbt(psbt),
        Recalled::Dead => State::Dead(v1::ReservationDead {}),
        Recalled::Pending(finding) => State::Pending(pending_to_wire(finding)),
    };
    v1::RecalledReservation { reservation: reservation.to_string(), state: Some(state) }
}

/// Reads what the co-signer has of a reservation.
pub fn recalled(wire: v1::RecalledReservation) -> Result<(ReservationId, Recalled), Invalid> {
    let state = match required(wire.state, "state")? {
        State::SignedPsbt(psbt) => Recalled::Signed(psbt),
        State::Dead(v1::ReservationDead {}) => Recalled::Dead,
        State::Pending(pending) => Recalled::Pending(pending_of(pending)),
    };
    Ok((ReservationId::parse(&wire.reservation)?, state))
}

/// Reads reservation ids.
pub fn reservations(wire: Vec<String>) -> Result<Vec<ReservationId>, Invalid> {
    field::batch(wire, "reservations")?.iter().map(|id| ReservationId::parse(id)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::desk::SignedText;
    use crate::withdrawal::RequestId;

    fn signed(text: &str) -> SignedText {
        SignedText { text: text.into(), key_id: "k".into(), signature: [3; 64] }
    }

    fn reservation(n: u8) -> ReservationId {
        ReservationId::of_txid(&[n; 32])
    }

    #[test]
    fn a_countersigning_order_comes_back_from_the_wire_as_it_was() {
        let payment = CosignPayment {
            request: signed("r\n"),
            clearance: Some(ClearanceEvidence::Answer(signed("a\n"))),
            approvals: vec!["-----BEGIN SSH SIGNATURE-----".into()],
        };
        let exempt =
            CosignPayment { clearance: Some(ClearanceEvidence::Exempt(signed("w\n"))), ..payment.clone() };
        let reported =
            CosignPayment { clearance: Some(ClearanceEvidence::Reported("p\n".into())), ..payment.clone() };
        let bare = CosignPayment { clearance: None, approvals: Vec::new(), ..payment.clone() };
        let item = |n, payments| CosignItem {
            reservation: reservation(n),
            psbt: vec![n; 5],
            leaf: b"{}".to_vec(),
            leaf_index: 4,
            inclusion: vec![[n; 32]],
            payments,
        };
        let order = CosignOrder {
            checkpoint: "note\n".into(),
            old_size: 3,
            consistency: vec![[8; 32]],
            policy: "ab".repeat(32),
            policies_kept: vec!["cd".repeat(32)],
            items: vec![item(1, vec![payment, exempt, reported, bare]), item(2, Vec::new())],
        };
        assert_eq!(CosignOrder::try_from(v1::CountersignRequest::from(order.clone())), Ok(order));
    }

    #[test]
    fn what_is_taken_back_and_what_became_of_it_come_back_from_the_wire_as_they_were() {
        let signed = |text: &str| crate::desk::SignedText {
            text: text.into(),
            key_id: "k".into(),
            signature: [7; 64],
        };
        let rejection =
            VoidOrder::Rejection { request: signed("r\n"), text: "t\n".into(), signature: "ssh".into() };
        for order in [VoidOrder::Cancellation(signed("c\n")), rejection] {
            assert_eq!(VoidOrder::try_from(v1::VoidWithdrawalRequest::from(order.clone())), Ok(order));
        }
        for voided in [Voided::Receipt(signed("v\n")), Voided::Signed] {
            assert_eq!(Voided::try_from(v1::VoidWithdrawalResponse::from(voided.clone())), Ok(voided));
        }
        let none = VoidOrder::try_from(v1::VoidWithdrawalRequest { evidence: None }).unwrap_err();
        assert_eq!((none.code, none.field), (Code::FieldMissing, "evidence"));
    }

    #[test]
    fn the_co_signers_answers_come_back_from_the_wire_as_they_were() {
        let id = WithdrawalId::of(&Organisation::parse("o").unwrap(), &RequestId::parse("r").unwrap());
        let refused = |withdrawal, code, is_hold| {
            ItemVerdict::Refused(Refusal { withdrawal, finding: Finding::new(code, "why"), is_hold })
        };
        for head in [HeadAnswer::Cosigned("— w sig\n".into()), HeadAnswer::KnownSize(0)] {
            let outcome = CosignOutcome {
                head,
                verdicts: vec![
                    (reservation(1), ItemVerdict::Signed(vec![1])),
                    (reservation(2), refused(Some(id), Code::PriceStale, true)),
                    (reservation(3), refused(None, Code::NotInLog, false)),
                    (reservation(4), ItemVerdict::Pending(Finding::new(Code::CustodianPending, "late"))),
                ],
            };
            assert_eq!(CosignOutcome::try_from(v1::CountersignResponse::from(outcome.clone())), Ok(outcome));
        }
        let pending = Recalled::Pending(Finding::new(Code::CustodianPending, "late"));
        for state in [Recalled::Signed(vec![1]), Recalled::Dead, pending] {
            assert_eq!(
                recalled(recalled_to_wire(reservation(4), state.clone())),
                Ok((reservation(4), state))
            );
        }
        for answer in [
            Ok(StatementReceipt { number: 1, log_index: 2 }),
            Err(Finding::new(Code::StatementOutOfOrder, "")),
        ] {
            assert_eq!(statement_answer(statement_answer_to_wire(answer.clone())), Ok(answer));
        }
        let status = CosignStatus {
            known_size: 1,
            wallet: "w".into(),
            policy_hash: "p".into(),
            policies_kept: vec!["q".into()],
            trust_version: 2,
            attestation_key_id: "a".into(),
            attestation_key: [5; 32],
            witness_key: "v".into(),
        };
        assert_eq!(CosignStatus::try_from(v1::CosignerStatus::from(status.clone())), Ok(status));
    }

    #[test]
    fn an_answer_with_nothing_in_its_oneof_is_no_answer() {
        let result = v1::CountersignResult { reservation: reservation(1).to_string(), verdict: None };
        let head = Some(Head::KnownSize(1));
        assert!(CosignOutcome::try_from(v1::CountersignResponse { head, results: vec![result] }).is_err());
        assert!(CosignOutcome::try_from(v1::CountersignResponse { head: None, results: vec![] }).is_err());
        let state = v1::RecalledReservation { reservation: reservation(1).to_string(), state: None };
        assert!(recalled(state).is_err());
    }

    #[test]
    fn an_unknown_code_of_the_co_signer_is_still_its_no() {
        let wire = |is_hold| v1::CosignerRefusal {
            code: "NEW".into(),
            detail: "x".into(),
            is_hold,
            ..Default::default()
        };
        assert_eq!(Refusal::try_from(wire(true)).unwrap().finding.code, Code::CosignerHolds);
        assert_eq!(Refusal::try_from(wire(false)).unwrap().finding.code, Code::CosignerRefused);
    }

    #[test]
    fn what_is_still_to_come_is_a_hold_whatever_code_it_has() {
        let read =
            |code: &str| pending_of(v1::CosignerPending { code: code.into(), detail: "x".into() }).code;
        assert_eq!(read("CUSTODIAN_UNREACHABLE"), Code::CustodianUnreachable);
        for other in ["NEW", "", "RESERVATION_DEAD", "INTERNAL"] {
            assert_eq!(read(other), Code::CosignerHolds, "{other}");
        }
    }

    #[test]
    fn more_transactions_than_the_limit_are_refused_with_the_limit_named() {
        let wire = v1::CountersignRequest {
            checkpoint: "n".into(),
            items: vec![v1::CountersignItem::default(); BATCH_LEN_MAX + 1],
            ..Default::default()
        };
        let no = CosignOrder::try_from(wire).unwrap_err();
        assert_eq!(no.code, Code::FieldTooLong);
        assert!(no.problem.contains("1000"), "{no}");
    }
}
