//! Emptying: what lies at deposit addresses is brought to a hot Safe when it is enough, within what the trust file pins.

use std::collections::{BTreeMap, BTreeSet};

use super::Effect;
use super::context::Context;
use super::courier::Parcel;
use super::facts::{FeeSeen, permit};
use super::ledger::deposits::Lying;
use super::ledger::rows::{EmptiedRow, Errand, Purpose};
use super::ledger::treasury::Spend;
use super::ledger::{Ledger, Treasury};
use super::rail::pins::EmptyingPins;
use super::weigh::sight;
use super::writer::Turn;
use super::{rail, reserve, treasury};
use crate::ethereum::Address;
use crate::freeze::Leaving;
use crate::withdrawal::evm_address::spell;
use crate::withdrawal::{Asset, ChainId, Code, EvmAsset, Finding, Seconds};

/// How long what lies there is not looked through again where nothing new is stated of it, in seconds.
const LOOK_S: u64 = 60;

/// What may be emptied on a chain now, by a party's own pins and facts: nothing, unless it is enough of an asset or lies at enough
/// addresses. What is under way is none of it.
pub fn due(context: &Context, treasury: &Treasury, chain: ChainId) -> Result<Vec<Lying>, Finding> {
    let pins = pinned(context, chain)?;
    let is_worth = |item: &Lying| pins.assets.get(&item.asset).is_some_and(|of| item.amount >= of.least);
    let items: Vec<Lying> = treasury.deposits.lying(chain).filter(is_worth).collect();
    if !is_enough(pins, &items) {
        let detail = format!("what lies at the deposit addresses on {chain} is below every level");
        return Err(Finding::new(Code::EmptyingNotDue, detail));
    }
    rail::emptying::lane(context, treasury, chain)?.trusted()?;
    treasury.lanes.trusted(chain)?;
    let is_as_pinned = |item: &Lying| treasury.is_as_pinned(Asset::Evm(item.asset)).is_ok();
    let items: Vec<Lying> = items.into_iter().filter(is_as_pinned).collect();
    // What stays where it is makes nothing else due: each small deposit would cost a transaction of its own.
    if !is_enough(pins, &items) {
        let detail = format!("what lies on {chain} is enough only with a token that is not as pinned");
        return Err(Finding::new(Code::TokenNotAsPinned, detail));
    }
    Ok(items)
}

fn pinned(context: &Context, chain: ChainId) -> Result<&EmptyingPins, Finding> {
    let pins = context.safes.get(&chain).and_then(|pins| pins.emptying.as_ref());
    pins.ok_or_else(|| Finding::new(Code::KindNotAllowed, format!("nothing is pinned that empties {chain}")))
}

fn is_enough(pins: &EmptyingPins, items: &[Lying]) -> bool {
    let addresses: BTreeSet<u32> = items.iter().map(|item| item.index).collect();
    let mut sums: BTreeMap<EvmAsset, u128> = BTreeMap::new();
    for item in items {
        let sum = sums.entry(item.asset).or_default();
        *sum = sum.saturating_add(item.amount.units());
    }
    let reaches =
        |(asset, sum): (&EvmAsset, &u128)| pins.assets.get(asset).is_some_and(|of| *sum >= of.level.units());
    addresses.len() >= pins.addresses || sums.iter().any(reaches)
}

/// What emptying may still cost today, in wei.
pub fn fee_room(
    context: &Context,
    treasury: &Treasury,
    chain: ChainId,
    now: Seconds,
) -> Result<u128, Finding> {
    let went_back = |e: wallet_policy::window::WindowError| Finding::new(Code::ClockWentBack, e.to_string());
    let sums = &treasury.of(rail::coin(chain)).sums;
    let spent = sums.emptied.sum(wallet_policy::Seconds(now.0)).map_err(went_back)?.0;
    Ok(pinned(context, chain)?.day_fee_max.units().saturating_sub(spent))
}

