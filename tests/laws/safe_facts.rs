//! What is believed of a Safe and of the contracts of tokens: what is stated is compared with the pins and with what was stated
//! before, by each party itself.

use countersign::evidence::SafeFact;
use countersign::evidence::statement::Body;
use countersign::withdrawal::*;

use super::parties::*;
use super::safes::{ETHER, USDT, funded, pay, request, state};
use super::world::*;

const BALANCES: fn() -> [(Asset, u128); 2] = || [(ether(), 10 * ETHER), (token(), 10_000 * USDT)];

/// The Safe's facts, with what the token's contract tells of its decimals.
async fn tell_decimals(world: &World, height: u64, told: Option<u8>) {
    let Asset::Evm(of) = token() else { unreachable!() };
    let decimals = told.map(|count| (of, count)).into_iter().collect();
    let nonce = height / 1_000;
    let fact = SafeFact { decimals, ..safe_fact(height, nonce, &BALANCES()) };
    world.state(Body::Safe(Box::new(fact))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_whose_contract_tells_other_decimals_or_none_pays_nothing_and_all_others_go_on() {
    let mut world = funded().await;
    for (n, told) in [(1, Some(18)), (2, None)] {
        tell_decimals(&world, 100 + n, told).await;
        let asked =
            world.ask(&request(&world, &format!("t-{n}"), token(), 100 * USDT), ("Vale", "Vera")).await;
        let held = world.until(asked.unwrap().id, |view| codes(view) == ["TOKEN_NOT_AS_PINNED"]).await;
        assert!(matches!(held.outcome, Outcome::Held(_)));
    }
    let paid = pay(&world, "e-1", ether(), ETHER).await;
    assert_eq!(paid.outcome, Outcome::Released, "{:?}", codes(&paid));
    world.restart_signer().await;
    world.restart_cosigner().await;
    let third = world.ask(&request(&world, "t-3", token(), 100 * USDT), ("Vale", "Vera")).await.unwrap();
    world.until(third.id, |view| codes(view) == ["TOKEN_NOT_AS_PINNED"]).await;
    tell_decimals(&world, 110, Some(6)).await;
    for id in ["t-1", "t-2", "t-3"] {
        let id = request(&world, id, token(), 100 * USDT).id();
        world.until(id, |view| view.outcome == Outcome::Released).await;
    }
}

/// How many alarms about a nonce that went back both parties' logs have.
async fn alarms(world: &World) -> [usize; 2] {
    let mut found = [0; 2];
    let cosigner = world.cosigner().log();
    let leaves = [world.leaves().await, cosigner.leaves(0..cosigner.head().size).await.unwrap()];
    for (count, leaves) in found.iter_mut().zip(leaves) {
        let texts = leaves.iter().map(|leaf| String::from_utf8_lossy(leaf));
        let told = |leaf: &str| leaf.contains("\"alarm\"") && leaf.contains("SAFE_NONCE_WENT_BACK");
        *count = texts.filter(|leaf| told(leaf)).count();
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l17_a_nonce_that_went_back_is_an_alarm_and_a_hold_until_a_statement_goes_on_from_the_higher_one() {
    let mut world = funded().await;
    state(&world, 110, 7, &BALANCES()).await;
    // an earlier block is no news, whatever its nonce was
    world.state(Body::Safe(Box::new(safe_fact(105, 6, &BALANCES())))).await;
    let paid = pay(&world, "e-1", ether(), ETHER).await;
    assert_eq!(
        (paid.outcome.clone(), paid.safe.unwrap().nonce),
        (Outcome::Released, 7),
        "{:?}",
        codes(&paid)
    );
    assert_eq!(alarms(&world).await, [0, 0]);

    for height in [120, 121] {
        world.state(Body::Safe(Box::new(safe_fact(height, 3, &BALANCES())))).await;
    }
    let asked = world.ask(&request(&world, "e-2", ether(), ETHER), ("Vale", "Vera")).await.unwrap();
    world.until(asked.id, |view| codes(view) == ["SAFE_NONCE_WENT_BACK"]).await;
    let token = world.ask(&request(&world, "t-1", token(), 100 * USDT), ("Vale", "Vera")).await.unwrap();
    world.until(token.id, |view| codes(view) == ["SAFE_NONCE_WENT_BACK"]).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while alarms(&world).await != [1, 1] {
        assert!(tokio::time::Instant::now() < deadline, "told once, by both: {:?}", alarms(&world).await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    // a restart of both forgets nothing of it
    world.restart_signer().await;
    world.restart_cosigner().await;
    let third = world.ask(&request(&world, "e-3", ether(), ETHER), ("Vale", "Vera")).await.unwrap();
    world.until(third.id, |view| codes(view) == ["SAFE_NONCE_WENT_BACK"]).await;
    world.state(Body::Safe(Box::new(safe_fact(130, 7, &BALANCES())))).await;
    let mut nonces = Vec::new();
    for id in [asked.id, token.id, third.id] {
        let view = world.until(id, |view| view.outcome == Outcome::Released).await;
        nonces.push(view.safe.unwrap().nonce);
    }
    nonces.sort_unstable();
    assert_eq!(nonces, [8, 9, 10]);
}
