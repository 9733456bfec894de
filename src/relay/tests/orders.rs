//! Verifications that the exchange's backend orders, from both sides.

use serde_json::{Value, json};

use super::lived::*;
use super::*;
use crate::enclave::ivms::Beneficiary;
use crate::enclave::{
    AccountOrder, Action, AssetInfo, CallbackKind, EnclaveFault, KeyType, Outcome, Reason, Search, UserOrder,
    VaspHealth, VaspListed,
};
use crate::withdrawal::{Code, Network};

#[tokio::test]
async fn an_ordered_verification_has_one_uuid_and_two_records_and_its_orderer_is_called_back() {
    let world = World::new().await;
    let two = world.two().await;
    let persons = natural("Robbins", "Taylor");
    let ordered = two.exchange.order_user(order(CHECKED, &persons)).await.unwrap();
    let (sent, received) =
        (settled(&two.exchange, &ordered.uuid).await, settled(&two.robot, &ordered.uuid).await);
    for (record, action) in [(&sent, Action::Send), (&received, Action::Receive)] {
        assert_eq!((record.uuid.as_str(), record.action), (&*ordered.uuid, action));
        assert_eq!(result(record), (Outcome::Verified, "OK", ""));
        assert_eq!((record.originating_vasp, record.beneficiary_vasp), (EXCHANGE, ROBOT));
        assert_eq!((&*record.originator_account, &*record.beneficiary_account), ("customer-17", CHECKED));
        assert_eq!(record.asset_info, asset_info());
        assert!(record.verified_at.is_some() && record.ordered_at.is_none() && record.tx_hash.is_none());
        let originator: Value = serde_json::from_str(&record.ivms101_originator).unwrap();
        assert_eq!(originator["accountNumber"], json!(["customer-17"]));
        let beneficiary: Value = serde_json::from_str(&record.ivms101_beneficiary).unwrap();
        assert_eq!(beneficiary["accountNumber"], json!([CHECKED]));
        assert!(beneficiary.to_string().contains("Robbins"));
    }
    assert_eq!(sent.created_at, ordered.created_at);
    // What the other backend was asked holds asset and codes as they were ordered.
    let asked = two.theirs.asked.lock().unwrap().clone();
    assert_eq!(asked, [(Some(asset_info()), order(CHECKED, &persons).required)]);
    let heard = two.ours.hears(1).await;
    assert_eq!(heard[0].0, CallbackKind::VerificationResult);
    assert_eq!(heard[0].1["verificationUuid"], json!(ordered.uuid));
    assert_eq!(heard[0].1["verificationResult"], json!("VERIFIED"));
    assert_eq!(heard[0].1["reason"], json!("OK"));
    assert_eq!(heard[0].1["ivms101"]["beneficiary"]["accountNumber"], json!([CHECKED]));
    assert!(two.theirs.heard().is_empty());
    // And it clears no withdrawal, under any digest.
    let digest = Sha256::digest(format!(
        "countersign verification-order v1\nuuid: {}\noriginating_vasp: {EXCHANGE}\nbeneficiary_vasp: {ROBOT}\n",
        ordered.uuid
    ));
    assert_eq!(two.exchange.known_answer(&HEXLOWER.encode(&digest)).await, None);
}

#[tokio::test]
async fn every_no_of_the_other_side_is_recorded_with_its_reason() {
    let world = World::new().await;
    let two = world.two().await;
    let cases = [
        (CHECKED, natural("Robbins", "Tailor"), "MISMATCHED-NAME"),
        (UNCHECKED, natural("Cook", "Ethan"), "UNVERIFIED-KYC"),
        ("bcrt1q-nobody", natural("Robbins", "Taylor"), "UNKNOWN-ADDRESS"),
    ];
    for (n, (address, persons, reason)) in cases.into_iter().enumerate() {
        let uuid = two.exchange.order_user(order(address, &persons)).await.unwrap().uuid;
        for enclave in [&two.exchange, &two.robot] {
            assert_eq!(result(&settled(enclave, &uuid).await), (Outcome::Denied, reason, ""));
        }
        let heard = two.ours.hears(n + 1).await;
        assert_eq!(heard[n].1["reason"], json!(reason));
        assert_eq!(heard[n].1["ivms101"], json!({}), "nobody is named with a no");
    }
}

