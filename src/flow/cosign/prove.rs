//! What is shown for one transaction: its entry in the log, its evidence, its form. Nothing decided before it matters here.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::route::Heard;
use super::state::{CHANGE_AHEAD_MAX, State};
use super::wallets;
use crate::audit::Accepted;
use crate::bitcoin::KeySlot;
use crate::bitcoin::{Expectations, Pinned, check_psbt};
use crate::desk::{ClearanceEvidence, CosignItem, CosignPayment, Refusal, SignedText};
use crate::evidence::NotProven;
use crate::evidence::request::{VerifiedRequest, parse_request, verify_request};
use crate::evidence::{Approval, PolicyHashes};
use crate::evidence::{Clearance, Passage};
use crate::flow::approve;
use crate::flow::context::Context;
use crate::flow::rail::{Checked, bitcoin, safe};
use crate::withdrawal::{
    Amount, Asset, Chain, ChainId, Code, Finding, ReservationId, Seconds, WithdrawalId, WithdrawalRequest,
};

/// How far ahead on the cold wallet's branch 0 a sweep may pay.
const COLD_AHEAD_MAX: u32 = 1_000;

/// One payment whose evidence held.
pub struct ProvenPayment {
    /// The exchange's request.
    pub request: VerifiedRequest,
    /// The travel rule's yes.
    pub clearance: Passage,
    /// The operators' yeses.
    pub approvals: Vec<Approval>,
    /// Why others that were given do not count.
    pub left_out: Vec<Finding>,
}

/// One transaction whose form and evidence hold; what is left depends on what was decided before it.
pub struct Proven {
    /// The reservation.
    pub reservation: ReservationId,
    /// The transaction, checked.
    pub checked: Checked,
    /// What it pays.
    pub payments: Vec<ProvenPayment>,
}

/// A no with the withdrawal it is about.
pub fn no(withdrawal: Option<WithdrawalId>, finding: Finding) -> Refusal {
    let is_hold = finding.code.kind() == crate::withdrawal::Kind::Hold;
    Refusal { withdrawal, finding, is_hold }
}

fn refused(withdrawal: Option<WithdrawalId>, not_proven: NotProven) -> Refusal {
    match not_proven {
        NotProven::Refused(finding) => no(withdrawal, finding),
        NotProven::Unreadable(invalid) => {
            no(withdrawal, Finding::new(Code::EvidenceInvalid, invalid.to_string()))
        }
    }
}

/// Proves one item by itself: its log entry, its evidence, its transaction. Depends on nothing decided in this batch. A no names
/// a withdrawal where it is about that one alone.
pub(super) fn prove(
    context: &Context,
    state: &State,
    accepted: &Accepted,
    told: (&[PolicyHashes], &Heard),
    item: &CosignItem,
    now: Seconds,
) -> Result<Proven, Refusal> {
    let (txid, asset) = in_log(accepted, item)?;
    let proof = |payment| prove_payment(context, state, told, payment, now);
    let proofs: Vec<_> = item.payments.par_iter().map(proof).collect();
    let payments = proofs.into_iter().collect::<Result<Vec<_>, _>>()?;
    let only = only(&payments);
    let checked = match asset_of(context, asset, &payments)?.chain() {
        Chain::Bitcoin(_) => check_psbt_of(context, state, (item, &txid), &payments),
        Chain::Evm(chain) => check_proposal_of(context, state, chain, (item, &txid), &payments),
    };
    let checked = checked.map_err(|refusal| {
        // Another nonce is the next one by now: the withdrawal gets that.
        let is_late = refusal.finding.code == Code::AnchorMismatch;
        let withdrawal = refusal.withdrawal.or(only);
        Refusal { withdrawal, is_hold: refusal.is_hold || is_late, ..refusal }
    })?;
    let named = checked.reservation();
    if named != item.reservation {
        let detail = format!("the transaction is {named}, not {}", item.reservation);
        return Err(no(only, Finding::new(Code::TransactionMismatch, detail)));
    }
    Ok(Proven { reservation: item.reservation, checked, payments })
}

