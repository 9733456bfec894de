//! The account that pays gas is refuelled from the hot Safe: when it runs low, once, within what the trust file pins.

use countersign::audit::Entry;
use countersign::desk::{PageOrder, ReleaseDesk, Role, SafeRelease};
use countersign::ethereum::{Action, Address, B256, SignedSafeTx, U256};
use countersign::evidence::statement::Body;
use countersign::evidence::trust_file::ExecutorEntry;
use countersign::evidence::{Ending, ExecutedFact, SafeFact};
use countersign::withdrawal::evm_address::spell;
use countersign::withdrawal::*;

use super::parties::*;
use super::safes::{ETHER, USDT, pay, position, request, spendable, state, state_around};
use super::world::*;

/// Below this the account is refuelled.
pub const LEVEL: u128 = ETHER / 5;
/// What it gets at once.
pub const REFUEL: u128 = ETHER / 2;
/// What it gets within a day.
pub const DAY: u128 = ETHER;

pub fn executor() -> Address {
    Address::repeat_byte(0xee)
}

/// A plan whose trust file pins the account that pays gas.
pub fn plan() -> Plan {
    let mut plan = evm_plan();
    let pinned = ExecutorEntry {
        address: spell(executor()),
        level_wei: LEVEL.to_string(),
        refuel_wei_max: REFUEL.to_string(),
        day_wei_max: DAY.to_string(),
    };
    plan.trust.wallets.iter_mut().find(|entry| entry.safe.is_some()).unwrap().executor = Some(pinned);
    plan
}

/// What is stated of the Safe, with what the account that pays gas has.
pub fn fact(height: u64, nonce: u64, ether_units: u128, wei: u128) -> SafeFact {
    let balances = [(ether(), ether_units), (token(), 10_000 * USDT)];
    SafeFact { executor: Some((executor(), Amount::from_units(wei))), ..safe_fact(height, nonce, &balances) }
}

async fn tell(world: &World, fact: SafeFact) {
    world.state(Body::Safe(Box::new(fact))).await;
}

/// A world in which the account has all it needs.
async fn funded() -> World {
    let world = World::funded(plan(), 4, 40 * COIN).await;
    state_around(&world, 100).await;
    tell(&world, fact(90, 0, 10 * ETHER, ETHER)).await;
    world
}

async fn releases(world: &World) -> Vec<SafeRelease> {
    let page = PageOrder { size_max: 500, token: None };
    world.desk().safe_releases(&caller(Role::Executor, "one"), page).await.unwrap().items
}

async fn until_released(world: &World, count: usize) -> Vec<SafeRelease> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let found = releases(world).await;
        if found.len() == count {
            return found;
        }
        assert!(found.len() < count && tokio::time::Instant::now() < deadline, "{} of {count}", found.len());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn done(release: &SafeRelease, ending: Ending, height: u64) -> ExecutedFact {
    let safe_tx_hash: B256 = release.hash.parse().unwrap();
    ExecutedFact {
        nonce: release.place.nonce,
        safe_tx_hash,
        ending,
        transaction: B256::repeat_byte(7),
        height,
    }
}

/// Passes some turns of the writer, so that whatever would be done is done: a payment goes all the way.
async fn pass(world: &World, id: &str) {
    let paid = pay(world, id, token(), 100 * USDT).await;
    assert_eq!(paid.outcome, Outcome::Released, "{:?}", codes(&paid));
}

async fn entries(world: &World, wanted: impl Fn(&Entry) -> bool) -> usize {
    let leaves = world.leaves().await;
    leaves.iter().filter(|leaf| wanted(&Entry::parse(leaf).unwrap())).count()
}