#[tokio::test]
async fn a_yes_without_what_was_required_is_a_no_that_names_it() {
    let world = World::new().await;
    let two = world.two().await;
    let needing = |required: &[&str]| UserOrder {
        required: required.iter().map(|code| (*code).to_owned()).collect(),
        ..order(CHECKED, &natural("Robbins", "Taylor"))
    };
    let codes =
        ["NATURAL_PERSON_NATIONALITY", "NATURAL_PERSON_NAME", "NATURAL_PERSON_DATE_AND_PLACE_OF_BIRTH"];
    let uuid = two.exchange.order_user(needing(&codes)).await.unwrap().uuid;
    let missing = "NATURAL_PERSON_DATE_AND_PLACE_OF_BIRTH,NATURAL_PERSON_NATIONALITY";
    for enclave in [&two.exchange, &two.robot] {
        let record = settled(enclave, &uuid).await;
        assert_eq!(result(&record), (Outcome::Denied, "UNAVAILABLE-INFORMATION", missing));
    }
    assert_eq!(two.ours.hears(1).await[0].1["message"], json!(missing));
    // A person has no company's parts; and nothing is given back that was not required.
    let uuid = two.exchange.order_user(needing(&["ACCOUNT_NUMBER", "LEGAL_PERSON_NAME"])).await.unwrap().uuid;
    let record = settled(&two.exchange, &uuid).await;
    assert_eq!(result(&record), (Outcome::Verified, "OK", ""));
    assert_eq!(record.ivms101_beneficiary.as_str(), format!("{{\"accountNumber\":[\"{CHECKED}\"]}}"));
}

#[tokio::test]
async fn only_what_was_required_is_given_back() {
    let world = World::new().await;
    let two = world.two().await;
    for (required, local) in [("NATURAL_PERSON_NAME", false), ("LOCAL_NATURAL_PERSON_NAME", true)] {
        let order = UserOrder { required: vec![required.into()], ..order(KOREAN, &natural("KIM", "MINSU")) };
        let uuid = two.exchange.order_user(order).await.unwrap().uuid;
        let record = settled(&two.exchange, &uuid).await;
        let given: Value = serde_json::from_str(&record.ivms101_beneficiary).unwrap();
        let name = &given["beneficiaryPersons"][0]["naturalPerson"]["name"];
        assert!(name["nameIdentifier"].is_array());
        assert_eq!(name["localNameIdentifier"].is_array(), local, "{required}");
    }
    let studio = format!("{},{}", legal("Garrit Studio"), natural("Clarke", "Jason"));
    for (required, persons) in [("LEGAL_PERSON_NAME", 1), ("CORPORATE_REPRESENTATIVE_NAME", 2)] {
        let order = UserOrder { required: vec![required.into()], ..order(COMPANY, &studio) };
        let uuid = two.exchange.order_user(order).await.unwrap().uuid;
        let record = settled(&two.exchange, &uuid).await;
        let given: Value = serde_json::from_str(&record.ivms101_beneficiary).unwrap();
        assert_eq!(given["beneficiaryPersons"].as_array().unwrap().len(), persons, "{required}");
    }
}