/// The one withdrawal that a transaction pays; of several none is meant by what is wrong with all of it.
pub(super) fn only(payments: &[ProvenPayment]) -> Option<WithdrawalId> {
    match payments {
        [payment] => Some(payment.request.id()),
        _ => None,
    }
}

/// Whom each payment pays; a no names it.
fn payees<T>(
    payments: &[ProvenPayment],
    payee: impl Fn(&WithdrawalRequest) -> Result<T, Finding>,
) -> Result<Vec<T>, Refusal> {
    let each = payments.iter().map(|payment| {
        let request = &payment.request;
        payee(request.request()).map_err(|finding| no(Some(request.id()), finding))
    });
    each.collect()
}

/// The one asset that a transaction moves: that of the requests it pays, or the one that its log entry names for a sweep.
fn asset_of(context: &Context, entered: Asset, payments: &[ProvenPayment]) -> Result<Asset, Refusal> {
    for payment in payments {
        let asset = payment.request.request().asset;
        if asset != entered {
            let detail = format!("`{asset}` is paid by a transaction of `{entered}`");
            return Err(no(Some(payment.request.id()), Finding::new(Code::KindNotAllowed, detail)));
        }
    }
    if !context.pays(entered) {
        let detail = format!("`{entered}` is no asset of this co-signer's wallets");
        return Err(no(None, Finding::new(Code::AssetUnknown, detail)));
    }
    Ok(entered)
}

fn check_psbt_of(
    context: &Context,
    state: &State,
    (item, txid): (&CosignItem, &str),
    payments: &[ProvenPayment],
) -> Result<Checked, Refusal> {
    let payees = payees(payments, |asked| bitcoin::payee(context, &asked.destination, asked.amount))?;
    let fee_max = payments.iter().try_fold(Amount::ZERO, |sum, p| sum.plus(p.request.request().fee_max));
    let no_txid = |_| no(None, Finding::new(Code::NotInLog, "the entry names no transaction of Bitcoin"));
    let expect = Expectations {
        txid: Some(txid.parse().map_err(no_txid)?),
        receiver: KeySlot::B,
        signed_by: None,
        payees: &payees,
        cold: Some(Pinned {
            wallet: &context.cold,
            index_max: state.cold_highest.saturating_add(COLD_AHEAD_MAX),
        }),
        change_index_max: state.scripts.highest[1].saturating_add(CHANGE_AHEAD_MAX),
        change_ready: None,
        caps: bitcoin::caps(context, fee_max.filter(|_| !payments.is_empty())),
        tip_height: state.treasury.of(context.asset).facts.chain.map_or(0, |c| c.value.height),
    };
    let lookup = |outpoint: &::bitcoin::OutPoint| state.own_coin(&context.wallet, outpoint);
    check_psbt(&item.psbt, &context.wallet, &expect, &lookup)
        .map(|checked| Checked::Bitcoin(context.asset, Box::new(checked)))
        .map_err(|e| no(None, Finding::new(e.code(), e.to_string())))
}

fn check_proposal_of(
    context: &Context,
    state: &State,
    chain: ChainId,
    (item, txid): (&CosignItem, &str),
    payments: &[ProvenPayment],
) -> Result<Checked, Refusal> {
    let payees = payees(payments, safe::payee)?;
    let no_hash = |_| no(None, Finding::new(Code::NotInLog, "the entry names no Safe transaction"));
    let hash = txid.parse().map_err(no_hash)?;
    let checked = safe::check_as_cosigner(context, &state.treasury, chain, &item.psbt, hash, &payees);
    let checked = checked.map_err(|finding| no(None, finding))?;
    state.treasury.is_as_pinned(checked.asset()).map_err(|finding| no(None, finding))?;
    Ok(checked)
}

