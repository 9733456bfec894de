//! L11 to L13: at most three tenths of an asset rest hot, and a surplus goes to cold before anything else leaves.

use countersign::desk::*;
use countersign::evidence::*;
use countersign::withdrawal::*;
use wallet_policy::ratio::{Position, Share, refill_allowed};
use wallet_policy::settings::AssetSettings;
use wallet_policy::{Settings, Units};

use super::thief::*;
use super::world::*;

fn limits(settings: &mut Settings) -> &mut AssetSettings {
    settings.assets.get_mut(&ASSET.to_string()).unwrap()
}

async fn position(world: &World) -> AssetPosition {
    let view = world.desk().position(&caller(Role::Auditor, "x"), None).await.unwrap();
    view.assets.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn l11_hot_rounds_up_and_cold_rounds_down() {
    // three coins hot: seven cold are exactly enough, one satoshi less is not
    for (cold, code) in [(7 * COIN, None), (7 * COIN - 1, Some("HOT_SHARE_ABOVE_LIMIT"))] {
        let mut plan = Plan::default();
        limits(&mut plan.cosigner_policy).min_sweep = Units(1);
        let (world, mut thief) = Thief::with(plan, 3, cold).await;
        let request = world.request("r1", TAYLOR, 2_000_000);
        let payment = thief.payment(&request);
        let verdict = thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await;
        match code {
            None => drop(yes(verdict)),
            Some(code) => assert_eq!(no(verdict), code),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l11_a_stolen_signer_cannot_count_one_sweep_twice() {
    // four hot, six cold: one coin too many is hot
    let (world, mut thief) = Thief::with(Plan::default(), 4, 6 * COIN).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&request);
    let verdict = thief.try_to(&world, &thief.plot(1, &[&request]), vec![payment.clone()]).await;
    assert_eq!(no(verdict), "HOT_SHARE_ABOVE_LIMIT");
    // two sweeps of the same coin in one order would count twice as cold
    let small = |index, sat| Plot {
        cold: Some((index, sat)),
        change: Some((countersign::bitcoin::Branch::Change, index)),
        ..thief.sweep(0, 0)
    };
    let plots = [small(0, COIN / 2), small(1, COIN / 2 + 1)];
    let loot: Vec<_> = plots.iter().map(|plot| thief.book(plot, vec![])).collect();
    let mut verdicts = thief.ask(&world, &loot).await;
    assert_eq!(no(verdicts.remove(1)), "COIN_UNKNOWN");
    yes(verdicts.remove(0));
    let verdict = thief.try_to(&world, &thief.plot(1, &[&request]), vec![payment.clone()]).await;
    assert_eq!(no(verdict), "HOT_SHARE_ABOVE_LIMIT");
    // enough of it is swept: on its way it counts as cold
    yes(thief.try_to(&world, &thief.sweep(1, 2), vec![]).await);
    yes(thief.try_to(&world, &thief.plot(2, &[&request]), vec![payment]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l11_a_sweep_on_its_way_for_too_long_is_no_longer_cold() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 4, 6 * COIN).await;
    yes(thief.try_to(&world, &thief.sweep(0, 0), vec![]).await);
    world.later(7_201);
    world.restart_cosigner().await;
    for body in [
        world.chain(),
        Body::Price(vec![(ASSET, Krw(PRICE))]),
        Body::Position { cold: vec![(ASSET, Amount::from_sat(6 * COIN))], swept: vec![] },
        NOTHING_NEW,
    ] {
        tell(&world, body).await.unwrap();
    }
    let request = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&request);
    let verdict = thief.try_to(&world, &thief.plot(1, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "HOT_SHARE_ABOVE_LIMIT");
}

#[tokio::test(flavor = "multi_thread")]
async fn l12_a_surplus_is_swept_before_anything_is_released() {
    let mut world = World::new(Plan::default()).await;
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(10 * COIN, &[]).await;
    world.address("c1").await;
    world.cut();
    world.fund("c1", &[COIN; 10]).await;
    // ten hot and ten cold: four must go, and they go first
    let view = world.withdraw("r1", 2_000_000).await;
    world.until(view.id, |v| codes(v) == ["HOT_SHARE_ABOVE_LIMIT"]).await;
    assert!(world.tap.orders.lock().unwrap().is_empty());
    world.mend();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    let orders = world.tap.orders.lock().unwrap().clone();
    let items: Vec<_> = orders.iter().flat_map(|o| &o.items).collect();
    assert!(items[0].payments.is_empty(), "the sweep goes first");
    let psbt = bitcoin::Psbt::deserialize(&items[0].psbt).unwrap();
    let cold = cold_wallet().script(countersign::bitcoin::Branch::Deposit, 0).unwrap();
    let swept: u64 = psbt
        .unsigned_tx
        .output
        .iter()
        .filter(|o| *o.script_pubkey == *cold.script_pubkey())
        .map(|o| o.value.to_sat())
        .sum();
    assert!(swept >= 4 * COIN, "{swept}");

    // on its way it is cold; counted by the observer it is cold once, also after a restart
    let before = position(&world).await;
    assert_eq!(before.cold, Amount::from_sat(10 * COIN + swept));
    assert_eq!(before.cold_in_transit, Amount::from_sat(swept));
    let txid = bitcoin::hashes::Hash::to_byte_array(psbt.unsigned_tx.compute_txid());
    world.state_cold(10 * COIN + swept, &[txid]).await;
    assert_eq!(position(&world).await.cold, Amount::from_sat(10 * COIN + swept));
    world.state_cold(10 * COIN + swept, &[txid]).await;
    world.restart_signer().await;
    let after = position(&world).await;
    assert_eq!((after.cold, after.cold_in_transit), (Amount::from_sat(10 * COIN + swept), Amount::ZERO));
    assert_eq!(codes(&world.withdraw("r2", 2_000_000).await), ["RELEASED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l12_a_sweep_needs_neither_price_nor_position() {
    let (world, mut thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    world.later(100_000);
    yes(thief.try_to(&world, &thief.sweep(0, 0), vec![]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l12_a_sweep_that_the_cosigner_refuses_is_not_tried_again_at_once() {
    let mut plan = Plan::default();
    limits(&mut plan.cosigner_policy).fee_tx_max = Units(10);
    let world = World::funded(plan, 10, 10 * COIN).await;
    let view = world.withdraw("r1", 2_000_000).await;
    world.until(view.id, |v| codes(v) == ["HOT_SHARE_ABOVE_LIMIT"]).await;
    let asked = |world: &World| world.tap.orders.lock().unwrap().len();
    // every statement is a turn of the writer, in which a sweep could be planned
    for _ in 0..20 {
        world.state_chain().await;
    }
    assert!(asked(&world) <= 3, "the co-signer was asked {} times", asked(&world));
    // people hear of it once, and its attempts are charged once
    assert_eq!(of_kind(&world, "alarm").await, 1);
    for _ in 0..2 {
        world.later(400);
        world.state_chain().await;
    }
    assert_eq!(of_kind(&world, "alarm").await, 1);
}

/// How many entries of that kind the signer's log has.
async fn of_kind(world: &World, kind: &str) -> usize {
    let kind = format!(r#""kind":"{kind}""#);
    let leaves = world.leaves().await;
    leaves.iter().filter(|leaf| String::from_utf8_lossy(leaf).contains(&kind)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn l12_a_surplus_of_more_coins_than_one_transaction_takes_goes_in_several() {
    let world = World::funded(Plan::default(), 100, 10 * COIN).await;
    let view = world.withdraw("r1", 2_000_000).await;
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    assert!(of_kind(&world, "sweep_reserved").await >= 2);
    assert_eq!(of_kind(&world, "alarm").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_refill_serves_only_what_it_was_made_for() {
    // the rule: judged by the share after the withdrawals it was made for have left
    let at = |hot, cold| Position { hot: Units(hot), cold: Units(cold) };
    let allowed =
        |amount, earmarked| refill_allowed(at(20, 70), Units(amount), Units(earmarked), Share::KISA_3_7);
    assert_eq!(allowed(10, 10), Some(true));
    assert_eq!(allowed(10, 4), Some(false));
    assert_eq!(allowed(10, 0), Some(false));
    // too little hot: it is held and a refill is asked for
    let world = World::funded(Plan::default(), 1, 70 * COIN).await;
    let view = world.withdraw("r1", 150_000_000).await;
    world.until(view.id, |v| codes(v).contains(&"HOT_FUNDS_SHORT")).await;
    let position = position(&world).await;
    assert_eq!(position.refill_wanted, Amount::from_sat(50_020_000));
    assert!(world.tap.orders.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn l11_the_total_in_won_is_judged_where_the_policy_says_so() {
    let mut plan = Plan::default();
    for settings in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        limits(settings).share = None;
        settings.hot_share =
            toml::from_str("preset = \"user-protection-act-2-8\"\nscope = \"total\"").unwrap();
    }
    // two of ten hot: within; the total is shown with the age of its price
    let world = World::funded(plan, 2, 8 * COIN).await;
    let view = world.desk().position(&caller(Role::Auditor, "x"), None).await.unwrap();
    let total = view.total.unwrap();
    assert_eq!((total.hot, total.cold), (Krw(2 * PRICE), Krw(8 * PRICE)));
    assert_eq!((total.hot_share_max, total.surplus), (Some((2, 10)), Krw(0)));
    assert_eq!(view.assets[0].hot_value, Some(Krw(2 * PRICE)));
    assert_eq!(codes(&world.withdraw("r1", 2_000_000).await), ["RELEASED"]);
    // one coin more is too much: it is swept, by both parties' own judgement
    world.fund("c2", &[COIN]).await;
    let view = world.withdraw("r2", 2_000_000).await;
    let view = world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    assert!(view.txid.is_some());
    assert!(position(&world).await.cold_in_transit >= Amount::from_sat(COIN - 10 * 2_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn l12_a_sweep_leaves_room_for_the_next_deposits() {
    let world = World::funded(Plan::default(), 4, 6 * COIN).await;
    let swept = |world: &World| {
        let orders = world.tap.orders.lock().unwrap();
        orders.iter().flat_map(|o| &o.items).filter(|i| i.payments.is_empty()).count()
    };
    let view = world.withdraw("r1", 2_000_000).await;
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    assert_eq!(swept(&world), 1);
    let after = position(&world).await;
    // down to a quarter and not only to three tenths; fees and the withdrawal are of the rest
    assert!(
        after.hot.units() * 4 <= after.hot.units() + after.cold.units() + u128::from(COIN / 100),
        "{after:?}"
    );
    // deposits up to the limit need no second sweep
    world.fund("c2", &[COIN / 2]).await;
    let view = world.withdraw("r2", 2_000_000).await;
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    assert_eq!(swept(&world), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_day_is_closed_once_by_an_entry_that_gives_the_same_statement_for_ever() {
    let mut world = World::funded(Plan::default(), 2, 8 * COIN).await;
    let korea = |world: &World| Seconds(world.now().0 + 32_400);
    let today: String = korea(&world).to_string().chars().take(10).collect();
    let desk = world.desk();
    let auditor = caller(Role::Auditor, "x");
    assert_eq!(desk.daily(&auditor, &today).await.unwrap_err().code(), Code::NotFound);
    // a second after midnight in Seoul
    world.later(86_401 - korea(&world).0 % 86_400);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let first = loop {
        match desk.daily(&auditor, &today).await {
            Ok(statement) => break statement,
            Err(no) => assert!(tokio::time::Instant::now() < deadline, "{no}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let entry = countersign::audit::Entry::parse(&first.leaf).unwrap();
    assert_eq!(entry.field("date"), Some(today.as_str()));
    assert_eq!(entry.field("hot"), Some((2 * COIN).to_string().as_str()));
    assert_eq!(entry.field("hot_krw"), Some((2 * PRICE).to_string().as_str()));
    // five per cent of it is less than the floor of the Act
    assert_eq!(entry.field("reserve_krw"), Some("3000000000"));
    // what happens afterwards changes nothing of it, nor does a restart
    world.fund("c2", &[COIN / 10]).await;
    drop(desk);
    world.restart_signer().await;
    assert_eq!(world.desk().daily(&auditor, &today).await.unwrap(), first);
    let log = world.signer.as_ref().unwrap().log();
    assert_eq!(log.head_at(first.tree_size).await.unwrap().root.0, first.root);
    let closes = world
        .leaves()
        .await
        .iter()
        .filter(|leaf| {
            countersign::audit::Entry::parse(leaf).unwrap().kind()
                == countersign::audit::EntryKind::DailyPosition
        })
        .count();
    assert_eq!(closes, 1);
}
