//! Emptying on a rail: what lies at deposit addresses goes to a hot Safe, many addresses at a time, by one call of the treasury
//! Safe. Which of it is due is decided elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::gas::{self, Kept, draw};
use super::hot::Hot;
use super::safe::{Body, rate_of};
use super::{Built, Checked, no_wallet};
use crate::ethereum::action::read_actions;
use crate::ethereum::{
    Action, Address, B256, CheckedSafeTx, DepositDue, Expectations, Proposal, SafeWallet, Task, TrustedSafe,
    Units, Unsigned, UnsignedPlan, check_proposal,
};
use crate::flow::context::Context;
use crate::flow::facts::FeeSeen;
use crate::flow::ledger::deposits::Lying;
use crate::flow::ledger::lane::Lane;
use crate::flow::ledger::rows::{CosignedRow, EmptiedRow};
use crate::flow::ledger::{Ledger, OpenReservation, Treasury};
use crate::flow::rail::pins::SafePins;
use crate::withdrawal::{Amount, Asset, ChainId, Code, EvmAsset, Finding, KeyRole, ReservationId};

/// What the execution of a deposit address's own Safe takes beside it: its nonce, its events, the calls on the way.
const NESTED_GAS: u64 = 90_000;
/// What a deployment by the factory takes.
const DEPLOY_GAS: u64 = 300_000;
/// What each call of the batch adds to that: paid for, hashed, copied, and told in the log.
const CALL_GAS: u64 = 16_000;

/// What is emptied, and what it would cost.
pub struct Picked {
    chain: ChainId,
    /// The hot Safe that gets it.
    pub to: Address,
    /// What lies where, in the order of the calls.
    pub rows: Vec<EmptiedRow>,
    gas: u64,
    /// The fee as the policy sees it.
    pub fee: FeeSeen,
}

/// What emptying these takes, in the order given: an address whose Safe does not stand yet is deployed before its first transfer.
pub fn rows(kept: &Kept, items: &[Lying]) -> Vec<EmptiedRow> {
    let mut seen = BTreeSet::new();
    let row = |item: &Lying| EmptiedRow {
        index: item.index,
        asset: Asset::Evm(item.asset).to_string(),
        amount: item.amount.units(),
        deploy: seen.insert(item.index) && !item.is_deployed,
        gas: kept.each(item.asset),
    };
    items.iter().map(row).collect()
}

/// The gas that is kept for it.
fn gas_of(rows: &[EmptiedRow]) -> u64 {
    let each = rows.iter().map(|row| {
        let deploy = if row.deploy { DEPLOY_GAS } else { 0 };
        row.gas.saturating_add(NESTED_GAS).saturating_add(deploy)
    });
    each.fold(0, u64::saturating_add)
}

/// What executing it may cost, at a rate in wei for 1,000 units of gas.
fn fee_of(gas: u64, calls: usize, rate: u128) -> FeeSeen {
    let calls = u64::try_from(calls).unwrap_or(u64::MAX).saturating_mul(CALL_GAS);
    let gas = u128::from(gas.saturating_add(gas::EXECUTION).saturating_add(calls));
    let paid = gas.saturating_mul(rate).div_ceil(1_000);
    FeeSeen { rate, paid, leaving: 0, lineage: paid, share: paid }
}

/// The fee of a checked transaction.
pub fn fee_of_checked(tx: &CheckedSafeTx, rate: u128) -> FeeSeen {
    fee_of(tx.call().safe_tx_gas, tx.actions().len(), rate)
}

fn calls_of(rows: &[EmptiedRow]) -> usize {
    rows.len().saturating_add(rows.iter().filter(|row| row.deploy).count())
}

/// Picks as many of these as one transaction carries whose fee stays within `fee_max`.
pub fn pick(
    context: &Context,
    ledger: &Ledger,
    chain: ChainId,
    (items, fee_max): (&[Lying], u128),
) -> Result<Picked, Finding> {
    let rate = rate_of(&ledger.treasury, super::coin(chain))?;
    let drawn = draw(context);
    let to = poorest(&ledger.treasury, chain, items)?;
    let mut rows = rows(Kept::on(context, chain), items);
    loop {
        let gas = gas_of(&rows).saturating_add(drawn);
        let fee = fee_of(gas, calls_of(&rows), rate);
        if gas <= gas::KEPT_MAX && fee.paid <= fee_max {
            return Ok(Picked { chain, to, rows, gas, fee });
        }
        if rows.len() <= 1 {
            let detail =
                format!("emptying one address may cost {} wei, and {fee_max} is what may be spent", fee.paid);
            return Err(Finding::new(Code::EmptyingLimit, detail));
        }
        rows.pop();
    }
}

