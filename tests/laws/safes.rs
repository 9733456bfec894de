//! Ether and a token go through the same gates as Bitcoin: asked, cleared, booked, co-signed, released. Nothing but the room that
//! builds and checks is another.

use countersign::desk::{PositionDesk, PositionView, Role, WithdrawalDesk, WithdrawalView};
use countersign::ethereum::B256;
use countersign::evidence::statement::{Body, ChainFact};
use countersign::evidence::{Ending, ExecutedFact, SafeFact};
use countersign::withdrawal::*;

use super::parties::*;
use super::world::*;

pub const ETHER: u128 = 1_000_000_000_000_000_000;
pub const USDT: u128 = 1_000_000;
/// 20 gwei for a unit of gas.
pub const RATE: u64 = 20_000_000_000_000;

/// A world whose Safe holds ten ether and ten thousand dollars, with enough of both in the cold.
pub async fn funded() -> World {
    let world = World::funded(evm_plan(), 4, 40 * COIN).await;
    state(&world, 100, 0, &[(ether(), 10 * ETHER), (token(), 10_000 * USDT)]).await;
    world
}

pub async fn state(world: &World, height: u64, nonce: u64, balances: &[(Asset, u128)]) {
    state_around(world, 100).await;
    world.state(Body::Safe(Box::new(safe_fact(height, nonce, balances)))).await;
}

/// Everything but the Safe itself, at that height of its chain.
pub async fn state_around(world: &World, height: u32) {
    let chain = ChainFact { chain: ether().chain(), height, fee_rate: FeeRate(RATE) };
    let bitcoin = ChainFact { chain: Chain::Bitcoin(NETWORK), height: 200, fee_rate: FeeRate(2_000) };
    world.state(Body::Chain(vec![bitcoin, chain])).await;
    let prices = vec![(ASSET, Krw(PRICE)), (ether(), Krw(400_000)), (token(), Krw(1_300))];
    world.state(Body::Price(prices)).await;
    let cold = vec![
        (ASSET, Amount::from_sat(40 * COIN)),
        (ether(), Amount::from_units(90 * ETHER)),
        (token(), Amount::from_units(90_000 * USDT)),
    ];
    world.state(Body::Position { cold, swept: Vec::new() }).await;
}

pub fn request(world: &World, id: &str, asset: Asset, units: u128) -> WithdrawalRequest {
    WithdrawalRequest {
        asset,
        amount: Amount::from_units(units),
        fee_max: Amount::from_units(ETHER / 50),
        ..world.request(id, VERA, 1)
    }
}

