//! Where the money rests, as the signer sees it.

use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::json;

use super::connect::{self, ConnectArgs};
use super::view;
use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::Problem;
use crate::desk::{AssetPosition, HotSafe, PositionView, SweepInTransit, TotalPosition};
use crate::wire::v1;
use crate::withdrawal::evm_address::spell;
use crate::withdrawal::{Amount, Asset, Code, Seconds};

/// What `position` takes.
#[derive(Debug, Args)]
pub struct PositionArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Only this asset: a network's name or a CAIP-19 id
    #[arg(long, value_parser = connect::asset)]
    pub asset: Option<Asset>,
}

/// Shows the position.
pub async fn run(args: &PositionArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let message =
        v1::GetPositionRequest { asset: args.asset.map(|asset| asset.to_string()).unwrap_or_default() };
    let answer = session.client.positions().get_position(session.request(message)).await?.into_inner();
    let view = PositionView::try_from(answer)?;
    let mut text = String::new();
    for asset in &view.assets {
        text.push_str(&shown(asset, view.at));
        text.push('\n');
    }
    text.push_str(
        &Facts::new()
            .maybe("total", view.total.as_ref().map(|total| whole(total, view.at)))
            .line(
                "frozen",
                if view.frozen {
                    "YES: no withdrawal is signed; see `countersign freeze show`"
                } else {
                    "no"
                },
            )
            .line("read", view.at)
            .text(),
    );
    let json = json!({ "assets": view.assets.iter().map(document).collect::<Vec<_>>(), "total": view.total.as_ref().map(|total| total_document(total, view.at)), "frozen": view.frozen, "read_at": view.at.0 });
    Ok(Answer::ok(json, text))
}

/// All assets together, on one line.
fn whole(total: &TotalPosition, now: Seconds) -> String {
    let limit = total.hot_share_max.map_or_else(
        || "not judged".to_owned(),
        |(numerator, denominator)| format!("at most {numerator}/{denominator}"),
    );
    format!(
        "{} KRW hot, {} KRW cold, {} % hot, {limit}; prices of {} on ({} s old)",
        total.hot,
        total.cold,
        percent(total.hot.0, total.cold.0),
        total.price_at,
        age(total.price_at, now)
    )
}

fn age(at: Seconds, now: Seconds) -> u64 {
    now.since(at).unwrap_or_default()
}

fn shown(position: &AssetPosition, now: Seconds) -> String {
    let asset = position.asset;
    let coin = |amount: Amount| view::coin(amount, asset);
    let nonzero = |amount: Amount| (!amount.is_zero()).then(|| coin(amount));
    let (numerator, denominator) = position.hot_share_max;
    let stated = |at: Option<crate::withdrawal::Seconds>| {
        at.map_or_else(|| "never stated".to_owned(), |at| format!("stated {at} ({} s old)", age(at, now)))
    };
    Facts::new()
        .line("asset", format!("{} ({asset})", asset.chain()))
        .line("hot", format!("{}{}", coin(position.hot), worth(position.hot_value)))
        .line(
            "cold",
            format!(
                "{}{}, {}",
                coin(position.cold),
                worth(position.cold_value),
                stated(position.position_at)
            ),
        )
        .maybe("on its way to cold", nonzero(position.cold_in_transit))
        .line("share", share(position.hot, position.cold, (numerator, denominator)))
        .maybe("surplus to sweep", nonzero(position.surplus))
        .line("spendable", coin(position.spendable))
        .maybe("reserved", nonzero(position.reserved))
        .maybe("refill on its way", nonzero(position.refill_in_flight))
        .maybe("at deposit addresses", nonzero(position.deposited))
        .maybe("earmarked", nonzero(position.earmarked))
        .line("held", format!("{} in {} withdrawals", coin(position.held), position.held_count))
        .maybe("refill wanted", nonzero(position.refill_wanted))
        .line(
            "price",
            position.price.map_or_else(
                || "never stated".to_owned(),
                |price| format!("{price} KRW, {}", stated(position.price_at)),
            ),
        )
        .line(
            "fee rate",
            position.fee_rate.map_or_else(
                || "never stated".to_owned(),
                |rate| format!("{rate} {}, {}", unit_of_rate(asset), stated(position.chain_at)),
            ),
        )
        .maybe("tip", position.tip_height)
        .maybe("sweeps to broadcast", sweeps(position))
        .maybe("hot Safes", hot_safes(position))
        .text()
}

const fn unit_of_rate(asset: Asset) -> &'static str {
    match asset {
        Asset::Bitcoin(_) => "sat/kvB",
        Asset::Evm(_) => "wei for 1,000 units of gas",
    }
}

