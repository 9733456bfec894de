//! What the sanctions lists of either side stop.

use axum::http::Method;
use serde_json::json;

use super::clearance::AGE;
use super::lies::{bring, forged};
use super::lived::*;
use super::*;
use crate::enclave::screen::{Lists, Screener, Screening, Subject};
use crate::enclave::wire::client::{Call, Client};
use crate::enclave::wire::seal::{Direction, Envelope};
use crate::enclave::wire::signed::Sender;
use crate::enclave::wire::{Fate, Parcel};
use crate::enclave::{Door, EnclaveFault, LookAsk, Outcome, Word};
use crate::withdrawal::Code;

/// A screener that never knows.
struct Away;

impl Screener for Away {
    fn screen<'a>(&'a self, _: &'a Subject<'a>) -> Working<'a, Screening> {
        Box::pin(async { Screening::Unknown })
    }
}

/// A screener that never comes back.
struct Gone;

impl Screener for Gone {
    fn screen<'a>(&'a self, _: &'a Subject<'a>) -> Working<'a, Screening> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_screener_that_never_answers_clears_nothing_and_keeps_nobody_waiting() {
    let world = World::new().await;
    let _robot = world.robot().await;
    let address = free().await;
    let mut settings = Settings { screener: Some(Arc::new(Gone)), ..world.settings(EXCHANGE, address) };
    settings.limits.user_time = Duration::from_millis(200);
    let exchange = world.start(settings, Arc::new(NoCustomers), address).await;
    let asked = exchange.verify(ask("w1", CHECKED, &natural("Robbins", "Taylor")));
    let asked = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("it waits");
    assert!(matches!(asked, Err(EnclaveFault::Unscreened)));
}

/// Lists of that content in the world's folder.
fn lists(world: &World, addresses: &str, names: &str) -> Arc<Lists> {
    let file = |name: &str, content: &str| {
        let path = world.dir.path().join(name);
        (!content.is_empty()).then(|| {
            std::fs::write(&path, content).unwrap();
            path
        })
    };
    let (addresses, names) =
        (Vec::from_iter(file("addresses", addresses)), Vec::from_iter(file("names", names)));
    Arc::new(Lists::open(&addresses, &names).unwrap())
}

/// Writes the list of names anew, and has it read.
fn names_now(world: &World, lists: &Lists, names: &str) {
    std::fs::write(world.dir.path().join("names"), names).unwrap();
    lists.refresh();
}

fn signed(word: Option<Word>) -> Option<(String, [u8; 64])> {
    word.map(|word| match word {
        Word::Signed { text, signature } => (text, signature),
        Word::Reported(_) => panic!("nobody signed it"),
    })
}

async fn looked(exchange: &Enclave, ask: &VerifyAsk) -> Option<(String, [u8; 64])> {
    let ask = LookAsk { request_digest: &ask.request_digest, payload: None };
    signed(exchange.look(ask).await.unwrap().answer)
}

async fn exchange_with(world: &World, screener: Arc<dyn Screener>) -> Enclave {
    let address = free().await;
    let settings = Settings { screener: Some(screener), ..world.settings(EXCHANGE, address) };
    world.start(settings, Arc::new(NoCustomers), address).await
}

#[tokio::test]
async fn a_withdrawal_that_meets_a_list_asks_nobody() {
    let world = World::new().await;
    let _robot = world.robot().await;
    let persons = natural("Robbins", "Taylor");
    for (addresses, names) in
        [(CHECKED, ""), ("customer-17", ""), ("", "Taylor ROBBINS"), ("", "Gildong Hong")]
    {
        let exchange = exchange_with(&world, lists(&world, addresses, names)).await;
        let reply = exchange.verify(ask("w1", CHECKED, &persons)).await.unwrap();
        assert_eq!(reply, VerifyReply::Listed);
        exchange.stop().await;
    }
    assert_eq!(world.asked.load(Ordering::SeqCst), 0);
    let exchange = exchange_with(&world, lists(&world, "bc1qother", "Somebody Else")).await;
    insist(&exchange, &ask("w1", CHECKED, &persons)).await;
    exchange.stop().await;
    let exchange = exchange_with(&world, Arc::new(Away)).await;
    let fault = exchange.verify(ask("w2", CHECKED, &persons)).await.unwrap_err();
    assert!(matches!(fault, EnclaveFault::Unscreened) && fault.code() == Code::EnclaveUnavailable);
}

#[tokio::test]
async fn an_order_that_meets_a_list_is_denied_before_anybody_is_asked() {
    let world = World::new().await;
    let two = world.two().await;
    let exchange = exchange_with(&world, lists(&world, "", "Robbins, Taylor")).await;
    two.exchange.stop().await;
    let persons = natural("Robbins", "Taylor");
    let ordered = exchange.order_user(order(CHECKED, &persons)).await.unwrap();
    let record = settled(&exchange, &ordered.uuid).await;
    assert_eq!(result(&record), (Outcome::Denied, "BLACKLISTED", "-"));
    assert!(two.robot.verification(&ordered.uuid).await.unwrap().is_none());
}

