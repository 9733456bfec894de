//! Book first: coins are picked, the whole unsigned transaction is fixed and written down before a key is touched.

use std::sync::Arc;

use ::bitcoin::OutPoint;
use data_encoding::HEXLOWER;

use super::context::Context;
use super::courier::Parcel;
use super::facts::FeeSeen;
use super::handed_on;
use super::ledger::coins::CoinState;
use super::ledger::journal::Draft;
use super::ledger::rows::{self, ChangeRow, Purpose, ReservationRow, Signed};
use super::ledger::treasury::Spend;
use super::ledger::{Ledger, Open, OpenReservation};
use super::withdraw;
use super::writer::Turn;
use crate::audit::EntryKind;
use crate::bitcoin::build::{Chance, OwnOutput, Payee, Unsigned, UnsignedPlan};
use crate::bitcoin::coin::OwnCoin;
use crate::bitcoin::fee::FeeCaps;
use crate::bitcoin::{Branch, Destination, KeySlot, OwnScript};
use crate::bitcoin::{FeeTerms, OutputNeed, Selection};
use crate::desk::{ClearanceEvidence, CosignPayment};
use crate::enclave::Word;
use crate::evidence::TravelRule;
use crate::store::Table;
use crate::withdrawal::{Amount, Asset, Code, FeeRate, Finding, Krw, ReservationId, WithdrawalId};

/// Coins that would pay, and what it would cost.
pub struct Picked {
    selection: Selection,
    payee: Payee,
    rate: FeeRate,
}

impl Picked {
    /// The fee as the policy sees it.
    pub fn fee(&self) -> FeeSeen {
        // The rate that counts is the one really paid, not the one intended.
        let fee = FeeSeen::of_bytes(self.selection.fee_sat, self.selection.vbytes);
        FeeSeen { rate: fee.rate.max(u128::from(self.rate.0)), ..fee }
    }
}

/// The caps on fees that the party's policy sets for its asset; without any, no fee is right.
pub fn caps(context: &Context, asked: Option<Amount>) -> FeeCaps {
    let limits = context.limits(context.asset);
    FeeCaps {
        rate_max: FeeRate(limits.map_or(0, |l| sat(l.fee_rate_max.0))),
        transaction_sat_max: limits.map_or(0, |l| sat(l.fee_tx_max.0)),
        asked_sat_max: asked.map(|a| a.sat().unwrap_or(u64::MAX)),
    }
}

fn sat(units: u128) -> u64 {
    u64::try_from(units).unwrap_or(u64::MAX)
}

/// How many coins a selection is made from.
pub const CANDIDATES: usize = 48;

/// Picks coins for a withdrawal; nothing, where no fee rate was ever stated (the policy then says what is missing).
pub fn pick(
    context: &Context,
    ledger: &Ledger,
    open: &Open,
    destination: &Destination,
) -> Result<Option<Picked>, Finding> {
    let Some(chain) = ledger.treasury.of(context.asset).facts.chain else { return Ok(None) };
    let request = open.request.request();
    let amount_sat = request.amount.sat().unwrap_or(u64::MAX);
    let terms = FeeTerms {
        rate: chain.value.fee_rate,
        caps: caps(context, Some(request.fee_max)),
        replaced_fee_sat: None,
    };
    let fee_room = request.fee_max.sat().unwrap_or(0);
    let coins = ledger.treasury.coins.spendable().shortlist(
        amount_sat.saturating_add(fee_room),
        chain.value.fee_rate,
        None,
        CANDIDATES,
    );
    let need = OutputNeed { amount_sat, weight: destination.output_weight() };
    let selection = crate::bitcoin::select(&coins, None, &[need], &terms)
        .map_err(|e| Finding::new(e.code(), e.to_string()))?;
    let payee = Payee { script_pubkey: destination.script_pubkey().to_owned(), amount_sat };
    Ok(Some(Picked { selection, payee, rate: chain.value.fee_rate }))
}

/// What is built from a selection.
struct Built {
    unsigned: Unsigned,
    psbt: Vec<u8>,
    change: Option<ChangeRow>,
    change_script: Option<Arc<OwnScript>>,
    tip_height: u32,
}

