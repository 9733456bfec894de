//! A token that paid otherwise than asked stands still at both parties, by each one's own knowledge, until people have looked and
//! the trust file says up to which height. Everything else goes on.

use std::time::Duration;

use alloy_primitives::U256;
use countersign::desk::{Role, StatementDesk, WithdrawalView};
use countersign::ethereum::{Address, B256};
use countersign::evidence::statement::{Body, Statement, sign_statement};
use countersign::evidence::trust_file::StatementKeyEntry;
use countersign::evidence::{Ending, ExecutedFact, SafeFact, ed25519};
use countersign::observer::{Bounds, Cursor, Watch, safe_fact as safe_fact_of};
use countersign::withdrawal::*;

use super::carried::{self, Ground};
use super::evm_token::{self, Manner};
use super::parties::*;
use super::safes::{ETHER, USDT, executed, funded, pay, position, request, state_executed};
use super::world::*;

const BALANCES: fn() -> [(Asset, u128); 2] = || [(ether(), 10 * ETHER), (token(), 10_000 * USDT)];

/// From the next start on the trust file says that people have looked at the token up to this height.
pub fn review(world: &mut World, height: u64) {
    let trust = &mut world.plan.trust;
    trust.version += 1;
    let entry = trust.wallets.iter_mut().find(|entry| entry.safe.is_some()).unwrap();
    entry.tokens[0].reviewed_to = Some(height);
}

async fn restart(world: &mut World) {
    world.restart_signer().await;
    world.restart_cosigner().await;
}

/// What the log says became of it, at that height.
fn ended(view: &WithdrawalView, ending: Ending, height: u64) -> ExecutedFact {
    ExecutedFact { height, ..executed(view, view.safe.unwrap().nonce, ending) }
}

async fn mispaid(world: &World, id: &str, height: u64) -> WithdrawalView {
    let view = pay(world, id, token(), 100 * USDT).await;
    assert_eq!(view.outcome, Outcome::Released, "{:?}", codes(&view));
    state_executed(world, height + 5, ended(&view, Ending::Odd, height), &BALANCES()).await;
    view
}

/// Asks for a payment of the token, and waits until it stands still.
async fn stands_still(world: &World, id: &str) -> WithdrawalView {
    let asked = world.ask(&request(world, id, token(), 100 * USDT), ("Vale", "Vera")).await.unwrap();
    world.until(asked.id, |view| codes(view) == ["TOKEN_NOT_AS_PINNED"]).await
}

async fn is_paid(world: &World, id: &str, asset: Asset, units: u128) {
    let view = pay(world, id, asset, units).await;
    assert_eq!(view.outcome, Outcome::Released, "{:?}", codes(&view));
}

/// How many entries of this kind name the code, in both parties' logs.
async fn entries(world: &World, kind: &str) -> [usize; 2] {
    let cosigner = world.cosigner().log();
    let leaves = [world.leaves().await, cosigner.leaves(0..cosigner.head().size).await.unwrap()];
    let kind = format!("\"{kind}\"");
    leaves.map(|leaves| {
        let texts = leaves.iter().map(|leaf| String::from_utf8_lossy(leaf));
        texts.filter(|leaf| leaf.contains(&kind) && leaf.contains("TOKEN_NOT_AS_PINNED")).count()
    })
}