#[tokio::test]
async fn a_beneficiary_vasp_denies_whom_its_own_list_names() {
    denied_by_a_list("Robbins Taylor").await;
}

#[tokio::test]
async fn a_beneficiary_vasp_denies_a_sender_whom_its_own_list_names() {
    denied_by_a_list("HONG, Gildong").await;
}

async fn denied_by_a_list(name: &str) {
    let world = World::new().await;
    let backend = Lived::new(Robot::personas(CHECKED, UNCHECKED, COMPANY));
    let settings =
        Settings { screener: Some(lists(&world, "", name)), ..world.settings(ROBOT, world.robot_address) };
    let robot = world.start(settings, Arc::new(backend.clone()), world.robot_address).await;
    registered(&robot).await;
    let exchange = world.exchange().await;
    let (text, _) = insist(&exchange, &ask("w1", CHECKED, &natural("Robbins", "Taylor"))).await;
    assert!(text.contains("result: DENIED\nreason: BLACKLISTED\n"), "{text}");
    assert!(backend.asked.lock().unwrap().is_empty(), "the backend was asked all the same");
}

#[tokio::test]
async fn a_known_answer_is_not_given_out_once_a_list_names_somebody_of_it() {
    let world = World::new().await;
    let _robot = world.robot().await;
    let lists = lists(&world, "", "Somebody Else");
    let exchange = exchange_with(&world, lists.clone()).await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    let answer = insist(&exchange, &ask).await;
    let again = VerifyAsk { payload: None, ..ask.clone() };
    assert_eq!(looked(&exchange, &ask).await, Some(answer.clone()));
    for name in ["Taylor Robbins", "HONG, Gildong"] {
        names_now(&world, &lists, name);
        assert_eq!(looked(&exchange, &ask).await, None, "{name}");
        assert_eq!(exchange.verify(again.clone()).await.unwrap(), VerifyReply::Listed, "{name}");
        assert_eq!(exchange.verify(ask.clone()).await.unwrap(), VerifyReply::Listed, "{name}");
    }
    std::fs::remove_file(world.dir.path().join("names")).unwrap();
    lists.refresh();
    assert_eq!(looked(&exchange, &ask).await, None, "a list that cannot be read clears nobody");
    assert!(matches!(exchange.verify(again.clone()).await, Err(EnclaveFault::Unscreened)));
    names_now(&world, &lists, "Somebody Else");
    assert_eq!(looked(&exchange, &ask).await, Some(answer.clone()));
    assert_eq!(answered(exchange.verify(again).await.unwrap()), answer);
    // A start reads other lists than the last one had.
    exchange.stop().await;
    names_now(&world, &lists, "Robbins Taylor");
    let exchange = exchange_with(&world, lists).await;
    assert_eq!(looked(&exchange, &ask).await, None);
    assert_eq!(world.times_asked(), 1, "nobody was asked again for any of it");
}

#[tokio::test]
async fn a_payload_that_names_somebody_listed_gets_no_known_answer() {
    let world = World::new().await;
    let _robot = world.robot().await;
    let exchange = exchange_with(&world, lists(&world, "", "Kim Listed")).await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    let answer = insist(&exchange, &ask).await;
    let look = |payload: Vec<u8>| {
        let (exchange, digest) = (&exchange, ask.request_digest.clone());
        async move {
            let ask = LookAsk { request_digest: &digest, payload: Some(&payload) };
            signed(exchange.look(ask).await.unwrap().answer)
        }
    };
    assert_eq!(look(payload(&natural("Robbins", "Taylor"), CHECKED)).await, Some(answer));
    assert_eq!(look(payload(&natural("Kim", "Listed"), CHECKED)).await, None);
}

