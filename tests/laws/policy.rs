//! L6 to L9: what the policy says cannot be loosened; limits, fees and kinds, as the co-signer sees them itself.

use bitcoin::Psbt;
use countersign::bitcoin::Branch;
use countersign::withdrawal::*;
use wallet_policy::settings::AssetSettings;
use wallet_policy::{BUILT_IN, Guard, Policy, PolicyError, Settings, Units};

use super::thief::*;
use super::world::*;

fn limits(settings: &mut Settings) -> &mut AssetSettings {
    settings.assets.get_mut(&ASSET.to_string()).unwrap()
}

/// A plan whose co-signer has limits of its own.
fn with(change: impl Fn(&mut AssetSettings)) -> Plan {
    let mut plan = Plan::default();
    let set = limits(&mut plan.cosigner_policy);
    change(set);
    // a limit never stands above the wider one
    set.per_tx_limit = set.per_tx_limit.min(set.hourly_limit);
    set.unsigned_daily_limit = set.unsigned_daily_limit.min(set.daily_limit);
    set.unsigned_per_tx_limit = set.unsigned_per_tx_limit.min(set.per_tx_limit).min(set.unsigned_daily_limit);
    set.fee_lineage_max = set.fee_lineage_max.min(set.fee_budget_daily);
    set.fee_tx_max = set.fee_tx_max.min(set.fee_lineage_max);
    plan
}

/// One rule, and it lets everything through.
const ANYTHING_GOES: &[(&str, &str)] =
    &[("all.cedar", "@id(\"anything-goes\")\npermit (principal, action, resource);\n")];

#[tokio::test(flavor = "multi_thread")]
async fn l06_no_policy_file_can_loosen_a_law() {
    let mut plan = Plan { cosigner_files: ANYTHING_GOES, ..Plan::default() };
    limits(&mut plan.cosigner_policy).per_tx_limit = Units(50_000_000);
    let (world, mut thief) = Thief::with(plan, 4, 100 * COIN).await;
    let over = world.request("r1", TAYLOR, 60_000_000);
    let large = world.request("r2", TAYLOR, 20_000_000);
    for (request, code) in [(&over, "LIMIT_PER_TRANSACTION"), (&large, "APPROVAL_REQUIRED")] {
        let payment = thief.payment(request);
        assert_eq!(no(thief.try_to(&world, &thief.plot(0, &[request]), vec![payment]).await), code);
    }
    // old news, and too much hot
    let small = world.request("r3", TAYLOR, 2_000_000);
    let payment = thief.payment(&small);
    world.later(700);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&small]), vec![payment.clone()]).await;
    assert_eq!(no(verdict), "PRICE_STALE");
    tell(&world, Body::Price(vec![(ASSET, Krw(PRICE))])).await.unwrap();
    tell(&world, Body::Position { cold: vec![(ASSET, Amount::from_sat(COIN))], swept: vec![] })
        .await
        .unwrap();
    let verdict = thief.try_to(&world, &thief.plot(0, &[&small]), vec![payment]).await;
    assert_eq!(no(verdict), "HOT_SHARE_ABOVE_LIMIT");
}

#[test]
fn l06_settings_looser_than_the_trust_files_guard_are_not_loaded() {
    let guard = Guard::of(&policy_settings());
    Policy::built_in(policy_settings(), &guard).unwrap();
    type Loosen = fn(&mut Settings);
    let loosened: [(&str, Loosen); 10] = [
        ("unsigned_per_tx_limit", |s| limits(s).unsigned_per_tx_limit.0 += 1),
        ("unsigned_daily_limit", |s| limits(s).unsigned_daily_limit.0 += 1),
        ("per_tx_limit", |s| limits(s).per_tx_limit.0 += 1),
        ("hourly_limit", |s| limits(s).hourly_limit.0 += 1),
        ("daily_limit", |s| limits(s).daily_limit.0 += 1),
        ("fee_tx_max", |s| limits(s).fee_tx_max.0 += 1),
        ("unnamed_total", |s| limits(s).unnamed_total_daily_krw.0 += 1),
        ("price_move_bp_max", |s| limits(s).price_move_bp_max += 1),
        ("min_sweep", |s| limits(s).min_sweep.0 += 1),
        ("tiers", |s| s.tiers.clear()),
    ];
    for (what, loosen) in loosened {
        let mut settings = policy_settings();
        loosen(&mut settings);
        let no = Policy::built_in(settings, &guard).unwrap_err();
        assert!(matches!(no, PolicyError::Settings(_)), "{what}: {no}");
    }
    // a rule that cannot be read or evaluated stops everything
    let broken =
        [BUILT_IN, &[("broken.cedar", "@id(\"x\")\nforbid (principal, action, resource) when { nothing };")]]
            .concat();
    assert!(Policy::load(&broken, policy_settings(), &guard).is_err());
}