async fn alarms(world: &World, code: &str) -> usize {
    entries(world, |entry| entry.kind().as_str() == "alarm" && entry.field("code") == Some(code)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_runs_low_is_refuelled_once_by_both_owners_and_again_only_when_that_is_in_the_chain()
{
    let world = funded().await;
    // at the level itself it has enough
    tell(&world, fact(100, 0, 10 * ETHER, LEVEL)).await;
    pass(&world, "t-1").await;
    assert_eq!(releases(&world).await.len(), 1);

    tell(&world, fact(101, 0, 10 * ETHER, LEVEL - 1)).await;
    let first = until_released(&world, 2).await.remove(1);
    let read = SignedSafeTx::read(&first.data, first.place.nonce, &hot_safe()).unwrap();
    let [Action::Pay(payee)] = read.actions() else { panic!("{:?}", read.actions()) };
    assert_eq!((payee.to, payee.amount.units()), (executor(), U256::from(REFUEL)));
    assert_eq!(Asset::Evm(payee.asset), ether());
    assert_eq!(spendable(&position(&world).await, ether()), 10 * ETHER - REFUEL, "it leaves what is hot");
    let booked =
        |entry: &Entry| entry.kind().as_str() == "reserved" && entry.field("purpose") == Some("refuel");
    assert_eq!(entries(&world, booked).await, 1);

    // it is still low at the next final blocks, and the refuel is under way
    for height in [102, 103] {
        tell(&world, fact(height, 0, 10 * ETHER, 1)).await;
        pass(&world, &format!("t-{height}")).await;
    }
    assert_eq!(entries(&world, booked).await, 1);

    // the chain has it, and more is spent again: the second is due, which uses the day up
    let executed = vec![done(&first, Ending::Paid, 103)];
    let low = SafeFact { executed, ..fact(104, first.place.nonce + 1, 10 * ETHER - REFUEL, 5) };
    tell(&world, low).await;
    let second = until_released(&world, 5).await.remove(4);
    assert_eq!(entries(&world, booked).await, 2);
    let executed = vec![done(&second, Ending::Paid, 105)];
    let low = SafeFact { executed, ..fact(106, second.place.nonce + 1, 9 * ETHER, 5) };
    tell(&world, low.clone()).await;
    pass(&world, "t-9").await;
    assert_eq!((entries(&world, booked).await, alarms(&world, "REFUEL_LIMIT").await), (2, 1));

    // a day later there is room
    world.later(86_500);
    state_around(&world, 100).await;
    tell(&world, SafeFact { height: 108, executed: Vec::new(), ..low }).await;
    until_released(&world, 7).await;
    assert_eq!(entries(&world, booked).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refuel_that_is_booked_signed_or_released_goes_on_after_a_restart_and_is_made_once() {
    let mut world = funded().await;
    world.cut();
    tell(&world, fact(100, 0, 10 * ETHER, 0)).await;
    let booked =
        |entry: &Entry| entry.kind().as_str() == "reserved" && entry.field("purpose") == Some("refuel");
    while entries(&world, booked).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // booked, and the co-signer was never asked
    world.restart_signer().await;
    assert_eq!(releases(&world).await.len(), 0);
    // decided there, and the answer lost
    world.tap.lose_answers(true);
    world.mend();
    let signed = async || {
        let log = world.cosigner().log();
        let leaves = log.leaves(0..log.head().size).await.unwrap();
        let is_refuel =
            |entry: &Entry| entry.kind().as_str() == "cosigned" && entry.field("purpose") == Some("refuel");
        leaves.iter().filter(|leaf| is_refuel(&Entry::parse(leaf).unwrap())).count()
    };
    while signed().await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.restart_cosigner().await;
    world.restart_signer().await;
    world.tap.lose_answers(false);
    let first = until_released(&world, 1).await.remove(0);
    // released: both know that it is under way, and what the day has left
    world.restart_signer().await;
    world.restart_cosigner().await;
    tell(&world, fact(101, 0, 10 * ETHER, 0)).await;
    pass(&world, "t-1").await;
    assert_eq!(entries(&world, booked).await, 1);
    let executed = vec![done(&first, Ending::Reverted, 102)];
    tell(&world, SafeFact { executed, ..fact(103, 1, 10 * ETHER, 0) }).await;
    until_released(&world, 3).await;
    assert_eq!(alarms(&world, "PAYEE_REVERTED").await, 1, "people hear of a refuel that reverted");
    world.restart_signer().await;
    tell(&world, fact(104, 3, 10 * ETHER, 0)).await;
    pass(&world, "t-2").await;
    assert_eq!((entries(&world, booked).await, alarms(&world, "REFUEL_LIMIT").await), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l15_a_frozen_house_refuels_nothing() {
    let world = funded().await;
    super::freeze::freeze(&world, KeyRole::Signer, 1).await;
    tell(&world, fact(100, 0, 10 * ETHER, 0)).await;
    tell(&world, fact(101, 0, 10 * ETHER, 0)).await;
    let booked = |entry: &Entry| entry.field("purpose") == Some("refuel");
    assert_eq!(entries(&world, booked).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refuel_that_cannot_be_made_is_an_alarm_and_a_withdrawal_to_the_account_is_refused() {
    let world = World::funded(plan(), 4, 40 * COIN).await;
    state(&world, 90, 0, &[(ether(), 10 * ETHER), (token(), 10_000 * USDT)]).await;
    // nothing is stated of the account: nobody knows whether it is low
    pass(&world, "t-1").await;
    assert_eq!((alarms(&world, "EXECUTOR_NOT_STATED").await, releases(&world).await.len()), (1, 1));
    // another account's balance is none of it
    let other = SafeFact {
        executor: Some((Address::repeat_byte(0xef), Amount::ZERO)),
        ..fact(100, 0, 10 * ETHER, 0)
    };
    tell(&world, other).await;
    pass(&world, "t-2").await;
    assert_eq!(releases(&world).await.len(), 2);
    // there is too little to give
    tell(&world, fact(101, 0, REFUEL - 1, 0)).await;
    pass(&world, "t-3").await;
    assert_eq!((alarms(&world, "HOT_FUNDS_SHORT").await, releases(&world).await.len()), (1, 3));
    tell(&world, fact(102, 0, 10 * ETHER, 0)).await;
    until_released(&world, 4).await;

    let own =
        WithdrawalRequest { destination: spell(executor()), ..request(&world, "e-1", ether(), ETHER / 10) };
    let asked = world.ask(&own, ("Vale", "Vera")).await.unwrap();
    let no = world.until(asked.id, |view| view.outcome != Outcome::Moving).await;
    assert!(matches!(no.outcome, Outcome::Refused(_)));
    assert_eq!(codes(&no), ["DESTINATION_OWN"]);
}
