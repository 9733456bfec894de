//! Several hot Safes of one chain are one wallet to the policy and lanes of their own to the executor: what lies in all of them
//! counts as hot, each payment takes the next nonce of one of them, and what is wrong with one stops them all.

use std::collections::BTreeMap;

use countersign::audit::Entry;
use countersign::desk::{PageOrder, ReleaseDesk, Role, SafeRelease, WithdrawalView};
use countersign::ethereum::{Action, Address, B256, SafeWallet, SignedSafeTx, U256};
use countersign::evidence::statement::Body;
use countersign::evidence::trust_file::{TrustContent, WalletEntry};
use countersign::evidence::{Ending, ExecutedFact, SafeFact};
use countersign::withdrawal::evm_address::spell;
use countersign::withdrawal::*;

use super::deposits::{address, page};
use super::emptying::lies;
use super::parties::*;
use super::refuel::{self, LEVEL, REFUEL, executor};
use super::safes::{ETHER, USDT, pay, position, request, spendable, state_around};
use super::world::*;

/// A plan whose trust file pins a second hot Safe.
pub fn plan() -> Plan {
    with_second(evm_plan())
}

fn with_second(mut plan: Plan) -> Plan {
    let entry = plan.trust.wallets.iter_mut().find(|entry| entry.safe.is_some()).unwrap();
    entry.safe.as_mut().unwrap().also_hot = vec![spell(second_safe().address())];
    plan
}

/// What is stated of one of them.
fn holds(safe: &SafeWallet, height: u64, nonce: u64, (wei, units): (u128, u128)) -> SafeFact {
    fact_of(safe, height, nonce, &[(ether(), wei), (token(), units)])
}

async fn tell(world: &World, fact: SafeFact) {
    world.state(Body::Safe(Box::new(fact))).await;
}

/// Ten ether and ten thousand dollars in each.
const EACH: (u128, u128) = (10 * ETHER, 10_000 * USDT);

async fn world_of(plan: Plan) -> World {
    let world = World::funded(plan, 4, 40 * COIN).await;
    state_around(&world, 100).await;
    tell(&world, holds(&hot_safe(), 100, 0, EACH)).await;
    tell(&world, holds(&second_safe(), 100, 0, EACH)).await;
    world
}

async fn held(world: &World, id: &str, asset: Asset, units: u128, code: &str) -> WithdrawalView {
    let request = request(world, id, asset, units);
    let asked = world.ask(&request, ("Vale", "Vera")).await.unwrap();
    world.until(asked.id, |view| codes(view).first() == Some(&code)).await
}

async fn paid(world: &World, id: &str, asset: Asset, units: u128) -> (Address, u64) {
    let view = pay(world, id, asset, units).await;
    assert_eq!(view.outcome, Outcome::Released, "{:?}", codes(&view));
    let place = view.safe.unwrap();
    (place.safe, place.nonce)
}