fn build(
    context: &Context,
    ledger: &mut Ledger,
    selection: &Selection,
    payees: Vec<Payee>,
    cold: Option<OwnOutput>,
) -> Result<Built, Finding> {
    let broken = |detail: String| Finding::new(Code::Internal, detail);
    let wallet = context.wallet.clone();
    let mut inputs = Vec::with_capacity(selection.coins.len());
    for coin in &selection.coins {
        let script =
            ledger.addresses.script(&wallet, coin.branch, coin.index).map_err(|e| broken(e.to_string()))?;
        inputs.push(OwnCoin { outpoint: coin.outpoint, amount_sat: coin.amount_sat, script });
    }
    let change_index = ledger.addresses.change_index();
    let change = match selection.change_sat {
        None => None,
        Some(amount_sat) => {
            let script = ledger
                .addresses
                .script(&wallet, Branch::Change, change_index)
                .map_err(|e| broken(e.to_string()))?;
            Some(OwnOutput { script, amount_sat })
        }
    };
    let tip_height = ledger.treasury.of(context.asset).facts.chain.map_or(0, |c| c.value.height);
    let change_script = change.as_ref().map(|c| c.script.clone());
    let change_sat = selection.change_sat;
    let plan = UnsignedPlan { inputs, payees, cold, change, tip_height };
    let unsigned = draw(context, ledger, &plan)?;
    let psbt = unsigned.psbt(KeySlot::B, &wallet, Some(&context.cold)).map_err(|e| broken(e.to_string()))?;
    let change = change_script.as_ref().zip(change_sat).and_then(|(script, amount_sat)| {
        Some(ChangeRow { vout: unsigned.vout_of(script)?, amount_sat, index: change_index })
    });
    Ok(Built { unsigned, psbt, change, change_script, tip_height })
}

/// How long a withdrawal that was charged to the sums is not charged again, in seconds: the shortest window.
const CHARGED_S: u64 = 3_600;

/// How many orders and lock times are drawn before a transaction that was refused counts as the only one there is.
const DRAWS: usize = 32;

/// Builds the transaction of a plan, but none that the co-signer has refused: it is refused for ever (law L20).
fn draw(context: &Context, ledger: &Ledger, plan: &UnsignedPlan) -> Result<Unsigned, Finding> {
    for _ in 0..DRAWS {
        let chance = Chance { order: context.random_u64(), lock_time: context.random_u64() };
        let unsigned =
            Unsigned::build(plan.clone(), chance).map_err(|e| Finding::new(Code::Internal, e.to_string()))?;
        if !ledger.dead.contains(&ReservationId::of_txid(&txid_bytes(&unsigned.txid()))) {
            return Ok(unsigned);
        }
    }
    let detail = "the only transaction there is was refused; the next block allows another";
    Err(Finding::new(Code::CosignerHolds, detail))
}

/// Reserves a withdrawal: coins, sums and the unsigned transaction, all in this turn's commit.
pub fn reserve_withdrawal(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    id: WithdrawalId,
    picked: Picked,
) -> Result<Box<Parcel>, Finding> {
    let unnamed = unnamed_value(context, ledger, id);
    let fee_sat = picked.selection.fee_sat;
    let now = turn.draft.now();
    let charged = ledger.open.get(&id).and_then(|open| open.charged_at);
    // A co-signer that holds is asked again and again; what never left is not counted each time. Nor is it given back.
    let spend = match charged.and_then(|at| now.since(at)) {
        Some(ago) if ago < CHARGED_S => Spend::default(),
        _ => {
            let (amount, fee) = (u128::from(picked.payee.amount_sat), u128::from(fee_sat));
            let unsigned = if is_unsigned(ledger, id) { amount } else { 0 };
            Spend { leaving: amount.saturating_add(fee), fee, unnamed, unsigned }
        }
    };
    let built = build(context, ledger, &picked.selection, vec![picked.payee.clone()], None)?;
    spend_sums(ledger, turn, context.asset, spend)?;
    let purpose = Purpose::Withdrawals(vec![id.to_string()]);
    let mut parcel = book(context, ledger, turn, built, Booking { purpose, withdrawals: vec![id], spend });
    parcel.payees = vec![picked.payee];
    if let Some(open) = ledger.open.get_mut(&id) {
        if spend.leaving > 0 {
            open.charged_at = Some(now);
        }
        parcel.fee_max = Some(open.request.request().fee_max);
        parcel.payments = vec![payment(open)];
    }
    withdraw::mark_reserved(ledger, turn, id, parcel.reservation, parcel.row.log_index);
    Ok(parcel)
}