/// Each hot Safe where there are several, or where something is wrong with the only one.
fn hot_safes(position: &AssetPosition) -> Option<String> {
    let one = |hot: &HotSafe| {
        let (safe, spendable) = (spell(hot.safe), view::coin(hot.spendable, position.asset));
        let wrong = hot.code.map_or_else(String::new, |code| format!(", {code}"));
        format!("{safe}: {spendable}, {} transactions on their way{wrong}", hot.in_flight)
    };
    let all: Vec<String> = position.hot_safes.iter().map(one).collect();
    let is_shown = all.len() > 1 || position.hot_safes.iter().any(|hot| hot.code.is_some());
    is_shown.then(|| all.join("; "))
}

/// The sweeps on their way; their bytes are in the document of `--json`.
fn sweeps(position: &AssetPosition) -> Option<String> {
    let one =
        |sweep: &SweepInTransit| format!("{} ({})", sweep.txid, view::coin(sweep.amount, position.asset));
    let all: Vec<String> = position.sweeps.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// The share in hundredths of a percent, rounded up as the law rounds it.
fn share(hot: Amount, cold: Amount, (numerator, denominator): (u32, u32)) -> String {
    format!("{} % hot, at most {numerator}/{denominator}", percent(hot.units(), cold.units()))
}

fn percent(hot: u128, cold: u128) -> String {
    let hundredths = hundredths(hot, cold);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The hot part in hundredths of a percent, rounded up.
fn hundredths(hot: u128, cold: u128) -> u128 {
    hot.saturating_mul(10_000).div_ceil(hot.saturating_add(cold).max(1))
}

fn worth(value: Option<crate::withdrawal::Krw>) -> String {
    value.map_or_else(String::new, |krw| format!(" ({krw} KRW)"))
}

fn total_document(total: &TotalPosition, now: Seconds) -> serde_json::Value {
    json!({
        "hot_krw": total.hot.to_string(),
        "cold_krw": total.cold.to_string(),
        "hot_share_bp": u64::try_from(hundredths(total.hot.0, total.cold.0)).unwrap_or(10_000),
        "hot_share_max": total.hot_share_max.map(|(numerator, denominator)| [numerator, denominator]),
        "surplus_krw": total.surplus.to_string(),
        "price_at": total.price_at.0,
        "price_age_s": age(total.price_at, now),
    })
}

fn document(position: &AssetPosition) -> serde_json::Value {
    json!({
        "asset": position.asset.to_string(),
        "hot": position.hot.to_string(),
        "cold": position.cold.to_string(),
        "cold_in_transit": position.cold_in_transit.to_string(),
        "spendable": position.spendable.to_string(),
        "reserved": position.reserved.to_string(),
        "earmarked": position.earmarked.to_string(),
        "held": position.held.to_string(),
        "held_count": position.held_count,
        "surplus": position.surplus.to_string(),
        "refill_wanted": position.refill_wanted.to_string(),
        "hot_share_max": [position.hot_share_max.0, position.hot_share_max.1],
        "refill_in_flight": position.refill_in_flight.to_string(),
        "deposited": position.deposited.to_string(),
        "hot_share_bp": u64::try_from(hundredths(position.hot.units(), position.cold.units())).unwrap_or(10_000),
        "hot_krw": position.hot_value.map(|krw| krw.to_string()),
        "cold_krw": position.cold_value.map(|krw| krw.to_string()),
        "price_krw": position.price.map(|price| price.to_string()),
        "price_at": position.price_at.map(|at| at.0),
        "position_at": position.position_at.map(|at| at.0),
        "fee_rate": position.fee_rate.map(|rate| rate.0),
        "tip_height": position.tip_height,
        "chain_at": position.chain_at.map(|at| at.0),
        "sweeps": position.sweeps.iter().map(sweep_document).collect::<Vec<_>>(),
        "hot_safes": position.hot_safes.iter().map(hot_safe_document).collect::<Vec<_>>(),
    })
}

fn hot_safe_document(hot: &HotSafe) -> serde_json::Value {
    json!({
        "safe": spell(hot.safe),
        "spendable": hot.spendable.to_string(),
        "in_flight": hot.in_flight,
        "code": hot.code.map(Code::as_str),
    })
}

fn sweep_document(sweep: &SweepInTransit) -> serde_json::Value {
    json!({
        "txid": sweep.txid,
        "amount": sweep.amount.to_string(),
        "tx_hex": HEXLOWER.encode(&sweep.raw_transaction),
        "signed_at": sweep.signed_at.0,
    })
}
