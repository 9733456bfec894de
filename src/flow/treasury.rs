//! The 3:7 share: a surplus is reserved for a sweep to cold before any withdrawal of the asset is released (law L12).

use data_encoding::HEXLOWER;
use wallet_policy::Units;
use wallet_policy::ratio;
use wallet_policy::sweep::{self, Due};

use super::Effect;
use super::context::Context;
use super::courier::Parcel;
use super::facts::permit;
use super::ledger::Ledger;
use super::ledger::coins::{Coin, CoinState, Coins};
use super::ledger::journal::Draft;
use super::ledger::rows::{self, ChangeRow, CoinRow, Errand, Purpose, ReleasedRow};
use super::ledger::treasury::SweepInFlight;
use super::rail::PickedSweep;
use super::transactions::Finished;
use super::weigh::sight;
use super::withdraw;
use super::writer::Turn;
use super::{emptying, rail, refill, refuel, reserve};
use crate::audit::EntryKind;
use crate::desk::Refusal;
use crate::freeze::Leaving;
use crate::store::Table;
use crate::withdrawal::{Amount, Asset, Code, Finding, Outcome, ReservationId, Seconds};

/// What is to be swept now: what the limits force, and how much goes in fact. Nothing, where no cold balance was stated.
pub fn due(context: &Context, ledger: &Ledger, asset: Asset, now: Seconds) -> Due {
    let (Some(limits), Some(_)) = (context.limits(asset), ledger.treasury.of(asset).facts.cold) else {
        return Due::default();
    };
    let (rule, seen) = (context.share_rule(asset), sight(context, ledger, asset, now));
    let (position, in_total) = (seen.position(), seen.in_total());
    let allotted = match (rule.total, in_total) {
        (Some(share), Some(part))
            if ratio::within_total(position, &part, share, limits.min_sweep) == Some(false) =>
        {
            // Its own part of what is too much of all of them; its own comes first.
            let holdings = seen.holdings().unwrap_or_default();
            sweep::allot(&holdings, share).and_then(|parts| parts.first().copied()).unwrap_or_default()
        }
        _ => Units(0),
    };
    // A sweep needs no price: without one the total's share is held by the asset alone.
    let share = rule.asset.or(rule.total.filter(|_| in_total.is_none()));
    let needed = Units(held_units(ledger, asset));
    sweep::due(position, (share, rule.target), limits.min_sweep, allotted, needed).unwrap_or_default()
}

/// What the withdrawals of an asset ask for that wait without a reservation, in base units.
pub fn held_units(ledger: &Ledger, asset: Asset) -> u128 {
    let requests = ledger.waiting().map(|open| open.request.request());
    let amounts = requests.filter(|request| request.asset == asset).map(|request| request.amount.units());
    amounts.fold(0, u128::saturating_add)
}

/// Tells people, once, of a sweep that is on its way for too long: it counts as hot again (law L11).
fn tell_stuck(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    let now = turn.draft.now();
    let sweeps = ledger.treasury.accounts_mut().flat_map(|(_, account)| &mut account.sweeps);
    for (txid, sweep) in sweeps {
        if sweep.is_told || !sweep.is_stuck(now, context.settings.transit_s_max) {
            continue;
        }
        sweep.is_told = true;
        let detail =
            "a sweep is on its way for too long and counts as hot again: broadcast it, or bump its fee";
        tracing::error!(code = %Code::HotShareAboveLimit, txid, "{detail}");
        turn.draft.entry(
            EntryKind::Alarm,
            &[("code", &Code::HotShareAboveLimit), ("txid", txid), ("detail", &detail)],
        );
    }
}

/// Reserves a sweep of each asset of which too much rests hot, if none is under way.
pub fn sweep_if_over(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    tell_stuck(context, ledger, turn);
    if !context.brake.is_free(Leaving::Sweep) {
        return;
    }
    let assets: Vec<Asset> = ledger.treasury.accounts().map(|(asset, _)| asset).collect();
    for asset in assets {
        let now = turn.draft.now();
        if ledger.waits(Errand::Sweep, asset, now) {
            continue;
        }
        let Units(surplus) = due(context, ledger, asset, now).amount;
        if surplus == 0 {
            continue;
        }
        match plan_sweep(context, ledger, turn, asset, surplus) {
            Ok(parcel) => turn.effects.push(Effect::Cosign(parcel)),
            Err(finding) => {
                let why = ("a sweep is wanted and cannot be made", &finding);
                tell_undone(ledger, turn, (Errand::Sweep, asset), why);
            }
        }
    }
}

