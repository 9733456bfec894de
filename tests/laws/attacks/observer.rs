//! A stolen statement key. Both parties believe the same observers, so its lies are believed within their bounds: each test
//! says what it can do, and where that ends.

use countersign::evidence::*;
use wallet_policy::Units;

use super::*;

async fn refresh(world: &World) {
    tell(world, world.chain()).await.unwrap();
    tell(world, NOTHING_NEW).await.unwrap();
    cold(world, 100 * COIN).await;
}

async fn cold(world: &World, sat: u64) {
    tell(world, Body::Position { cold: vec![(ASSET, Amount::from_sat(sat))], swept: vec![] }).await.unwrap();
}

async fn price(world: &World, krw: u128) {
    tell(world, Body::Price(vec![(ASSET, Krw(krw))])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_price_walks_only_as_far_as_the_band_and_passes_no_limit_in_base_units() {
    let mut plan = Plan::default();
    let limits = plan.cosigner_policy.assets.get_mut(&ASSET.to_string()).unwrap();
    (limits.per_tx_limit, limits.hourly_limit) = (Units(12_000_000), Units(12_000_000));
    let (world, mut thief) = Thief::with(plan, 4, 100 * COIN).await;
    let request = world.request("r1", TAYLOR, 10_500_000);
    let payment = thief.payment(&request);
    let ask = async |thief: &mut Thief, request: &WithdrawalRequest, payment: &CosignPayment| {
        thief.try_to(&world, &thief.plot(0, &[request]), vec![payment.clone()]).await
    };
    // at the true price somebody must approve
    assert_eq!(no(ask(&mut thief, &request, &payment).await), "APPROVAL_REQUIRED");
    // within the band it is believed, and the tier is passed: this it can do
    world.later(1);
    price(&world, PRICE * 92 / 100).await;
    yes(ask(&mut thief, &request, &payment).await);
    // and what leaves is bounded in satoshi, whatever they are said to be worth
    let over = world.request("r2", TAYLOR, 12_000_001);
    let next = world.request("r3", TAYLOR, 2_000_000);
    for (request, code) in [(over, "LIMIT_PER_TRANSACTION"), (next, "LIMIT_ROLLING")] {
        let payment = thief.payment(&request);
        let plot = Plot { change: Some((Branch::Change, 1)), ..thief.plot(1, &[&request]) };
        assert_eq!(no(thief.try_to(&world, &plot, vec![payment]).await), code);
    }
    // a jump holds everything
    world.later(1);
    price(&world, PRICE / 2).await;
    let small = world.request("r4", TAYLOR, 1_000_000);
    let payment = thief.payment(&small);
    let plot = Plot { change: Some((Branch::Change, 2)), ..thief.plot(2, &[&small]) };
    assert_eq!(no(thief.try_to(&world, &plot, vec![payment]).await), "PRICE_MOVED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_position_stops_withdrawals_or_lets_too_much_rest_hot_and_pays_nobody() {
    let (world, mut thief) = Thief::with(Plan::default(), 4, 6 * COIN).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&request);
    let plot = thief.plot(0, &[&request]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![payment.clone()]).await), "HOT_SHARE_ABOVE_LIMIT");
    // nothing cold: nothing leaves but sweeps, and those to our own cold wallet
    cold(&world, 0).await;
    let plot = thief.plot(0, &[&request]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![payment.clone()]).await), "HOT_SHARE_ABOVE_LIMIT");
    // much cold: the share is believed to hold, and still only what was asked is paid
    cold(&world, 1_000 * COIN).await;
    let stranger = Plot { payees: vec![(ETHAN.to_owned(), 2_000_000)], ..thief.plot(0, &[&request]) };
    assert_eq!(no(thief.try_to(&world, &stranger, vec![payment.clone()]).await), "TRANSACTION_MISMATCH");
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_observer_invents_no_amount_and_revives_no_coin() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let script = hot_wallet().script(Branch::Deposit, 0).unwrap();
    let body = world.deposit(script.script_pubkey().to_owned(), &[COIN]);
    let Body::Coins { transactions, coins } = body else { unreachable!() };
    let mut richer: bitcoin::Transaction = bitcoin::consensus::encode::deserialize(&transactions[0]).unwrap();
    richer.output[0].value = bitcoin::Amount::from_sat(1_000 * COIN);
    let lie = Body::Coins { transactions: vec![bitcoin::consensus::encode::serialize(&richer)], coins };
    assert_eq!(tell(&world, lie).await.unwrap_err().code, Code::CoinProofInvalid);
    // a coin that was signed for stays spent, however often it is stated
    let request = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&request);
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await);
    let coin = thief.coins[0].outpoint;
    let txid = bitcoin::hashes::Hash::to_byte_array(coin.txid);
    let stated = Coin { txid, vout: coin.vout, confirmations: 100 };
    tell(&world, Body::Coins { transactions: vec![], coins: vec![stated] }).await.unwrap();
    let other = world.request("r2", TAYLOR, 2_000_000);
    let payment = thief.payment(&other);
    let plot = Plot { change: Some((Branch::Change, 1)), ..thief.plot(0, &[&other]) };
    assert_eq!(no(thief.try_to(&world, &plot, vec![payment.clone()]).await), "COIN_UNKNOWN");
    let plot = Plot { change: Some((Branch::Change, 1)), ..thief.plot(1, &[&other]) };
    yes(thief.try_to(&world, &plot, vec![payment]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_fee_rate_wastes_no_more_than_the_caps() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    refresh(&world).await;
    let dear = Body::Chain(vec![ChainFact {
        chain: Chain::Bitcoin(NETWORK),
        height: 200,
        fee_rate: FeeRate(5_000_000),
    }]);
    tell(&world, dear).await.unwrap();
    let request = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&request);
    let plot = Plot { fee: 20_001, ..thief.plot(0, &[&request]) };
    assert_eq!(no(thief.try_to(&world, &plot, vec![payment.clone()]).await), "FEE_ABOVE_CAP");
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await);
}