#[tokio::test]
async fn whom_the_other_vasp_names_is_looked_for_too() {
    let world = World::new().await;
    let _robot = world.robot().await;
    let exchange = exchange_with(&world, lists(&world, "", "김민수")).await;
    let ask = ask("w1", KOREAN, &natural("KIM", "MINSU"));
    let mut last = VerifyReply::Pending;
    for _ in 0..100 {
        last = exchange.verify(ask.clone()).await.unwrap();
        if last != VerifyReply::Pending {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(last, VerifyReply::Listed);
    assert_eq!(looked(&exchange, &ask).await, None);
    let mut order = order(KOREAN, &natural("KIM", "MINSU"));
    order.required.push("LOCAL_NATURAL_PERSON_NAME".into());
    let order = exchange.order_user(order).await.unwrap();
    assert_eq!(result(&settled(&exchange, &order.uuid).await), (Outcome::Denied, "BLACKLISTED", "-"));
    for _ in 0..100 {
        if !is_carried(&world, &order.uuid).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the relay still keeps an answer that nobody will fetch");
}

/// Whether the relay carries what was asked under that uuid: it takes nothing else under it meanwhile.
async fn is_carried(world: &World, uuid: &str) -> bool {
    let sender = Sender::new(EXCHANGE.to_string(), identity_of(EXCHANGE.0), clock());
    let client = Client::new(world.roots.clone(), sender).unwrap();
    let (base, path) = (format!("https://{}", world.relay_address), "/v1/verifications?wait_ms=0");
    let text = |text: &str| text.to_owned();
    let envelope = Envelope { suite: text("x"), key_id: text("x"), enc: text("x"), ciphertext: text("x") };
    let (kind, key_type) = (text("user"), text("PerVasp"));
    let (from, to) = (EXCHANGE.to_string(), ROBOT.to_string());
    let other = Parcel { from, to, uuid: text(uuid), kind, key_type, envelope };
    let call = Call { to: "relay", base: &base, method: Method::POST, path, time: Duration::from_secs(5) };
    match client.call::<_, Fate>(call, &other).await {
        Ok(_) => false,
        Err(fault) => fault.is("uuid_reused") || panic!("{fault}"),
    }
}

#[tokio::test]
async fn what_waits_is_not_asked_about_once_a_list_names_somebody_of_it() {
    let world = World::new().await;
    let robot = world.robot().await;
    let lists = lists(&world, "", "Somebody Else");
    let exchange = exchange_with(&world, lists.clone()).await;
    robot.stop().await;
    let withdrawal = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    assert_eq!(exchange.verify(withdrawal.clone()).await.unwrap(), VerifyReply::Pending);
    let order = exchange.order_user(order(CHECKED, &natural("Robbins", "Taylor"))).await.unwrap();
    names_now(&world, &lists, "Robbins Taylor");
    let record = settled(&exchange, &order.uuid).await;
    assert_eq!(result(&record), (Outcome::Denied, "BLACKLISTED", "-"));
    let without = VerifyAsk { payload: None, ..withdrawal };
    assert_eq!(exchange.verify(without.clone()).await.unwrap(), VerifyReply::Listed);
    // Taken off the list again, the withdrawal goes on where it was.
    names_now(&world, &lists, "Somebody Else");
    let _robot = world.robot().await;
    assert_eq!(verdict(&insist(&exchange, &without).await.0), ("VERIFIED", "OK"));
}

#[tokio::test]
async fn a_renewal_without_payload_is_screened_with_the_persons_of_before() {
    let world = World::new().await;
    let _robot = world.robot().await;
    let lists = lists(&world, "", "Somebody Else");
    let exchange = exchange_with(&world, lists.clone()).await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    insist(&exchange, &ask).await;
    world.ahead.store(AGE + 60, Ordering::SeqCst);
    names_now(&world, &lists, "Robbins Taylor");
    let since = Some(Seconds(world.clock()().0 - AGE));
    let anew = VerifyAsk { payload: None, fresh_since: since, ..ask };
    assert_eq!(exchange.verify(anew.clone()).await.unwrap(), VerifyReply::Listed);
    assert_eq!((world.times_asked(), exchange.health().await.waiting), (1, 0));
    names_now(&world, &lists, "Somebody Else");
    insist(&exchange, &anew).await;
    assert_eq!(world.times_asked(), 2);
}

#[tokio::test]
async fn a_yes_is_not_given_to_others_again_once_a_list_names_somebody_of_it() {
    let world = World::new().await;
    let backend = Lived::holding();
    let lists = lists(&world, "", "Somebody Else");
    let settings = Settings { screener: Some(lists.clone()), ..world.settings(ROBOT, world.robot_address) };
    let robot = world.start(settings, Arc::new(backend), world.robot_address).await;
    let (to, signer) = ((&robot, ROBOT), identity_of(EXCHANGE.0));
    let uuid = uuid::Uuid::new_v4().to_string();
    let asked = json!({
        "uuid": uuid, "kind": "user", "asset": "bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1", "network": "regtest",
        "destination": CHECKED, "amount": "150000", "request_digest": "ab".repeat(32),
        "ivms101": String::from_utf8(payload(&natural("Robbins", "Taylor"), CHECKED)).unwrap(),
    });
    let mut parcel = forged(&world, to, (EXCHANGE, &signer), (&uuid, Direction::Request), asked).await;
    parcel.kind = "user".into();
    let mut fate: Fate = bring(&world, to, "/v1/inbound/verifications", &parcel).await;
    assert!(matches!(fate, Fate::Answered { .. }), "{fate:?}");
    assert_eq!(robot.verification(&uuid).await.unwrap().unwrap().result, Outcome::Verified);
    names_now(&world, &lists, "Gildong Hong");
    fate = bring(&world, to, "/v1/inbound/verifications", &parcel).await;
    assert!(matches!(fate, Fate::Waiting), "{fate:?}");
    names_now(&world, &lists, "Somebody Else");
    fate = bring(&world, to, "/v1/inbound/verifications", &parcel).await;
    assert!(matches!(fate, Fate::Answered { .. }), "{fate:?}");
}
