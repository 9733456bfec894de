//! What one transaction must be before key B signs it. Every fact is the co-signer's own.

use std::collections::HashSet;
use std::sync::Arc;

use super::prove::{Proven, ProvenPayment, no, only};
use super::state::{Past, State};
use crate::bitcoin::{CheckedTransaction, OwnScript};
use crate::desk::Refusal;
use crate::ethereum::CheckedSafeTx;
use crate::evidence::Approval;
use crate::evidence::TravelRule;
use crate::flow::context::Context;
use crate::flow::facts::{FeeSeen, Sight, permit};
use crate::flow::ledger::lane::Lane;
use crate::flow::ledger::rows::ChangeRow;
use crate::flow::ledger::treasury::Spend;
use crate::flow::rail::{self, Checked, Kind};
use crate::flow::{emptying, refuel};
use crate::withdrawal::evm_address::spell;
use crate::withdrawal::{Amount, Asset, Code, Finding, Seconds};

/// How many approvals that do not count a no names.
const LEFT_OUT_SHOWN: usize = 4;

/// What a yes changes.
pub struct Yes {
    /// What it adds to the sums.
    pub spend: Spend,
    /// What leaves the hot wallet, in base units, with the fee where the wallet pays it.
    pub outgoing: u128,
    /// What comes back.
    pub change: Option<(ChangeRow, Arc<OwnScript>)>,
    /// What goes to the cold wallet, in base units, and at which index.
    pub swept: Option<(u128, u32)>,
}

/// Decides on a proven item, after everything decided before it: once only (L1, L4), the anchor (L17), sums and share.
pub fn decide(
    context: &Context,
    state: &State,
    past: &Past,
    proven: &Proven,
    now: Seconds,
) -> Result<Yes, Refusal> {
    let checked = &proven.checked;
    none_is_void(past, &proven.payments)?;
    is_there(state, checked)?;
    each_once(&proven.payments)?;
    for payment in &proven.payments {
        once(past, proven, payment)?;
    }
    let (asset, kind, swept) = (checked.asset(), checked.kind(), checked.swept());
    let labelled_right = match kind {
        Kind::Withdrawal => !proven.payments.is_empty(),
        Kind::Sweep | Kind::Refuel | Kind::Emptying | Kind::Other(_) => proven.payments.is_empty(),
    };
    if !labelled_right {
        return Err(no(
            None,
            Finding::new(Code::KindNotAllowed, "its outputs are not what it was asked for"),
        ));
    }
    let hot = |asset| state.hot(asset, now);
    let sight = Sight::new(context, &state.treasury, asset, &hot, now);
    let fee = checked.fee();
    let mut spend = Spend { leaving: 0, fee: 0, ..Spend::default() };
    match kind {
        Kind::Withdrawal => {
            for payment in &proven.payments {
                let weighed = weigh(context, state, &sight, payment, (fee, spend));
                weighed.map_err(|refusal| about(&proven.payments, refusal))?;
                spend = spend.plus(&payment_of(state, payment));
            }
        }
        Kind::Sweep => weigh_sweep(context, &sight, (swept, rests(state, checked)), fee)?,
        Kind::Refuel => spend = weigh_refuel(context, &sight, checked.outgoing(), fee)?,
        Kind::Emptying => spend = weigh_emptying(context, &sight, checked, fee)?,
        Kind::Other(kind) => {
            let detail = format!("a {kind} is decided by nobody here");
            return Err(no(None, Finding::new(Code::KindNotAllowed, detail)));
        }
    }
    let spend = Spend { leaving: spend.leaving.saturating_add(fee.leaving), fee: fee.paid, ..spend };
    Ok(Yes { spend, outgoing: checked.outgoing(), change: checked.change(), swept })
}

/// That a fee is too high for one transaction is about all that it pays: with fewer of them it may be right.
fn about(payments: &[ProvenPayment], refusal: Refusal) -> Refusal {
    match refusal.finding.code {
        Code::FeeAboveCap => Refusal { withdrawal: only(payments), ..refusal },
        _ => refusal,
    }
}

/// What one payment adds to the sums, without the fee.
fn payment_of(state: &State, payment: &ProvenPayment) -> Spend {
    let request = payment.request.request();
    let leaving = request.amount.units();
    let spend = Spend { leaving, ..Spend::default() };
    match payment.clearance.travel_rule() {
        TravelRule::AddressOnly => {
            let value = state.treasury.of(request.asset).value(request.amount);
            Spend { unnamed: value.unwrap_or_default(), ..spend }
        }
        TravelRule::Unsigned => Spend { unsigned: leaving, ..spend },
        TravelRule::Cleared | TravelRule::Exempt => spend,
    }
}