#[tokio::test]
async fn an_asset_we_do_not_know_is_denied_before_anything_leaves() {
    let world = World::new().await;
    let two = world.two().await;
    let with = |info| UserOrder { asset_info: info, ..order(CHECKED, &natural("Robbins", "Taylor")) };
    let info = asset_info();
    let cases = [
        (AssetInfo { symbol: "XRP".into(), ..info.clone() }, "UNKNOWN-SYMBOL", "XRP"),
        (AssetInfo { network: Some("dogenet".into()), ..info.clone() }, "UNKNOWN-NETWORK", "dogenet"),
        (AssetInfo { network: None, ..info.clone() }, "UNKNOWN-NETWORK", "-"),
    ];
    for (n, (info, reason, message)) in cases.into_iter().enumerate() {
        let uuid = two.exchange.order_user(with(info.clone())).await.unwrap().uuid;
        let record = two.exchange.verification(&uuid).await.unwrap().unwrap();
        assert_eq!(result(&record), (Outcome::Denied, reason, message));
        assert_eq!((record.asset_info.symbol, record.verified_at.is_some()), (info.symbol, true));
        assert_eq!(two.ours.hears(n + 1).await[n].1["reason"], json!(reason));
    }
    let reply =
        two.exchange.order_account(AccountOrder { network: None, ..account_order(CHECKED) }).await.unwrap();
    assert_eq!((reply.verified, reply.reason), (false, Some(Reason::UnknownNetwork)));
    let search = two.robot.search(&Search::default()).await.unwrap();
    assert_eq!(search.count, 0);
    // Where the ticker names one asset alone, its network is known.
    let mut settings = world.settings(EXCHANGE, free().await);
    settings.limits.assets = vec![crate::enclave::Coin::bitcoin(Network::Regtest)];
    two.exchange.stop().await;
    let exchange = world.start(settings, Arc::new(NoCustomers), free().await).await;
    let uuid = exchange.order_user(with(AssetInfo { network: None, ..info })).await.unwrap().uuid;
    let record = settled(&exchange, &uuid).await;
    assert_eq!((record.result, record.asset_info.network.as_deref()), (Outcome::Verified, Some("regtest")));
}

#[tokio::test]
async fn an_order_that_cannot_be_meant_is_refused_and_nothing_is_written() {
    let world = World::new().await;
    let two = world.two().await;
    let good = || order(CHECKED, &natural("Robbins", "Taylor"));
    let fault = |order| async { two.exchange.order_user(order).await.unwrap_err().code() };
    let unnamed = payload("", CHECKED);
    let no_account =
        String::from_utf8(payload(&natural("A", "B"), CHECKED)).unwrap().replace("\"customer-17\"", "");
    let info = |amount: &str| AssetInfo { amount: amount.into(), ..asset_info() };
    assert_eq!(fault(UserOrder { required: vec![], ..good() }).await, Code::FieldMissing);
    assert_eq!(fault(UserOrder { required: vec!["SHOE_SIZE".into()], ..good() }).await, Code::FieldMalformed);
    let twice = vec!["ACCOUNT_NUMBER".into(), "ACCOUNT_NUMBER".into()];
    assert_eq!(fault(UserOrder { required: twice, ..good() }).await, Code::FieldMalformed);
    assert_eq!(
        fault(UserOrder { beneficiary_vasp: VaspId(99), ..good() }).await,
        Code::TravelRuleVaspUnknown
    );
    assert_eq!(fault(UserOrder { beneficiary_vasp: EXCHANGE, ..good() }).await, Code::TravelRuleVaspUnknown);
    assert_eq!(fault(UserOrder { payload: unnamed.clone().into(), ..good() }).await, Code::IvmsMalformed);
    assert_eq!(
        fault(UserOrder { payload: no_account.into_bytes().into(), ..good() }).await,
        Code::IvmsMalformed
    );
    assert_eq!(fault(UserOrder { asset_info: info("1e3"), ..good() }).await, Code::FieldMalformed);
    assert_eq!(fault(UserOrder { asset_info: info("0"), ..good() }).await, Code::AmountZero);
    assert_eq!(two.exchange.search(&Search::default()).await.unwrap().count, 0);
    // Below the threshold nobody needs a name: the other side decides.
    let below = AssetInfo { is_exceeding_threshold: false, ..asset_info() };
    let uuid = two
        .exchange
        .order_user(UserOrder { asset_info: below, payload: unnamed.into(), ..good() })
        .await
        .unwrap()
        .uuid;
    assert_eq!(settled(&two.exchange, &uuid).await.reason.as_deref(), Some("MISMATCHED-NAME"));
}