/// The hot Safe that has the least of what comes first.
fn poorest(treasury: &Treasury, chain: ChainId, items: &[Lying]) -> Result<Address, Finding> {
    let asset = items.first().map_or(EvmAsset::Ether(chain), |item| item.asset);
    Ok(Hot::of(treasury, asset)?.emptiest())
}

/// The hot Safe that a call of the treasury brings all of it to; nothing, where the first transfer goes elsewhere. A check then
/// holds all the others against it.
pub fn bound_for(pins: &SafePins, actions: &[Action]) -> Option<Address> {
    let to = actions.iter().find_map(|action| match action {
        Action::Nested { payee, .. } => Some(payee.to),
        Action::Pay(_) | Action::Deploy(_) | Action::Swap(_) => None,
    })?;
    pins.hot_safes().map(SafeWallet::address).find(|hot| *hot == to)
}

/// The lane of the treasury Safe of a chain.
pub fn lane<'a>(context: &Context, treasury: &'a Treasury, chain: ChainId) -> Result<&'a Lane, Finding> {
    let safe = pins(context, chain)?.treasury.as_ref().ok_or_else(|| no_wallet(&chain))?;
    treasury.lanes.of(chain, safe.address()).ok_or_else(|| no_wallet(&chain))
}

fn pins(context: &Context, chain: ChainId) -> Result<&SafePins, Finding> {
    context.safes.get(&chain).ok_or_else(|| no_wallet(&chain))
}

/// Builds the call of the treasury Safe under its next nonce.
pub fn build(context: &Context, ledger: &Ledger, picked: &Picked) -> Result<Built, Finding> {
    let (pins, chain) = (pins(context, picked.chain)?, picked.chain);
    let lane = lane(context, &ledger.treasury, chain)?;
    let safe = lane.trusted()?;
    let short = || Finding::new(Code::SafeNotAsPinned, "its nonce is not known");
    let nonce = lane.next_nonce().ok_or_else(short)?;
    let deposits = pins.deposits.as_ref().ok_or_else(|| no_wallet(&chain))?;
    let task = Task::Empty { deposits, hot: picked.to, due: dues(&picked.rows)? };
    let plan = UnsignedPlan { nonce, safe_tx_gas: picked.gas, task };
    let broken = |e: crate::ethereum::BuildError| Finding::new(Code::Internal, e.to_string());
    let unsigned = Unsigned::build(&safe, &plan).map_err(broken)?;
    let id = ReservationId::of_txid(&unsigned.hash().0);
    if ledger.dead.contains(&id) {
        let detail = "this very transaction was refused; another is drawn next";
        return Err(Finding::new(Code::CosignerHolds, detail));
    }
    let height = ledger.treasury.of(super::coin(chain)).facts.chain.map_or(0, |c| c.value.height);
    Ok(Built {
        proposal: unsigned.proposal(),
        txid: unsigned.hash().to_string(),
        id,
        inputs: vec![lane.anchor(nonce)],
        fee: picked.fee.paid,
        fee_leaving: 0,
        outgoing: 0,
        change: None,
        tip_height: height,
        body: super::Body::Safe(Body::emptying(Ok(safe), nonce, picked.rows.clone())),
    })
}

/// What is due, as the room of the chain takes it.
fn dues(rows: &[EmptiedRow]) -> Result<Vec<DepositDue>, Finding> {
    let due = |row: &EmptiedRow| {
        let Ok(Asset::Evm(asset)) = Asset::parse(&row.asset) else { return None };
        let amount = Units::from_amount(Amount::from_units(row.amount));
        Some(DepositDue { index: row.index.into(), asset, amount, deploy: row.deploy, safe_tx_gas: row.gas })
    };
    let all = rows.iter().map(due).collect::<Option<Vec<_>>>();
    all.ok_or_else(|| Finding::new(Code::Internal, "what was to be emptied cannot be read"))
}

/// What the answer about an emptying that was read back is judged by.
pub fn read_back(ledger: &Ledger, reservation: &OpenReservation, rows: &[EmptiedRow]) -> Option<Body> {
    let (lane, nonce) = ledger.treasury.lanes.at(reservation.row.inputs.first()?)?;
    let safe = ledger.treasury.lanes.trusted(reservation.asset.chain().evm()?).and_then(|()| lane.trusted());
    Some(Body::emptying(safe, nonce, rows.to_vec()))
}

