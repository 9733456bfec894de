//! L10: facts are signed statements, verified by each party itself; old numbers and jumping prices free nothing.

use std::time::Duration;

use countersign::desk::*;
use countersign::evidence::trust_file::TrustContent;
use countersign::evidence::*;
use countersign::withdrawal::*;

use super::thief::*;
use super::world::*;

fn statement(world: &World, number: u64, at: Seconds, krw: u128, seed: u8) -> SignedText {
    let _ = world;
    let body = Body::Price(vec![(ASSET, Krw(krw))]);
    let statement = Statement { observer: "watcher".into(), number, after: 0, at, body };
    signed(sign_statement(&statement, ed25519(&key(seed))).unwrap(), "watcher")
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_an_older_false_or_future_statement_is_no_fact_at_the_cosigner() {
    let (mut world, _thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    let now = world.now();
    let said = |given: SignedText| {
        let cosigner = world.cosigner();
        async move { cosigner.submit_statements(vec![given]).await.unwrap().remove(0) }
    };
    let code = |r: Result<StatementReceipt, Finding>| r.unwrap_err().code;
    said(statement(&world, 1_000, now.plus(1), PRICE, OBSERVER)).await.unwrap();
    let old = statement(&world, 999, now.plus(1), PRICE, OBSERVER);
    assert_eq!(code(said(old.clone()).await), Code::StatementOutOfOrder);
    let again = statement(&world, 1_000, now.plus(1), PRICE + 1, OBSERVER);
    assert_eq!(code(said(again).await), Code::StatementOutOfOrder);
    let false_one = statement(&world, 1_001, now.plus(1), PRICE, STRANGER);
    assert_eq!(code(said(false_one).await), Code::StatementSignatureInvalid);
    let mut altered = statement(&world, 1_001, now.plus(1), PRICE, OBSERVER);
    altered.text = altered.text.replace("100000000", "999000000");
    assert_eq!(code(said(altered).await), Code::StatementSignatureInvalid);
    let future = statement(&world, 1_001, now.plus(600), PRICE, OBSERVER);
    assert_eq!(code(said(future).await), Code::StatementTimeOutOfRange);
    // one that comes late is taken, for those after it need it; the age of a fact is looked at where the fact is used
    let ancient = statement(&world, 1_001, Seconds(now.0 - 100_000), PRICE, OBSERVER);
    let door = world.desk().submit(&caller(Role::Observer, "watcher"), ancient.clone()).await;
    assert_eq!(door.unwrap_err().code(), Code::StatementTimeOutOfRange);
    assert_eq!(said(ancient).await.unwrap().number, 1_001);
    // numbers are remembered over a restart
    world.restart_cosigner().await;
    let answer = world.cosigner().submit_statements(vec![old]).await.unwrap().remove(0);
    assert_eq!(code(answer), Code::StatementOutOfOrder);
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_an_observer_states_only_the_kinds_it_may() {
    let mut plan = Plan::default();
    plan.trust.statement_keys[0].kinds.retain(|kind| kind != "price");
    let world = World::new(plan).await;
    let said = world.statement(Body::Price(vec![(ASSET, Krw(1))]));
    let answer = world.cosigner().submit_statements(vec![said.clone()]).await.unwrap().remove(0);
    assert_eq!(answer.unwrap_err().code, Code::StatementSignatureInvalid);
    let no = world.desk().submit(&caller(Role::Observer, "watcher"), said).await.unwrap_err();
    assert_eq!(no.code(), Code::StatementSignatureInvalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_a_stolen_signer_that_withholds_news_gets_nothing_signed() {
    let (world, mut thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    let stale = [(700, "PRICE_STALE"), (300, "POSITION_STALE"), (900, "FEE_RATE_STALE")];
    for (at, (seconds, code)) in stale.into_iter().enumerate() {
        world.later(seconds);
        let request = world.request(&format!("r{at}"), TAYLOR, 2_000_000);
        let payment = thief.payment(&request);
        let loot = thief.book(&thief.plot(0, &[&request]), vec![payment]);
        let verdict = thief.ask_one(&world, &loot).await;
        let ItemVerdict::Refused(refusal) = verdict else { panic!("key B signed") };
        assert!(refusal.is_hold);
        // every stale fact holds by itself; the newest one that went stale is what this round adds
        let first = ["PRICE_STALE", "POSITION_STALE", "FEE_RATE_STALE"];
        assert!(first[..=at].contains(&refusal.finding.code.as_str()), "{code} {refusal:?}");
        if at < 2 {
            tell(&world, Body::Price(vec![(ASSET, Krw(PRICE))])).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_an_older_or_jumping_statement_frees_nothing() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    // the price halves at once: what follows is held until a second statement agrees, a minute later
    world.later(1);
    world.state_price(PRICE / 2).await;
    let view = world.withdraw("r1", 2_000_000).await;
    world.until(view.id, |v| codes(v) == ["PRICE_MOVED"]).await;
    let no = world
        .desk()
        .submit(&caller(Role::Observer, "watcher"), statement(&world, 1, world.now(), PRICE, OBSERVER))
        .await
        .unwrap_err();
    assert_eq!(no.code(), Code::StatementOutOfOrder);
    world.later(30);
    world.state_price(PRICE / 2).await;
    assert_eq!(codes(&world.find(view.id).await), ["PRICE_MOVED"]);
    world.later(61);
    world.state_price(PRICE / 2).await;
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_stale_facts_hold_and_fresh_ones_resume() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    world.later(2_000);
    let view = world.withdraw("r1", 2_000_000).await;
    let all = ["POSITION_STALE", "PRICE_STALE", "FEE_RATE_STALE"];
    let stale = |v: &WithdrawalView| {
        let codes = codes(v);
        all.iter().all(|code| codes.contains(code))
    };
    world.until(view.id, stale).await;
    world.state_price(PRICE).await;
    world.until(view.id, |v| !codes(v).contains(&"PRICE_STALE")).await;
    world.state_cold(70 * COIN, &[]).await;
    world.until(view.id, |v| codes(v) == ["FEE_RATE_STALE"]).await;
    world.state_chain().await;
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_facts_outlive_a_restart_of_both_parties() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let before = world.withdraw("r1", 2_000_000).await;
    assert_eq!(codes(&before), ["RELEASED"]);
    world.restart_cosigner().await;
    world.restart_signer().await;
    assert_eq!(codes(&world.withdraw("r2", 2_000_000).await), ["RELEASED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_a_statement_that_meets_a_busy_store_at_the_cosigner_is_not_lost() {
    use sqlx::{Connection, Executor};
    let world = World::new(Plan::default()).await;
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    world.address("c1").await;
    let path = world.dir.path().join("cosigner.db");
    let mut other = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    // the co-signer waits five seconds for the lock, then its commit fails
    world.fund("c1", &[3 * COIN]).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    other.execute("ROLLBACK").await.unwrap();
    other.close().await.unwrap();
    let paid = world.withdraw("r1", 2_000_000).await;
    world.until(paid.id, |v| codes(v) == ["RELEASED"]).await;
}

/// The observer's next word on coins, which it takes to be heard: it follows the one before.
fn follows(world: &World, after: u64, number: u64, body: Body) -> SignedText {
    let at = world.now();
    let statement = Statement { observer: "watcher".into(), number, after, at, body };
    signed(sign_statement(&statement, ed25519(&key(OBSERVER))).unwrap(), "watcher")
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_l11_a_stolen_signer_that_keeps_one_coin_statement_back_gets_nothing_signed() {
    let (world, mut thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    attest(&world, "second victim", 0, 1).await.unwrap();
    let script = hot_wallet().script(countersign::bitcoin::Branch::Deposit, 1).unwrap();
    // what would lift the hot share above its limit
    let deposit = world.deposit(script.script_pubkey().to_owned(), &[200 * COIN]);
    let kept_back = follows(&world, 5_000, 5_001, deposit);
    let said = |given: SignedText| {
        let cosigner = world.cosigner();
        async move { cosigner.submit_statements(vec![given]).await.unwrap().remove(0).map_err(|no| no.code) }
    };
    said(follows(&world, 0, 5_000, NOTHING_NEW)).await.unwrap();
    world.later(600);
    let next = follows(&world, 5_001, 5_002, NOTHING_NEW);
    assert_eq!(said(next.clone()).await.unwrap_err(), Code::StatementGap);
    world.later(400);
    for fact in [Body::Price(vec![(ASSET, Krw(PRICE))]), world.chain()] {
        tell(&world, fact).await.unwrap();
    }
    tell(&world, Body::Position { cold: vec![(ASSET, Amount::from_sat(100 * COIN))], swept: vec![] })
        .await
        .unwrap();
    let code = async |thief: &mut Thief, name: &str| {
        let request = world.request(name, TAYLOR, 2_000_000);
        let payment = thief.payment(&request);
        let loot = thief.book(&thief.plot(0, &[&request]), vec![payment]);
        let ItemVerdict::Refused(refusal) = thief.ask_one(&world, &loot).await else {
            panic!("key B signed")
        };
        assert!(refusal.is_hold);
        refusal.finding.code
    };
    assert_eq!(code(&mut thief, "r1").await, Code::PositionStale);
    // the row is whole again only with the one that was kept back, however late; and then it counts
    said(kept_back).await.unwrap();
    said(next).await.unwrap();
    assert_eq!(code(&mut thief, "r2").await, Code::HotShareAboveLimit);
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_an_observer_of_coins_that_falls_silent_holds_and_its_word_that_nothing_changed_resumes() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    world.later(1_000);
    world.state_price(PRICE).await;
    world.state(Body::Position { cold: vec![(ASSET, Amount::from_sat(70 * COIN))], swept: vec![] }).await;
    let view = world.withdraw("r1", 2_000_000).await;
    world.until(view.id, |v| codes(v) == ["POSITION_STALE"]).await;
    world.state(NOTHING_NEW).await;
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_a_statement_the_cosigner_refuses_stands_in_the_log_as_an_alarm() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    // the co-signer's copy of the trust file is newer, and the observer may not speak of prices any more
    world.plan.trust.statement_keys[0].kinds.retain(|kind| kind != "price");
    world.plan.trust.version += 1;
    world.restart_cosigner().await;
    world.later(1);
    world.state_price(PRICE).await;
    let alarm = |leaf: &Vec<u8>| {
        let text = String::from_utf8_lossy(leaf).into_owned();
        text.contains(r#""kind":"alarm""#)
            && text.contains("STATEMENT_SIGNATURE_INVALID")
            && text.contains("watcher/price")
    };
    while !world.leaves().await.iter().any(alarm) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_statements_that_waited_for_the_cosigner_go_in_messages_the_line_takes() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    world.cut();
    // eight megabytes of transactions, none of which pays this wallet
    for _ in 0..10 {
        let large = world.deposit(bitcoin::ScriptBuf::from_bytes(vec![0x6a; 390_000]), &[1_000]);
        let Body::Coins { transactions, .. } = large else { unreachable!() };
        world.state(Body::Coins { transactions, coins: Vec::new() }).await;
    }
    world.mend();
    let paid = world.withdraw("r1", 2_000_000).await;
    world.until(paid.id, |v| codes(v) == ["RELEASED"]).await;
}

fn chain_at(fee_rate: u64) -> Body {
    Body::Chain(vec![ChainFact { chain: Chain::Bitcoin(NETWORK), height: 200, fee_rate: FeeRate(fee_rate) }])
}

#[tokio::test(flavor = "multi_thread")]
async fn l08_a_fee_rate_below_what_is_relayed_pays_the_relay_floor() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    world.state(chain_at(100)).await;
    let paid = world.withdraw("r1", 2_000_000).await;
    assert_eq!(codes(&paid), ["RELEASED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l08_a_fee_rate_that_nobody_believes_is_no_fact() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    world.state(chain_at(10_000_001)).await;
    assert_eq!(codes(&world.withdraw("r1", 2_000_000).await), ["RELEASED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_a_fee_rate_that_is_out_of_date_refuses_nobody() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    // far above the cap, and long ago
    world.state(chain_at(150_000)).await;
    world.later(2_000);
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    let held = world.withdraw("r1", 2_000_000).await;
    world.until(held.id, |v| codes(v) == ["FEE_RATE_STALE"]).await;
    world.state_chain().await;
    world.until(held.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coin_of_nothing_stops_no_withdrawal() {
    let world = World::funded(Plan::default(), 1, 70 * COIN).await;
    world.fund("c1", &[0]).await;
    assert_eq!(codes(&world.withdraw("r1", 2_000_000).await), ["RELEASED"]);
}

/// How many entries of that kind stand in the signer's log.
async fn entries(world: &World, kind: &str) -> usize {
    let wanted = format!(r#""kind":"{kind}""#);
    world.leaves().await.iter().filter(|leaf| String::from_utf8_lossy(leaf).contains(&wanted)).count()
}

async fn funded_with(who: Who, seconds: i64) -> World {
    let world = World::new(Plan::default()).await;
    world.skew(who, seconds);
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    world.fund("c1", &[COIN; 3]).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_an_observer_whose_clock_is_a_little_ahead_is_heard_at_once() {
    let mut world = funded_with(Who::Observer, 30).await;
    assert_eq!(codes(&world.withdraw("r1", 2_000_000).await), ["RELEASED"]);
    world.restart_cosigner().await;
    world.restart_signer().await;
    assert_eq!(codes(&world.withdraw("r2", 2_000_000).await), ["RELEASED"]);
    // and not for longer than if it had been right
    world.later(1_801);
    let held = world.withdraw("r3", 2_000_000).await;
    world.until(held.id, |v| codes(v).contains(&"FEE_RATE_STALE")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_a_cosigner_whose_clock_is_a_little_behind_signs() {
    let world = funded_with(Who::Cosigner, -5).await;
    for n in 0..3 {
        assert_eq!(codes(&world.withdraw(&format!("r{n}"), 2_000_000).await), ["RELEASED"]);
    }
    assert_eq!(entries(&world, "reservation_released").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_counterparty_whose_clock_is_a_little_ahead_clears_once_and_at_once() {
    let world = funded_with(Who::Counterparty, 30).await;
    assert_eq!(codes(&world.withdraw("r1", 2_000_000).await), ["RELEASED"]);
    assert_eq!(entries(&world, "cleared").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_the_same_answer_brought_again_is_not_written_again() {
    let mut plan = Plan::default();
    plan.signer_policy.ages.clearance_s = 30;
    plan.cosigner_policy.ages.clearance_s = 30;
    let world = World::funded(plan, 1, 70 * COIN).await;
    // its answers are too old for the policy from the beginning
    world.skew(Who::Counterparty, -50);
    let held = world.withdraw("r1", 2_000_000).await;
    world.until(held.id, |v| codes(v) == ["CLEARANCE_EXPIRED"]).await;
    let asked = || world.ear.asked.load(std::sync::atomic::Ordering::Relaxed);
    let before = asked();
    while asked() < before + 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(codes(&world.find(held.id).await), ["CLEARANCE_EXPIRED"]);
    assert_eq!(entries(&world, "cleared").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_a_cosigner_that_knows_no_tip_holds_until_it_hears_of_the_chain() {
    let mut world = World::funded(Plan::default(), 2, 70 * COIN).await;
    // by the co-signer's copy of the trust file nobody may speak of the chain
    let trusted = world.plan.trust.clone();
    world.plan.trust.statement_keys[0].kinds.retain(|kind| kind != "chain");
    world.plan.trust.version += 1;
    world.restart_cosigner().await;
    let held = world.withdraw("r1", 2_000_000).await;
    assert_eq!(codes(&held), ["COSIGNER_HOLDS"], "{:?}", held.outcome);
    assert!(format!("{:?}", held.outcome).contains("FEE_RATE_STALE"), "{:?}", held.outcome);
    world.plan.trust = TrustContent { version: trusted.version + 2, ..trusted };
    world.restart_cosigner().await;
    world.state_chain().await;
    world.until(held.id, |v| codes(v) == ["RELEASED"]).await;
}

/// A Safe as an observer of an EVM chain states it, with nothing that happened since.
fn safe() -> SafeFact {
    let contract = |n| Contract { address: [n; 20].into(), code_hash: [n; 32].into() };
    SafeFact {
        chain: ChainId::MAINNET,
        safe: [7; 20].into(),
        height: 23_000_000,
        block_hash: [1; 32].into(),
        proxy_code_hash: [2; 32].into(),
        singleton: contract(3),
        version: "1.4.1".into(),
        owners: vec![[4; 20].into()],
        threshold: 1_u8.try_into().unwrap(),
        modules: Vec::new(),
        guard: [0; 20].into(),
        module_guard: [0; 20].into(),
        fallback_handler: contract(5),
        multi_send: contract(6),
        nonce: 0_u8.try_into().unwrap(),
        balances: Vec::new(),
        decimals: Vec::new(),
        executor: None,
        executed: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l10_a_statement_of_a_safe_is_numbered_like_any_other_at_both_parties_and_changes_no_coin() {
    let (world, _thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    let position = async || {
        let view = world.desk().position(&caller(Role::Auditor, "x"), None).await.unwrap();
        view.assets.into_iter().next().unwrap()
    };
    let before = position().await;
    let said = world.statement(Body::Safe(Box::new(safe())));
    let submit =
        |said: SignedText| async { world.desk().submit(&caller(Role::Observer, "watcher"), said).await };
    // to the co-signer first, before the signer's own courier can be there
    let there = world.cosigner().submit_statements(vec![said.clone()]).await.unwrap().remove(0).unwrap();
    assert_eq!(submit(said.clone()).await.unwrap().number, there.number);
    assert_eq!(submit(said.clone()).await.unwrap_err().code(), Code::StatementOutOfOrder);
    let again = world.cosigner().submit_statements(vec![said]).await.unwrap().remove(0);
    assert_eq!(again.unwrap_err().code, Code::StatementOutOfOrder);
    let after = position().await;
    assert_eq!((after.hot, after.cold), (before.hot, before.cold));
}