#[test]
fn l07_there_is_no_policy_without_hourly_and_daily_limits() {
    for line in ["hourly_limit = \"5000000000\"", "daily_limit = \"10000000000\""] {
        let text = policy_text();
        assert!(text.contains(line));
        assert!(toml::from_str::<Settings>(&text).is_ok());
        assert!(toml::from_str::<Settings>(&text.replace(line, "")).is_err(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l07_a_stolen_signer_stops_at_the_cosigners_own_limit() {
    let plan = with(|l| l.hourly_limit = Units(6_500_000));
    let (mut world, mut thief) = Thief::with(plan, 6, 100 * COIN).await;
    let requests: Vec<_> = (0..5).map(|n| world.request(&format!("r{n}"), TAYLOR, 2_000_000)).collect();
    // all in one transaction are above it together
    let paid: Vec<_> = requests.iter().collect();
    let payments = requests.iter().map(|r| thief.payment(r)).collect();
    assert_eq!(no(thief.try_to(&world, &thief.plot(0, &paid), payments).await), "LIMIT_ROLLING");
    // all in one order: three fit
    let loot: Vec<_> = (0..4)
        .map(|n| {
            let payment = thief.payment(&requests[n]);
            thief.book(&thief.plot(n, &[&requests[n]]), vec![payment])
        })
        .collect();
    let mut verdicts = thief.ask(&world, &loot).await;
    assert_eq!(no(verdicts.pop().unwrap()), "LIMIT_ROLLING");
    verdicts.into_iter().for_each(|v| drop(yes(v)));
    // nothing is given back by a restart, nor by a clock that goes back
    world.later(100);
    world.restart_cosigner().await;
    let payment = thief.payment(&requests[3]);
    let verdict = thief.try_to(&world, &thief.plot(3, &[&requests[3]]), vec![payment.clone()]).await;
    assert_eq!(no(verdict), "LIMIT_ROLLING");
    world.earlier(99);
    world.earlier(1);
    let verdict = thief.try_to(&world, &thief.plot(3, &[&requests[3]]), vec![payment]).await;
    assert!(["LIMIT_ROLLING", "CLOCK_WENT_BACK"].contains(&no(verdict)));
    // an hour later there is room again
    world.later(3_601);
    renew(&world, 100 * COIN).await;
    let late = world.request("r9", TAYLOR, 2_000_000);
    let payment = thief.payment(&late);
    yes(thief.try_to(&world, &thief.plot(4, &[&late]), vec![payment]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l07_a_clock_that_goes_back_signs_nothing() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    world.later(500);
    let request = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&request);
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await);
    world.earlier(400);
    let request = world.request("r2", TAYLOR, 2_000_000);
    let payment = thief.payment(&request);
    let verdict = thief.try_to(&world, &thief.plot(1, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "CLOCK_WENT_BACK");
}

/// Facts as fresh as the clock.
async fn renew(world: &World, cold_sat: u64) {
    tell(world, world.chain()).await.unwrap();
    tell(world, Body::Price(vec![(ASSET, Krw(PRICE))])).await.unwrap();
    tell(world, NOTHING_NEW).await.unwrap();
    tell(world, Body::Position { cold: vec![(ASSET, Amount::from_sat(cold_sat))], swept: vec![] })
        .await
        .unwrap();
}

use countersign::evidence::Body;

#[tokio::test(flavor = "multi_thread")]
async fn l08_fees_stop_at_every_cap_and_at_the_budget() {
    // per vbyte, per transaction, and the request's own
    type Cap = fn(&mut AssetSettings);
    let caps: [(Cap, u64); 3] = [
        (|l| l.fee_rate_max = Units(10_000), 5_000),
        (|l| l.fee_tx_max = Units(4_000), 4_001),
        (|_| (), 20_001),
    ];
    for (cap, fee) in caps {
        let (world, mut thief) = Thief::with(with(cap), 1, 100 * COIN).await;
        let request = world.request("r1", TAYLOR, 2_000_000);
        let payment = thief.payment(&request);
        let plot = Plot { fee, ..thief.plot(0, &[&request]) };
        assert_eq!(no(thief.try_to(&world, &plot, vec![payment.clone()]).await), "FEE_ABOVE_CAP");
        yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await);
    }
    // many small ones, over all kinds, also after a restart
    let (mut world, mut thief) =
        Thief::with(with(|l| l.fee_budget_daily = Units(3_500)), 5, 100 * COIN).await;
    for n in 0..2 {
        let request = world.request(&format!("r{n}"), TAYLOR, 2_000_000);
        let payment = thief.payment(&request);
        yes(thief.try_to(&world, &thief.plot(n, &[&request]), vec![payment]).await);
    }
    yes(thief.try_to(&world, &thief.sweep(2, 0), vec![]).await);
    world.restart_cosigner().await;
    assert_eq!(no(thief.try_to(&world, &thief.sweep(3, 1), vec![]).await), "FEE_BUDGET_SPENT");
    let request = world.request("r9", TAYLOR, 2_000_000);
    let payment = thief.payment(&request);
    let verdict = thief.try_to(&world, &thief.plot(3, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "FEE_BUDGET_SPENT");
}

#[tokio::test(flavor = "multi_thread")]
async fn l08_an_order_of_many_does_not_outrun_the_fee_budget() {
    let (world, mut thief) = Thief::with(with(|l| l.fee_budget_daily = Units(3_500)), 5, 100 * COIN).await;
    let loot: Vec<_> = (0..5).map(|n| thief.book(&thief.sweep(n, n as u32), vec![])).collect();
    let verdicts = thief.ask(&world, &loot).await;
    let (mut signed, mut codes) = (0, Vec::new());
    for verdict in verdicts {
        match verdict {
            countersign::desk::ItemVerdict::Signed(_) => signed += 1,
            refused => codes.push(no(refused)),
        }
    }
    assert_eq!((signed, codes), (3, vec!["FEE_BUDGET_SPENT", "FEE_BUDGET_SPENT"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn l09_a_withdrawal_labelled_sweep_is_a_withdrawal() {
    let (world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    let paid = thief.payment(&request);
    // booked as a sweep, without payments: it pays a stranger
    let mut loot = thief.book(&thief.plot(0, &[&request]), vec![]);
    let (id, asset) = (loot.reservation.to_string(), ASSET.to_string());
    (loot.leaf, loot.leaf_index) = thief.log(
        countersign::audit::EntryKind::SweepReserved,
        &[
            ("reservation", &id),
            ("asset", &asset),
            ("amount", "1"),
            ("fee", "1"),
            ("txid", &loot.txid),
            ("destination", "cold/0/0"),
        ],
    );
    assert_eq!(no(thief.ask_one(&world, &loot).await), "TRANSACTION_MISMATCH");
    // a sweep that says it pays a request; one that pays both
    assert_eq!(
        no(thief.try_to(&world, &thief.sweep(0, 0), vec![paid.clone()]).await),
        "TRANSACTION_MISMATCH"
    );
    let both = Plot { cold: Some((0, 1_000_000)), ..thief.plot(0, &[&request]) };
    assert_eq!(no(thief.try_to(&world, &both, vec![paid.clone()]).await), "KIND_NOT_ALLOWED");
    // everything back to itself is a consolidation, which nobody may ask for yet
    let consolidation = Plot { payees: vec![], ..thief.plot(0, &[&request]) };
    assert_eq!(no(thief.try_to(&world, &consolidation, vec![]).await), "KIND_NOT_ALLOWED");
}

#[tokio::test(flavor = "multi_thread")]
async fn l09_a_sweep_pays_only_the_pinned_cold_descriptor() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    // another address under the derivation of the cold wallet
    let true_psbt =
        thief.sweep(0, 3).build().psbt(countersign::bitcoin::KeySlot::B, &hot_wallet(), Some(&cold_wallet()));
    let mut psbt = Psbt::deserialize(&true_psbt.unwrap()).unwrap();
    let at = psbt.outputs.iter().position(|o| !o.bip32_derivation.is_empty()).unwrap();
    psbt.unsigned_tx.output[at].script_pubkey =
        countersign::bitcoin::Destination::parse(ETHAN, NETWORK).unwrap().script_pubkey().to_owned();
    let loot = thief.book_bytes(psbt.serialize(), vec![]);
    assert_eq!(no(thief.ask_one(&world, &loot).await), "CHANGE_NOT_OWN");
    // and without any derivation it is a payment that nobody asked for
    psbt.outputs[at].bip32_derivation.clear();
    psbt.unsigned_tx.output[at].value -= bitcoin::Amount::from_sat(1);
    let loot = thief.book_bytes(psbt.serialize(), vec![]);
    assert_eq!(no(thief.ask_one(&world, &loot).await), "TRANSACTION_MISMATCH");
    // an index that nobody would find again
    assert_eq!(no(thief.try_to(&world, &thief.sweep(0, 1_001), vec![]).await), "CHANGE_NOT_OWN");
    // its change goes where change goes
    let stray = Plot { change: Some((Branch::Deposit, 0)), cold: Some((0, COIN / 2)), ..thief.sweep(0, 0) };
    assert_eq!(no(thief.try_to(&world, &stray, vec![]).await), "CHANGE_NOT_OWN");
    yes(thief.try_to(&world, &thief.sweep(0, 0), vec![]).await);
}