/// A withdrawal's evidence, for the co-signer to judge by itself.
pub fn payment(open: &Open) -> CosignPayment {
    CosignPayment {
        request: handed_on(open.request.signed()),
        clearance: open.row.evidence.as_ref().and_then(|evidence| clearance(open, evidence)),
        approvals: open.approvals.iter().map(|a| a.signature().to_owned()).collect(),
    }
}

fn clearance(open: &Open, evidence: &Signed) -> Option<ClearanceEvidence> {
    if open.request.request().beneficiary_vasp.is_self_hosted() {
        return evidence.signed_text().map(ClearanceEvidence::Exempt);
    }
    match evidence.word()? {
        Word::Signed { .. } => evidence.signed_text().map(ClearanceEvidence::Answer),
        Word::Reported(text) => Some(ClearanceEvidence::Reported(text)),
    }
}

/// Reserves a sweep of at least `amount_sat` to the next address of the pinned cold descriptor.
pub fn reserve_sweep(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    selection: &Selection,
    (cold, cold_index): (OwnOutput, u32),
) -> Result<Box<Parcel>, Finding> {
    let amount_sat = cold.amount_sat;
    let built = build(context, ledger, selection, Vec::new(), Some(cold))?;
    let fee = u128::from(built.unsigned.fee_sat());
    let now = turn.draft.now();
    // As for a withdrawal: an attempt that the co-signer refuses is not counted each time, nor given back.
    let spend = match ledger.sweep_retry.charged_at.and_then(|at| now.since(at)) {
        Some(ago) if ago < CHARGED_S => Spend::default(),
        _ => Spend { leaving: fee, fee, ..Spend::default() },
    };
    spend_sums(ledger, turn, context.asset, spend)?;
    if spend.leaving > 0 {
        ledger.sweep_retry.charged_at = Some(now);
    }
    let purpose = Purpose::Sweep { amount: u128::from(amount_sat), cold_index };
    let mut parcel = book(context, ledger, turn, built, Booking { purpose, withdrawals: Vec::new(), spend });
    parcel.cold_index = Some(cold_index);
    Ok(parcel)
}

fn spend_sums(ledger: &mut Ledger, turn: &Turn, asset: Asset, spend: Spend) -> Result<(), Finding> {
    let done = ledger.treasury.spend(asset, turn.draft.now(), spend);
    done.map_err(|e| Finding::new(Code::ClockWentBack, e.to_string()))
}

fn unnamed_value(context: &Context, ledger: &Ledger, id: WithdrawalId) -> Krw {
    let unnamed = ledger.open.get(&id).is_some_and(|open| {
        open.clearance.as_ref().is_none_or(|c| c.travel_rule() == TravelRule::AddressOnly)
    });
    let value = ledger.treasury.of(context.asset).value(withdraw::amount_of(ledger, &id));
    if unnamed { value.unwrap_or_default() } else { Krw(0) }
}

fn is_unsigned(ledger: &Ledger, id: WithdrawalId) -> bool {
    let clearance = ledger.open.get(&id).and_then(|open| open.clearance.as_ref());
    clearance.is_some_and(|clearance| clearance.travel_rule() == TravelRule::Unsigned)
}

struct Booking {
    purpose: Purpose,
    withdrawals: Vec<WithdrawalId>,
    spend: Spend,
}

