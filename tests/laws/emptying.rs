//! What customers pay in on an EVM chain is brought from their deposit addresses to the hot Safe: by the treasury Safe, many at a
//! time, when it is enough, once, and within what a day may cost.

use countersign::audit::Entry;
use countersign::desk::{PageOrder, PositionDesk, ReleaseDesk, Role, SafeRelease};
use countersign::ethereum::{Action, B256, Deposits, SignedSafeTx};
use countersign::evidence::statement::Body;
use countersign::evidence::trust_file::{EmptiedEntry, EmptyingEntry};
use countersign::evidence::{DepositsFact, Ending, ExecutedFact, SafeFact};
use countersign::withdrawal::*;

use super::deposits::{address, page};
use super::parties::*;
use super::safes::{ETHER, USDT, pay, state_around};
use super::world::*;

/// As soon as this much ether lies there.
pub const LEVEL: u128 = 4 * ETHER;
/// The least ether at one address.
pub const LEAST: u128 = ETHER / 10;
/// What emptying may cost within a day.
pub const DAY: u128 = ETHER / 20;

/// A plan whose trust file says when deposit addresses are emptied.
pub fn plan() -> Plan {
    let mut plan = evm_plan();
    let of = |asset: Asset, level: u128, least: u128| EmptiedEntry {
        asset: asset.to_string(),
        level: level.to_string(),
        least: least.to_string(),
    };
    let pinned = EmptyingEntry {
        addresses: 5,
        day_fee_wei_max: DAY.to_string(),
        assets: vec![of(ether(), LEVEL, LEAST), of(token(), 500 * USDT, 10 * USDT)],
    };
    plan.trust.wallets.iter_mut().find(|entry| entry.safe.is_some()).unwrap().emptying = Some(pinned);
    plan
}

/// What is stated of the hot Safe.
fn hot(height: u64, ether_units: u128) -> SafeFact {
    safe_fact(height, 0, &[(ether(), ether_units), (token(), 10_000 * USDT)])
}

async fn tell(world: &World, fact: SafeFact) {
    world.state(Body::Safe(Box::new(fact))).await;
}

pub async fn lies(world: &World, fact: DepositsFact) {
    world.state(Body::Deposits(Box::new(fact))).await;
}

/// A world whose customers have deposit addresses, the first so many, and a treasury that is as pinned.
async fn world_of(plan: Plan, customers: usize) -> World {
    let world = World::funded(plan, 4, 40 * COIN).await;
    state_around(&world, 100).await;
    tell(&world, hot(100, 10 * ETHER)).await;
    tell(&world, treasury_fact(100, 0)).await;
    for n in 0..customers {
        address(&world, ether(), &format!("customer-{n}")).await;
    }
    world
}