/// What was proved was proved before the batch was decided: an earlier item may have spent this by now.
fn is_there(state: &State, checked: &Checked) -> Result<(), Refusal> {
    match checked {
        Checked::Bitcoin(_, tx) => coins_are_there(state, tx),
        Checked::Safe { tx, anchor, asset, .. } => {
            let lane = state.treasury.lanes.at(anchor).map(|(lane, _)| lane);
            nonce_is_next(lane, tx)?;
            has_it(lane, *asset, checked.outgoing())
        }
    }
}

/// A payment that its Safe cannot make would revert, and use the nonce up with nobody paid.
fn has_it(lane: Option<&Lane>, asset: Asset, outgoing: u128) -> Result<(), Refusal> {
    let spendable = lane.map_or(0, |lane| lane.spendable(asset));
    if outgoing <= spendable {
        return Ok(());
    }
    let detail = format!("{spendable} can be spent of {asset} there, and {outgoing} would leave");
    Err(no(None, Finding::new(Code::HotFundsShort, detail)))
}

/// Only the next nonce is signed: one behind it would wait for ever if this one is never used.
fn nonce_is_next(lane: Option<&Lane>, tx: &CheckedSafeTx) -> Result<(), Refusal> {
    let next = lane.and_then(Lane::next_nonce);
    if next == Some(tx.call().nonce) {
        return Ok(());
    }
    let next = next.map_or_else(|| "not known".to_owned(), |next| next.to_string());
    let detail = format!("the nonce is {}, and the next one here is {next}", tx.call().nonce);
    Err(Refusal { is_hold: true, ..no(None, Finding::new(Code::AnchorMismatch, detail)) })
}

/// A coin that is not deep enough to count as hot must not count as cold either, nor as change: it may never confirm.
fn coins_are_there(state: &State, checked: &CheckedTransaction) -> Result<(), Refusal> {
    let coins = &state.treasury.coins;
    for outpoint in checked.inputs().iter().map(|i| &i.coin().outpoint) {
        let Some(coin) = coins.coin(outpoint) else {
            return Err(no(None, Finding::new(Code::CoinUnknown, format!("{outpoint} was spent just now"))));
        };
        if !coins.is_spendable(coin) {
            let detail = format!("{outpoint} has {} confirmations, too few to be spent", coin.confirmations);
            return Err(no(None, Finding::new(Code::HotFundsShort, detail)));
        }
    }
    Ok(())
}

/// What was taken back is never signed (law L2).
fn none_is_void(past: &Past, payments: &[ProvenPayment]) -> Result<(), Refusal> {
    for id in payments.iter().map(|payment| payment.request.id()) {
        if let Some(void) = past.requests.get(&id).and_then(|seen| seen.void.as_ref()) {
            let code = if void.cause == "rejected" { Code::RejectedByOperator } else { Code::Cancelled };
            return Err(no(Some(id), Finding::new(code, "it was taken back, and is never signed")));
        }
    }
    Ok(())
}

/// One transaction pays each request once and uses each verification once.
fn each_once(payments: &[ProvenPayment]) -> Result<(), Refusal> {
    let (mut ids, mut uuids) = (HashSet::new(), HashSet::new());
    for payment in payments {
        let id = payment.request.id();
        if !ids.insert(id) {
            return Err(no(Some(id), Finding::new(Code::RequestIdReused, "paid twice by one transaction")));
        }
        if payment.clearance.uuid().is_some_and(|uuid| !uuids.insert(uuid)) {
            let detail = "one verification for two payments of one transaction";
            return Err(no(Some(id), Finding::new(Code::EvidenceUsed, detail)));
        }
    }
    Ok(())
}

/// Each request once, each verification once, each withdrawal on one anchor.
fn once(past: &Past, proven: &Proven, payment: &ProvenPayment) -> Result<(), Refusal> {
    let id = payment.request.id();
    let uuid = payment.clearance.uuid().map(|uuid| uuid.to_string());
    let used_by = uuid.as_ref().and_then(|uuid| past.uuids.get(uuid));
    if let (Some(uuid), Some(_)) = (&uuid, used_by.filter(|used_by| **used_by != id.to_string())) {
        return Err(no(
            Some(id),
            Finding::new(Code::EvidenceUsed, format!("verification {uuid} was used up")),
        ));
    }
    let Some(seen) = past.requests.get(&id) else { return Ok(()) };
    if seen.digest != data_encoding::HEXLOWER.encode(payment.request.digest()) {
        let detail = "another request was seen under this organisation and request id";
        return Err(no(Some(id), Finding::new(Code::RequestIdReused, detail)));
    }
    let Some(anchor) = &seen.anchor else { return Ok(()) };
    let keeps = proven.checked.inputs().contains(anchor);
    if keeps {
        return Ok(());
    }
    let detail = format!("a transaction for it was signed, and this one does not spend its anchor {anchor}");
    Err(no(Some(id), Finding::new(Code::AnchorMismatch, detail)))
}

