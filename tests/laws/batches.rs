//! Withdrawals of one token that are ready in the same turn are paid by one transaction of the Safe, each exactly once; none of
//! them suffers from what another one waits for or is refused for.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use countersign::desk::{Role, WithdrawalDesk, WithdrawalFilter, WithdrawalView};
use countersign::enclave::Tell;
use countersign::ethereum::{Action, B256, Operation, Payee, SignedSafeTx, Units};
use countersign::evidence::statement::Body;
use countersign::evidence::{Ending, ExecutedFact, SafeFact};
use countersign::store::{Store, Table};
use countersign::withdrawal::*;
use futures_util::StreamExt;
use wallet_policy::settings::AssetSettings;
use wallet_policy::{Settings, Units as PolicyUnits};

use super::freeze::{freeze, resume};
use super::parties::*;
use super::safes::{ETHER, USDT, state_around};
use super::world::*;

/// What the Safe has unless a test says otherwise.
const HELD: [u128; 2] = [10 * ETHER, 20_000 * USDT];

fn balances(held: [u128; 2]) -> [(Asset, u128); 2] {
    [(ether(), held[0]), (token(), held[1])]
}

/// A world in which everything is stated, and the Safe is not as pinned: what is asked waits.
async fn waiting(plan: Plan) -> World {
    let world = World::funded(plan, 4, 40 * COIN).await;
    state_around(&world, 100).await;
    let mut changed = safe_fact(100, 0, &balances(HELD));
    changed.modules.push(cold_safe());
    world.state(Body::Safe(Box::new(changed))).await;
    world
}

/// The Safe is as pinned: everything that waits is decided in one turn.
async fn ready(world: &World, held: [u128; 2]) {
    world.state(Body::Safe(Box::new(safe_fact(110, 0, &balances(held))))).await;
}

fn request(world: &World, id: &str, asset: Asset, units: u128) -> WithdrawalRequest {
    WithdrawalRequest {
        asset,
        amount: Amount::from_units(units),
        fee_max: Amount::from_units(ETHER / 50),
        ..world.request(id, VERA, 1)
    }
}

async fn ask(world: &World, request: &WithdrawalRequest) -> WithdrawalId {
    let asked = world.ask(request, ("Vale", "Vera")).await.unwrap();
    world.until(asked.id, |view| codes(view) == ["SAFE_NOT_AS_PINNED"]).await.id
}

/// Asks for that many payments of the token, each of another amount, and leaves them waiting.
async fn asked(world: &World, count: usize) -> Vec<WithdrawalId> {
    let mut ids = Vec::new();
    for n in 0..count {
        let units = 100 * USDT + u128::try_from(n).unwrap();
        ids.push(ask(world, &request(world, &format!("t-{n}"), token(), units)).await);
    }
    ids
}

async fn all_are(world: &World, ids: &[WithdrawalId], code: &str) -> Vec<WithdrawalView> {
    let mut views = Vec::new();
    for id in ids {
        views.push(world.until(*id, |view| codes(view)[0] == code).await);
    }
    views
}

fn transactions(views: &[WithdrawalView]) -> BTreeSet<String> {
    views.iter().map(|view| view.txid.clone().unwrap()).collect()
}

/// That these are paid by one batch, each exactly once, and nobody else by it. Gives its nonce.
fn is_one_batch(views: &[WithdrawalView]) -> u64 {
    assert_eq!(transactions(views).len(), 1);
    let nonce = views[0].safe.unwrap().nonce;
    let read = SignedSafeTx::read(&views[0].raw_transaction, nonce, &hot_safe()).unwrap();
    assert_eq!(read.call().operation, Operation::DelegateCall);
    assert_eq!(read.call().to, hot_safe().make().release.multi_send.address);
    assert_eq!(Some(read.hash().to_string()), views[0].txid);
    let Asset::Evm(asset) = token() else { unreachable!() };
    let pays = |view: &WithdrawalView| {
        assert_eq!(view.raw_transaction, views[0].raw_transaction);
        let amount = Units::from_amount(view.request.amount);
        Action::Pay(Payee { to: VERA.parse().unwrap(), asset, amount })
    };
    let paid = |action: &Action| format!("{action:?}");
    let mut found: Vec<_> = read.actions().iter().map(paid).collect();
    let mut due: Vec<_> = views.iter().map(pays).map(|action| paid(&action)).collect();
    found.sort_unstable();
    due.sort_unstable();
    assert_eq!(found, due);
    nonce
}

