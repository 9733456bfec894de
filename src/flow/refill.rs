//! Refills from cold (law L13): booked first, attested by the co-signer, signed elsewhere, and recognised when they come.
//!
//! Everything here runs inside the deciding writer. No key of ours signs a refill; what is handed back is checked and kept.

use std::str::FromStr;
use std::sync::Arc;

use ::bitcoin::OutPoint;
use data_encoding::HEXLOWER;
use wallet_policy::Units;
use wallet_policy::ratio::Position;
use wallet_policy::refill::{self, Flow};

use super::context::Context;
use super::facts::{FeeSeen, judge};
use super::ledger::Ledger;
use super::ledger::refills::{ColdCoinRow, EarmarkRow, PartRow, RefillRow};
use super::ledger::rows::{self, Signed};
use super::reserve;
use super::withdraw::sight;
use super::writer::Turn;
use crate::audit::EntryKind;
use crate::bitcoin::build::Chance;
use crate::bitcoin::refill::{ColdCoin, Part, Places, build, finish, plan, txid_of};
use crate::bitcoin::{Branch, OwnScript};
use crate::desk::{
    DeskError, RefillAttestOrder, RefillAttestPart, RefillPart, RefillState, RefillView, SignedText,
};
use crate::freeze::Leaving;
use crate::store::Table;
use crate::withdrawal::{Amount, Code, Finding, Outcome, Seconds, WithdrawalId};

/// A day, the window of the flow that need is forecast from.
const WINDOW_S: u64 = 86_400;

fn refused(code: Code, detail: impl Into<String>) -> DeskError {
    DeskError::Refused(Finding::new(code, detail))
}

/// What held withdrawals and the flow of the last day will need, less what can be spent and what is on its way.
pub fn wanted(context: &Context, ledger: &Ledger, now: Seconds) -> Units {
    let waiting = ledger.open.values().filter(|o| o.row.reservation.is_none() && !o.row.is_final());
    let held: u128 = waiting
        .map(|o| o.request.request())
        .map(|request| request.amount.units().saturating_add(request.fee_max.units()))
        .sum();
    let sums = &ledger.treasury.sums;
    let at = wallet_policy::Seconds(now.0);
    // A clock that went back has no windows; then only what is held is needed.
    let of = |window: &wallet_policy::window::RollingSum| window.sum(at).unwrap_or_default();
    let flow = Flow { left: of(&sums.day), came: of(&sums.came), window_s: WINDOW_S };
    let horizon_s = context.policy.settings().refill.horizon_s;
    let need = refill::need(Units(held), flow, horizon_s).unwrap_or(Units(held));
    let coming: u64 = ledger.treasury.refills.open().map(|(_, row)| row.coming_sat()).sum();
    let there = u128::from(ledger.treasury.coins.spendable_sat()).saturating_add(u128::from(coming));
    Units(need.0.saturating_sub(there))
}

/// The position as a refill is judged: nothing earmarked deducted, and what is on its way counted as come.
fn before(context: &Context, ledger: &Ledger, now: Seconds) -> Position {
    let seen = sight(context, ledger, now).position();
    let earmarked = u128::from(ledger.earmarked_sat(now));
    let coming: u64 = ledger.treasury.refills.open().map(|(_, row)| row.coming_sat()).sum();
    let coming = u128::from(coming);
    Position {
        hot: Units(seen.hot.0.saturating_add(earmarked).saturating_add(coming)),
        cold: Units(seen.cold.0.saturating_sub(coming)),
    }
}

/// Held withdrawals that no refill was made for, in the order asked, for which that much is enough.
fn earmarks(context: &Context, ledger: &Ledger, mut room_sat: u64) -> Vec<EarmarkRow> {
    let mut found = Vec::new();
    for open in ledger.queue.values().filter_map(|id| ledger.open.get(id)) {
        let waits = open.row.findings.iter().any(|f| f.code == Code::HotFundsShort.as_str());
        let id = open.id.to_string();
        if open.row.reservation.is_some() || !waits || ledger.treasury.refills.is_for(&id) {
            continue;
        }
        let amount_sat = open.request.request().amount.sat().unwrap_or(u64::MAX);
        let Some(left) = room_sat.checked_sub(amount_sat) else { continue };
        room_sat = left;
        let until = open.row.asked_at.saturating_add(context.settings.hold_s_max);
        found.push(EarmarkRow { withdrawal: id, amount_sat, until });
    }
    found
}

