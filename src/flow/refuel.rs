//! Refuelling: the account that pays gas gets ether of a hot Safe when it has too little, within what the trust file pins.

use super::Effect;
use super::context::Context;
use super::courier::Parcel;
use super::facts::permit;
use super::ledger::rows::{Errand, Purpose};
use super::ledger::treasury::Spend;
use super::ledger::{Ledger, Treasury};
use super::rail::pins::ExecutorPins;
use super::weigh::sight;
use super::writer::Turn;
use super::{rail, reserve, treasury};
use crate::freeze::Leaving;
use crate::withdrawal::evm_address::spell;
use crate::withdrawal::{Amount, Asset, Chain, Code, Finding, Seconds};

/// Whether the account that pays gas may get that much of a chain's coin now, by a party's own pins, facts and sums: it has less
/// than its level, no refuel is under way, and its caps are kept.
pub fn due<'a>(
    context: &'a Context,
    treasury: &Treasury,
    coin: Asset,
    amount: u128,
    now: Seconds,
) -> Result<&'a ExecutorPins, Finding> {
    let unpinned = || Finding::new(Code::KindNotAllowed, format!("no account is pinned that {coin} refuels"));
    let Chain::Evm(chain) = coin.chain() else { return Err(unpinned()) };
    let executor = context.safes.get(&chain).and_then(|pins| pins.executor.as_ref()).ok_or_else(unpinned)?;
    treasury.lanes.trusted(chain)?;
    let account = spell(executor.address);
    let unknown = || Finding::new(Code::ExecutorNotStated, format!("nothing is stated of {account}"));
    let (has, height) = treasury.lanes.has(chain, executor.address).ok_or_else(unknown)?;
    if has >= executor.level {
        let detail = format!("{account} has {has} wei, and is refuelled below {}", executor.level);
        return Err(Finding::new(Code::RefuelNotDue, detail));
    }
    // A Safe that was stated since may have executed the last refuel: what the account had before that is no reason for another.
    if height < treasury.lanes.newest(chain) {
        let detail =
            format!("what {account} has is stated of height {height}, and a hot Safe of a later one");
        return Err(Finding::new(Code::RefuelNotDue, detail));
    }
    if treasury.lanes.is_refuelling(chain) {
        return Err(Finding::new(Code::RefuelNotDue, "a refuel is signed that is not in the chain for good"));
    }
    let went_back = |e: wallet_policy::window::WindowError| Finding::new(Code::ClockWentBack, e.to_string());
    let spent = treasury.of(coin).sums.refuelled.sum(wallet_policy::Seconds(now.0)).map_err(went_back)?.0;
    let day = spent.saturating_add(amount);
    if amount > executor.refuel_max.units() || day > executor.day_max.units() {
        let (once, most) = (executor.refuel_max, executor.day_max);
        let detail =
            format!("{amount} wei on top of {spent} within a day; at most {once} at once and {most} a day");
        return Err(Finding::new(Code::RefuelLimit, detail));
    }
    Ok(executor)
}

/// Reserves a refuel on each chain whose account runs low, if none is under way. It gets the most that it may at once.
pub fn refuel_if_low(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    if !context.brake.is_free(Leaving::Payment) {
        return;
    }
    let pinned = context.safes.iter().filter_map(|(chain, pins)| Some((rail::coin(*chain), pins.executor?)));
    for (coin, executor) in pinned {
        let now = turn.draft.now();
        if ledger.waits(Errand::Refuel, coin, now) || is_blind(ledger, coin) {
            continue;
        }
        match plan(context, ledger, turn, coin, executor.refuel_max) {
            Ok(parcel) => turn.effects.push(Effect::Cosign(parcel)),
            Err(finding) if finding.code == Code::RefuelNotDue => {}
            Err(finding) => {
                let why = ("a refuel is wanted and cannot be made", &finding);
                treasury::tell_undone(ledger, turn, (Errand::Refuel, coin), why);
            }
        }
    }
}

/// Without a Safe to believe in nobody knows whether anything is wanted; people hear of that where it is found.
fn is_blind(ledger: &Ledger, coin: Asset) -> bool {
    let Chain::Evm(chain) = coin.chain() else { return true };
    ledger.treasury.lanes.trusted(chain).is_err()
}

fn plan(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    coin: Asset,
    amount: Amount,
) -> Result<Box<Parcel>, Finding> {
    let now = turn.draft.now();
    let executor = due(context, &ledger.treasury, coin, amount.units(), now)?;
    let picked = rail::pick_refuel(context, ledger, coin, (executor.address, amount))?;
    let facts = sight(context, ledger, coin, now).of_refuel(amount, spell(executor.address), picked.fee())?;
    permit(&context.policy, &facts)?;
    let built = rail::build(context, ledger, &picked)?;
    let amount = amount.units();
    // What an executor got within a day is counted when it carries both signatures.
    reserve::reserve_errand(context, ledger, turn, built, (coin, Purpose::Refuel { amount }, amount))
}

/// A refuel carries both signatures: the day's sum holds it.
pub fn released(ledger: &mut Ledger, now: Seconds, coin: Asset, amount: u128) {
    ledger.retries.remove(&(Errand::Refuel, coin));
    let spend = Spend { refuelled: amount, ..Spend::default() };
    if let Err(error) = ledger.treasury.spend(coin, now, spend) {
        // The co-signer counts it too, and a start counts it again by its row.
        tracing::error!(code = %Code::ClockWentBack, %coin, "a refuel is not counted: {error}");
    }
}