async fn releases(world: &World) -> Vec<SafeRelease> {
    let page = PageOrder { size_max: 500, token: None };
    let all = world.desk().safe_releases(&caller(Role::Executor, "one"), page).await.unwrap().items;
    all.into_iter().filter(|one| one.place.safe == treasury_safe().address()).collect()
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

/// The treasury with what it executed.
fn done(release: &SafeRelease, ending: Ending, height: u64) -> SafeFact {
    let (nonce, safe_tx_hash) = (release.place.nonce, release.hash.parse::<B256>().unwrap());
    let executed = ExecutedFact { nonce, safe_tx_hash, ending, transaction: B256::repeat_byte(7), height };
    SafeFact { executed: vec![executed], ..treasury_fact(height, nonce + 1) }
}

/// What a release takes: index and amount, and whether the address is deployed before.
fn taken(release: &SafeRelease) -> Vec<(u32, Asset, u128, bool)> {
    let deposits = Deposits::of(&treasury_safe());
    let read = SignedSafeTx::read(&release.data, release.place.nonce, &treasury_safe()).unwrap();
    let (mut deployed, mut found) = (false, Vec::new());
    for action in read.actions() {
        match action {
            Action::Deploy(_) => deployed = true,
            Action::Nested { safe, payee, .. } => {
                assert_eq!(payee.to, hot_safe().address());
                let index = (0..100).find(|index| deposits.address((*index).into()) == *safe).unwrap();
                let amount = payee.amount.amount().unwrap().units();
                found.push((index, Asset::Evm(payee.asset), amount, std::mem::take(&mut deployed)));
            }
            other => panic!("{other:?}"),
        }
    }
    found
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

async fn booked(world: &World) -> usize {
    entries(world, |entry| entry.kind().as_str() == "reserved" && entry.field("purpose") == Some("emptying"))
        .await
}

/// What lies at deposit addresses or is on its way from there, and what is hot.
async fn resting(world: &World, asset: Asset) -> (u128, u128) {
    let position = world.desk().position(&caller(Role::Operator, "kim"), Some(asset)).await.unwrap();
    let one = position.assets.into_iter().next().unwrap();
    (one.deposited.units(), one.hot.units())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_enough_is_brought_in_by_one_transaction_of_the_treasury_and_counts_once_wherever_it_is() {
    let world = world_of(plan(), 4).await;
    // a wei below the level; what lies at an address that nobody has is none of it
    lies(&world, page(110, &[(0, ether(), LEVEL - 1), (60, ether(), 9 * ETHER)])).await;
    pass(&world, "t-1").await;
    assert_eq!(booked(&world).await, 0);

    let held = [
        (0, ether(), 3 * ETHER),
        (1, ether(), 2 * ETHER),
        (1, token(), 100 * USDT),
        (2, token(), 9 * USDT),
        (3, ether(), LEAST),
        (60, ether(), 9 * ETHER),
    ];
    lies(&world, DepositsFact { deployed: vec![3], ..page(111, &held) }).await;
    let first = until_released(&world, 1).await.remove(0);
    assert_eq!(first.place.nonce, 0, "the treasury's own nonce");
    let whole = [
        (0, ether(), 3 * ETHER, true),
        (1, ether(), 2 * ETHER, true),
        (1, token(), 100 * USDT, false),
        (3, ether(), LEAST, false),
    ];
    let mut found = taken(&first);
    found.sort_by_key(|one| (one.0, one.1 != ether()));
    // whichever asset comes first at an address is behind its deployment
    let order = |row: &(u32, Asset, u128, bool)| (row.0, row.1, row.2);
    assert_eq!(found.iter().map(order).collect::<Vec<_>>(), whole.iter().map(order).collect::<Vec<_>>());
    assert_eq!(found.iter().filter(|row| row.3).map(|row| row.0).collect::<Vec<_>>(), [0, 1]);

    // signed, and not in the chain: it lies where it lay, and is not emptied twice
    let sum = 5 * ETHER + LEAST;
    assert_eq!(resting(&world, ether()).await, (sum, 10 * ETHER));
    lies(&world, DepositsFact { deployed: vec![3], ..page(112, &held) }).await;
    pass(&world, "t-2").await;
    assert_eq!((booked(&world).await, resting(&world, ether()).await), (1, (sum, 10 * ETHER)));
    // in the chain at 113: not hot before the hot Safe is stated at a block that has it
    tell(&world, done(&first, Ending::Paid, 113)).await;
    assert_eq!(resting(&world, ether()).await, (sum, 10 * ETHER));
    tell(&world, hot(114, 10 * ETHER + sum)).await;
    assert_eq!(resting(&world, ether()).await, (0, 10 * ETHER + sum), "the page is of an older block");
    lies(&world, DepositsFact { deployed: vec![2], ..page(114, &[(2, token(), 9 * USDT)]) }).await;
    assert_eq!(resting(&world, ether()).await, (0, 10 * ETHER + sum));
    pass(&world, "t-3").await;
    assert_eq!(booked(&world).await, 1);

    // the same address again: its Safe stands
    lies(&world, DepositsFact { deployed: vec![0], ..page(120, &[(0, ether(), LEVEL)]) }).await;
    let second = until_released(&world, 2).await.remove(1);
    assert_eq!((second.place.nonce, taken(&second)), (1, vec![(0, ether(), LEVEL, false)]));
    assert_eq!(alarms(&world, "PAYMENT_NOT_AS_ASKED").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enough_addresses_are_enough_whatever_lies_there_and_what_is_too_much_for_one_transaction_comes_next()
{
    let mut plan = plan();
    let entry = plan.trust.wallets.iter_mut().find(|entry| entry.safe.is_some()).unwrap();
    entry.emptying.as_mut().unwrap().day_fee_wei_max = (10 * ETHER).to_string();
    let world = world_of(plan, 30).await;
    let held: Vec<_> = (0..30).map(|index| (index, ether(), LEAST)).collect();
    lies(&world, page(111, &held[..4])).await;
    pass(&world, "t-1").await;
    assert_eq!(booked(&world).await, 0);
    lies(&world, page(112, &held)).await;
    let found = until_released(&world, 3).await;
    let parts: Vec<_> = found.iter().map(taken).collect();
    let indices: Vec<u32> = parts.iter().flatten().map(|row| row.0).collect();
    assert!(parts.iter().all(|part| part.len() < 30));
    let mut sorted = indices.clone();
    sorted.dedup();
    assert_eq!((indices.len(), sorted.len()), (indices.len(), indices.len()), "none twice: {indices:?}");
    assert_eq!(found.iter().map(|one| one.place.nonce).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(resting(&world, ether()).await, (30 * LEAST, 10 * ETHER));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptying_that_is_booked_signed_or_released_goes_on_after_a_restart_and_is_made_once() {
    let mut world = world_of(plan(), 1).await;
    world.cut();
    lies(&world, page(111, &[(0, ether(), LEVEL)])).await;
    while booked(&world).await == 0 {
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
        let is_emptying =
            |entry: &Entry| entry.kind().as_str() == "cosigned" && entry.field("purpose") == Some("emptying");
        leaves.iter().filter(|leaf| is_emptying(&Entry::parse(leaf).unwrap())).count()
    };
    while signed().await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.restart_cosigner().await;
    world.restart_signer().await;
    world.tap.lose_answers(false);
    let first = until_released(&world, 1).await.remove(0);
    // released: both know that it is under way
    world.restart_signer().await;
    world.restart_cosigner().await;
    assert_eq!(resting(&world, ether()).await, (LEVEL, 10 * ETHER));
    lies(&world, page(112, &[(0, ether(), LEVEL)])).await;
    pass(&world, "t-1").await;
    assert_eq!(booked(&world).await, 1);
    // executed, and a restart before page and hot Safe are stated anew
    tell(&world, done(&first, Ending::Paid, 113)).await;
    world.restart_signer().await;
    world.restart_cosigner().await;
    pass(&world, "t-2").await;
    assert_eq!((booked(&world).await, resting(&world, ether()).await), (1, (LEVEL, 10 * ETHER)));
    tell(&world, hot(114, 10 * ETHER + LEVEL)).await;
    assert_eq!(resting(&world, ether()).await, (0, 10 * ETHER + LEVEL));
    lies(&world, DepositsFact { deployed: vec![0], ..page(115, &[(0, ether(), LEVEL)]) }).await;
    assert_eq!(taken(&until_released(&world, 2).await[1]), [(0, ether(), LEVEL, false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l15_a_frozen_house_empties_nothing() {
    let world = world_of(plan(), 1).await;
    super::freeze::freeze(&world, KeyRole::Signer, 1).await;
    lies(&world, page(111, &[(0, ether(), LEVEL)])).await;
    lies(&world, page(112, &[(0, ether(), LEVEL)])).await;
    assert_eq!(booked(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_treasury_that_was_changed_under_us_empties_nothing_and_people_hear_of_it() {
    let world = world_of(plan(), 2).await;
    tell(&world, SafeFact { modules: vec![cold_safe()], ..treasury_fact(101, 0) }).await;
    lies(&world, page(111, &[(0, ether(), LEVEL), (1, token(), 500 * USDT)])).await;
    pass(&world, "t-1").await;
    pass(&world, "t-2").await;
    assert_eq!((booked(&world).await, alarms(&world, "SAFE_NOT_AS_PINNED").await), (0, 1));
    // as pinned again; a token whose contract tells other decimals stays where it is
    let decimals = match token() {
        Asset::Evm(token) => vec![(token, 8)],
        Asset::Bitcoin(_) => Vec::new(),
    };
    tell(&world, SafeFact { decimals, ..hot(111, 10 * ETHER) }).await;
    tell(&world, treasury_fact(111, 0)).await;
    assert_eq!(taken(&until_released(&world, 1).await[0]), [(0, ether(), LEVEL, true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_emptying_may_cost_within_a_day_is_kept_and_a_start_knows_what_was_spent() {
    let mut world = world_of(plan(), 1).await;
    let mut height = 111;
    let mut count = 0;
    while alarms(&world, "EMPTYING_LIMIT").await == 0 {
        lies(&world, DepositsFact { deployed: vec![0], ..page(height, &[(0, ether(), LEVEL)]) }).await;
        pass(&world, &format!("t-{height}")).await;
        if releases(&world).await.len() > count {
            count += 1;
            let last = releases(&world).await.pop().unwrap();
            tell(&world, done(&last, Ending::Paid, height + 1)).await;
            tell(&world, hot(height + 1, 10 * ETHER)).await;
        }
        world.restart_signer().await;
        height += 3;
        assert!(count < 12, "no end of it");
    }
    // 0.26 million of gas and what surrounds it, at 20 gwei
    assert!((4..12).contains(&count), "{count}");
    world.later(86_500);
    state_around(&world, 100).await;
    tell(&world, hot(height, 10 * ETHER)).await;
    lies(&world, DepositsFact { deployed: vec![0], ..page(height, &[(0, ether(), LEVEL)]) }).await;
    until_released(&world, count + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_reverted_is_an_alarm_and_made_again_when_it_is_known_what_stands_at_the_addresses() {
    let world = world_of(plan(), 1).await;
    lies(&world, page(111, &[(0, ether(), LEVEL)])).await;
    let first = until_released(&world, 1).await.remove(0);
    assert_eq!(taken(&first), [(0, ether(), LEVEL, true)]);
    // a stranger deployed it first: the factory refuses, and the whole batch with it
    tell(&world, done(&first, Ending::Reverted, 113)).await;
    tell(&world, hot(113, 10 * ETHER)).await;
    pass(&world, "t-1").await;
    assert_eq!((booked(&world).await, alarms(&world, "PAYEE_REVERTED").await), (1, 1));
    assert_eq!(resting(&world, ether()).await, (LEVEL, 10 * ETHER), "it lies where it lay");
    lies(&world, DepositsFact { deployed: vec![0], ..page(114, &[(0, ether(), LEVEL)]) }).await;
    let second = until_released(&world, 2).await.remove(1);
    assert_eq!((second.place.nonce, taken(&second)), (1, vec![(0, ether(), LEVEL, false)]));
}