#[tokio::test]
async fn an_account_order_is_answered_at_once_or_not_at_all() {
    let world = World::new().await;
    let two = world.two().await;
    let reply = two.exchange.order_account(account_order(CHECKED)).await.unwrap();
    assert_eq!((reply.verified, reply.reason), (true, None));
    let reply = two.exchange.order_account(account_order("bcrt1q-nobody")).await.unwrap();
    assert_eq!((reply.verified, reply.reason), (false, Some(Reason::UnknownAddress)));
    two.robot.stop().await;
    let fault = two.exchange.order_account(account_order(CHECKED)).await.unwrap_err();
    assert!(matches!(fault, EnclaveFault::NoAnswer), "{fault}");
    assert_eq!(two.exchange.health().await.waiting, 0, "nobody asks later");
    let records = two.exchange.search(&Search::default()).await.unwrap().records;
    let reasons: Vec<_> = records.iter().map(|record| record.reason.as_deref().unwrap()).collect();
    assert_eq!(reasons, ["REQUEST-TIMEOUT", "UNKNOWN-ADDRESS", "OK"]);
    assert!(two.ours.heard().is_empty());
}

#[tokio::test]
async fn every_key_type_carries_an_order_and_what_follows() {
    let world = World::new().await;
    let two = world.two().await;
    for (n, key_type) in
        [KeyType::PerVasp, KeyType::PerAddress, KeyType::PerVerification].into_iter().enumerate()
    {
        let ordered = UserOrder { key_type, ..order(CHECKED, &natural("Robbins", "Taylor")) };
        let uuid = two.exchange.order_user(ordered).await.unwrap().uuid;
        assert_eq!(settled(&two.exchange, &uuid).await.result, Outcome::Verified, "{key_type:?}");
        two.exchange.report_tx(&uuid, "ab12", Some("1")).await.unwrap();
        assert_eq!(two.theirs.hears(n + 1).await[n].1["verificationUuid"], json!(uuid));
        assert_eq!(two.robot.inquire(&uuid).await.unwrap().tx_hash.as_deref(), Some("ab12"));
    }
}

#[tokio::test]
async fn an_order_keeps_its_uuid_over_a_relay_that_forgets_and_a_key_that_is_lost() {
    let mut world = World::new().await;
    let two = world.two().await;
    verified(&two).await;
    two.robot.stop().await;
    let uuid = two.exchange.order_user(order(CHECKED, &natural("Robbins", "Taylor"))).await.unwrap().uuid;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.stop_relay().await;
    world.start_relay().await;
    // The key it was sealed to is gone: the counterparty cannot open it, and it is sealed anew.
    let file = format!("sqlite://{}", world.database(ROBOT).display());
    let pool = sqlx::SqlitePool::connect(&file).await.unwrap();
    sqlx::raw_sql("DELETE FROM own_keys").execute(&pool).await.unwrap();
    let robot = world.lived(ROBOT, &two.theirs).await;
    registered(&robot).await;
    assert_eq!(settled(&two.exchange, &uuid).await.result, Outcome::Verified);
    assert_eq!(settled(&robot, &uuid).await.result, Outcome::Verified);
    assert_eq!(two.ours.hears(2).await[1].1["verificationUuid"], json!(uuid));
}

#[tokio::test]
async fn an_order_that_nobody_answers_ends_as_a_timeout_and_survives_a_restart() {
    let world = World::new().await;
    let ours = Lived::nobody();
    let exchange = world.lived(EXCHANGE, &ours).await;
    registered(&exchange).await;
    let uuid = exchange.order_user(order(CHECKED, &natural("Robbins", "Taylor"))).await.unwrap().uuid;
    exchange.stop().await;
    let exchange = world.lived(EXCHANGE, &ours).await;
    let record = exchange.verification(&uuid).await.unwrap().unwrap();
    assert_eq!(result(&record), (Outcome::Wait, "", ""));
    world.ahead.store(86_500, Ordering::SeqCst);
    assert_eq!(result(&settled(&exchange, &uuid).await), (Outcome::Denied, "REQUEST-TIMEOUT", ""));
    assert_eq!(ours.hears(1).await[0].1["reason"], json!("REQUEST-TIMEOUT"));
    world.ahead.store(0, Ordering::SeqCst);
}

/// A backend that gives another beneficiary back than it was asked about.
struct Elsewhere;

impl Backend for Elsewhere {
    fn verify_account<'a>(&'a self, _: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async { Verdict::verified(None) })
    }

    fn verify_user<'a>(&'a self, _: &'a Question<'a>) -> Working<'a, Verdict> {
        let other =
            format!("{{\"accountNumber\":[\"{UNCHECKED}\"],\"beneficiaryPersons\":[{}]}}", natural("A", "B"));
        let other = Beneficiary::parse(other.as_bytes(), Seconds(0)).unwrap();
        Box::pin(async { Verdict::verified(Some(other)) })
    }
}