/// Books a refill: the share is judged, the coins are chosen, and the whole of every transaction is written down.
pub fn request(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    by: &str,
    (amount, coins): (Option<Amount>, Vec<ColdCoin>),
) -> Result<String, DeskError> {
    if !context.brake.is_free(Leaving::Payment) {
        return Err(DeskError::Refused(context.brake.finding()));
    }
    let settings = context.policy.settings().refill;
    let now = turn.draft.now();
    let open = ledger.treasury.refills.open().count();
    if u32::try_from(open).unwrap_or(u32::MAX) >= settings.open_max {
        return Err(refused(Code::RefillsOpen, format!("{open} refills are open, which is the bound")));
    }
    let position = before(context, ledger, now);
    let promised_sat = ledger.treasury.refills.promised_sat(now, &|withdrawal| ledger.is_held(withdrawal));
    let sat = |units: u128| u64::try_from(units).unwrap_or(u64::MAX);
    let amount_sat = match amount {
        Some(amount) => amount.sat().unwrap_or(u64::MAX),
        None => sat(most_wanted(context, ledger, position, promised_sat, now)),
    };
    if amount_sat < crate::bitcoin::fee::OWN_DUST_SAT {
        let detail = "nothing waits for coins, or the share leaves no room for more";
        return Err(refused(Code::RefillNotNeeded, detail));
    }
    let room = sat(position.hot.0).saturating_add(amount_sat).saturating_sub(promised_sat);
    let earmarks = earmarks(context, ledger, room);
    let earmarked = earmarks.iter().map(|e| e.amount_sat).sum::<u64>().saturating_add(promised_sat);
    remember(context, ledger, turn, &coins);
    let parts = parts(context, ledger, amount_sat)?;
    let (hot, index) = hot_script(context, ledger)?;
    let address = hot.address(context.asset.network());
    allow(context, ledger, now, (position, &address, &parts, earmarked))?;
    let places = (hot.clone(), index);
    book(context, ledger, turn, by, (places, parts, earmarks), settings.expires_s)
}

/// What is asked for where nobody names a figure: what is wanted, and no more than the share lets in.
fn most_wanted(
    context: &Context,
    ledger: &Ledger,
    position: Position,
    promised_sat: u64,
    now: Seconds,
) -> u128 {
    let wanted = wanted(context, ledger, now);
    let all = earmarks(context, ledger, u64::MAX);
    let all_sat: u64 = all.iter().map(|e| e.amount_sat).fold(promised_sat, u64::saturating_add);
    let limit = context.share_rule().limit();
    let most = refill::most(position, Units(u128::from(all_sat)), limit).unwrap_or_default();
    wanted.min(most).0
}

fn hot_script(context: &Context, ledger: &mut Ledger) -> Result<(Arc<OwnScript>, u32), DeskError> {
    let index = ledger.addresses.change_index();
    let script = ledger.addresses.script(&context.wallet, Branch::Change, index);
    Ok((script.map_err(DeskError::Invalid)?, index))
}

