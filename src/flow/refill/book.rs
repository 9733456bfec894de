//! The writing down of a refill: its whole transactions when it is asked for, and each step after.

use std::sync::Arc;

use data_encoding::HEXLOWER;

use super::cold::cold_row;
use crate::audit::EntryKind;
use crate::bitcoin::build::Chance;
use crate::bitcoin::refill::{Part, Places, build};
use crate::bitcoin::{Branch, OwnScript};
use crate::desk::{DeskError, RefillState};
use crate::flow::context::Context;
use crate::flow::ledger::Ledger;
use crate::flow::ledger::refills::{EarmarkRow, PartRow, RefillRow};
use crate::flow::ledger::rows;
use crate::flow::writer::Turn;
use crate::store::Table;
use crate::withdrawal::Code;

pub(super) fn book(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    by: &str,
    ((hot, index), parts, earmarks): ((Arc<OwnScript>, u32), Vec<Part>, Vec<EarmarkRow>),
    expires_s: u64,
) -> Result<String, DeskError> {
    let now = turn.draft.now();
    let mut built = Vec::with_capacity(parts.len());
    for part in &parts {
        built.push(build_part(context, ledger, part, &hot)?);
    }
    let row = RefillRow {
        index,
        address: hot.address(context.wallet.network()),
        parts: built,
        earmarks,
        state: RefillState::Requested.as_str().to_owned(),
        requested_by: by.to_owned(),
        requested_at: now.0,
        expires_at: now.plus(expires_s).0,
        signed_at: None,
        attestation: None,
    };
    ledger.addresses.put_change(&hot);
    let id = format!("rf_{:08}", turn.draft.last_index().saturating_add(1));
    put(context, ledger, turn, (&id, row, ""));
    Ok(id)
}

fn build_part(
    context: &Context,
    ledger: &mut Ledger,
    part: &Part,
    hot: &Arc<OwnScript>,
) -> Result<PartRow, DeskError> {
    let index = ledger.next_cold_change;
    let change = Arc::new(context.cold.script(Branch::Change, index).map_err(DeskError::Invalid)?);
    let tip_height = ledger.treasury.of(context.asset).facts.chain.map_or(0, |chain| chain.value.height);
    let places = Places { hot: hot.clone(), change, tip_height };
    let chance = Chance { order: context.random_u64(), lock_time: context.random_u64() };
    let broken = |error: String| DeskError::nothing_happened(Code::Internal, error);
    let built = build(part, &places, (&context.cold, &context.wallet), chance)
        .map_err(|error| broken(error.to_string()))?;
    if part.change_sat.is_some() {
        ledger.next_cold_change = index.saturating_add(1);
    }
    Ok(PartRow {
        txid: built.txid.to_string(),
        vout: built.vout,
        amount_sat: part.amount_sat,
        fee_sat: part.fee_sat,
        inputs: part.coins.iter().map(cold_row).collect(),
        change: part.change_sat.map(|sat| (sat, index)),
        psbt: HEXLOWER.encode(&built.psbt),
        tx_hex: None,
        seen: false,
        counted: false,
    })
}

/// Writes a refill down as it stands now, with its entry.
pub(super) fn put(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, row, code): (&str, RefillRow, &str),
) {
    enter(turn, id, &row, &context.asset.to_string(), code);
    let state = if row.state().is_open() { "open" } else { "ended" };
    turn.draft.row(Table::Refill, id.to_owned(), state, turn.draft.now(), rows::write(&row));
    ledger.treasury.refills.put(id.to_owned(), row);
}

fn enter(turn: &mut Turn, id: &str, row: &RefillRow, asset: &str, code: &str) {
    let list = |items: Vec<String>| items.join(" ");
    let txids = list(row.parts.iter().map(|part| part.txid.clone()).collect());
    let fee: u64 = row.parts.iter().map(|part| part.fee_sat).sum();
    let withdrawals = list(row.earmarks.iter().map(|e| e.withdrawal.clone()).collect());
    let attested = row.attestation.as_ref().map(|a| HEXLOWER.encode(&crate::evidence::digest(&a.text)));
    turn.draft.entry(
        EntryKind::Refill,
        &[
            ("refill", &id),
            ("state", &row.state),
            ("asset", &asset),
            ("amount", &row.amount_sat()),
            ("fee", &fee),
            ("destination", &row.address),
            ("index", &row.index),
            ("txids", &txids),
            ("withdrawals", &withdrawals),
            ("operator", &row.requested_by),
            ("attestation", &attested.unwrap_or_default()),
            ("code", &code),
        ],
    );
}