#[tokio::test]
async fn a_yes_about_another_address_is_a_no() {
    let world = World::new().await;
    let settings = world.settings(ROBOT, world.robot_address);
    let robot = world.start(settings, Arc::new(Elsewhere), world.robot_address).await;
    registered(&robot).await;
    let ours = Lived::nobody();
    let exchange = world.lived(EXCHANGE, &ours).await;
    let uuid = exchange.order_user(order(CHECKED, &natural("Robbins", "Taylor"))).await.unwrap().uuid;
    let record = settled(&exchange, &uuid).await;
    assert_eq!(result(&record), (Outcome::Denied, "BENEFICIARY-ACCOUNT-NOT-MATCHED", ""));
    assert_eq!(ours.hears(1).await[0].1["verificationResult"], json!("DENIED"));
}

type Said = (fn() -> Verdict, Outcome, &'static str, &'static str);

/// A backend that says no with a message, or breaks.
struct Saying(fn() -> Verdict);

impl Backend for Saying {
    fn verify_account<'a>(&'a self, _: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async { (self.0)() })
    }

    fn verify_user<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        self.verify_account(question)
    }
}

#[tokio::test]
async fn every_reason_comes_over_with_its_message() {
    let broken: fn() -> Verdict = || panic!("a backend broke, as the test wants it");
    let cases: [Said; 5] = [
        (
            || Verdict::denied(Reason::LackOfInformation).with_message("NATURAL_PERSON_NATIONALITY"),
            Outcome::Denied,
            "LACK-OF-INFORMATION",
            "NATURAL_PERSON_NATIONALITY",
        ),
        (|| Verdict::denied(Reason::Blacklisted).with_message("-"), Outcome::Denied, "BLACKLISTED", "-"),
        (
            || Verdict::denied(Reason::NotAllowed).with_message("closed"),
            Outcome::Denied,
            "NOT-ALLOWED",
            "closed",
        ),
        (|| Verdict::denied(Reason::NotAllowed).with_message("a\nb"), Outcome::Denied, "NOT-ALLOWED", ""),
        (broken, Outcome::Error, "UNDEFINED-ERROR", ""),
    ];
    for (says, outcome, reason, message) in cases {
        let world = World::new().await;
        let settings = world.settings(ROBOT, world.robot_address);
        let robot = world.start(settings, Arc::new(Saying(says)), world.robot_address).await;
        registered(&robot).await;
        let exchange = world.lived(EXCHANGE, &Lived::nobody()).await;
        let uuid = exchange.order_user(order(CHECKED, &natural("Robbins", "Taylor"))).await.unwrap().uuid;
        for enclave in [&exchange, &robot] {
            assert_eq!(result(&settled(enclave, &uuid).await), (outcome, reason, message));
        }
    }
}

