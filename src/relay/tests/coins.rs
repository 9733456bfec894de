//! Assets that no signer here pays: asked about and answered by enclaves that know them by their names.

use std::sync::Mutex;

use zeroize::Zeroizing;

use super::lived::*;
use super::*;
use crate::enclave::ivms::Beneficiary;
use crate::enclave::{
    AccountOrder, AssetInfo, Coin, DepositReason, DepositSeen, DepositState, EnclaveFault, KeyType, Outcome,
    Reason, Record, UserOrder,
};
use crate::evidence::answer::{parse_answer, parse_named_answer};
use crate::withdrawal::{Code, Network};

const ETH: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const XRP: &str = "rLHzPsX6oXkzU2qL12kHCH8G8cnZv1rBJh:12345";
const USDT_ASSET: &str = "eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7";

fn coins(with_usdt: bool) -> Vec<Coin> {
    let coin = |symbol, network, asset, decimals| Coin::named(symbol, network, asset, decimals).unwrap();
    let mut coins = vec![
        Coin::bitcoin(Network::Regtest),
        coin("ETH", "Ethereum", "eip155:1/slip44:60", 18),
        coin("XRP", "Ripple", "xrpl:0/slip44:144", 6),
        coin("USDT", "Tron", "tron:0x2b6653dc/trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", 6),
    ];
    coins.extend(with_usdt.then(|| coin("USDT", "Ethereum", USDT_ASSET, 6)));
    coins
}

/// Everybody who is asked about holds the two addresses; what was asked is written down.
#[derive(Default)]
struct Holder {
    asked: Mutex<Vec<String>>,
}

impl Holder {
    fn says(&self, question: &Question<'_>) -> Verdict {
        let asked = format!("{} {} {}", question.symbol, question.network, question.amount);
        self.asked.lock().unwrap().push(asked);
        if ![ETH, XRP].iter().any(|held| held.eq_ignore_ascii_case(question.destination)) {
            return Verdict::denied(Reason::UnknownAddress);
        }
        let canonical = question.payload.map(|payload| payload.beneficiary_canonical());
        Verdict::verified(canonical.map(|text| Beneficiary::parse(text.as_bytes(), clock()()).unwrap()))
    }
}

impl Backend for Holder {
    fn verify_account<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async move { self.says(question) })
    }

    fn verify_user<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async move { self.says(question) })
    }
}

/// Two enclaves that know these assets; ours knows one more.
async fn two(world: &World) -> (Enclave, Enclave, Arc<Holder>) {
    let holder = Arc::new(Holder::default());
    let address = free().await;
    let mut ours = world.settings(EXCHANGE, address);
    ours.limits.assets = coins(true);
    let exchange = world.start(ours, Arc::new(NoCustomers), address).await;
    let mut theirs = world.settings(ROBOT, world.robot_address);
    theirs.limits.assets = coins(false);
    let robot = world.start(theirs, holder.clone(), world.robot_address).await;
    for enclave in [&exchange, &robot] {
        registered(enclave).await;
    }
    (exchange, robot, holder)
}

fn of(symbol: &str, network: Option<&str>, amount: &str, address: &str) -> UserOrder {
    let network = network.map(str::to_owned);
    let info = AssetInfo { symbol: symbol.into(), network, amount: amount.into(), ..asset_info() };
    UserOrder { asset_info: info, ..order(address, &natural("Robbins", "Taylor")) }
}

async fn asked(enclave: &Enclave, order: UserOrder) -> Record {
    let ordered = enclave.order_user(order).await.unwrap();
    settled(enclave, &ordered.uuid).await
}

