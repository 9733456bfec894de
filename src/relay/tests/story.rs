//! What the enclaves do when everybody is honest, and when somebody is away.

use ed25519_dalek::{Signature, Verifier};

use super::*;
use crate::enclave::EnclaveFault;
use crate::enclave::wire::key::KeyType;
use crate::enclave::wire::seal::Suite;
use crate::withdrawal::Code;

#[tokio::test]
async fn a_person_who_holds_the_address_is_verified_and_the_answer_is_signed() {
    let world = World::new().await;
    let (exchange, robot) = (world.exchange().await, world.robot().await);
    let ask = ask("w1", CHECKED, &natural("ROBBINS", "Taylor"));
    let (text, signature) = answered(exchange.verify(ask.clone()).await.unwrap());
    assert_eq!(verdict(&text), ("VERIFIED", "OK"));
    assert_eq!(line(&text, "request_digest"), ask.request_digest);
    assert_eq!(line(&text, "kind"), "user");
    assert_eq!(line(&text, "commitment").len(), 64);
    identity_of(ROBOT.0).verifying_key().verify(text.as_bytes(), &Signature::from_bytes(&signature)).unwrap();
    exchange.stop().await;
    robot.stop().await;
}

#[tokio::test]
async fn every_persona_gets_its_own_answer() {
    let world = World::new().await;
    let (exchange, _robot) = (world.exchange().await, world.robot().await);
    let studio = legal("Garrit Studio");
    let with = |representative: String| format!("{studio},{representative}");
    let cases = [
        (KOREAN, natural("김", "민수"), ("VERIFIED", "OK")),
        (KOREAN, natural("KIM", "MINSU"), ("VERIFIED", "OK")),
        (KOREAN, natural("김", "민서"), ("DENIED", "MISMATCHED-NAME")),
        (CHECKED, natural("Taylor", "Robbins"), ("VERIFIED", "OK")),
        (CHECKED, natural("Robbins", "Tailor"), ("DENIED", "MISMATCHED-NAME")),
        (UNCHECKED, natural("Cook", "Ethan"), ("DENIED", "UNVERIFIED-KYC")),
        (COMPANY, with(natural("Clarke", "Jason")), ("VERIFIED", "OK")),
        (COMPANY, with(natural("Clarke", "John")), ("DENIED", "MISMATCHED-NAME")),
        (COMPANY, studio.clone(), ("DENIED", "MISMATCHED-NAME")),
        (COMPANY, natural("Garrit", "Studio"), ("DENIED", "MISMATCHED-NAME")),
        ("bcrt1q-nobody", natural("Robbins", "Taylor"), ("DENIED", "UNKNOWN-ADDRESS")),
    ];
    for (n, (address, persons, expected)) in cases.into_iter().enumerate() {
        let reply = exchange.verify(ask(&format!("w{n}"), address, &persons)).await.unwrap();
        assert_eq!(verdict(&answered(reply).0), expected, "case {n}");
    }
}

#[tokio::test]
async fn an_account_is_verified_without_a_name_and_without_a_commitment() {
    let world = World::new().await;
    let (exchange, _robot) = (world.exchange().await, world.robot().await);
    for (id, address, expected) in
        [("w1", CHECKED, ("VERIFIED", "OK")), ("w2", "bcrt1q-nobody", ("DENIED", "UNKNOWN-ADDRESS"))]
    {
        let ask = VerifyAsk { kind: Kind::Account, payload: None, ..ask(id, address, "") };
        let (text, _) = answered(exchange.verify(ask).await.unwrap());
        assert_eq!(
            (verdict(&text), line(&text, "kind"), line(&text, "commitment")),
            (expected, "account", "-")
        );
    }
}

#[tokio::test]
async fn every_key_type_carries_a_verification() {
    for key_type in [KeyType::PerVasp, KeyType::PerAddress, KeyType::PerVerification] {
        let world = World::new().await;
        let _robot = world.robot().await;
        let address = free().await;
        let mut settings = world.settings(EXCHANGE, address);
        settings.limits.key_type = key_type;
        let exchange = world.start(settings, Arc::new(NoCustomers), address).await;
        for id in ["w1", "w2"] {
            let (text, _) =
                answered(exchange.verify(ask(id, CHECKED, &natural("Robbins", "Taylor"))).await.unwrap());
            assert_eq!(verdict(&text).0, "VERIFIED", "{key_type:?}");
        }
    }
}

/// The suites of the keys that an enclave has made.
async fn suites(world: &World, vasp: VaspId) -> Vec<String> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.database(vasp));
    let keys = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query_scalar("SELECT DISTINCT suite FROM own_keys").fetch_all(&keys).await.unwrap()
}