fn book(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    built: Built,
    booking: Booking,
) -> Box<Parcel> {
    let txid = built.unsigned.txid();
    let id = ReservationId::of_txid(&txid_bytes(&txid));
    let inputs: Vec<OutPoint> = built.unsigned.inputs().iter().map(|c| c.outpoint).collect();
    let spent: u64 = built.unsigned.inputs().iter().map(|c| c.amount_sat).sum();
    let outgoing_sat = spent.saturating_sub(built.change.map_or(0, |c| c.amount_sat));
    let fee_sat = built.unsigned.fee_sat();
    let inputs_text: Vec<String> = inputs.iter().map(ToString::to_string).collect();
    let log_index =
        enter(context, turn, (&id, &txid.to_string()), &booking, &inputs_text, fee_sat, outgoing_sat);
    let row = ReservationRow {
        purpose: booking.purpose,
        psbt: HEXLOWER.encode(&built.psbt),
        txid: txid.to_string(),
        inputs: inputs_text,
        asset: context.asset.to_string(),
        fee: u128::from(fee_sat),
        outgoing: u128::from(outgoing_sat),
        leaving: booking.spend.leaving,
        unnamed_krw: booking.spend.unnamed.to_string(),
        unsigned: booking.spend.unsigned,
        change: built.change,
        tip_height: built.tip_height,
        reserved_at: turn.draft.now().0,
        log_index,
        state: "reserved".to_owned(),
        tx_hex: None,
    };
    turn.draft.row(Table::Reservation, id.to_string(), "reserved", turn.draft.now(), rows::write(&row));
    if let Some(script) = &built.change_script {
        ledger.addresses.put_change(script);
    }
    let row = Arc::new(row);
    ledger.reserve(
        id,
        OpenReservation { row: row.clone(), asset: context.asset, inputs, withdrawals: booking.withdrawals },
    );
    Box::new(Parcel {
        reservation: id,
        row,
        psbt: built.psbt,
        leaf: turn.draft.last_leaf(),
        coins: built.unsigned.inputs().to_vec(),
        payees: Vec::new(),
        cold_index: None,
        change_script: built.change_script,
        fee_max: None,
        payments: Vec::new(),
    })
}

fn enter(
    context: &Context,
    turn: &mut Turn,
    (id, txid): (&ReservationId, &str),
    booking: &Booking,
    inputs: &[String],
    fee_sat: u64,
    outgoing_sat: u64,
) -> u64 {
    let inputs = inputs.join(" ");
    let policy = context.policy_hash();
    let asset = context.asset;
    let amount = outgoing_sat.saturating_sub(fee_sat);
    match &booking.purpose {
        Purpose::Withdrawals(ids) => turn.draft.entry(
            EntryKind::Reserved,
            &[
                ("reservation", id),
                ("purpose", &"withdrawal"),
                ("asset", &asset),
                ("amount", &amount),
                ("fee", &fee_sat),
                ("txid", &txid),
                ("withdrawals", &ids.join(" ")),
                ("inputs", &inputs),
                ("policy", &policy),
            ],
        ),
        Purpose::Sweep { cold_index, .. } => turn.draft.entry(
            EntryKind::SweepReserved,
            &[
                ("reservation", id),
                ("asset", &asset),
                ("amount", &amount),
                ("fee", &fee_sat),
                ("txid", &txid),
                ("destination", &format!("cold/0/{cold_index}")),
                ("inputs", &inputs),
                ("policy", &policy),
            ],
        ),
    }
}

/// A transaction id's bytes in internal order.
pub fn txid_bytes(txid: &::bitcoin::Txid) -> [u8; 32] {
    ::bitcoin::hashes::Hash::to_byte_array(*txid)
}

/// Gives a reservation up: no signature for it exists anywhere. What it spent of the sums stays spent.
pub fn release(
    ledger: &mut Ledger,
    turn: &mut Turn,
    id: ReservationId,
    finding: &Finding,
) -> Option<OpenReservation> {
    let reservation = ledger.reservations.remove(&id)?;
    ledger.dead.insert(id);
    for input in &reservation.inputs {
        ledger.treasury.coins.set_state(input, CoinState::Free);
    }
    if let Some(change) = reservation.row.change {
        ledger.addresses.give_change_back(change.index);
    }
    if let Purpose::Sweep { cold_index, .. } = reservation.row.purpose {
        ledger.next_cold = ledger.next_cold.min(cold_index);
    }
    turn.draft.entry(
        EntryKind::ReservationReleased,
        &[
            ("reservation", &id),
            ("code", &finding.code),
            ("txid", &reservation.row.txid),
            ("detail", &Draft::spelled(&finding.detail)),
        ],
    );
    let mut row = (*reservation.row).clone();
    row.state = "dead".to_owned();
    turn.draft.row(Table::Reservation, id.to_string(), "dead", turn.draft.now(), rows::write(&row));
    Some(reservation)
}