#[tokio::test]
async fn records_are_found_by_every_filter_and_page_by_page() {
    let world = World::new().await;
    let two = world.two().await;
    let one = verified(&two).await;
    let denied = two.exchange.order_user(order(UNCHECKED, &natural("Cook", "Ethan"))).await.unwrap().uuid;
    settled(&two.exchange, &denied).await;
    let withdrawal =
        answered(two.exchange.verify(ask("w1", KOREAN, &natural("KIM", "MINSU"))).await.unwrap()).0;
    let withdrawal = line(&withdrawal, "uuid").to_owned();
    two.exchange.report_tx(&one, "ab12", Some("0")).await.unwrap();
    let all = [withdrawal.as_str(), &denied, &one];
    let now = world.clock()();
    let any = Search::default;
    let cases = [
        (any(), &all[..]),
        (Search { result: Some(Outcome::Denied), ..any() }, &all[1..2]),
        (Search { result: Some(Outcome::Verified), rpp: 1, page: 2, ..any() }, &all[2..]),
        (Search { tx_hash: Some("ab12".into()), ..any() }, &all[2..]),
        (Search { beneficiary_account: Some(KOREAN.into()), ..any() }, &all[..1]),
        (Search { originator_account: Some("customer-17".into()), ..any() }, &all[..]),
        (Search { originator_account: Some("customer-18".into()), ..any() }, &[]),
        (Search { symbol: Some("BTC".into()), network: Some("regtest".into()), ..any() }, &all[..]),
        (Search { symbol: Some("XRP".into()), ..any() }, &[]),
        (Search { network: Some("mainnet".into()), ..any() }, &[]),
        (Search { action: Some(Action::Send), opposite_vasp: Some(ROBOT), ..any() }, &all[..]),
        (Search { action: Some(Action::Receive), ..any() }, &[]),
        (Search { opposite_vasp: Some(EXCHANGE), ..any() }, &[]),
        (Search { from: Some(now.plus(60)), ..any() }, &[]),
        (Search { to: Some(Seconds(now.0 - 600)), ..any() }, &[]),
        (Search { from: Some(Seconds(now.0 - 600)), to: Some(now.plus(60)), ..any() }, &all[..]),
        (Search { rpp: 2, ..any() }, &all[..2]),
        (Search { rpp: 2, page: 2, ..any() }, &all[2..]),
        (Search { rpp: 2, page: 3, ..any() }, &[]),
    ];
    for (n, (search, expected)) in cases.into_iter().enumerate() {
        let page = two.exchange.search(&search).await.unwrap();
        let found: Vec<_> = page.records.iter().map(|record| record.uuid.as_str()).collect();
        assert_eq!(found, expected, "case {n}");
        assert_eq!((page.page, page.rpp), (search.page, search.rpp));
    }
    let page = two.exchange.search(&Search { rpp: 1, ..any() }).await.unwrap();
    assert_eq!(page.count, 3);
    let theirs = Search { action: Some(Action::Receive), opposite_vasp: Some(EXCHANGE), ..any() };
    assert_eq!(two.robot.search(&theirs).await.unwrap().count, 3);
    for search in [Search { page: 0, ..any() }, Search { rpp: 0, ..any() }, Search { rpp: 101, ..any() }] {
        assert_eq!(two.exchange.search(&search).await.unwrap_err().code(), Code::FieldMalformed);
    }
    // A withdrawal's verification is a record like the others, without a worth, and nobody is called back about it.
    let record = two.exchange.verification(&withdrawal).await.unwrap().unwrap();
    assert_eq!((&*record.asset_info.amount, &*record.asset_info.trade_price), ("0.00150000", ""));
    assert_eq!(two.ours.hears(2).await.len(), 2);
    assert!(two.exchange.verification("none").await.unwrap().is_none());
}

#[tokio::test]
async fn the_directory_is_listed_with_the_relays_word() {
    let mut world = World::new().await;
    let two = world.two().await;
    assert_eq!(two.exchange.vasp(), EXCHANGE);
    let listed = |health| vec![VaspListed { vasp: ROBOT, health }];
    for _ in 0..100 {
        if two.exchange.vasps().await == listed(VaspHealth::Up) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(two.exchange.vasps().await, listed(VaspHealth::Up));
    world.stop_relay().await;
    assert_eq!(two.exchange.vasps().await, listed(VaspHealth::Down));
    let fault = two.exchange.order_account(account_order(CHECKED)).await.unwrap_err();
    assert!(matches!(fault, EnclaveFault::RelayAway | EnclaveFault::NoAnswer), "{fault}");
}

#[tokio::test]
async fn a_record_says_of_both_vasps_what_the_trust_file_knows() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    let name = |name: &str| json!({"nameIdentifier": [{"legalPersonName": name, "legalPersonNameIdentifierType": "LEGL"}]});
    let ours = json!({"legalPerson": {"name": name("Example \"Exchange\""), "countryOfRegistration": "KR"}});
    let theirs = json!({"legalPerson": {"name": name("The Robot")}});
    for enclave in [&two.exchange, &two.robot] {
        let record = enclave.verification(&uuid).await.unwrap().unwrap();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&record.ivms101_originating_vasp), ours);
        assert_eq!(read(&record.ivms101_beneficiary_vasp), theirs);
    }
}