fn both() -> [Address; 2] {
    [hot_safe().address(), second_safe().address()]
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

async fn booked(world: &World, purpose: &str) -> usize {
    let leaves = world.leaves().await;
    let wanted =
        |entry: &Entry| entry.field("purpose") == Some(purpose) && entry.kind().as_str() == "reserved";
    leaves.iter().filter(|leaf| wanted(&Entry::parse(leaf).unwrap())).count()
}

fn executed(hash: &str, nonce: u64, ending: Ending, height: u64) -> ExecutedFact {
    let safe_tx_hash: B256 = hash.parse().unwrap();
    ExecutedFact { nonce, safe_tx_hash, ending, transaction: B256::repeat_byte(7), height }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l17_payments_take_the_nonces_of_each_safe_in_turn_and_all_that_rests_there_is_one_sum() {
    let mut world = world_of(plan()).await;
    assert_eq!(spendable(&position(&world).await, ether()), 20 * ETHER);
    let mut found: BTreeMap<Address, Vec<u64>> = BTreeMap::new();
    for n in 0..6 {
        if n == 3 {
            world.restart_signer().await;
            world.restart_cosigner().await;
        }
        let (safe, nonce) = paid(&world, &format!("e-{n}"), ether(), ETHER).await;
        found.entry(safe).or_default().push(nonce);
    }
    assert_eq!(found, both().map(|safe| (safe, vec![0, 1, 2])).into_iter().collect());
    assert_eq!(spendable(&position(&world).await, ether()), 14 * ETHER);
    // the chain has all of the first Safe's, and none of the second's: the first is the less busy one, for three payments
    let first: Vec<_> = releases(&world).await;
    let first = first.into_iter().filter(|one| one.place.safe == hot_safe().address());
    let done = first.map(|one| executed(&one.hash, one.place.nonce, Ending::Paid, 105)).collect();
    tell(&world, SafeFact { executed: done, ..holds(&hot_safe(), 110, 3, (7 * ETHER, 10_000 * USDT)) }).await;
    assert_eq!(spendable(&position(&world).await, ether()), 14 * ETHER);
    for nonce in 3..6 {
        let place = paid(&world, &format!("e-1{nonce}"), ether(), ETHER).await;
        assert_eq!(place, (hot_safe().address(), nonce));
    }
    assert_eq!(spendable(&position(&world).await, ether()), 11 * ETHER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_goes_to_a_safe_that_has_enough_and_one_beyond_every_safe_waits_and_blocks_nobody() {
    let world = world_of(plan()).await;
    tell(&world, holds(&hot_safe(), 110, 0, (ETHER, 10_000 * USDT))).await;
    for n in 0..2 {
        let place = paid(&world, &format!("e-{n}"), ether(), 3 * ETHER).await;
        assert_eq!(place, (second_safe().address(), n), "the other has one ether");
    }
    // five in all, four at once
    let waits = held(&world, "e-9", ether(), 5 * ETHER, "HOT_FUNDS_SHORT").await;
    let Outcome::Held(found) = &waits.outcome else { panic!("{:?}", waits.outcome) };
    let told = &found[0].detail;
    let figures = [4 * ETHER, 5 * ETHER].map(|wei| wei.to_string());
    assert!(figures.iter().all(|wei| told.contains(wei)), "{told}");
    paid(&world, "e-3", ether(), ETHER).await;
    paid(&world, "t-3", token(), 100 * USDT).await;
    tell(&world, holds(&hot_safe(), 120, 0, (6 * ETHER, 10_000 * USDT))).await;
    let view = world.until(waits.id, |view| view.outcome == Outcome::Released).await;
    assert_eq!(view.safe.unwrap().safe, hot_safe().address());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_paid_by_one_safe_and_what_does_not_fit_there_by_the_other_in_the_same_turn() {
    let world = World::funded(plan(), 4, 40 * COIN).await;
    state_around(&world, 100).await;
    tell(&world, holds(&hot_safe(), 100, 0, (ETHER, 700 * USDT))).await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let request = request(&world, &format!("t-{n}"), token(), 200 * USDT + n);
        let asked = world.ask(&request, ("Vale", "Vera")).await.unwrap();
        ids.push(world.until(asked.id, |view| matches!(view.outcome, Outcome::Held(_))).await.id);
    }
    tell(&world, holds(&second_safe(), 100, 0, (ETHER, 700 * USDT))).await;
    let mut by_place: BTreeMap<(Address, u64), u128> = BTreeMap::new();
    for id in ids {
        let view = world.until(id, |view| view.outcome == Outcome::Released).await;
        let place = view.safe.unwrap();
        *by_place.entry((place.safe, place.nonce)).or_default() += view.request.amount.units() / USDT;
    }
    assert_eq!(by_place, both().map(|safe| ((safe, 0), 600)).into_iter().collect());
    assert!(spendable(&position(&world).await, token()) < 200 * USDT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_safe_that_was_never_stated_or_is_not_as_pinned_stops_them_all() {
    let world = World::funded(plan(), 4, 40 * COIN).await;
    state_around(&world, 100).await;
    tell(&world, holds(&hot_safe(), 100, 0, EACH)).await;
    let waits = held(&world, "e-1", ether(), ETHER, "SAFE_NOT_AS_PINNED").await;
    let in_token = held(&world, "t-1", token(), 100 * USDT, "SAFE_NOT_AS_PINNED").await;
    tell(&world, holds(&second_safe(), 100, 0, EACH)).await;
    for waits in [waits.id, in_token.id] {
        world.until(waits, |view| view.outcome == Outcome::Released).await;
    }

    let changed = SafeFact { threshold: U256::from(1), ..holds(&second_safe(), 110, 0, EACH) };
    tell(&world, changed).await;
    let seen = position(&world).await.assets.into_iter().find(|one| one.asset == ether()).unwrap();
    let told: Vec<_> =
        seen.hot_safes.iter().map(|hot| (hot.safe, hot.spendable.units(), hot.in_flight, hot.code)).collect();
    let [first, second] = both();
    let wrong = Some(Code::SafeNotAsPinned);
    assert_eq!(told, [(first, 9 * ETHER, 1, None), (second, 10 * ETHER, 1, wrong)]);
    let waits = held(&world, "e-2", ether(), ETHER, "SAFE_NOT_AS_PINNED").await;
    tell(&world, holds(&hot_safe(), 111, 0, EACH)).await;
    assert_eq!(codes(&world.find(waits.id).await), ["SAFE_NOT_AS_PINNED"], "the other one is as pinned");
    tell(&world, holds(&second_safe(), 112, 5, EACH)).await;
    world.until(waits.id, |view| view.outcome == Outcome::Released).await;

    // a nonce that went back is a doubt about who states it
    tell(&world, holds(&second_safe(), 113, 4, EACH)).await;
    let waits = held(&world, "e-3", ether(), ETHER, "SAFE_NONCE_WENT_BACK").await;
    tell(&world, holds(&second_safe(), 114, 5, EACH)).await;
    world.until(waits.id, |view| view.outcome == Outcome::Released).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_is_as_old_as_the_oldest_word_about_any_of_them() {
    let world = world_of(plan()).await;
    world.later(3_700);
    state_around(&world, 101).await;
    tell(&world, holds(&hot_safe(), 110, 0, EACH)).await;
    let waits = held(&world, "e-1", ether(), ETHER, "POSITION_STALE").await;
    tell(&world, holds(&second_safe(), 110, 0, EACH)).await;
    world.until(waits.id, |view| view.outcome == Outcome::Released).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l12_too_much_in_all_of_them_is_swept_from_the_fullest_until_it_is_not_too_much() {
    let world = world_of(plan()).await;
    // 120 in all, of which 36 may rest hot; each alone would have been within it
    tell(&world, holds(&hot_safe(), 110, 0, (28 * ETHER, 10_000 * USDT))).await;
    assert!(releases(&world).await.is_empty());
    tell(&world, holds(&second_safe(), 111, 0, (32 * ETHER, 10_000 * USDT))).await;
    let sweeps = until_released(&world, 1).await;
    assert_eq!(sweeps[0].place.safe, second_safe().address());
    let position = position(&world).await;
    let rests = position.assets.iter().find(|one| one.asset == ether()).unwrap();
    assert_eq!(rests.hot.units() + rests.cold.units(), 150 * ETHER);
    assert!(rests.hot.units() <= 45 * ETHER, "{}", rests.hot);
    let (safe, _) = paid(&world, "e-1", ether(), ETHER).await;
    assert_eq!(safe, hot_safe().address(), "the sweep is on its way through the other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_one_safe_holds_is_swept_from_one_after_the_other() {
    let world = world_of(plan()).await;
    tell(&world, holds(&hot_safe(), 110, 0, (60 * ETHER, 10_000 * USDT))).await;
    tell(&world, holds(&second_safe(), 110, 0, (60 * ETHER, 10_000 * USDT))).await;
    let mut swept: Vec<Address> = until_released(&world, 2).await.iter().map(|one| one.place.safe).collect();
    swept.sort();
    let mut all = both();
    all.sort();
    assert_eq!(swept, all);
    let position = position(&world).await;
    let rests = position.assets.iter().find(|one| one.asset == ether()).unwrap();
    assert!(rests.hot.units() <= 63 * ETHER && rests.hot.units() + rests.cold.units() == 210 * ETHER);
    paid(&world, "e-1", ether(), ETHER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_that_pays_gas_is_refuelled_once_by_one_of_them() {
    let world = world_of(with_second(refuel::plan())).await;
    tell(&world, refuel::fact(110, 0, REFUEL - 1, LEVEL - 1)).await;
    let first = until_released(&world, 1).await.remove(0);
    assert_eq!(first.place.safe, second_safe().address(), "the first has too little");
    let read = SignedSafeTx::read(&first.data, first.place.nonce, &second_safe()).unwrap();
    let [Action::Pay(payee)] = read.actions() else { panic!("{:?}", read.actions()) };
    assert_eq!((payee.to, payee.amount.units()), (executor(), U256::from(REFUEL)));
    // still low, and the first has enough by now: it is under way through the other
    tell(&world, refuel::fact(111, 0, 9 * ETHER, 1)).await;
    paid(&world, "t-1", token(), 100 * USDT).await;
    assert_eq!(booked(&world, "refuel").await, 1);
    // the chain has it, as the paying Safe's statement says; what the account had is stated of an earlier block, with the first
    let done = executed(&first.hash, 0, Ending::Paid, 112);
    tell(&world, SafeFact { executed: vec![done], ..holds(&second_safe(), 112, 1, EACH) }).await;
    paid(&world, "t-2", token(), 100 * USDT).await;
    assert_eq!(booked(&world, "refuel").await, 1, "it may have it by now");
    tell(&world, refuel::fact(113, 0, 9 * ETHER, LEVEL)).await;
    paid(&world, "t-3", token(), 100 * USDT).await;
    assert_eq!(booked(&world, "refuel").await, 1);
    tell(&world, refuel::fact(114, 0, 9 * ETHER, LEVEL - 1)).await;
    paid(&world, "t-4", token(), 100 * USDT).await;
    assert_eq!(booked(&world, "refuel").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deposits_go_to_the_safe_that_has_the_least_and_to_none_while_one_is_not_as_pinned() {
    let world = world_of(with_second(super::emptying::plan())).await;
    tell(&world, treasury_fact(100, 0)).await;
    for n in 0..2 {
        address(&world, ether(), &format!("customer-{n}")).await;
    }
    tell(&world, holds(&second_safe(), 109, 0, (9 * ETHER, 10_000 * USDT))).await;
    tell(&world, SafeFact { modules: vec![cold_safe()], ..holds(&hot_safe(), 110, 0, EACH) }).await;
    let most = super::emptying::LEVEL;
    lies(&world, page(111, &[(0, ether(), most), (1, ether(), ETHER)])).await;
    lies(&world, page(112, &[(0, ether(), most), (1, ether(), ETHER)])).await;
    assert_eq!(booked(&world, "emptying").await, 0, "to a Safe that others may empty");
    tell(&world, holds(&hot_safe(), 113, 0, EACH)).await;
    let first = until_released(&world, 1).await.remove(0);
    let read = SignedSafeTx::read(&first.data, first.place.nonce, &treasury_safe()).unwrap();
    let bound = |action: &Action| match action {
        Action::Nested { payee, .. } => Some(payee.to),
        _ => None,
    };
    let to: Vec<Address> = read.actions().iter().filter_map(bound).collect();
    assert_eq!(to, [second_safe().address(); 2]);
    // it counts where it lay until both hot Safes are stated at blocks that have it
    let deposited = async |world: &World| {
        let position = position(world).await;
        position.assets.iter().find(|one| one.asset == ether()).unwrap().deposited.units()
    };
    let done = executed(&first.hash, 0, Ending::Paid, 115);
    tell(&world, SafeFact { executed: vec![done], ..treasury_fact(115, 1) }).await;
    tell(&world, holds(&hot_safe(), 116, 0, EACH)).await;
    assert_eq!(deposited(&world).await, most + ETHER);
    tell(&world, holds(&second_safe(), 116, 0, (10 * ETHER + most, 10_000 * USDT))).await;
    lies(&world, page(116, &[])).await;
    assert_eq!(deposited(&world).await, 0);
    assert_eq!(spendable(&position(&world).await, ether()), 20 * ETHER + most);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_safe_that_the_trust_file_does_not_name_any_more_pays_nobody_and_both_parties_start() {
    let mut world = world_of(plan()).await;
    let used: Vec<(Address, u64)> =
        vec![paid(&world, "e-1", ether(), ETHER).await, paid(&world, "e-2", ether(), ETHER).await];
    assert_ne!(used[0].0, used[1].0);
    world
        .plan
        .trust
        .wallets
        .iter_mut()
        .filter_map(|entry| entry.safe.as_mut())
        .for_each(|safe| safe.also_hot.clear());
    world.plan.trust.version += 1;
    world.restart_cosigner().await;
    world.restart_signer().await;
    assert_eq!(spendable(&position(&world).await, ether()), 9 * ETHER);
    for nonce in 1..3 {
        let place = paid(&world, &format!("e-1{nonce}"), ether(), ETHER).await;
        assert_eq!(place, (hot_safe().address(), nonce));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l12_what_one_safe_has_is_swept_also_where_it_is_less_than_the_smallest_sweep() {
    let world = World::funded(plan(), 4, 40 * COIN).await;
    state_around(&world, 100).await;
    let cold = vec![(ether(), Amount::from_units(ETHER / 20)), (token(), Amount::from_units(90_000 * USDT))];
    world.state(Body::Position { cold, swept: Vec::new() }).await;
    // too much by more than a tenth of an ether, and no Safe has a tenth
    let each = 9 * ETHER / 100;
    tell(&world, holds(&hot_safe(), 100, 0, (each, 10_000 * USDT))).await;
    tell(&world, holds(&second_safe(), 100, 0, (each, 10_000 * USDT))).await;
    let first = until_released(&world, 1).await.remove(0);
    let safe = if first.place.safe == hot_safe().address() { hot_safe() } else { second_safe() };
    let read = SignedSafeTx::read(&first.data, first.place.nonce, &safe).unwrap();
    let [Action::Pay(payee)] = read.actions() else { panic!("{:?}", read.actions()) };
    assert_eq!((payee.to, payee.amount.units()), (cold_safe(), U256::from(each)), "all of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l17_what_was_booked_on_either_safe_goes_on_there_after_a_restart() {
    let mut world = world_of(plan()).await;
    world.cut();
    let mut ids = Vec::new();
    for n in 0..4 {
        let asked =
            world.ask(&request(&world, &format!("e-{n}"), ether(), ETHER), ("Vale", "Vera")).await.unwrap();
        ids.push(world.until(asked.id, |view| view.stage == Stage::Reserved).await.id);
    }
    // taken out of the trust file with something booked: the signer says so, and starts with the file that names it
    let pinned = world.plan.trust.clone();
    world
        .plan
        .trust
        .wallets
        .iter_mut()
        .filter_map(|entry| entry.safe.as_mut())
        .for_each(|s| s.also_hot.clear());
    world.plan.trust.version += 1;
    world.stop_signer().await;
    let no = world.try_start_signer().await.unwrap_err();
    assert!(no.to_string().contains(&spell(second_safe().address())), "{no}");
    world.plan.trust = TrustContent { version: pinned.version + 2, ..pinned };
    world.start_signer().await;
    world.mend();
    let mut found = Vec::new();
    for id in ids {
        let place = world.until(id, |view| view.outcome == Outcome::Released).await.safe.unwrap();
        found.push((place.safe, place.nonce));
    }
    found.sort();
    let mut due: Vec<_> = both().into_iter().flat_map(|safe| [(safe, 0), (safe, 1)]).collect();
    due.sort();
    assert_eq!(found, due);
    assert_eq!(spendable(&position(&world).await, ether()), 16 * ETHER);
}

/// The trust file changes, and these parties start with it.
async fn pinned_anew(world: &mut World, change: impl FnOnce(&mut WalletEntry), parties: &[KeyRole]) {
    let wallets = &mut world.plan.trust.wallets;
    change(wallets.iter_mut().find(|entry| entry.safe.is_some()).unwrap());
    world.plan.trust.version += 1;
    for party in parties {
        match party {
            KeyRole::Signer => world.restart_signer().await,
            _ => world.restart_cosigner().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parties_whose_trust_files_differ_for_a_while_hold_payments_and_refuse_nobody() {
    let mut world = World::funded(evm_plan(), 4, 40 * COIN).await;
    state_around(&world, 100).await;
    tell(&world, holds(&hot_safe(), 100, 0, EACH)).await;
    paid(&world, "e-1", ether(), ETHER).await;
    let also = |entry: &mut WalletEntry| {
        entry.safe.as_mut().unwrap().also_hot = vec![spell(second_safe().address())];
    };
    pinned_anew(&mut world, also, &[KeyRole::Signer]).await;
    tell(&world, holds(&second_safe(), 100, 0, EACH)).await;
    let waits = held(&world, "e-2", ether(), ETHER, "COSIGNER_HOLDS").await;
    let Outcome::Held(found) = &waits.outcome else { panic!("{:?}", waits.outcome) };
    assert!(found[0].detail.contains("SAFE_NOT_AS_PINNED"), "{}", found[0].detail);
    world.restart_cosigner().await;
    tell(&world, holds(&second_safe(), 101, 0, EACH)).await;
    world.later(10);
    let view = world.until(waits.id, |view| view.outcome == Outcome::Released).await;
    assert_eq!(view.safe.unwrap().safe, second_safe().address());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_what_b_signed_is_finished_also_where_other_gas_is_pinned_meanwhile() {
    for gas in [100_000, 400_000] {
        let mut world = world_of(plan()).await;
        world.tap.lose_answers(true);
        let asked = request(&world, "t-1", token(), 100 * USDT);
        let asked = world.ask(&asked, ("Vale", "Vera")).await.unwrap();
        let signed = async || {
            let log = world.cosigner().log();
            let leaves = log.leaves(0..log.head().size).await.unwrap();
            leaves.iter().any(|leaf| Entry::parse(leaf).unwrap().kind().as_str() == "cosigned")
        };
        while !signed().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let change = |entry: &mut WalletEntry| entry.tokens[0].gas = Some(gas);
        pinned_anew(&mut world, change, &[KeyRole::Cosigner, KeyRole::Signer]).await;
        world.tap.lose_answers(false);
        let first = world.until(asked.id, |view| view.outcome == Outcome::Released).await;
        let kept = |view: &WithdrawalView| {
            let place = view.safe.unwrap();
            let safe = if place.safe == hot_safe().address() { hot_safe() } else { second_safe() };
            SignedSafeTx::read(&view.raw_transaction, place.nonce, &safe).unwrap().call().safe_tx_gas
        };
        assert!((160_000..161_024).contains(&kept(&first)));
        let second = pay(&world, "t-2", token(), 100 * USDT).await;
        assert!((gas..gas + 1_024).contains(&kept(&second)));
    }
}