async fn until_entries(world: &World, kind: &str, wanted: impl Fn([usize; 2]) -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let found = entries(world, kind).await;
        if wanted(found) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{kind}: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_odd_end_stops_that_token_at_once_and_not_ether_and_restarts_of_both_forget_nothing() {
    let mut world = funded().await;
    // two are on their way when the first of them ends
    let [first, second] =
        [pay(&world, "t-1", token(), 100 * USDT).await, pay(&world, "t-2", token(), USDT).await];
    state_executed(&world, 110, ended(&first, Ending::Odd, 105), &BALANCES()).await;
    assert_eq!(codes(&world.find(first.id).await), ["PAYMENT_NOT_AS_ASKED"]);
    let held = stands_still(&world, "t-3").await;
    let Outcome::Held(findings) = &held.outcome else { panic!("{:?}", held.outcome) };
    let transaction = B256::repeat_byte(0xe7).to_string();
    for word in [transaction.as_str(), "at height 105", "a fee", "without reverting", "reviewed_to = 105"] {
        assert!(findings[0].detail.contains(word), "{word}: {}", findings[0].detail);
    }
    is_paid(&world, "e-1", ether(), ETHER).await;
    until_entries(&world, "alarm", |found| found == [1, 1]).await;

    restart(&mut world).await;
    stands_still(&world, "t-4").await;
    is_paid(&world, "e-2", ether(), ETHER).await;
    // the second ends oddly too: the token stands still already, and what people must look at is the later one
    state_executed(&world, 120, ended(&second, Ending::Odd, 115), &BALANCES()).await;
    let held = world.until(held.id, |view| format!("{:?}", view.outcome).contains("at height 115")).await;
    restart(&mut world).await;
    world.until(held.id, |view| format!("{:?}", view.outcome).contains("at height 115")).await;
    assert_eq!(entries(&world, "alarm").await, [1, 1], "told once");
    // a later word on the Safe without such an end lifts nothing
    world.state(Body::Safe(Box::new(safe_fact(130, 2, &BALANCES())))).await;
    let held = stands_still(&world, "t-5").await;
    assert!(format!("{:?}", held.outcome).contains("at height 115"), "{:?}", held.outcome);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_have_looked_at_stops_nothing_any_more_and_the_next_odd_end_stops_the_token_again() {
    let mut world = funded().await;
    mispaid(&world, "t-1", 105).await;
    let waits = stands_still(&world, "t-2").await;
    review(&mut world, 104);
    restart(&mut world).await;
    stands_still(&world, "t-2b").await;

    // the signer has the new trust file alone: the co-signer goes by its own
    review(&mut world, 105);
    world.restart_signer().await;
    until_entries(&world, "cosign_refused", |[_, cosigner]| cosigner > 0).await;
    let held = world.until(waits.id, |view| codes(view) == ["COSIGNER_HOLDS"]).await;
    assert!(format!("{:?}", held.outcome).contains("TOKEN_NOT_AS_PINNED"), "{:?}", held.outcome);
    world.restart_cosigner().await;
    let paid = world.until(waits.id, |view| view.outcome == Outcome::Released).await;
    assert_eq!(entries(&world, "alarm").await, [1, 1]);

    state_executed(&world, 120, ended(&paid, Ending::Odd, 115), &BALANCES()).await;
    let waits = stands_still(&world, "t-3").await;
    until_entries(&world, "alarm", |found| found == [2, 2]).await;

    // one at or below the height is known
    review(&mut world, 200);
    restart(&mut world).await;
    let paid = world.until(waits.id, |view| view.outcome == Outcome::Released).await;
    state_executed(&world, 205, ended(&paid, Ending::Odd, 200), &BALANCES()).await;
    assert_eq!(codes(&world.find(paid.id).await), ["PAYMENT_NOT_AS_ASKED"]);
    is_paid(&world, "t-4", token(), 100 * USDT).await;
    assert_eq!(entries(&world, "alarm").await, [2, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_ends_oddly_stops_the_token_as_a_withdrawal_does_and_one_that_reverts_does_not() {
    let world = funded().await;
    let view = pay(&world, "t-1", token(), 100 * USDT).await;
    state_executed(&world, 110, ended(&view, Ending::Reverted, 105), &BALANCES()).await;
    is_paid(&world, "t-2", token(), 100 * USDT).await;
    let much = [(ether(), 10 * ETHER), (token(), 60_000 * USDT)];
    world.state(Body::Safe(Box::new(safe_fact(120, 2, &much)))).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let swept = loop {
        let all = position(&world).await.assets;
        let sweeps = all.into_iter().find(|one| one.asset == token()).unwrap().sweeps;
        if let Some(sweep) = sweeps.into_iter().next() {
            break sweep.txid;
        }
        assert!(tokio::time::Instant::now() < deadline, "no sweep");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let done = ExecutedFact {
        nonce: 2,
        safe_tx_hash: swept.parse().unwrap(),
        ending: Ending::Odd,
        transaction: B256::repeat_byte(0xe7),
        height: 125,
    };
    state_executed(&world, 130, done, &BALANCES()).await;
    stands_still(&world, "t-3").await;
    is_paid(&world, "e-1", ether(), ETHER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_odd_end_goes_with_the_observer_that_lied_about_it() {
    const LIAR: u8 = 98;
    let mut plan = evm_plan();
    plan.trust.statement_keys.push(StatementKeyEntry {
        observer: "liar".into(),
        key: public(LIAR),
        kinds: vec!["safe".into()],
    });
    let mut world = World::funded(plan, 4, 40 * COIN).await;
    super::safes::state(&world, 100, 0, &BALANCES()).await;
    let paid = pay(&world, "t-1", token(), 100 * USDT).await;
    // of a height that no chain ever has, so that nobody could write a greater one
    let height = u64::MAX;
    let body = SafeFact {
        height,
        executed: vec![ended(&paid, Ending::Odd, height)],
        ..safe_fact(100, 1, &BALANCES())
    };
    let body = Body::Safe(Box::new(body));
    let said = Statement { observer: "liar".into(), number: 1, after: 0, at: world.now(), body };
    let said = signed(sign_statement(&said, ed25519(&key(LIAR))).unwrap(), "liar");
    world.desk().submit(&caller(Role::Observer, "liar"), said).await.unwrap();
    let waits = stands_still(&world, "t-2").await;
    until_entries(&world, "alarm", |found| found == [1, 1]).await;
    restart(&mut world).await;
    world.until(waits.id, |view| codes(view) == ["TOKEN_NOT_AS_PINNED"]).await;

    world.plan.trust.version += 1;
    world.plan.trust.statement_keys.retain(|entry| entry.observer != "liar");
    restart(&mut world).await;
    world.until(waits.id, |view| view.outcome == Outcome::Released).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_begins_to_take_a_fee_on_a_real_chain_is_stopped_by_what_the_observer_says_of_it() {
    let Some(ground) = Ground::new().await else { return };
    let mut world = World::funded(evm_plan(), 4, 40 * COIN).await;
    carried::state(&world, ground.fact().await).await;
    let (contract, vera): (Address, Address) = (TOKEN.parse().unwrap(), VERA.parse().unwrap());
    let watch = Watch::new(
        carried::nodes(&ground.proxies),
        &trust(&world.plan.trust),
        Bounds { head_age_s_max: 600, final_age_s_max: 600 },
    )
    .unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let carry = async |view: &WithdrawalView| {
        ground.anvil.bank_sends(hot_safe().address(), U256::ZERO, &view.raw_transaction).await;
        ground.mine(4).await;
    };

    // as it should, and then no more
    let first = pay(&world, "t-1", token(), 100 * USDT).await;
    carry(&first).await;
    let begin = Cursor { nonce: 0, height: 0 };
    let (fact, cursor) = safe_fact_of(&watch, &hot_safe(), begin, Seconds(now)).await.unwrap();
    carried::state(&world, fact).await;
    let second = pay(&world, "t-2", token(), 100 * USDT).await;
    evm_token::put(&ground.anvil, contract, Manner::TakesFee).await;
    carry(&second).await;
    assert_eq!(evm_token::held(&ground.anvil, contract, vera).await, U256::from(200 * USDT - 1));
    let (fact, _) = safe_fact_of(&watch, &hot_safe(), cursor, Seconds(now)).await.unwrap();
    let done = fact.executed[0];
    assert_eq!(done.ending, Ending::Odd);
    carried::state(&world, fact).await;
    assert_eq!(codes(&world.find(second.id).await), ["PAYMENT_NOT_AS_ASKED"]);
    let held = stands_still(&world, "t-3").await;
    let told = format!("{:?}", held.outcome);
    assert!(
        told.contains(&done.transaction.to_string()) && told.contains(&format!("height {}", done.height))
    );
    carry(&pay(&world, "e-1", ether(), ETHER).await).await;

    // people looked, and the fee is gone
    evm_token::put(&ground.anvil, contract, Manner::ReturnsNothing).await;
    review(&mut world, done.height);
    restart(&mut world).await;
    let third = world.until(held.id, |view| view.outcome == Outcome::Released).await;
    carry(&third).await;
    assert_eq!(evm_token::held(&ground.anvil, contract, vera).await, U256::from(300 * USDT - 1));
}
