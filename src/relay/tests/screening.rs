//! What the sanctions lists of either side stop.

use super::lived::*;
use super::*;
use crate::enclave::screen::{Lists, Screener, Screening, Subject};
use crate::enclave::{EnclaveFault, Outcome};
use crate::withdrawal::Code;

/// A screener that never knows.
struct Away;

impl Screener for Away {
    fn screen<'a>(&'a self, _: &'a Subject<'a>) -> Working<'a, Screening> {
        Box::pin(async { Screening::Unknown })
    }
}

/// Lists of that content in the world's folder.
fn lists(world: &World, addresses: &str, names: &str) -> Arc<dyn Screener> {
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
    for (addresses, names) in [(CHECKED, ""), ("", "Taylor ROBBINS")] {
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
