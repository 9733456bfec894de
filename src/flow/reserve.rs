//! Book first: what pays is picked, the whole unsigned transaction is fixed and written down before a key is touched.

use std::sync::Arc;

use data_encoding::HEXLOWER;

use super::batch::Batch;
use super::context::Context;
use super::courier::Parcel;
use super::ledger::journal::Draft;
use super::ledger::rows::{self, Purpose, ReservationRow, Signed};
use super::ledger::treasury::Spend;
use super::ledger::{Ledger, Open, OpenReservation};
use super::rail::{self, Built};
use super::writer::Turn;
use super::{handed_on, withdraw};
use crate::audit::EntryKind;
use crate::desk::{ClearanceEvidence, CosignPayment};
use crate::enclave::Word;
use crate::evidence::TravelRule;
use crate::store::Table;
use crate::withdrawal::{Asset, Code, Finding, Krw, ReservationId, Seconds, WithdrawalId};

/// How long a withdrawal that was charged to the sums is not charged again, in seconds: the shortest window.
const CHARGED_S: u64 = 3_600;

/// What a withdrawal adds to the sums without its fee; nothing, where it was charged within the hour. A co-signer that holds is
/// asked again and again: what never left is not counted each time. Nor is it given back.
pub fn charge(ledger: &Ledger, open: &Open, now: Seconds) -> Option<Spend> {
    if is_charged(open.charged_at, now) {
        return None;
    }
    let leaving = open.request.request().amount.units();
    let unsigned = if is_unsigned(open) { leaving } else { 0 };
    Some(Spend { leaving, fee: 0, unnamed: unnamed_value(ledger, open), unsigned, refuelled: 0, emptied: 0 })
}

/// Whether what was charged then is not charged again now.
pub fn is_charged(charged_at: Option<Seconds>, now: Seconds) -> bool {
    charged_at.and_then(|at| now.since(at)).is_some_and(|ago| ago < CHARGED_S)
}