/// Keeps the cold coins that came with a request, so that they need not come again.
fn remember(context: &Context, ledger: &mut Ledger, turn: &mut Turn, coins: &[ColdCoin]) {
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

/// What the keys of rows of cold coins begin with.
pub const COLD_COIN: &str = "cold_coin/";

fn cold_row(coin: &ColdCoin) -> ColdCoinRow {
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
fn cold_coin(context: &Context, row: &ColdCoinRow) -> Option<ColdCoin> {
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
fn cold_coins(context: &Context, ledger: &Ledger) -> Vec<ColdCoin> {
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
            !ledger.treasury.sweeps.contains_key(txid)
        })
        .filter_map(|row| cold_coin(context, &row))
        .collect()
}

fn parts(context: &Context, ledger: &Ledger, amount_sat: u64) -> Result<Vec<Part>, DeskError> {
    let chain = ledger.treasury.facts.chain;
    let chain = chain.ok_or_else(|| refused(Code::FeeRateStale, "no fee rate was ever stated"))?;
    let inputs_max = usize::try_from(context.policy.settings().refill.inputs_max).unwrap_or(1);
    let caps = reserve::caps(context, None);
    let coins = cold_coins(context, ledger);
    plan(coins, amount_sat, inputs_max, (chain.value.fee_rate, &caps))
        .map_err(|error| refused(error.code(), error.to_string()))
}

fn allow(
    context: &Context,
    ledger: &Ledger,
    now: Seconds,
    (position, address, parts, earmarked): (Position, &str, &[Part], u64),
) -> Result<(), DeskError> {
    let amount: u64 = parts.iter().map(|part| part.amount_sat).sum();
    let paid_sat = parts.iter().map(|part| part.fee_sat).max().unwrap_or_default();
    let rate_sat = ledger.treasury.facts.chain.map_or(0, |chain| chain.value.fee_rate.0);
    let fee = FeeSeen { rate_sat, paid_sat, lineage_sat: paid_sat };
    let asked = (Amount::from_sat(amount), address.to_owned());
    let facts = sight(context, ledger, now).of_refill(asked, fee, (position, earmarked));
    match judge(&context.policy, &facts.map_err(DeskError::Refused)?) {
        Outcome::Held(findings) | Outcome::Refused(findings) => {
            let first = findings.into_iter().next();
            Err(DeskError::Refused(first.unwrap_or_else(|| Finding::new(Code::PolicyRefused, ""))))
        }
        Outcome::Moving | Outcome::Released => Ok(()),
    }
}

fn book(
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
        address: hot.address(context.asset.network()),
        parts: built,
        earmarks,
        state: RefillState::Requested.as_str().to_owned(),
        requested_by: by.to_owned(),
        requested_at: now.0,
        expires_at: now.plus(expires_s).0,
        attestation: None,
    };
    ledger.addresses.put_change(&hot);
    let id = format!("rf_{:08}", turn.draft.last_index().saturating_add(1));
    put(context, ledger, turn, &id, row);
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
    let tip_height = ledger.treasury.facts.chain.map_or(0, |chain| chain.value.height);
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
fn put(context: &Context, ledger: &mut Ledger, turn: &mut Turn, id: &str, row: RefillRow) {
    enter(turn, id, &row, &context.asset.to_string(), "");
    write(turn, id, &row);
    ledger.treasury.refills.put(id.to_owned(), row);
}

fn write(turn: &mut Turn, id: &str, row: &RefillRow) {
    let state = if row.state().is_open() { "open" } else { "ended" };
    turn.draft.row(Table::Refill, id.to_owned(), state, turn.draft.now(), rows::write(row));
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

/// One refill by its id.
fn named(ledger: &Ledger, id: &str) -> Result<RefillRow, DeskError> {
    ledger.treasury.refills.named(id).cloned().ok_or_else(|| DeskError::not_found(id))
}

/// Changes a refill and writes it down.
fn change(context: &Context, ledger: &mut Ledger, turn: &mut Turn, (id, row, code): (&str, RefillRow, &str)) {
    enter(turn, id, &row, &context.asset.to_string(), code);
    write(turn, id, &row);
    ledger.treasury.refills.put(id.to_owned(), row);
}

/// The co-signer's word came.
pub fn attested(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, word): (&str, &SignedText),
) -> Result<(), DeskError> {
    let row = RefillRow { attestation: Some(Signed::of(word)), ..named(ledger, id)? };
    change(context, ledger, turn, (id, row, ""));
    Ok(())
}

/// The PSBTs are handed out: only with the co-signer's word.
pub fn exported(context: &Context, ledger: &mut Ledger, turn: &mut Turn, id: &str) -> Result<(), DeskError> {
    let mut row = named(ledger, id)?;
    match (row.state(), &row.attestation) {
        (RefillState::Exported | RefillState::Signed | RefillState::Seen | RefillState::Settled, _) => Ok(()),
        (RefillState::Requested, Some(_)) => {
            row.set_state(RefillState::Exported);
            change(context, ledger, turn, (id, row, ""));
            Ok(())
        }
        (RefillState::Requested, None) => {
            Err(refused(Code::CosignerUnreachable, "the co-signer has not attested it yet"))
        }
        (state @ (RefillState::Expired | RefillState::Cancelled), _) => Err(wrong_state(id, state)),
    }
}

fn wrong_state(id: &str, state: RefillState) -> DeskError {
    refused(Code::RefillState, format!("{id} is {}", state.as_str()))
}

/// A signed copy was handed back: it is checked against what was exported, and its transaction kept.
pub fn import(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, psbt): (&str, &[u8]),
) -> Result<(), DeskError> {
    let mut row = named(ledger, id)?;
    let state = row.state();
    if !matches!(state, RefillState::Exported | RefillState::Signed) {
        return Err(wrong_state(id, state));
    }
    let txid = txid_of(psbt).map_err(DeskError::Invalid)?;
    let foreign = || refused(Code::RefillForeign, format!("transaction {txid} is none that {id} exported"));
    let part = row.parts.iter_mut().find(|part| part.txid == txid).ok_or_else(foreign)?;
    if part.tx_hex.is_some() {
        return Ok(());
    }
    let coins: Vec<_> = part.inputs.iter().filter_map(|coin| cold_coin(context, coin)).collect();
    let coins: Vec<_> = coins.iter().map(|coin| coin.coin().clone()).collect();
    let exported = HEXLOWER.decode(part.psbt.as_bytes()).unwrap_or_default();
    let finished =
        finish(psbt, &exported, &coins).map_err(|error| refused(error.code(), error.to_string()))?;
    part.tx_hex = Some(HEXLOWER.encode(&finished));
    if row.parts.iter().all(|part| part.tx_hex.is_some()) {
        row.set_state(RefillState::Signed);
    }
    change(context, ledger, turn, (id, row, ""));
    Ok(())
}