#[tokio::test]
async fn two_enclaves_use_the_best_suite_that_both_have() {
    for (theirs, used) in [(&Suite::ALL[..], Suite::XWing), (&[Suite::X25519], Suite::X25519)] {
        let world = World::new().await;
        let mut settings = world.settings(ROBOT, world.robot_address);
        settings.limits.suites = theirs.to_vec();
        let robot = Robot::personas(CHECKED, UNCHECKED, COMPANY);
        let _robot = world.start(settings, Arc::new(robot), world.robot_address).await;
        let exchange = world.exchange().await;
        insist(&exchange, &ask("w1", CHECKED, &natural("Robbins", "Taylor"))).await;
        for vasp in [EXCHANGE, ROBOT] {
            assert_eq!(suites(&world, vasp).await, [used.as_str()], "{vasp}");
        }
    }
}

#[tokio::test]
async fn the_same_digest_gets_the_same_answer_and_nobody_is_asked_again() {
    let world = World::new().await;
    let (exchange, robot) = (world.exchange().await, world.robot().await);
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    let first = exchange.verify(ask.clone()).await.unwrap();
    assert_eq!(exchange.verify(ask.clone()).await.unwrap(), first);
    exchange.stop().await;
    robot.stop().await;
    // A new enclave over the same database, with nobody else alive.
    let exchange = world.exchange().await;
    assert_eq!(exchange.verify(ask.clone()).await.unwrap(), first);
    assert_eq!(world.times_asked(), 1);
    let other = VerifyAsk { payload: Some(payload(&natural("Robbins", "Tailor"), CHECKED)), ..ask };
    assert!(matches!(exchange.verify(other).await, Err(EnclaveFault::Conflict)));
}

#[tokio::test]
async fn asked_at_the_same_moment_the_counterparty_is_asked_once() {
    let world = World::new().await;
    let (exchange, _robot) = (Arc::new(world.exchange().await), world.robot().await);
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    let many = (0..8).map(|_| {
        let (exchange, ask) = (exchange.clone(), ask.clone());
        tokio::spawn(async move { exchange.verify(ask).await.unwrap() })
    });
    let mut replies = Vec::new();
    for one in many.collect::<Vec<_>>() {
        replies.push(one.await.unwrap());
    }
    assert!(replies.iter().all(|r| matches!(r, VerifyReply::Answered { .. }) && *r == replies[0]));
    assert_eq!(world.times_asked(), 1);
}

