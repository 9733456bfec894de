//! Ether and a token go through the same gates as Bitcoin: asked, cleared, booked, co-signed, released. Nothing but the room that
//! builds and checks is another.

use countersign::desk::WithdrawalView;
use countersign::evidence::statement::{Body, ChainFact};
use countersign::withdrawal::*;

use super::parties::*;
use super::world::*;

const ETHER: u128 = 1_000_000_000_000_000_000;
const USDT: u128 = 1_000_000;
/// 20 gwei for a unit of gas.
const RATE: u64 = 20_000_000_000_000;

fn plan() -> Plan {
    let mut plan = Plan::default();
    plan.trust.wallets.push(safes_entry());
    (plan.signer_policy, plan.cosigner_policy) = (evm_policy_settings(), evm_policy_settings());
    plan
}

/// A world whose Safe holds ten ether and ten thousand dollars, with enough of both in the cold.
async fn funded() -> World {
    let world = World::funded(plan(), 4, 40 * COIN).await;
    state(&world, 100, 0, &[(ether(), 10 * ETHER), (token(), 10_000 * USDT)]).await;
    world
}

async fn state(world: &World, height: u64, nonce: u64, balances: &[(Asset, u128)]) {
    let chain = ChainFact { chain: ether().chain(), height: 100, fee_rate: FeeRate(RATE) };
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
    world.state(Body::Safe(Box::new(safe_fact(height, nonce, balances)))).await;
}

fn request(world: &World, id: &str, asset: Asset, units: u128) -> WithdrawalRequest {
    WithdrawalRequest {
        asset,
        amount: Amount::from_units(units),
        fee_max: Amount::from_units(ETHER / 50),
        ..world.request(id, VERA, 1)
    }
}

async fn pay(world: &World, id: &str, asset: Asset, units: u128) -> WithdrawalView {
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
