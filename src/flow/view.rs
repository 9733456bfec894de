//! From the ledger to what a reader is shown. Holds no personal data, decides nothing.

use crate::desk::{Prevout, WithdrawalView};
use crate::evidence::request::parse_request;
use crate::withdrawal::{
    Amount, Outcome, ReservationId, SafePlace, Seconds, WithdrawalId, WithdrawalRequest,
};

use super::found::Found;
use super::ledger::rows::{ReleasedRow, WithdrawalRow};
use super::ledger::{Ledger, Open};
use super::transactions::Transactions;

/// The view of a withdrawal in memory.
pub fn of_open(open: &Open, ledger: &Ledger) -> Option<WithdrawalView> {
    let reservation = open.row.reservation.as_deref().and_then(|id| ReservationId::parse(id).ok());
    let reserved = reservation.and_then(|id| ledger.reservations.get(&id));
    let mut view =
        of_row(open.id, (&open.row, open.request.request().clone(), None), open.log_index, open.updated_at);
    if let Some(reserved) = reserved {
        view.txid = Some(reserved.row.txid.clone());
        view.fee = Some(Amount::from_units(reserved.row.fee));
        view.safe = reserved.row.inputs.first().and_then(|anchor| SafePlace::parse(anchor));
    }
    Some(view)
}

/// The view of a withdrawal as the store has it, with its transaction where it is released.
pub fn of_found(id: WithdrawalId, found: &Found, transactions: &Transactions) -> Option<WithdrawalView> {
    let request = parse_request(&found.row.request.text).ok()?;
    let transaction = transactions.of(&found.row);
    Some(of_row(id, (&found.row, request, transaction), found.log_index, found.updated_at))
}

fn of_row(
    id: WithdrawalId,
    (row, request, transaction): (&WithdrawalRow, WithdrawalRequest, Option<&[u8]>),
    log_index: u64,
    updated_at: Seconds,
) -> WithdrawalView {
    let released = row.released.as_ref().filter(|_| row.outcome() == Outcome::Released);
    // What was executed and paid nobody is held: people look on the chain for what became of it.
    let known = released.or_else(|| row.released.as_ref().filter(|_| row.executed.is_some()));
    WithdrawalView {
        id,
        request,
        stage: row.stage(),
        outcome: row.outcome(),
        txid: known.map(|r| r.txid.clone()),
        raw_transaction: transaction.map(<[u8]>::to_vec).unwrap_or_default(),
        safe: known.and_then(|r| SafePlace::parse(r.safe.as_deref()?)),
        prevouts: released.map(prevouts).unwrap_or_default(),
        fee: known.map(|r| Amount::from_units(r.fee)),
        log_index,
        created_at: Seconds(row.asked_at),
        updated_at,
        void_receipt: row.taken_back.as_ref().and_then(|taken| taken.receipt.signed_text()),
    }
}

fn prevouts(released: &ReleasedRow) -> Vec<Prevout> {
    let prevout = |row: &super::ledger::rows::PrevoutRow| {
        let (txid, vout) = row.outpoint.split_once(':')?;
        Some(Prevout {
            txid: txid.to_owned(),
            vout: vout.parse().ok()?,
            value: Amount::from_sat(row.value_sat),
            script_pubkey: bytes(&row.script_pubkey)?,
        })
    };
    released.prevouts.iter().filter_map(prevout).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()
}