#[tokio::test]
async fn an_address_kept_for_a_test_is_given_to_nobody_else_and_can_be_served() {
    let address = free().await;
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    assert!(other.bind(address).is_err(), "it is held");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "and served by nobody yet");
    for _ in 0..2 {
        let listener = bind(address).await;
        drop(tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
    }
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_given_up_and_made_again() {
    let world = World::without_relay().await;
    // Takes every connection, and says nothing.
    let _silent = bind(world.relay_address).await;
    let address = free().await;
    let mut settings = world.settings(EXCHANGE, address);
    settings.limits.at_once_max = 1;
    settings.limits.answer_wait = Duration::from_secs(60);
    settings.limits.try_time = Duration::from_millis(200);
    let exchange = Arc::new(world.start(settings, Arc::new(NoCustomers), address).await);
    let asked = ["w1", "w2"].map(|id| {
        let (exchange, ask) = (exchange.clone(), ask(id, CHECKED, &natural("Robbins", "Taylor")));
        tokio::spawn(async move { exchange.verify(ask).await })
    });
    for one in asked {
        let reply = tokio::time::timeout(Duration::from_secs(4), one).await.expect("it waits for a place");
        assert_eq!(reply.unwrap().unwrap(), VerifyReply::Pending);
    }
    assert_eq!(exchange.health().await.waiting, 2);
}

#[tokio::test]
async fn an_unreachable_counterparty_is_pending_and_answers_when_it_comes_back() {
    let world = World::new().await;
    let exchange = world.exchange().await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    assert_eq!(exchange.verify(ask.clone()).await.unwrap(), VerifyReply::Pending);
    assert_eq!(exchange.health().await.waiting, 1);
    let robot = world.robot().await;
    let first = insist(&exchange, &ask).await;
    assert_eq!(verdict(&first.0), ("VERIFIED", "OK"));
    // Away again, after its key is in the cache: the relay keeps the parcel and brings it later.
    robot.stop().await;
    let second = self::ask("w2", CHECKED, &natural("Robbins", "Taylor"));
    assert_eq!(exchange.verify(second.clone()).await.unwrap(), VerifyReply::Pending);
    let _robot = world.robot().await;
    assert_eq!(verdict(&insist(&exchange, &second).await.0), ("VERIFIED", "OK"));
    assert_eq!(world.times_asked(), 2);
}

#[tokio::test]
async fn a_relay_that_forgets_everything_costs_nothing_but_time() {
    let mut world = World::new().await;
    let (exchange, robot) = (world.exchange().await, world.robot().await);
    let _ = answered(exchange.verify(ask("w1", CHECKED, &natural("Robbins", "Taylor"))).await.unwrap());
    robot.stop().await;
    let ask = ask("w2", CHECKED, &natural("Robbins", "Taylor"));
    assert_eq!(exchange.verify(ask.clone()).await.unwrap(), VerifyReply::Pending);
    world.stop_relay().await;
    assert_eq!(exchange.verify(ask.clone()).await.unwrap(), VerifyReply::Pending);
    world.start_relay().await;
    let _robot = world.robot().await;
    assert_eq!(verdict(&insist(&exchange, &ask).await.0), ("VERIFIED", "OK"));
}

#[tokio::test]
async fn what_waits_survives_a_restart_and_is_taken_up_by_the_worker() {
    let world = World::new().await;
    let exchange = world.exchange().await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    assert_eq!(exchange.verify(ask.clone()).await.unwrap(), VerifyReply::Pending);
    exchange.stop().await;
    let _robot = world.robot().await;
    let exchange = world.exchange().await;
    // Nobody asks again: the worker alone brings the answer.
    while exchange.health().await.waiting > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(verdict(&answered(exchange.verify(ask).await.unwrap()).0), ("VERIFIED", "OK"));
}

#[tokio::test]
async fn a_verification_that_nobody_answers_expires_for_good() {
    let mut world = World::without_relay().await;
    let address = free().await;
    let mut settings = world.settings(EXCHANGE, address);
    settings.limits.expiry_s = 1;
    let exchange = world.start(settings, Arc::new(NoCustomers), address).await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    assert_eq!(exchange.verify(ask.clone()).await.unwrap(), VerifyReply::Pending);
    while exchange.health().await.waiting > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.start_relay().await;
    let _robot = world.robot().await;
    assert_eq!(exchange.verify(ask).await.unwrap(), VerifyReply::Expired);
    assert_eq!(world.times_asked(), 0);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_written() {
    let world = World::new().await;
    let exchange = world.exchange().await;
    let good = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    let code = |ask| async { exchange.verify(ask).await.unwrap_err().code() };
    assert_eq!(code(VerifyAsk { payload: None, ..good.clone() }).await, Code::FieldMissing);
    assert_eq!(code(VerifyAsk { payload: Some(b"{}".into()), ..good.clone() }).await, Code::IvmsMalformed);
    let elsewhere = payload(&natural("Robbins", "Taylor"), "bcrt1q-elsewhere");
    assert_eq!(code(VerifyAsk { payload: Some(elsewhere), ..good.clone() }).await, Code::IvmsMalformed);
    assert_eq!(
        code(VerifyAsk { payload: Some(vec![b' '; 40_000]), ..good.clone() }).await,
        Code::FieldTooLong
    );
    assert_eq!(
        code(VerifyAsk { request_digest: "00".repeat(32), ..good.clone() }).await,
        Code::FieldMalformed
    );
    assert_eq!(code(VerifyAsk { destination: UNCHECKED.into(), ..good.clone() }).await, Code::FieldMalformed);
    assert_eq!(code(VerifyAsk { amount: Amount::from_sat(1), ..good.clone() }).await, Code::FieldMalformed);
    assert_eq!(code(VerifyAsk { network: "mainnet".into(), ..good.clone() }).await, Code::FieldMalformed);
    let mut stranger = good.clone();
    stranger.request_text = stranger.request_text.replace(&ROBOT.to_string(), "99");
    stranger.request_digest = HEXLOWER.encode(&Sha256::digest(stranger.request_text.as_bytes()));
    stranger.beneficiary_vasp = VaspId(99);
    assert_eq!(code(stranger).await, Code::TravelRuleVaspUnknown);
    assert_eq!(exchange.health().await.waiting, 0);
}

#[tokio::test]
async fn the_bound_on_waiting_verifications_is_named() {
    let world = World::without_relay().await;
    let address = free().await;
    let mut settings = world.settings(EXCHANGE, address);
    settings.limits.waiting_max = 1;
    let exchange = world.start(settings, Arc::new(NoCustomers), address).await;
    let one = |id| ask(id, CHECKED, &natural("Robbins", "Taylor"));
    assert_eq!(exchange.verify(one("w1")).await.unwrap(), VerifyReply::Pending);
    assert_eq!(exchange.verify(one("w2")).await.unwrap_err().code(), Code::QueueFull);
}

#[tokio::test]
async fn a_fingerprint_follows_the_content_and_not_its_spelling() {
    let world = World::without_relay().await;
    let exchange = world.exchange().await;
    let text = String::from_utf8(payload(&natural("José", "Taylor"), CHECKED)).unwrap();
    let print = |text: &str| exchange.payload_fingerprint(text.as_bytes()).unwrap();
    let wrapped = format!("{{\"version\":\"1.0\",\"ivms101\":{text}}}");
    let long = text.replace("nameIdentifierType", "naturalPersonNameIdentifierType").replace('\n', " ");
    assert_eq!(print(&text), print(&wrapped));
    assert_eq!(print(&text), print(&long));
    assert_eq!(print(&text), print(&text.replace("José", "Jose\u{301}")));
    assert_ne!(print(&text), print(&text.replace("Taylor", "Tailor")));
    assert_eq!(exchange.payload_fingerprint(b"[]").unwrap_err().code, Code::IvmsMalformed);
}

/// Law L5: after a whole conversation no personal datum stands in a file, an answer or an error.
#[tokio::test]
async fn personal_data_is_in_no_file_no_answer_and_no_error() {
    let world = World::new().await;
    let (exchange, robot) = (world.exchange().await, world.robot().await);
    let mut said = String::new();
    let cases = [
        (CHECKED, natural("Robbins", "Taylor")),
        (KOREAN, natural("김", "민수")),
        (UNCHECKED, natural("Cook", "Ethan")),
        (CHECKED, natural("Nobody", "Atall")),
    ];
    for (n, (address, persons)) in cases.into_iter().enumerate() {
        let ask = ask(&format!("w{n}"), address, &persons);
        said += &format!("{ask:?}");
        let reply = exchange.verify(ask.clone()).await.unwrap();
        said += &format!("{reply:?}");
        let text = String::from_utf8(ask.payload.clone().unwrap()).unwrap();
        let broken = [
            text.replace("LEGL", "Robbins"),
            text.replace("1990-01-31", "Taylor"),
            text.replace("\"nameIdentifierType\"", "\"Robbins Taylor\""),
            text.replace("\"primaryIdentifier\"", "\"Robbins\""),
            text.replacen('{', "{\"HONG\":\"GILDONG\",\"HONG\":1,", 1),
            text.replace("}]}", "Robbins"),
        ];
        for broken in broken {
            let fault =
                exchange.verify(VerifyAsk { payload: Some(broken.into_bytes()), ..ask.clone() }).await;
            let fault = fault.unwrap_err();
            said += &format!("{fault} {fault:?}");
        }
    }
    exchange.stop().await;
    robot.stop().await;
    let names = [
        "Robbins",
        "Taylor",
        "김",
        "민수",
        "Cook",
        "Ethan",
        "Nobody",
        "Atall",
        "HONG",
        "GILDONG",
        "Gangneung",
        "1990-01-31",
    ];
    let files = [world.database(EXCHANGE), world.database(ROBOT)].map(|path| database_bytes(&path));
    // The search can find something: the addresses are there in the clear.
    assert!(files.iter().all(|bytes| contains(bytes, CHECKED)));
    for name in names {
        assert!(!said.contains(name), "{name} in {said}");
        assert!(files.iter().all(|bytes| !contains(bytes, name)), "{name} is in a database file");
    }
}

pub(super) fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure, not a check: run with --nocapture"]
async fn how_long_a_verification_takes() {
    let world = World::new().await;
    let (exchange, _robot) = (Arc::new(world.exchange().await), world.robot().await);
    let one = |id: String| ask(&id, CHECKED, &natural("Robbins", "Taylor"));
    let _ = answered(exchange.verify(one("warm".into())).await.unwrap());
    let start = std::time::Instant::now();
    for n in 0..100 {
        let _ = answered(exchange.verify(one(format!("s{n}"))).await.unwrap());
    }
    println!("one after another: {:?} each", start.elapsed() / 100);
    let start = std::time::Instant::now();
    let many = (0..400).map(|n| {
        let (exchange, ask) = (exchange.clone(), one(format!("p{n}")));
        tokio::spawn(async move { insist(&exchange, &ask).await })
    });
    for one in many.collect::<Vec<_>>() {
        let _ = one.await.unwrap();
    }
    println!("400 at once: {:?} each", start.elapsed() / 400);
}