/// While too much rests hot withdrawals wait, and without gas everything does: people must hear of an errand that cannot be made,
/// once for each reason.
pub fn tell_undone(
    ledger: &mut Ledger,
    turn: &mut Turn,
    (errand, asset): (Errand, Asset),
    why: (&str, &Finding),
) {
    let (what, finding) = why;
    if ledger.retries.entry((errand, asset)).or_default().failed(turn.draft.now(), finding.code) {
        let detail = format!("{what}: {}", finding.detail);
        tracing::error!(code = %finding.code, %asset, "{detail}");
        turn.enter_alarm((("subject", errand.to_string()), Finding::new(finding.code, detail)));
    }
}

fn plan_sweep(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    asset: Asset,
    surplus: u128,
) -> Result<Box<Parcel>, Finding> {
    let picked = rail::pick_sweep(context, ledger, asset, surplus)?;
    allow(context, ledger, turn, asset, &picked)?;
    let (amount, cold_index) = (picked.amount, picked.cold_index);
    let built = rail::build_sweep(context, ledger, picked)?;
    // What goes to cold does not leave the house.
    let swept = (asset, Purpose::Sweep { amount, cold_index }, 0);
    let parcel = reserve::reserve_errand(context, ledger, turn, built, swept)?;
    rail::put_cold(ledger, asset, cold_index);
    Ok(parcel)
}

fn allow(
    context: &Context,
    ledger: &Ledger,
    turn: &Turn,
    asset: Asset,
    picked: &PickedSweep,
) -> Result<(), Finding> {
    let (amount, address) = (Amount::from_units(picked.amount), picked.address.clone());
    let facts = sight(context, ledger, asset, turn.draft.now()).of_sweep(amount, address, picked.fee)?;
    permit(&context.policy, &facts)
}

/// Both signatures are in a transaction: its inputs are spent, its change is ours, what it paid is released.
pub fn finished(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    id: ReservationId,
    Finished { released, transaction }: Finished,
) {
    let Some(reservation) = ledger.reservations.remove(&id) else { return };
    let mut row = (*reservation.row).clone();
    turn.draft.entry(EntryKind::Signed, &[("reservation", &id), ("txid", &row.txid)]);
    let withdrawals: Vec<String> = reservation.withdrawals.iter().map(ToString::to_string).collect();
    let log_index = turn.draft.entry(
        EntryKind::Released,
        &[
            ("reservation", &id),
            ("txid", &row.txid),
            ("withdrawals", &withdrawals.join(" ")),
            ("fee", &row.fee),
        ],
    );
    let released = ReleasedRow { log_index, ..released };
    rail::spend(ledger, turn, id, &reservation);
    row.state = "released".to_owned();
    row.tx_hex = Some(HEXLOWER.encode(&transaction));
    turn.transactions.put(id.to_string(), transaction);
    turn.draft.row(Table::Reservation, id.to_string(), "released", turn.draft.now(), rows::write(&row));
    if let Purpose::Sweep { amount, cold_index } = row.purpose {
        ledger.retries.remove(&(Errand::Sweep, reservation.asset));
        if reservation.asset == context.asset
            && let Some(coin) =
                row.tx_hex.as_deref().and_then(|hex| refill::swept_coin(context, hex, cold_index))
            && let Ok(outpoint) = coin.outpoint.parse()
        {
            ledger.cold_coins.insert(outpoint, coin);
        }
        let tx_hex = row.tx_hex.clone();
        let sweep = SweepInFlight { amount, since: turn.draft.now(), tx_hex, is_told: false };
        if let Some(account) = ledger.treasury.of_mut(reservation.asset) {
            account.sweeps.insert(row.txid.clone(), sweep);
        }
        ledger.ripen_all();
    }
    ledger.more_at_once(reservation.asset);
    if let Purpose::Refuel { amount } = row.purpose {
        refuel::released(ledger, turn.draft.now(), reservation.asset, amount);
    }
    if let Purpose::Emptying { .. } = row.purpose {
        emptying::released(ledger, turn.draft.now(), reservation.asset, row.fee);
    }
    for withdrawal in &reservation.withdrawals {
        withdraw::released(ledger, turn, *withdrawal, &released);
    }
}