/// What a proposal of the treasury Safe must be: these, all of each, to one of the hot Safes, and nothing beside.
pub fn check(
    context: &Context,
    bytes: &[u8],
    safe: &TrustedSafe,
    (hash, nonce, signed_by): (B256, u64, Option<KeyRole>),
    rows: &[EmptiedRow],
) -> Result<CheckedSafeTx, Finding> {
    let chain = safe.wallet().chain();
    let pins = pins(context, chain)?;
    let deposits = pins.deposits.as_ref().ok_or_else(|| no_wallet(&chain))?;
    let due = dues(rows)?;
    let hot = bound_for(pins, &actions_of(bytes, safe)?).unwrap_or_else(|| pins.hot.address());
    let gas_max = gas::bound(gas_of(rows)).min(gas::KEPT_MAX);
    let expect = Expectations {
        hash: Some(hash),
        signed_by,
        emptying: Some((deposits, hot, &due)),
        // Whatever it would pay plainly is unpaid for, own address or not.
        is_own: &|_| false,
        ..Expectations::nothing(nonce, gas_max)
    };
    check_proposal(bytes, safe, &expect).map_err(|e| Finding::new(e.code(), e.to_string()))
}

/// Checks a proposal of the treasury Safe as the co-signer does: what lies at the addresses that it names, and whether their Safes
/// stand, comes from this party's own book.
pub fn check_as_cosigner(
    context: &Context,
    treasury: &Treasury,
    chain: ChainId,
    (bytes, hash): (&[u8], B256),
) -> Result<Checked, Finding> {
    let safe = lane(context, treasury, chain)?.trusted()?;
    let actions = actions_of(bytes, &safe)?;
    let lying = actions.iter().filter_map(|action| match action {
        Action::Nested { safe, payee, .. } => Some((*safe, payee.asset)),
        Action::Pay(_) | Action::Deploy(_) | Action::Swap(_) => None,
    });
    let known = lying.map(|(address, asset)| {
        let unknown = || {
            let detail = format!(
                "{address} is no deposit address of ours at which {} is known to lie",
                Asset::Evm(asset)
            );
            Finding::new(Code::TransactionMismatch, detail)
        };
        treasury.deposits.lying_at(chain, address, asset).ok_or_else(unknown)
    });
    let known = known.collect::<Result<Vec<_>, _>>()?;
    let mut seen = BTreeSet::new();
    if !known.iter().all(|item| seen.insert((item.index, item.asset))) {
        return Err(Finding::new(Code::TransactionMismatch, "it takes the same deposit twice"));
    }
    let rows = rows(Kept::on(context, chain), &known);
    checked(context, treasury, chain, (bytes, hash), rows)
}

fn proposal_of(bytes: &[u8]) -> Result<Proposal, Finding> {
    Proposal::read(bytes).map_err(|e| Finding::new(e.code(), e.to_string()))
}

fn actions_of(bytes: &[u8], safe: &TrustedSafe) -> Result<Vec<Action>, Finding> {
    let actions = read_actions(proposal_of(bytes)?.call(), safe.wallet());
    actions.map_err(|(at, no)| Finding::new(Code::CallNotAllowed, format!("call {at} {no}")))
}

fn checked(
    context: &Context,
    treasury: &Treasury,
    chain: ChainId,
    (bytes, hash): (&[u8], B256),
    rows: Vec<EmptiedRow>,
) -> Result<Checked, Finding> {
    let nonce = proposal_of(bytes)?.call().nonce;
    let lane = lane(context, treasury, chain)?;
    let tx = check(context, bytes, lane.trusted()?.as_ref(), (hash, nonce, None), &rows)?;
    Ok(Checked::Safe {
        tx: Box::new(tx),
        asset: super::coin(chain),
        anchor: lane.anchor(nonce),
        rate: rate_of(treasury, super::coin(chain))?,
        emptied: Arc::new(rows),
    })
}

/// Reads one again that was judged before: what it empties was judged then, and is fixed by its hash.
pub fn read_again(
    context: &Context,
    treasury: &Treasury,
    (row, chain): (&CosignedRow, ChainId),
    bytes: &[u8],
) -> Option<Checked> {
    checked(context, treasury, chain, (bytes, row.txid.parse().ok()?), row.emptied.clone()).ok()
}