/// The reservation must be in the log that was just witnessed (law L21); the entry fixes the transaction.
fn in_log(accepted: &Accepted, item: &CosignItem) -> Result<(String, Asset), Refusal> {
    let no_entry = |detail: String| no(None, Finding::new(Code::NotInLog, detail));
    let proof =
        crate::audit::InclusionProof::from_wire(&item.inclusion).map_err(|e| no_entry(e.to_string()))?;
    let entry =
        accepted.prove_entry(item.leaf_index, &item.leaf, &proof).map_err(|e| no_entry(e.to_string()))?;
    let kind = entry.entry().kind().as_str();
    let names_it = entry.entry().field("reservation") == Some(item.reservation.to_string().as_str());
    let txid = entry.entry().field("txid").map(str::to_owned);
    let asset = entry.entry().field("asset").and_then(|asset| Asset::parse(asset).ok());
    if let Some(both) = txid.zip(asset).filter(|_| names_it && ["reserved", "sweep_reserved"].contains(&kind))
    {
        return Ok(both);
    }
    Err(no_entry(format!("the entry is `{kind}` and does not reserve {}", item.reservation)))
}

fn prove_payment(
    context: &Context,
    state: &State,
    (policies, heard): (&[PolicyHashes], &Heard),
    payment: &CosignPayment,
    now: Seconds,
) -> Result<ProvenPayment, Refusal> {
    let settings = &context.settings;
    let (given, trust) = (&payment.request, &context.trust);
    let age_s_max = settings.request_age_s_max.saturating_add(settings.hold_s_max);
    // Not verified, and good enough to say which one it is about.
    let said = parse_request(&given.text).ok().map(|said| said.id());
    let request = verify_request(&given.text, &given.key_id, &given.signature, trust, now, age_s_max)
        .map_err(|e| refused(said, e))?;
    let id = Some(request.id());
    let clearance = match &payment.clearance {
        Some(ClearanceEvidence::Answer(answer)) => answered(context, state, answer, &request, now),
        Some(ClearanceEvidence::Reported(text)) => heard.passage(context, text, &request, now),
        Some(ClearanceEvidence::Exempt(registration)) => {
            wallets::exempt(context, state, registration, &request, now).map(Passage::Exempt)
        }
        None => return Err(no(id, Finding::new(Code::NoClearance, "no evidence was given"))),
    };
    let clearance = clearance.map_err(|e| refused(id, e))?;
    let expires_at = request.request().asked_at.plus(settings.approval_age_s_max);
    let wallet = context.wallet.fingerprint();
    let (mut approvals, mut left_out) = (Vec::with_capacity(payment.approvals.len()), Vec::new());
    if !payment.approvals.is_empty() {
        let texts = approve::texts(trust, &request, &clearance, policies, &wallet, expires_at)
            .map_err(|f| no(id, f))?;
        for armored in &payment.approvals {
            match approve::verify(&texts, armored, (trust, &request), now) {
                Ok(approval) => approvals.push(approval),
                // It makes the good ones beside it no worse; whether they are enough is the policy's word.
                Err(no) => left_out.push(refused(id, no).finding),
            }
        }
    }
    Ok(ProvenPayment { request, clearance, approvals, left_out })
}

/// The clearance by a counterparty's answer; the co-signer's own price says whether a name must have matched.
fn answered(
    context: &Context,
    state: &State,
    answer: &SignedText,
    request: &VerifiedRequest,
    now: Seconds,
) -> Result<Passage, NotProven> {
    let settings = &context.settings;
    let asked = request.request();
    let value = state.treasury.of(asked.asset).value(asked.amount);
    let name_match = context.needs_name(value, asked.beneficiary_vasp, now);
    let when = (now, settings.clearance_age_s_max);
    let (text, signature) = (&answer.text, &answer.signature);
    Clearance::from_answer(text, signature, &context.trust, request, when.0, when.1, name_match)
        .map(Passage::Cleared)
}
