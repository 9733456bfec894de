//! Answers kept, looked up and asked for again.

use super::clearance::{AGE, requested, trust};
use super::*;
use crate::enclave::EnclaveFault;
use crate::evidence::{Clearance, NameMatch, NotProven, VerifiedRequest};
use crate::withdrawal::Code;

fn robbins(world: &World) -> (VerifiedRequest, VerifyAsk) {
    requested(world, CHECKED, Kind::User, &natural("Robbins", "Taylor"))
}

/// The door of signer and co-signer, now.
fn door(
    world: &World,
    request: &VerifiedRequest,
    (text, signature): &(String, [u8; 64]),
) -> Result<Clearance, NotProven> {
    Clearance::from_answer(text, signature, &trust(), request, world.clock()(), AGE, NameMatch::Required)
}

/// The same, asked without names, and answered no earlier than the age of a clearance ago.
fn anew(world: &World, ask: &VerifyAsk) -> VerifyAsk {
    let since = Seconds(world.clock()().0 - AGE);
    VerifyAsk { payload: None, fresh_since: Some(since), ..ask.clone() }
}

#[tokio::test]
async fn a_clearance_that_has_grown_old_is_asked_for_again_under_a_new_uuid() {
    let world = World::new().await;
    let (exchange, robot) = (world.exchange().await, world.robot().await);
    let (request, ask) = robbins(&world);
    let first = answered(exchange.verify(ask.clone()).await.unwrap());
    assert!(door(&world, &request, &first).is_ok());
    // Young enough: nobody is asked.
    assert_eq!(answered(exchange.verify(anew(&world, &ask)).await.unwrap()), first);
    world.ahead.store(AGE + 60, Ordering::SeqCst);
    assert_eq!(door(&world, &request, &first).unwrap_err().code(), Code::ClearanceExpired);
    assert_eq!(answered(exchange.verify(ask.clone()).await.unwrap()), first);
    assert_eq!(world.times_asked(), 1);
    let anew = anew(&world, &ask);
    let second = insist(&exchange, &anew).await;
    assert_ne!(line(&second.0, "uuid"), line(&first.0, "uuid"));
    assert!(door(&world, &request, &second).is_ok());
    // The new answer has taken the old one's place, for everybody and for good.
    assert_eq!(answered(exchange.verify(anew).await.unwrap()), second);
    assert_eq!(answered(exchange.verify(ask.clone()).await.unwrap()), second);
    assert_eq!(exchange.known_answer(&ask.request_digest).await, Some(second.clone()));
    assert_eq!(world.times_asked(), 2);
    exchange.stop().await;
    robot.stop().await;
    let exchange = world.exchange().await;
    assert_eq!(exchange.known_answer(&ask.request_digest).await, Some(second));
}

#[tokio::test]
async fn the_old_answer_stands_until_the_new_one_has_come() {
    let world = World::new().await;
    let (exchange, robot) = (world.exchange().await, world.robot().await);
    let (_, ask) = robbins(&world);
    let first = answered(exchange.verify(ask.clone()).await.unwrap());
    robot.stop().await;
    world.ahead.store(AGE + 60, Ordering::SeqCst);
    let anew = anew(&world, &ask);
    assert_eq!(exchange.verify(anew.clone()).await.unwrap(), VerifyReply::Pending);
    assert_eq!(exchange.health().await.waiting, 1);
    assert_eq!(answered(exchange.verify(ask.clone()).await.unwrap()), first);
    assert_eq!(exchange.known_answer(&ask.request_digest).await, Some(first.clone()));
    // A renewal survives a restart, as every verification that waits.
    exchange.stop().await;
    let exchange = world.exchange().await;
    let _robot = world.robot().await;
    assert_ne!(insist(&exchange, &anew).await, first);
    assert_eq!(world.times_asked(), 2);
}