/// Marks what a transaction spends; gives the length of the longest chain of own unconfirmed change behind it.
pub fn spend_inputs<'a>(
    coins: &mut Coins,
    draft: &mut Draft,
    id: ReservationId,
    inputs: impl IntoIterator<Item = &'a ::bitcoin::OutPoint>,
) -> u8 {
    let mut depth = 0;
    for input in inputs {
        if let Some(coin) = coins.set_state(input, CoinState::Spent(id)) {
            if coin.confirmations == 0 {
                depth = depth.max(coin.chain_depth);
            }
            write_coin(draft, &coin);
        }
    }
    depth
}

/// Records the change of a transaction that spends a chain of that length.
pub fn put_change(coins: &mut Coins, draft: &mut Draft, txid: ::bitcoin::Txid, change: ChangeRow, depth: u8) {
    let coin = Coin {
        outpoint: ::bitcoin::OutPoint { txid, vout: change.vout },
        amount_sat: change.amount_sat,
        branch: 1,
        index: change.index,
        confirmations: 0,
        chain_depth: depth.saturating_add(1),
        coinbase: false,
        state: CoinState::Free,
    };
    write_coin(draft, &coin);
    coins.put(coin);
}

/// Writes a coin's row.
pub fn write_coin(draft: &mut Draft, coin: &Coin) {
    let row = CoinRow::of(coin);
    draft.row(Table::Coin, coin.outpoint.to_string(), row.state(), draft.now(), rows::write(&row));
}

/// The transaction id that a text is; none of any transaction where it is none.
pub fn parse_txid(text: &str) -> ::bitcoin::Txid {
    use std::str::FromStr;
    ::bitcoin::Txid::from_str(text).unwrap_or_else(|_| ::bitcoin::hashes::Hash::all_zeros())
}

/// The co-signer said no: the reservation is released and its withdrawals are free to be decided again, those that the no does not
/// name at once. A no that names none of several refuses nobody: it is found out about with fewer of them at once.
pub fn cosigner_refused(ledger: &mut Ledger, turn: &mut Turn, id: ReservationId, refusal: &Refusal) {
    let finding = &refusal.finding;
    let Some(reservation) = reserve::release(ledger, turn, id, finding) else { return };
    let withdrawals = &reservation.withdrawals;
    let only = withdrawals.first().copied().filter(|_| withdrawals.len() == 1);
    let named = only.or(refusal.withdrawal.filter(|named| withdrawals.contains(named)));
    for withdrawal in withdrawals {
        let no = match named {
            Some(named) if named != *withdrawal => withdraw::No::Beside,
            Some(_) if !refusal.is_hold => withdraw::No::Refused,
            Some(_) | None => withdraw::No::Held,
        };
        withdraw::unreserved(ledger, turn, *withdrawal, (no, finding));
    }
    if named.is_none() && !refusal.is_hold {
        ledger.fewer_at_once(reservation.asset, withdrawals.len());
    }
    if let Some(errand) = reservation.row.purpose.errand() {
        let what = format!("the co-signer refused the {errand}");
        tell_undone(ledger, turn, (errand, reservation.asset), (&what, finding));
    }
}

/// Signing is frozen: what is booked is held, and goes on when the freeze ends.
pub fn frozen(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    let booked: Vec<_> = ledger.reservations.values().flat_map(|r| r.withdrawals.clone()).collect();
    for withdrawal in booked {
        if let Some(open) = ledger.open.get_mut(&withdrawal) {
            withdraw::settle(open, turn, Outcome::Held(vec![context.brake.finding()]));
        }
    }
    ledger.ripen_all();
}

/// What the transaction of a reservation is.
pub fn leaving(row: &rows::ReservationRow) -> Leaving {
    match row.purpose {
        Purpose::Sweep { .. } => Leaving::Sweep,
        Purpose::Withdrawals(_) | Purpose::Refuel { .. } | Purpose::Emptying { .. } => Leaving::Payment,
    }
}

/// The co-signer does not answer: what it was asked for is held, and asked again by itself.
pub fn cosigner_silent(ledger: &mut Ledger, turn: &mut Turn, id: ReservationId, code: Code) {
    let Some(reservation) = ledger.reservations.get(&id) else { return };
    for withdrawal in &reservation.withdrawals {
        if let Some(open) = ledger.open.get_mut(withdrawal) {
            let finding = Finding::new(code, "the transaction is booked; the co-signer is asked again");
            withdraw::settle(open, turn, Outcome::Held(vec![finding]));
        }
    }
}