/// Whether a transaction may empty exactly these now: each is due, all of each, and the day has room for the fee.
pub fn allows(
    context: &Context,
    treasury: &Treasury,
    chain: ChainId,
    (rows, fee): (&[EmptiedRow], FeeSeen),
    now: Seconds,
) -> Result<(), Finding> {
    let items = due(context, treasury, chain)?;
    let mut taken = rows.iter().filter_map(|row| Asset::parse(&row.asset).ok());
    taken.try_for_each(|asset| treasury.is_as_pinned(asset))?;
    let is_due = |row: &EmptiedRow| {
        let same = |item: &Lying| item.index == row.index && Asset::Evm(item.asset).to_string() == row.asset;
        items.iter().any(|item| same(item) && item.amount.units() == row.amount)
    };
    if let Some(row) = rows.iter().find(|row| !is_due(row)) {
        let detail = format!("{} at index {} is not due", row.asset, row.index);
        return Err(Finding::new(Code::EmptyingNotDue, detail));
    }
    let room = fee_room(context, treasury, chain, now)?;
    if fee.paid > room {
        let detail = format!(
            "it may cost {} wei, and {room} is left of what emptying may cost within a day",
            fee.paid
        );
        return Err(Finding::new(Code::EmptyingLimit, detail));
    }
    Ok(())
}

/// Reserves an emptying on each chain where enough lies, if none waits for its signatures.
pub fn empty_if_due(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    if !context.brake.is_free(Leaving::Payment) {
        return;
    }
    let pinned = context.safes.iter().filter(|(_, pins)| pins.emptying.is_some()).map(|(chain, _)| *chain);
    for chain in pinned {
        let (coin, now) = (rail::coin(chain), turn.draft.now());
        if ledger.waits(Errand::Emptying, coin, now) {
            continue;
        }
        match plan(context, ledger, turn, chain) {
            Ok(parcel) => turn.effects.push(Effect::Cosign(parcel)),
            Err(finding) if finding.code == Code::EmptyingNotDue => {
                let retry = ledger.retries.entry((Errand::Emptying, coin)).or_default();
                retry.not_before = now.plus(LOOK_S);
            }
            Err(finding) => {
                let why = ("an emptying is wanted and cannot be made", &finding);
                treasury::tell_undone(ledger, turn, (Errand::Emptying, coin), why);
            }
        }
    }
}

fn plan(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    chain: ChainId,
) -> Result<Box<Parcel>, Finding> {
    let (now, coin) = (turn.draft.now(), rail::coin(chain));
    let items = due(context, &ledger.treasury, chain)?;
    let room = fee_room(context, &ledger.treasury, chain, now)?;
    let most = context.limits(coin).map_or(0, |limits| limits.fee_tx_max.0.min(limits.fee_lineage_max.0));
    let picked = rail::emptying::pick(context, ledger, chain, (&items, room.min(most)))?;
    allow(context, &sight(context, ledger, coin, now), picked.to, picked.fee)?;
    let built = rail::emptying::build(context, ledger, &picked)?;
    // It stays ours, so no limit but those of fees counts it.
    let purpose = Purpose::Emptying { deposits: picked.rows };
    reserve::reserve_errand(context, ledger, turn, built, (coin, purpose, 0))
}

/// Whether the policy permits it: to its rules it is a consolidation, which pays an own pinned place and counts with its fee.
pub fn allow(
    context: &Context,
    sight: &super::facts::Sight<'_>,
    hot: Address,
    fee: FeeSeen,
) -> Result<(), Finding> {
    permit(&context.policy, &sight.of_emptying(spell(hot), fee)?)
}

/// An emptying carries both signatures: the day's sum holds its fee.
pub fn released(ledger: &mut Ledger, now: Seconds, coin: Asset, fee: u128) {
    ledger.retries.remove(&(Errand::Emptying, coin));
    let spend = Spend { emptied: fee, ..Spend::default() };
    if let Err(error) = ledger.treasury.spend(coin, now, spend) {
        // The co-signer counts it too, and a start counts it again by its row.
        tracing::error!(code = %Code::ClockWentBack, %coin, "an emptying is not counted: {error}");
    }
}