#[tokio::test]
async fn over_a_slow_clock_the_counterparty_is_asked_again_and_not_all_the_time() {
    let world = World::new().await;
    let mut settings = world.settings(ROBOT, world.robot_address);
    let theirs = world.clock();
    settings.now = Arc::new(move || Seconds(theirs().0 - 90));
    let counted = Counted { robot: Robot::personas(CHECKED, UNCHECKED, COMPANY), asked: world.asked.clone() };
    let _robot = world.start(settings, Arc::new(counted), world.robot_address).await;
    let exchange = world.exchange().await;
    let since = Seconds(world.clock()().0);
    let ask = VerifyAsk { fresh_since: Some(since), ..robbins(&world).1 };
    let first = insist(&exchange, &ask).await;
    assert!(line(&first.0, "answered_at").parse::<u64>().unwrap() < since.0);
    assert_eq!(answered(exchange.verify(ask.clone()).await.unwrap()), first);
    assert_eq!(world.times_asked(), 1);
    world.ahead.store(11, Ordering::SeqCst);
    let second = insist(&exchange, &ask).await;
    assert_ne!(second, first);
    // A time that is yet to come asks for no more than now.
    let ask = VerifyAsk { fresh_since: Some(since.plus(1_000_000)), ..ask };
    assert_eq!(answered(exchange.verify(ask).await.unwrap()), second);
    assert_eq!(world.times_asked(), 2);
}

#[tokio::test]
async fn asked_without_names_those_of_the_first_time_count() {
    let world = World::new().await;
    let (exchange, _robot) = (world.exchange().await, world.robot().await);
    let (_, named) = robbins(&world);
    let nameless = VerifyAsk { payload: None, ..named.clone() };
    let account = VerifyAsk { kind: Kind::Account, ..nameless.clone() };
    let fault = exchange.verify(nameless.clone()).await.unwrap_err();
    assert_eq!(fault.code(), Code::FieldMissing);
    let first = exchange.verify(named.clone()).await.unwrap();
    assert_eq!(exchange.verify(nameless).await.unwrap(), first);
    // A person's verification speaks for the address.
    assert_eq!(exchange.verify(account).await.unwrap(), first);
    let another = VerifyAsk { payload: Some(payload(&natural("Cook", "Ethan"), CHECKED)), ..named };
    assert!(matches!(exchange.verify(another).await, Err(EnclaveFault::Conflict)));
    // And not the other way round.
    let (_, account) = requested(&world, UNCHECKED, Kind::Account, "");
    let _ = answered(exchange.verify(account.clone()).await.unwrap());
    let nameless = VerifyAsk { kind: Kind::User, ..account };
    assert_eq!(exchange.verify(nameless).await.unwrap_err().code(), Code::FieldMissing);
    assert_eq!(world.times_asked(), 2);
}

#[tokio::test]
async fn an_answer_is_known_from_the_moment_it_is_kept_and_over_a_restart() {
    let world = World::new().await;
    let (exchange, robot) = (world.exchange().await, world.robot().await);
    let (_, ask) = robbins(&world);
    assert_eq!(exchange.known_answer(&ask.request_digest).await, None);
    let first = answered(exchange.verify(ask.clone()).await.unwrap());
    assert_eq!(exchange.known_answer(&ask.request_digest).await, Some(first.clone()));
    assert_eq!(exchange.known_answer(&"00".repeat(32)).await, None);
    assert_eq!(exchange.known_answer("nonsense").await, None);
    exchange.stop().await;
    robot.stop().await;
    let exchange = world.exchange().await;
    assert_eq!(exchange.known_answer(&ask.request_digest).await, Some(first));
}

#[tokio::test]
async fn a_verification_is_written_twice_once_uuid_and_key_are_at_hand() {
    let world = World::new().await;
    let (exchange, _robot) = (world.exchange().await, world.robot().await);
    let one = |id| ask(id, CHECKED, &natural("Robbins", "Taylor"));
    let _ = answered(exchange.verify(one("w1")).await.unwrap());
    let file = format!("sqlite://{}", world.database(EXCHANGE).display());
    let pool = sqlx::SqlitePool::connect(&file).await.unwrap();
    let counting = "CREATE TABLE writes (what TEXT);
        CREATE TRIGGER i AFTER INSERT ON verifications BEGIN INSERT INTO writes VALUES ('insert'); END;
        CREATE TRIGGER u AFTER UPDATE ON verifications BEGIN INSERT INTO writes VALUES ('update'); END;";
    sqlx::raw_sql(counting).execute(&pool).await.unwrap();
    let _ = answered(exchange.verify(one("w2")).await.unwrap());
    let writes: Vec<String> =
        sqlx::query_scalar("SELECT what FROM writes ORDER BY rowid").fetch_all(&pool).await.unwrap();
    assert_eq!(writes, ["insert", "update"]);
}
