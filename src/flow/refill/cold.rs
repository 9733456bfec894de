//! The coins of the cold wallet that are known here, each proved by its raw transaction (law L18).

use std::str::FromStr;

use ::bitcoin::OutPoint;
use data_encoding::HEXLOWER;

use crate::audit::EntryKind;
use crate::bitcoin::Branch;
use crate::bitcoin::refill::ColdCoin;
use crate::desk::RefillState;
use crate::flow::context::Context;
use crate::flow::ledger::Ledger;
use crate::flow::ledger::refills::{ColdCoinRow, RefillRow};
use crate::flow::ledger::rows;
use crate::flow::writer::Turn;
use crate::store::Table;

/// What the keys of rows of cold coins begin with.
pub const COLD_COIN: &str = "cold_coin/";

/// Keeps the cold coins that came with a request, so that they need not come again.
pub(super) fn remember(context: &Context, ledger: &mut Ledger, turn: &mut Turn, coins: &[ColdCoin]) {
    for coin in coins {
        let row = cold_row(coin);
        turn.draft.entry(
            EntryKind::Coin,
            &[
                ("outpoint", &row.outpoint),
                ("asset", &context.asset),
                ("amount", &row.amount_sat),
                ("state", &"cold"),
                ("branch", &row.branch),
                ("index", &row.index),
            ],
        );
        let key = format!("{COLD_COIN}{}", row.outpoint);
        turn.draft.row(Table::Setting, key, "cold_coin", turn.draft.now(), rows::write(&row));
        ledger.cold_coins.insert(coin.coin().outpoint, row);
    }
}

pub(super) fn cold_row(coin: &ColdCoin) -> ColdCoinRow {
    let own = coin.coin();
    ColdCoinRow {
        outpoint: own.outpoint.to_string(),
        amount_sat: own.amount_sat,
        branch: own.script.branch().number(),
        index: own.script.index(),
        raw: HEXLOWER.encode(coin.raw()),
    }
}

/// The coin of a row, proved again.
pub(super) fn cold_coin(context: &Context, row: &ColdCoinRow) -> Option<ColdCoin> {
    let outpoint = OutPoint::from_str(&row.outpoint).ok()?;
    let raw = HEXLOWER.decode(row.raw.as_bytes()).ok()?;
    let place = (context.cold.as_ref(), Branch::of_number(row.branch)?, row.index);
    let coin = ColdCoin::prove(&raw, outpoint.vout, place).ok()?;
    (coin.coin().outpoint == outpoint).then_some(coin)
}

/// The coin that a sweep's finished transaction makes for the cold wallet.
pub fn swept_coin(context: &Context, tx_hex: &str, index: u32) -> Option<ColdCoinRow> {
    made_coin(context, tx_hex, (Branch::Deposit, index))
}

fn made_coin(context: &Context, tx_hex: &str, (branch, index): (Branch, u32)) -> Option<ColdCoinRow> {
    let raw = HEXLOWER.decode(tx_hex.as_bytes()).ok()?;
    let script = context.cold.script(branch, index).ok()?;
    let read = crate::bitcoin::RawTransaction::read(&raw).ok()?;
    let at = read.outputs().position(|(_, out)| *out == *script.script_pubkey())?;
    let vout = u32::try_from(at).ok()?;
    ColdCoin::prove(&raw, vout, (&context.cold, branch, index)).ok().map(|coin| cold_row(&coin))
}

/// The cold coins that no refill spends and that are not on their way there.
pub(super) fn cold_coins(context: &Context, ledger: &Ledger) -> Vec<ColdCoin> {
    let refills = &ledger.treasury.refills;
    let live = |row: &RefillRow| !matches!(row.state(), RefillState::Expired | RefillState::Cancelled);
    let live: Vec<&RefillRow> = refills.iter().map(|(_, row)| row).filter(|row| live(row)).collect();
    let is_used = |outpoint: &str| {
        live.iter().flat_map(|row| &row.parts).flat_map(|part| &part.inputs).any(|i| i.outpoint == outpoint)
    };
    let parts = live.iter().flat_map(|row| &row.parts).filter(|part| part.seen);
    let change = parts.filter_map(|part| {
        let (_, index) = part.change?;
        made_coin(context, part.tx_hex.as_deref()?, (Branch::Change, index))
    });
    let known = ledger.cold_coins.values().cloned().chain(change);
    known
        .filter(|row| !is_used(&row.outpoint))
        .filter(|row| {
            let txid = row.outpoint.split(':').next().unwrap_or_default();
            !ledger.treasury.of(context.asset).sweeps.contains_key(txid)
        })
        .filter_map(|row| cold_coin(context, &row))
        .collect()
}