/// Takes a refill back. One that carries signatures may be broadcast by whoever holds them, and is not taken back.
pub fn cancel(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, code): (&str, &str),
) -> Result<(), DeskError> {
    let mut row = named(ledger, id)?;
    let is_signed = row.parts.iter().any(|part| part.tx_hex.is_some());
    match row.state() {
        RefillState::Cancelled | RefillState::Expired => return Ok(()),
        RefillState::Requested | RefillState::Exported if !is_signed => {}
        state => return Err(wrong_state(id, state)),
    }
    // An address that nobody has seen is free for the next; one that was attested may still be paid.
    if row.attestation.is_none() {
        ledger.addresses.give_change_back(row.index);
    }
    row.set_state(RefillState::Cancelled);
    change(context, ledger, turn, (id, row, code));
    Ok(())
}

/// Refills that waited too long for their signatures end.
pub fn expire(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    let now = turn.draft.now();
    let waits = |row: &RefillRow| {
        let unsigned = row.parts.iter().all(|part| part.tx_hex.is_none());
        unsigned && row.state().is_open() && now.0 > row.expires_at
    };
    let old: Vec<(String, RefillRow)> = ledger
        .treasury
        .refills
        .open()
        .filter(|(_, row)| waits(row))
        .map(|(id, row)| (id.clone(), row.clone()))
        .collect();
    for (id, mut row) in old {
        row.set_state(RefillState::Expired);
        change(context, ledger, turn, (&id, row, ""));
    }
}

/// What the co-signer is told of a refill.
pub fn attest_order(ledger: &Ledger, id: &str) -> Option<RefillAttestOrder> {
    let row = ledger.treasury.refills.named(id)?;
    let requests = row.earmarks.iter().filter_map(|earmark| {
        let open = ledger.open.get(&WithdrawalId::parse(&earmark.withdrawal).ok()?)?;
        Some(SignedText {
            text: open.request.text().to_owned(),
            key_id: open.request.key_id().to_owned(),
            signature: *open.request.signature(),
        })
    });
    let ended = ledger.treasury.refills.iter().filter(|(_, row)| {
        matches!(row.state(), RefillState::Cancelled | RefillState::Expired) && row.attestation.is_some()
    });
    Some(RefillAttestOrder {
        refill: id.to_owned(),
        index: row.index,
        parts: row
            .parts
            .iter()
            .map(|part| RefillAttestPart {
                txid: part.txid.clone(),
                vout: part.vout,
                amount_sat: part.amount_sat,
                fee_sat: part.fee_sat,
            })
            .collect(),
        requests: requests.collect(),
        ended: ended.map(|(id, _)| id.clone()).collect(),
    })
}

/// A refill as people are shown it.
pub fn view(context: &Context, ledger: &Ledger, id: &str) -> Option<RefillView> {
    let row = ledger.treasury.refills.named(id)?;
    let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).unwrap_or_default();
    let may_export = row.attestation.is_some();
    let part = |part: &PartRow| RefillPart {
        txid: part.txid.clone(),
        amount: Amount::from_sat(part.amount_sat),
        fee: Amount::from_sat(part.fee_sat),
        inputs: u32::try_from(part.inputs.len()).unwrap_or(u32::MAX),
        psbt: if may_export { bytes(&part.psbt) } else { Vec::new() },
        raw_transaction: part.tx_hex.as_deref().map(bytes).unwrap_or_default(),
        seen: part.seen,
    };
    let earmarks = row.earmarks.iter().filter_map(|earmark| {
        let id = WithdrawalId::parse(&earmark.withdrawal).ok()?;
        Some((id, Amount::from_sat(earmark.amount_sat)))
    });
    Some(RefillView {
        id: id.to_owned(),
        state: row.state(),
        asset: context.asset,
        address: row.address.clone(),
        index: row.index,
        parts: row.parts.iter().map(part).collect(),
        earmarks: earmarks.collect(),
        requested_by: row.requested_by.clone(),
        requested_at: Seconds(row.requested_at),
        expires_at: Seconds(row.expires_at),
        attestation: row.attestation.as_ref().and_then(Signed::signed_text),
    })
}