/// Reserves withdrawals that one transaction pays: what pays them, sums and the unsigned transaction, all in this turn's commit.
pub fn reserve_withdrawals(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    batch: &Batch,
) -> Result<Box<Parcel>, Finding> {
    let (fee, asset, now) = (batch.picked.fee(), batch.asset, turn.draft.now());
    // The fee is counted as a whole as soon as one of them was not charged before.
    let spend = match batch.charged.is_empty() {
        true => Spend::default(),
        false => batch.spend.plus(&Spend { leaving: fee.leaving, fee: fee.paid, ..Spend::default() }),
    };
    let built = rail::build(context, ledger, &batch.picked)?;
    spend_sums(ledger, turn, asset, spend)?;
    let withdrawals = batch.withdrawals.clone();
    let purpose = Purpose::Withdrawals(withdrawals.iter().map(ToString::to_string).collect());
    let mut parcel = book(context, ledger, turn, built, Booking { asset, purpose, withdrawals, spend });
    for id in &batch.charged {
        if let Some(open) = ledger.open.get_mut(id) {
            open.charged_at = Some(now);
        }
    }
    for id in &batch.withdrawals {
        parcel.payments.extend(ledger.open.get(id).map(payment));
        withdraw::mark_reserved(ledger, turn, *id, parcel.reservation, parcel.row.log_index);
    }
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

/// Reserves an errand: that much of an asset leaves beside the fee.
pub fn reserve_errand(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    built: Built,
    (asset, purpose, leaving): (Asset, Purpose, u128),
) -> Result<Box<Parcel>, Finding> {
    let (fee, now, errand) = (built.fee, turn.draft.now(), purpose.errand());
    let retry = errand.and_then(|errand| ledger.retries.get(&(errand, asset)));
    // As for a withdrawal: an attempt that the co-signer refuses is not counted each time, nor given back.
    let spend = match is_charged(retry.and_then(|retry| retry.charged_at), now) {
        true => Spend::default(),
        false => Spend { leaving: leaving.saturating_add(built.fee_leaving), fee, ..Spend::default() },
    };
    spend_sums(ledger, turn, asset, spend)?;
    if let (Some(errand), true) = (errand, spend.fee > 0) {
        ledger.retries.entry((errand, asset)).or_default().charged_at = Some(now);
    }
    Ok(book(context, ledger, turn, built, Booking { asset, purpose, withdrawals: Vec::new(), spend }))
}

fn spend_sums(ledger: &mut Ledger, turn: &Turn, asset: Asset, spend: Spend) -> Result<(), Finding> {
    let done = ledger.treasury.spend(asset, turn.draft.now(), spend);
    done.map_err(|e| Finding::new(Code::ClockWentBack, e.to_string()))
}

fn unnamed_value(ledger: &Ledger, open: &Open) -> Krw {
    let clearance = open.clearance.as_ref();
    if clearance.is_some_and(|clearance| clearance.travel_rule() != TravelRule::AddressOnly) {
        return Krw(0);
    }
    let request = open.request.request();
    ledger.treasury.of(request.asset).value(request.amount).unwrap_or_default()
}

fn is_unsigned(open: &Open) -> bool {
    open.clearance.as_ref().is_some_and(|clearance| clearance.travel_rule() == TravelRule::Unsigned)
}

struct Booking {
    asset: Asset,
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
    let log_index = enter(context, turn, &built, &booking);
    let row = ReservationRow {
        purpose: booking.purpose,
        psbt: HEXLOWER.encode(&built.proposal),
        txid: built.txid,
        inputs: built.inputs,
        asset: booking.asset.to_string(),
        fee: built.fee,
        outgoing: built.outgoing,
        leaving: booking.spend.leaving,
        charged: booking.spend.fee > 0,
        unnamed_krw: booking.spend.unnamed.to_string(),
        unsigned: booking.spend.unsigned,
        change: built.change,
        tip_height: built.tip_height,
        reserved_at: turn.draft.now().0,
        log_index,
        state: "reserved".to_owned(),
        tx_hex: None,
    };
    turn.draft.row(Table::Reservation, built.id.to_string(), "reserved", turn.draft.now(), rows::write(&row));
    if let rail::Body::Bitcoin(rail::bitcoin::Body { change_script: Some(script), .. }) = &built.body {
        ledger.addresses.put_change(script);
    }
    let row = Arc::new(row);
    let (asset, withdrawals) = (booking.asset, booking.withdrawals);
    ledger.reserve(built.id, OpenReservation { row: row.clone(), asset, withdrawals });
    Box::new(Parcel {
        reservation: built.id,
        row,
        psbt: built.proposal,
        leaf: turn.draft.last_leaf(),
        body: built.body,
        payments: Vec::new(),
    })
}

fn enter(context: &Context, turn: &mut Turn, built: &Built, booking: &Booking) -> u64 {
    let (inputs, policy) = (built.inputs.join(" "), context.policy_hash());
    let (id, txid, asset, fee) = (&built.id, &built.txid, &booking.asset, &built.fee);
    let amount = built.outgoing.saturating_sub(built.fee_leaving);
    match &booking.purpose {
        Purpose::Withdrawals(ids) => turn.draft.entry(
            EntryKind::Reserved,
            &[
                ("reservation", id),
                ("purpose", &"withdrawal"),
                ("asset", asset),
                ("amount", &amount),
                ("fee", fee),
                ("txid", txid),
                ("withdrawals", &ids.join(" ")),
                ("inputs", &inputs),
                ("policy", &policy),
            ],
        ),
        Purpose::Refuel { .. } => turn.draft.entry(
            EntryKind::Reserved,
            &[
                ("reservation", id),
                ("purpose", &"refuel"),
                ("asset", asset),
                ("amount", &amount),
                ("fee", fee),
                ("txid", txid),
                ("inputs", &inputs),
                ("policy", &policy),
            ],
        ),
        Purpose::Emptying { deposits } => {
            let indices: Vec<String> = deposits.iter().map(|row| row.index.to_string()).collect();
            turn.draft.entry(
                EntryKind::Reserved,
                &[
                    ("reservation", id),
                    ("purpose", &"emptying"),
                    ("asset", asset),
                    ("amount", &amount),
                    ("fee", fee),
                    ("txid", txid),
                    ("outputs", &indices.join(" ")),
                    ("inputs", &inputs),
                    ("policy", &policy),
                ],
            )
        }
        Purpose::Sweep { cold_index, .. } => turn.draft.entry(
            EntryKind::SweepReserved,
            &[
                ("reservation", id),
                ("asset", asset),
                ("amount", &amount),
                ("fee", fee),
                ("txid", txid),
                ("destination", &format!("cold/0/{cold_index}")),
                ("inputs", &inputs),
                ("policy", &policy),
            ],
        ),
    }
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
    rail::free(ledger, &reservation);
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
