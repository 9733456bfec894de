//! Where the money rests, as people are shown it: per asset, and in total by the prices that stand.

use wallet_policy::ratio::{Holding, TotalKrw};
use wallet_policy::{Krw as PolicyKrw, Units};

use super::context::Context;
use super::ledger::lane::Lane;
use super::ledger::refills::Refills;
use super::ledger::{Account, Ledger};
use super::refill;
use super::treasury::{due, held_units};
use super::weigh::sight;
use crate::desk::{AssetPosition, HotSafe, PositionView, SweepInTransit, TotalPosition};
use crate::withdrawal::{Amount, Asset, Krw, Seconds};

/// Where everything stands, by the party's own clock.
pub fn view(context: &Context, ledger: &Ledger, now: Seconds) -> PositionView {
    let assets: Vec<AssetPosition> =
        ledger.treasury.accounts().map(|(one, _)| asset(context, ledger, one, now)).collect();
    let total = total(context, ledger, &assets);
    PositionView { assets, total, frozen: false, at: now }
}

fn sweeps(account: &Account) -> Vec<SweepInTransit> {
    let hex = |text: &String| data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
    let mut sweeps: Vec<SweepInTransit> = account
        .sweeps
        .iter()
        .map(|(txid, sweep)| SweepInTransit {
            txid: txid.clone(),
            amount: Amount::from_units(sweep.amount),
            raw_transaction: sweep.tx_hex.as_ref().and_then(hex).unwrap_or_default(),
            signed_at: sweep.since,
        })
        .collect();
    sweeps.sort_by(|a, b| (a.signed_at, &a.txid).cmp(&(b.signed_at, &b.txid)));
    sweeps
}

fn hot_safes(ledger: &Ledger, asset: Asset) -> Vec<HotSafe> {
    let Some(chain) = asset.chain().evm() else { return Vec::new() };
    let one = |lane: &Lane| HotSafe {
        safe: lane.wallet().address(),
        spendable: Amount::from_units(lane.spendable(asset)),
        in_flight: u64::try_from(lane.in_flight()).unwrap_or(u64::MAX),
        code: lane.trusted().err().map(|finding| finding.code),
    };
    ledger.treasury.lanes.hot(chain).map(one).collect()
}

/// The total in won; nothing, where the price of an asset was never stated.
fn total(context: &Context, ledger: &Ledger, assets: &[AssetPosition]) -> Option<TotalPosition> {
    let holding = |asset: &AssetPosition| {
        Some(Holding {
            position: wallet_policy::ratio::Position {
                hot: Units(asset.hot.units()),
                cold: Units(asset.cold.units()),
            },
            price: PolicyKrw(asset.price?.0),
            decimals: ledger.treasury.of(asset.asset).decimals,
        })
    };
    let holdings: Vec<Holding> = assets.iter().map(holding).collect::<Option<_>>()?;
    let sum = TotalKrw::of(&holdings)?;
    let share = context.share_rule(context.asset).total;
    Some(TotalPosition {
        hot: Krw(sum.hot.0),
        cold: Krw(sum.cold.0),
        hot_share_max: share.map(|share| (share.num(), share.den())),
        surplus: Krw(share.and_then(|share| sum.surplus(share)).unwrap_or_default().0),
        price_at: assets.iter().filter_map(|asset| asset.price_at).min()?,
    })
}

/// Where one of the party's assets stands.
pub fn asset(context: &Context, ledger: &Ledger, asset: Asset, now: Seconds) -> AssetPosition {
    let (treasury, account) = (&ledger.treasury, ledger.treasury.of(asset));
    let facts = &account.facts;
    let held = ledger.waiting().filter(|open| open.request.request().asset == asset);
    let seen = sight(context, ledger, asset, now).position();
    let rule = context.share_rule(asset);
    let refills = asset.chain().bitcoin().map(|_| &treasury.refills);
    let price = facts.price();
    let value = |of: fn(Units, PolicyKrw, u32) -> Option<PolicyKrw>, units| {
        of(units, PolicyKrw(price?.value.0), account.decimals).map(|krw| Krw(krw.0))
    };
    AssetPosition {
        asset,
        hot: Amount::from_units(seen.hot.0),
        cold: Amount::from_units(seen.cold.0),
        cold_in_transit: account.in_transit(now, context.settings.transit_s_max),
        refill_in_flight: Amount::from_sat(refills.map_or(0, Refills::in_flight_sat)),
        deposited: treasury.deposited(asset),
        spendable: ledger.spendable(asset, now),
        reserved: ledger.outgoing(asset),
        earmarked: ledger.earmarked(asset, now),
        held: Amount::from_units(held_units(ledger, asset)),
        held_count: u64::try_from(held.count()).unwrap_or(u64::MAX),
        surplus: Amount::from_units(due(context, ledger, asset, now).forced.0),
        refill_wanted: refills
            .map_or(Amount::ZERO, |_| Amount::from_units(refill::wanted(context, ledger, now).0)),
        hot_share_max: (rule.limit().num(), rule.limit().den()),
        hot_value: value(PolicyKrw::of_rounded_up, seen.hot),
        cold_value: value(PolicyKrw::of_rounded_down, seen.cold),
        price: price.map(|p| p.value),
        price_at: price.map(|p| p.at),
        position_at: treasury.position_at(asset, &context.trust),
        fee_rate: facts.chain.map(|c| c.value.fee_rate),
        tip_height: facts.chain.map(|c| c.value.height),
        chain_at: facts.chain.map(|c| c.at),
        sweeps: sweeps(account),
        hot_safes: hot_safes(ledger, asset),
    }
}