/// Judges one payment; `before` is what the same transaction pays before it, which no sum holds yet.
fn weigh(
    context: &Context,
    state: &State,
    sight: &Sight<'_>,
    payment: &ProvenPayment,
    (fee, before): (FeeSeen, Spend),
) -> Result<(), Refusal> {
    let request = payment.request.request();
    let id = Some(payment.request.id());
    let place = rail::place(context, request.asset, &request.destination)
        .map_err(|e| no(id, Finding::new(e.code, e.problem)))?;
    let own = place.is_among(&state.scripts, &state.treasury);
    let approvals: Vec<&Approval> = payment.approvals.iter().collect();
    let facts = sight
        .of_withdrawal(&payment.request, own, Some(&payment.clearance), &approvals, fee)
        .map_err(|finding| no(id, finding))?;
    let too_much = || no(id, Finding::new(Code::PolicyFault, "a sum of amounts does not fit 128 bits"));
    let facts = before.behind(before.leaving, facts).ok_or_else(too_much)?;
    permit(&context.policy, &facts).map_err(|finding| name_left_out(no(id, finding), &payment.left_out))
}

/// Where approvals are missing, says which were given and do not count.
fn name_left_out(mut refusal: Refusal, left_out: &[Finding]) -> Refusal {
    if refusal.finding.code == Code::ApprovalRequired {
        for finding in left_out.iter().take(LEFT_OUT_SHOWN) {
            let left_out = format!("; one does not count here: {}: {}", finding.code, finding.detail);
            refusal.finding.detail.push_str(&left_out);
        }
    }
    refusal
}

/// What the place that it leaves has of the asset.
fn rests(state: &State, checked: &Checked) -> u128 {
    match checked {
        Checked::Bitcoin(..) => u128::MAX,
        Checked::Safe { asset, anchor, .. } => {
            state.treasury.lanes.at(anchor).map_or(u128::MAX, |(lane, _)| lane.spendable(*asset))
        }
    }
}

fn weigh_sweep(
    context: &Context,
    sight: &Sight<'_>,
    (swept, rests): (Option<(u128, u32)>, u128),
    fee: FeeSeen,
) -> Result<(), Refusal> {
    let (amount, index) =
        swept.ok_or_else(|| no(None, Finding::new(Code::KindNotAllowed, "no cold output")))?;
    // The honest signer sweeps nothing smaller, unless it is all that one Safe has; many small ones would burn the fee budget of all.
    let smallest = context.limits(sight.asset).map_or(0, |limits| limits.min_sweep.0);
    if amount < smallest.min(rests) {
        let detail = format!("{amount} base units to cold are below the smallest sweep, {smallest}");
        return Err(no(None, Finding::new(Code::KindNotAllowed, detail)));
    }
    let address = rail::cold_address(context, sight.asset, index).map_err(|finding| no(None, finding))?;
    let facts = sight.of_sweep(Amount::from_units(amount), address, fee);
    facts.and_then(|facts| permit(&context.policy, &facts)).map_err(|finding| no(None, finding))
}

/// Where it goes and how much at once is checked by then; when it is due, and how much within a day, by this party's own facts.
fn weigh_refuel(context: &Context, sight: &Sight<'_>, amount: u128, fee: FeeSeen) -> Result<Spend, Refusal> {
    let executor = refuel::due(context, sight.treasury, sight.asset, amount, sight.now);
    let executor = executor.map_err(|finding| no(None, finding))?;
    let facts = sight.of_refuel(Amount::from_units(amount), spell(executor.address), fee);
    facts.and_then(|facts| permit(&context.policy, &facts)).map_err(|finding| no(None, finding))?;
    Ok(Spend { leaving: amount, refuelled: amount, ..Spend::default() })
}

/// What it empties, of whose addresses and where to, is checked by then; whether it is due, and what a day may cost, by this party's
/// own facts, after everything decided before it.
fn weigh_emptying(
    context: &Context,
    sight: &Sight<'_>,
    checked: &Checked,
    fee: FeeSeen,
) -> Result<Spend, Refusal> {
    let Some((chain, hot)) = checked.brings_to(context) else {
        return Err(no(None, Finding::new(Code::KindNotAllowed, "to no hot Safe of an EVM chain")));
    };
    let allowed = emptying::allows(context, sight.treasury, chain, (checked.emptied(), fee), sight.now);
    allowed.and_then(|()| emptying::allow(context, sight, hot, fee)).map_err(|finding| no(None, finding))?;
    Ok(Spend { emptied: fee.paid, ..Spend::default() })
}