fn of_token(settings: &mut Settings) -> &mut AssetSettings {
    settings.assets.get_mut(&token().to_string()).unwrap()
}

async fn state_ended(world: &World, view: &WithdrawalView, ending: Ending) -> B256 {
    let (safe_tx_hash, nonce) = (view.txid.as_ref().unwrap().parse().unwrap(), view.safe.unwrap().nonce);
    let transaction = B256::repeat_byte(0xe7);
    let done = ExecutedFact { nonce, safe_tx_hash, ending, transaction, height: 115 };
    let fact = SafeFact { executed: vec![done], ..safe_fact(120, nonce + 1, &balances(HELD)) };
    world.state(Body::Safe(Box::new(fact))).await;
    transaction
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_ready_withdrawals_of_a_token_are_one_transaction_that_pays_each_once_and_all_are_told() {
    let world = waiting(evm_plan()).await;
    let ids = asked(&world, 10).await;
    ready(&world, HELD).await;
    let views = all_are(&world, &ids, "RELEASED").await;
    assert_eq!(is_one_batch(&views), 0);
    // what comes alone goes as a plain call under the next nonce
    let alone = request(&world, "t-alone", token(), 50 * USDT);
    let alone = world.ask(&alone, ("Vale", "Vera")).await.unwrap();
    let alone = world.until(alone.id, |view| view.outcome == Outcome::Released).await;
    let read = SignedSafeTx::read(&alone.raw_transaction, 1, &hot_safe()).unwrap();
    assert_eq!((read.call().operation, read.actions().len()), (Operation::Call, 1));
    // once it is in the chain each counterparty is told the same transaction
    let transaction = state_ended(&world, &views[0], Ending::Paid).await.to_string();
    let told = || {
        let heard = world.ear.heard.lock().unwrap();
        let of_it = heard
            .iter()
            .filter(|ask| matches!(&ask.tell, Tell::Tx { tx_hash, .. } if *tx_hash == transaction));
        of_it.map(|ask| ask.request_digest.clone()).collect::<BTreeSet<_>>().len()
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while told() < 10 {
        assert!(tokio::time::Instant::now() < deadline, "{} were told", told());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// How many rows of a table of the signer's hold this text.
async fn rows_with(world: &World, table: Table, text: &str) -> usize {
    let store = Store::open(&world.store("signer"), &store_secret(0xa)).await.unwrap();
    let page = store.rows_page(table, None, 1_000).await.unwrap();
    assert!(page.next.is_none() && !page.rows.is_empty());
    page.rows.iter().filter(|row| row.content().contains(text)).count()
}

/// That whoever looks for these in whatever way is shown what they were released with.
async fn are_seen_everywhere(world: &World, views: &[WithdrawalView]) {
    let acme = caller(Role::Exchange, "acme");
    let listed = world.desk().list(&acme, WithdrawalFilter::default(), page()).await.unwrap().items;
    let watched = world.desk().watch(&acme, WithdrawalFilter::default(), Some(0)).await.unwrap();
    let watched: Vec<_> = watched.take(views.len()).map(Result::unwrap).collect().await;
    for view in views {
        let transaction = |seen: &[WithdrawalView]| {
            seen.iter().find(|seen| seen.id == view.id).map(|seen| seen.raw_transaction.clone())
        };
        assert_eq!(transaction(&listed).as_ref(), Some(&view.raw_transaction));
        assert_eq!(transaction(&watched).as_ref(), Some(&view.raw_transaction));
        assert_eq!(world.find(view.id).await.raw_transaction, view.raw_transaction);
        let again = world.ask(&view.request, ("Vale", "Vera")).await.unwrap();
        assert_eq!(again.raw_transaction, view.raw_transaction);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transaction_of_a_batch_stands_once_in_the_ledger_and_whoever_looks_for_one_it_pays_sees_it() {
    let mut world = waiting(evm_plan()).await;
    let ids = asked(&world, 6).await;
    let acme = caller(Role::Exchange, "acme");
    let mut live = world.desk().watch(&acme, WithdrawalFilter::default(), None).await.unwrap();
    ready(&world, HELD).await;
    let views = all_are(&world, &ids, "RELEASED").await;
    assert_eq!(is_one_batch(&views), 0);
    are_seen_everywhere(&world, &views).await;
    state_ended(&world, &views[0], Ending::Paid).await;
    // told live with it twice: when they were released, and when they were executed
    let mut told = Vec::new();
    while told.len() < 2 * ids.len() {
        let view = live.next().await.unwrap().unwrap();
        if view.outcome == Outcome::Released {
            assert_eq!(view.raw_transaction, views[0].raw_transaction);
            told.push(view.id);
        }
    }
    assert!(ids.iter().all(|id| told.iter().filter(|told| *told == id).count() == 2));
    are_seen_everywhere(&world, &views).await;
    let hex = data_encoding::HEXLOWER.encode(&views[0].raw_transaction);
    assert_eq!(rows_with(&world, Table::Withdrawal, &hex[..200]).await, 0);
    assert_eq!(rows_with(&world, Table::Reservation, &hex).await, 1);
    world.restart_signer().await;
    are_seen_everywhere(&world, &views).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_one_that_the_cosigner_refuses_leaves_nine_paid_by_another_transaction() {
    let mut plan = evm_plan();
    of_token(&mut plan.cosigner_policy).per_tx_limit = PolicyUnits(1_000 * USDT);
    let world = waiting(plan).await;
    let mut ids = asked(&world, 9).await;
    ids.insert(4, ask(&world, &request(&world, "large", token(), 1_001 * USDT)).await);
    ready(&world, HELD).await;
    let refused = world.until(ids.remove(4), |view| matches!(view.outcome, Outcome::Refused(_))).await;
    assert_eq!(codes(&refused), ["COSIGNER_REFUSED"]);
    let views = all_are(&world, &ids, "RELEASED").await;
    assert_eq!(is_one_batch(&views), 0, "the nonce of what was refused is taken again");
    // all ten were booked first, and that very transaction was refused for ever
    let orders = world.tap.orders.lock().unwrap().clone();
    let items: Vec<_> =
        orders.iter().flat_map(|order| &order.items).filter(|item| item.payments.len() > 1).collect();
    assert_eq!(items.iter().map(|item| item.payments.len()).collect::<Vec<_>>(), [10, 9]);
    assert_ne!(items[0].reservation, items[1].reservation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_the_policy_holds_or_refuses_leaves_the_others_in_one_batch() {
    let world = waiting(evm_plan()).await;
    let mut ids = asked(&world, 4).await;
    // worth more than ten million won: somebody of the treasury is to approve it
    let large = ask(&world, &request(&world, "large", token(), 8_000 * USDT)).await;
    let dear =
        WithdrawalRequest { fee_max: Amount::from_units(1_000), ..request(&world, "dear", token(), USDT) };
    let dear = ask(&world, &dear).await;
    let beyond = ask(&world, &request(&world, "beyond", token(), 9_500 * USDT)).await;
    for n in 4..8 {
        let units = 100 * USDT + u128::try_from(n).unwrap();
        ids.push(ask(&world, &request(&world, &format!("t-{n}"), token(), units)).await);
    }
    ready(&world, [10 * ETHER, 9_000 * USDT]).await;
    let views = all_are(&world, &ids, "RELEASED").await;
    is_one_batch(&views);
    all_are(&world, &[large], "APPROVAL_REQUIRED").await;
    all_are(&world, &[dear], "FEE_ABOVE_CAP").await;
    all_are(&world, &[beyond], "HOT_FUNDS_SHORT").await;
    world.approve(large, KIM).await.unwrap();
    let large = all_are(&world, &[large], "RELEASED").await;
    assert_ne!(large[0].txid, views[0].txid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l7_limits_and_what_can_be_spent_are_counted_within_the_batch_at_either_party() {
    let tighten = |settings: &mut Settings| {
        let limit = PolicyUnits(550 * USDT);
        let asset = of_token(settings);
        (asset.hourly_limit, asset.per_tx_limit, asset.unsigned_per_tx_limit) = (limit, limit, limit);
    };
    for (at, code) in [(0, "LIMIT_ROLLING"), (1, "COSIGNER_HOLDS"), (2, "HOT_FUNDS_SHORT")] {
        let (mut plan, mut held) = (evm_plan(), HELD);
        match at {
            0 => tighten(&mut plan.signer_policy),
            1 => tighten(&mut plan.cosigner_policy),
            _ => held[1] = 550 * USDT,
        }
        let world = waiting(plan).await;
        let ids = asked(&world, 10).await;
        ready(&world, held).await;
        let views = all_are(&world, &ids[..5], "RELEASED").await;
        is_one_batch(&views);
        all_are(&world, &ids[5..], code).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ether_is_never_batched_and_what_else_is_ready_takes_nonces_of_its_own() {
    let world = waiting(evm_plan()).await;
    let mut ethers = Vec::new();
    for n in 0..3 {
        ethers.push(ask(&world, &request(&world, &format!("e-{n}"), ether(), ETHER / 10)).await);
    }
    let tokens = asked(&world, 3).await;
    ready(&world, HELD).await;
    let views = all_are(&world, &ethers, "RELEASED").await;
    assert_eq!(transactions(&views).len(), 3);
    let mut nonces = BTreeSet::new();
    for view in &views {
        let nonce = view.safe.unwrap().nonce;
        let read = SignedSafeTx::read(&view.raw_transaction, nonce, &hot_safe()).unwrap();
        assert_eq!((read.call().operation, read.actions().len()), (Operation::Call, 1));
        nonces.insert(nonce);
    }
    nonces.insert(is_one_batch(&all_are(&world, &tokens, "RELEASED").await));
    assert_eq!(nonces, BTreeSet::from([0, 1, 2, 3]), "and no gap");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l8_a_batch_ends_where_its_fee_reaches_the_cap_and_the_next_one_begins() {
    let mut plan = evm_plan();
    // some 1,280,000 of gas: seven payments
    for settings in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        of_token(settings).fee_tx_max = PolicyUnits(ETHER / 39);
    }
    let world = waiting(plan).await;
    let ids = asked(&world, 10).await;
    ready(&world, HELD).await;
    let views = all_are(&world, &ids, "RELEASED").await;
    assert_eq!([is_one_batch(&views[..7]), is_one_batch(&views[7..])], [0, 1]);
    let fee = |view: &WithdrawalView| view.fee.unwrap().units();
    assert!(fee(&views[0]) <= ETHER / 39 && fee(&views[0]) > ETHER / 45, "{}", fee(&views[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_that_is_about_no_payment_refuses_nobody_and_is_found_out_about_with_fewer() {
    let mut plan = evm_plan();
    // the co-signer takes half of what the signer does: some 620,000 of gas, three payments
    of_token(&mut plan.cosigner_policy).fee_tx_max = PolicyUnits(ETHER / 80);
    let world = waiting(plan).await;
    let ids = asked(&world, 8).await;
    ready(&world, HELD).await;
    let mut views = Vec::new();
    for id in &ids {
        let released = |view: &WithdrawalView| {
            assert!(!matches!(view.outcome, Outcome::Refused(_)), "{:?}", codes(view));
            view.outcome == Outcome::Released
        };
        views.push(world.until(*id, released).await);
    }
    assert!(transactions(&views).len() >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l17_a_batch_outlives_a_restart_of_both_when_it_is_booked_when_b_signed_and_when_it_is_released() {
    let mut world = waiting(evm_plan()).await;
    let ids = asked(&world, 5).await;
    // booked: nobody was asked yet
    world.tap.hold_orders.store(true, Ordering::Relaxed);
    ready(&world, HELD).await;
    let booked = transactions(&all_are(&world, &ids, "COSIGNER_UNREACHABLE").await);
    world.restart_signer().await;
    // signed by B, and the answer is lost
    world.tap.lose_answers(true);
    world.tap.hold_orders.store(false, Ordering::Relaxed);
    let asked = || world.tap.orders.lock().unwrap().iter().any(|order| !order.items.is_empty());
    while !asked() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    world.restart_cosigner().await;
    world.restart_signer().await;
    world.tap.lose_answers(false);
    let views = all_are(&world, &ids, "RELEASED").await;
    assert_eq!(is_one_batch(&views), 0);
    assert_eq!(transactions(&views), booked, "the same transaction all the time");
    // released: what is found afterwards is the same, and the next nonce is the next one
    world.restart_signer().await;
    world.restart_cosigner().await;
    let found = all_are(&world, &ids, "RELEASED").await;
    assert_eq!(is_one_batch(&found), 0);
    let next = world.ask(&request(&world, "next", token(), USDT), ("Vale", "Vera")).await.unwrap();
    let next = world.until(next.id, |view| view.outcome == Outcome::Released).await;
    assert_eq!(next.safe.unwrap().nonce, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l2_one_that_is_cancelled_within_a_booked_batch_leaves_the_others_paid() {
    let mut world = waiting(evm_plan()).await;
    let mut ids = asked(&world, 5).await;
    world.tap.hold_orders.store(true, Ordering::Relaxed);
    ready(&world, HELD).await;
    all_are(&world, &ids, "COSIGNER_UNREACHABLE").await;
    let taken = world.find(ids[2]).await.request;
    let acme = caller(Role::Exchange, "acme");
    world.desk().cancel(&acme, cancel_of(&taken, EXCHANGE)).await.unwrap();
    world.restart_signer().await;
    world.tap.hold_orders.store(false, Ordering::Relaxed);
    let cancelled = world.until(ids.remove(2), |view| matches!(view.outcome, Outcome::Refused(_))).await;
    assert_eq!(codes(&cancelled), ["CANCELLED"]);
    let views = all_are(&world, &ids, "RELEASED").await;
    assert_eq!(is_one_batch(&views), 0);
    // and what is signed cannot be taken back any more
    let late = world.desk().cancel(&acme, cancel_of(&views[0].request, EXCHANGE)).await;
    assert!(late.is_err() || world.find(ids[0]).await.outcome == Outcome::Released);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l15_a_freeze_holds_a_batch_that_b_has_signed_and_it_is_released_after_it_the_same() {
    let mut world = waiting(evm_plan()).await;
    let ids = asked(&world, 3).await;
    world.tap.lose_answers(true);
    ready(&world, HELD).await;
    let booked = transactions(&all_are(&world, &ids, "COSIGNER_UNREACHABLE").await);
    world.later(2);
    freeze(&world, KeyRole::Signer, 1).await;
    world.tap.lose_answers(false);
    all_are(&world, &ids, "FROZEN").await;
    world.restart_signer().await;
    all_are(&world, &ids, "FROZEN").await;
    resume(&world, KeyRole::Signer, Scope::All).await;
    world.later(3_601);
    state_around(&world, 100).await;
    let views = all_are(&world, &ids, "RELEASED").await;
    is_one_batch(&views);
    assert_eq!(transactions(&views), booked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_reverts_pays_nobody_holds_all_of_it_and_blocks_nobody_behind() {
    let mut world = waiting(evm_plan()).await;
    let ids = asked(&world, 4).await;
    ready(&world, HELD).await;
    let views = all_are(&world, &ids, "RELEASED").await;
    state_ended(&world, &views[0], Ending::Reverted).await;
    let held = all_are(&world, &ids, "PAYEE_REVERTED").await;
    for view in &held {
        let Outcome::Held(found) = &view.outcome else { panic!("{:?}", view.outcome) };
        assert!(found[0].detail.contains("batch of 4"), "{}", found[0].detail);
    }
    world.restart_signer().await;
    all_are(&world, &ids, "PAYEE_REVERTED").await;
    let next = world.ask(&request(&world, "next", token(), USDT), ("Vale", "Vera")).await.unwrap();
    let next = world.until(next.id, |view| view.outcome == Outcome::Released).await;
    assert_eq!(next.safe.unwrap().nonce, 1);
    all_are(&world, &ids, "PAYEE_REVERTED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_keeps_the_gas_that_is_pinned_for_it() {
    let mut plan = evm_plan();
    let entry = plan.trust.wallets.iter_mut().find(|entry| entry.safe.is_some()).unwrap();
    entry.tokens[0].gas = Some(1_000_000);
    let world = waiting(plan).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        let dear = request(&world, &format!("t-{n}"), token(), 100 * USDT);
        ids.push(ask(&world, &WithdrawalRequest { fee_max: Amount::from_units(ETHER / 20), ..dear }).await);
    }
    ready(&world, HELD).await;
    let views = all_are(&world, &ids, "RELEASED").await;
    let mut kept: Vec<(usize, u64)> = Vec::new();
    for place in views.iter().map(|view| view.safe.unwrap()).collect::<BTreeSet<_>>() {
        let of_it = views.iter().find(|view| view.safe == Some(place)).unwrap();
        let read = SignedSafeTx::read(&of_it.raw_transaction, place.nonce, &hot_safe()).unwrap();
        kept.push((read.actions().len(), read.call().safe_tx_gas / 1_000_000));
    }
    assert_eq!(kept.iter().map(|(payments, _)| payments).sum::<usize>(), 10);
    assert!(kept.iter().all(|(payments, gas)| u64::try_from(*payments) == Ok(*gas)), "{kept:?}");
}