#[tokio::test]
async fn ether_and_ripple_are_verified_and_arrive_and_the_signature_clears_nothing_here() {
    let world = World::new().await;
    let (exchange, robot, holder) = two(&world).await;
    let eth = asked(&exchange, of("ETH", None, "1.000000000000000001", ETH)).await;
    assert_eq!(result(&eth), (Outcome::Verified, "OK", ""));
    let xrp = asked(&exchange, of("XRP", Some("Ripple"), "25.5", XRP)).await;
    assert_eq!(result(&xrp), (Outcome::Verified, "OK", ""));
    let heard = holder.asked.lock().unwrap().clone();
    assert_eq!(heard, ["ETH Ethereum 1000000000000000001", "XRP Ripple 25500000"]);
    let theirs = settled(&robot, &eth.uuid).await;
    assert_eq!((&*theirs.asset_info.symbol, &*theirs.beneficiary_account), ("ETH", ETH));

    // What was signed names the asset, and is no answer about anything that is paid here.
    let text = database_text(&world, EXCHANGE).await;
    assert_eq!(text.len(), 2);
    for text in &text {
        let answer = parse_named_answer(text).unwrap();
        assert!(["eip155:1/slip44:60", "xrpl:0/slip44:144"].contains(&answer.asset.as_str()));
        let no = parse_answer(text).unwrap_err();
        assert!(["asset", "network"].contains(&no.field), "{no}");
    }

    // The coins arrive at the address in another case, which on this network is the same one.
    let seen = |symbol: &str, address: &str, amount: &str| DepositSeen {
        symbol: symbol.into(),
        network: None,
        tx_hash: format!("0x{symbol}"),
        vout: None,
        address: address.into(),
        amount: amount.into(),
        received_at: clock()(),
    };
    let came = robot.deposit_seen(seen("ETH", &ETH.to_lowercase(), "1.000000000000000001")).await.unwrap();
    assert_eq!((came.state, came.uuid), (DepositState::Matched, Some(eth.uuid)));
    let other = robot.deposit_seen(seen("XRP", "rLHzPsX6oXkzU2qL12kHCH8G8cnZv1rBJh:12346", "25.5")).await;
    let other = other.unwrap();
    assert_eq!((other.state, other.reason), (DepositState::Unmatched, Some(DepositReason::NoVerification)));
    let bad = seen("ETH", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed", "1");
    assert!(matches!(robot.deposit_seen(bad).await, Err(EnclaveFault::Invalid(_))));
}

/// The answers that an enclave keeps, oldest first.
async fn database_text(world: &World, vasp: VaspId) -> Vec<String> {
    let place = sqlx::sqlite::SqliteConnectOptions::new().filename(world.database(vasp)).read_only(true);
    let pool = sqlx::SqlitePool::connect_with(place).await.unwrap();
    let kept = "SELECT answer_text FROM verifications WHERE answer_text IS NOT NULL ORDER BY verification_id";
    let kept = sqlx::query_scalar(kept).fetch_all(&pool).await.unwrap();
    pool.close().await;
    kept
}

#[tokio::test]
async fn an_asset_the_other_side_does_not_know_is_denied_by_its_signature() {
    let world = World::new().await;
    let (exchange, _robot, holder) = two(&world).await;
    let usdt = asked(&exchange, of("USDT", Some("Ethereum"), "10", ETH)).await;
    assert_eq!(result(&usdt), (Outcome::Denied, "UNKNOWN-NETWORK", "Ethereum"));
    let account = AccountOrder {
        key_type: KeyType::PerVasp,
        beneficiary_vasp: ROBOT,
        symbol: "USDT".into(),
        network: Some("Ethereum".into()),
        payload: Zeroizing::new(
            format!("{{\"beneficiary\":{{\"accountNumber\":[\"{ETH}\"]}}}}").into_bytes(),
        ),
    };
    let answer = exchange.order_account(account).await.unwrap();
    assert!(
        !answer.verified && answer.reason == Some(Reason::UnknownSymbol),
        "the ticker is not sent with it"
    );
    assert!(holder.asked.lock().unwrap().is_empty(), "and nobody there was asked");
    for text in database_text(&world, EXCHANGE).await {
        assert_eq!(parse_named_answer(&text).unwrap().asset, USDT_ASSET);
    }
}

#[tokio::test]
async fn what_cannot_be_paid_is_asked_of_nobody() {
    let world = World::new().await;
    let (exchange, _robot, holder) = two(&world).await;
    let invalid = async |order: UserOrder| match exchange.order_user(order).await {
        Err(EnclaveFault::Invalid(no)) => (no.code, no.field),
        other => panic!("{other:?}"),
    };
    let wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed";
    assert_eq!(
        invalid(of("ETH", None, "1", wrong)).await,
        (Code::AddressMalformed, "beneficiary.accountNumber")
    );
    assert_eq!(invalid(of("XRP", None, "1.0000001", XRP)).await, (Code::FieldMalformed, "assetInfo.amount"));
    // A ticker on two networks needs the network; one that nobody named is not known.
    let which = asked(&exchange, of("USDT", None, "1", ETH)).await;
    assert_eq!(result(&which), (Outcome::Denied, "UNKNOWN-NETWORK", "-"));
    let unknown = asked(&exchange, of("DOGE", None, "1", "D...")).await;
    assert_eq!(result(&unknown), (Outcome::Denied, "UNKNOWN-SYMBOL", "DOGE"));
    assert!(holder.asked.lock().unwrap().is_empty());
}