pub async fn pay(world: &World, id: &str, asset: Asset, units: u128) -> WithdrawalView {
    let request = request(world, id, asset, units);
    let asked = world.ask(&request, ("Vale", "Vera")).await.unwrap();
    world.until(asked.id, |view| view.outcome != Outcome::Moving).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ether_and_a_token_are_paid_by_both_owners_under_one_nonce_after_the_other() {
    let world = funded().await;
    let first = pay(&world, "e-1", ether(), ETHER).await;
    assert_eq!(first.outcome, Outcome::Released, "{:?}", codes(&first));
    let second = pay(&world, "t-1", token(), 250 * USDT).await;
    assert_eq!(second.outcome, Outcome::Released, "{:?}", codes(&second));
    assert_ne!(first.txid, second.txid);
}

/// What the log says became of the Safe transaction of a withdrawal, for the observer to state.
pub fn executed(view: &WithdrawalView, nonce: u64, ending: Ending) -> ExecutedFact {
    let safe_tx_hash = view.txid.as_ref().unwrap().parse().unwrap();
    ExecutedFact { nonce, safe_tx_hash, ending, transaction: B256::repeat_byte(0xe7), height: 101 }
}

pub async fn state_executed(world: &World, height: u64, done: ExecutedFact, balances: &[(Asset, u128)]) {
    let fact = SafeFact { executed: vec![done], ..safe_fact(height, done.nonce + 1, balances) };
    world.state(Body::Safe(Box::new(fact))).await;
}

pub fn spendable(position: &PositionView, asset: Asset) -> u128 {
    position.assets.iter().find(|one| one.asset == asset).unwrap().spendable.units()
}

pub async fn position(world: &World) -> PositionView {
    world.desk().position(&caller(Role::Operator, "kim"), None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l17_what_is_signed_is_spent_until_the_chain_has_it_and_a_restart_of_both_changes_nothing() {
    let mut world = funded().await;
    let paid = pay(&world, "e-1", ether(), 2 * ETHER).await;
    assert_eq!(paid.outcome, Outcome::Released, "{:?}", codes(&paid));
    assert_eq!(spendable(&position(&world).await, ether()), 8 * ETHER);
    world.restart_signer().await;
    world.restart_cosigner().await;
    assert_eq!(spendable(&position(&world).await, ether()), 8 * ETHER);
    let next = pay(&world, "e-2", ether(), ETHER).await;
    assert_eq!(next.outcome, Outcome::Released, "{:?}", codes(&next));
    // the chain has the first: it is gone from the stated balance, and is taken off once
    let stated = [(ether(), 8 * ETHER), (token(), 10_000 * USDT)];
    state_executed(&world, 110, executed(&paid, 0, Ending::Paid), &stated).await;
    assert_eq!(spendable(&position(&world).await, ether()), 7 * ETHER);
    let found = world.find(paid.id).await;
    assert_eq!(found.outcome, Outcome::Released);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payee_that_reverts_is_held_and_never_paid_a_second_time() {
    let world = funded().await;
    let view = pay(&world, "t-1", token(), 100 * USDT).await;
    assert_eq!(view.outcome, Outcome::Released, "{:?}", codes(&view));
    let stated = [(ether(), 10 * ETHER), (token(), 10_000 * USDT)];
    state_executed(&world, 110, executed(&view, 0, Ending::Reverted), &stated).await;
    let held = world.find(view.id).await;
    assert_eq!(codes(&held), ["PAYEE_REVERTED"]);
    assert_eq!((&held.txid, held.safe, held.fee), (&view.txid, view.safe, view.fee), "people look for it");
    assert!(held.raw_transaction.is_empty(), "nobody is to carry it again");
    // those behind it go on, under the next nonce
    let next = pay(&world, "t-2", token(), 100 * USDT).await;
    assert_eq!(next.outcome, Outcome::Released, "{:?}", codes(&next));
    // one that was paid, or may be, is not taken back by it
    let acme = caller(Role::Exchange, "acme");
    let kept = world.desk().cancel(&acme, cancel_of(&next.request, EXCHANGE)).await.unwrap();
    assert_eq!((kept.receipt, kept.withdrawal.unwrap().outcome), (None, Outcome::Released));
    world.later(86_500);
    state(&world, 120, 1, &stated).await;
    let over = world.until(view.id, |view| matches!(view.outcome, Outcome::Refused(_))).await;
    assert_eq!(codes(&over), ["HOLD_EXPIRED"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l2_a_payment_that_nobody_got_ends_when_the_exchange_takes_it_back_and_is_never_paid_again() {
    let mut world = funded().await;
    let view = pay(&world, "t-1", token(), 100 * USDT).await;
    let stated = [(ether(), 10 * ETHER), (token(), 10_000 * USDT)];
    state_executed(&world, 110, executed(&view, 0, Ending::Reverted), &stated).await;
    assert_eq!(codes(&world.find(view.id).await), ["PAYEE_REVERTED"]);
    let acme = caller(Role::Exchange, "acme");
    for _ in 0..2 {
        let ended = world.desk().cancel(&acme, cancel_of(&view.request, EXCHANGE)).await.unwrap();
        assert_eq!(ended.receipt, None, "the co-signer did sign it");
        assert_eq!(codes(&ended.withdrawal.unwrap()), ["CANCELLED"]);
        world.restart_signer().await;
        world.restart_cosigner().await;
    }
    let again = world.ask(&view.request, ("Vale", "Vera")).await.unwrap();
    assert_eq!(codes(&again), ["CANCELLED"]);
    let anew = pay(&world, "t-2", token(), 100 * USDT).await;
    assert_eq!(anew.outcome, Outcome::Released, "{:?}", codes(&anew));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_safe_that_is_not_as_pinned_pays_nobody_until_it_is_again() {
    let world = funded().await;
    let balances = [(ether(), 10 * ETHER), (token(), 10_000 * USDT)];
    let mut changed = safe_fact(110, 0, &balances);
    changed.modules.push(cold_safe());
    world.state(Body::Safe(Box::new(changed))).await;
    let request = request(&world, "e-1", ether(), ETHER);
    let asked = world.ask(&request, ("Vale", "Vera")).await.unwrap();
    let held = world.until(asked.id, |view| codes(view) == ["SAFE_NOT_AS_PINNED"]).await;
    assert!(matches!(held.outcome, Outcome::Held(_)));
    world.state(Body::Safe(Box::new(safe_fact(120, 0, &balances)))).await;
    world.until(asked.id, |view| view.outcome == Outcome::Released).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l12_too_much_ether_goes_to_the_cold_safe_before_anybody_is_paid() {
    let world = funded().await;
    state(&world, 110, 0, &[(ether(), 60 * ETHER), (token(), 10_000 * USDT)]).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    let swept = loop {
        let position = position(&world).await;
        let ether = position.assets.into_iter().find(|one| one.asset == ether()).unwrap();
        if let Some(sweep) = ether.sweeps.into_iter().next() {
            break (sweep, ether.hot, ether.cold);
        }
        assert!(tokio::time::Instant::now() < deadline, "no sweep");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let (sweep, hot, cold) = swept;
    assert!(sweep.txid.starts_with("0x") && !sweep.raw_transaction.is_empty());
    // 150 ether in all, of which at most 45 may rest hot
    assert!(hot.units() <= 45 * ETHER && hot.units() + cold.units() == 150 * ETHER, "{hot} {cold}");
    let view = pay(&world, "e-1", ether(), ETHER).await;
    assert_eq!(view.outcome, Outcome::Released, "{:?}", codes(&view));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_for_an_evm_chain_name_the_field_and_ask_nobody() {
    let world = funded().await;
    let base = request(&world, "e-1", ether(), ETHER);
    let other_chain = Asset::parse("eip155:1/slip44:60").unwrap();
    let unpinned = Asset::parse("eip155:31337/erc20:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed").unwrap();
    let to = |text: &str| WithdrawalRequest { destination: text.to_owned(), ..base.clone() };
    for (code, request) in [
        (Code::AddressMalformed, to("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")),
        (Code::AddressMalformed, to("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed")),
        (Code::AddressNotPayable, to("0x0000000000000000000000000000000000000000")),
        (Code::AddressNotPayable, to(TOKEN)),
        (Code::AddressNotPayable, WithdrawalRequest { asset: token(), ..to(TOKEN) }),
        (Code::AddressNotPayable, to("0x9641d764fc13c8B624c04430C7356C1C7C8102e2")),
        (Code::AssetUnknown, WithdrawalRequest { asset: other_chain, ..base.clone() }),
        (Code::AssetUnknown, WithdrawalRequest { asset: unpinned, ..base.clone() }),
    ] {
        let no = world.ask(&request, ("Vale", "Vera")).await.unwrap_err();
        assert_eq!(no.code(), code, "{no}");
    }
    let dear = WithdrawalRequest { fee_max: Amount::from_units(1_000), ..base.clone() };
    let asked = world.ask(&dear, ("Vale", "Vera")).await.unwrap();
    let no = world.until(asked.id, |view| view.outcome != Outcome::Moving).await;
    assert_eq!(codes(&no), ["FEE_ABOVE_CAP"]);
    let own = WithdrawalRequest {
        request_id: RequestId::parse("e-2").unwrap(),
        ..to(&countersign::withdrawal::evm_address::spell(cold_safe()))
    };
    let asked = world.ask(&own, ("Vale", "Vera")).await.unwrap();
    let no = world.until(asked.id, |view| view.outcome != Outcome::Moving).await;
    assert!(matches!(no.outcome, Outcome::Refused(_)), "{:?}", codes(&no));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_what_is_stated_of_an_older_block_is_no_news_after_a_restart_either() {
    let mut world = funded().await;
    let safe = |height, wei| Body::Safe(Box::new(safe_fact(height, 0, &[(ether(), wei)])));
    world.state(safe(130, 8 * ETHER)).await;
    world.state(safe(120, 20 * ETHER)).await;
    for _ in 0..2 {
        assert_eq!(spendable(&position(&world).await, ether()), 8 * ETHER);
        world.restart_signer().await;
        world.restart_cosigner().await;
    }
    // its number was heard, and the next one follows it
    world.state(safe(140, 9 * ETHER)).await;
    assert_eq!(spendable(&position(&world).await, ether()), 9 * ETHER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_treasury_safe_is_stated_beside_the_hot_one_and_neither_word_counts_for_the_other() {
    let mut world = funded().await;
    let before = position(&world).await;
    let treasury = |height, nonce| SafeFact {
        balances: vec![(ether(), Amount::from_units(99 * ETHER)), (token(), Amount::from_units(99 * USDT))],
        ..treasury_fact(height, nonce)
    };
    // later, with another nonce, and not as pinned: what the hot Safe pays goes on under its own next nonce
    for fact in [treasury(200, 9), SafeFact { modules: vec![cold_safe()], ..treasury(300, 12) }] {
        world.state(Body::Safe(Box::new(fact))).await;
        let now = position(&world).await;
        for asset in [ether(), token()] {
            assert_eq!(spendable(&now, asset), spendable(&before, asset), "{asset}");
        }
    }
    let first = pay(&world, "e-1", ether(), ETHER).await;
    world.restart_signer().await;
    world.restart_cosigner().await;
    let second = pay(&world, "e-2", ether(), ETHER).await;
    let places = [first, second].map(|view| view.safe.unwrap());
    assert!(places.iter().all(|place| place.safe == hot_safe().address()));
    assert_eq!(places[1].nonce, places[0].nonce + 1);
    // a nonce of the treasury that went back is no doubt about the hot Safe
    world.state(Body::Safe(Box::new(treasury(400, 2)))).await;
    let third = pay(&world, "e-3", ether(), ETHER).await;
    assert_eq!(third.safe.unwrap().nonce, places[0].nonce + 2);
}
