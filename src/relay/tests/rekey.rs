//! Another data key while the enclave runs.

use super::lived::*;
use super::*;
use crate::enclave::wire::seal::{KeyPair, Suite};
use crate::enclave::{EnclaveFault, HandedOver, Outcome, Rekey};
use crate::withdrawal::Code;

fn key(n: u8) -> DataKey {
    DataKey::new(&[n; 32])
}

/// As the command does it: hands the new key over, then seals anew until nothing is left.
async fn rekeyed(world: &World, new: DataKey) -> usize {
    let rekey = Rekey::open(&world.database(EXCHANGE), &new, world.clock()).await.unwrap();
    let mut taken = 0;
    for _ in 0..100 {
        if let HandedOver::Taken(count) = rekey.hand_over().await.unwrap() {
            taken = count;
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while rekey.go_on().await.unwrap() {}
    rekey.end().await.unwrap();
    taken
}

#[tokio::test]
async fn an_enclave_that_runs_takes_a_new_key_over_and_loses_nothing() {
    let world = World::new().await;
    let two = world.two().await;
    let mut uuids = vec![verified(&two).await];
    let (taken, more) = tokio::join!(rekeyed(&world, key(8).after(key(7))), async {
        let mut more = Vec::new();
        for _ in 0..12 {
            more.push(verified(&two).await);
        }
        more
    });
    assert_eq!(taken, 1);
    uuids.extend(more);
    uuids.push(verified(&two).await);
    let uses = Rekey::uses_of(&world.database(EXCHANGE)).await.unwrap();
    assert_eq!(uses.len(), 1, "{uses:?}");
    let whole = async |enclave: &Enclave| {
        for uuid in &uuids {
            let record = enclave.verification(uuid).await.unwrap().unwrap();
            assert_eq!(record.result, Outcome::Verified);
            assert!(
                record.ivms101_originator.contains("GILDONG")
                    && record.ivms101_beneficiary.contains("Robbins")
            );
        }
    };
    whole(&two.exchange).await;
    two.exchange.stop().await;
    let address = free().await;
    let with = |data_key| Settings { data_key, ..world.settings(EXCHANGE, address) };
    let start = async |settings| Enclave::start(settings, Arc::new(NoCustomers), bind(address).await).await;
    let no = start(with(key(7))).await.err().unwrap();
    assert_eq!(no.code(), Code::StoreOtherKey, "the old key opens nothing any more");
    whole(&start(with(key(8))).await.unwrap()).await;
}

#[tokio::test]
async fn with_nobody_running_the_command_does_it_alone_and_a_key_that_is_missing_stops_it() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    two.exchange.stop().await;
    let path = world.database(EXCHANGE);
    let no = Rekey::open(&path, &key(8), world.clock()).await.err().unwrap();
    assert_eq!(no.code(), Code::StoreOtherKey);
    let rekey = Rekey::open(&path, &key(8).after(key(7)), world.clock()).await.unwrap();
    assert_eq!(rekey.hand_over().await.unwrap(), HandedOver::Nobody);
    // Stopped half way, it goes on the next time; both keys are needed until then.
    assert!(rekey.go_on().await.unwrap());
    drop(rekey);
    assert!(matches!(Rekey::open(&path, &key(8), world.clock()).await, Err(EnclaveFault::Database(_))));
    rekeyed_alone(&world, key(8).after(key(7))).await;
    let address = free().await;
    let settings = Settings { data_key: key(8), ..world.settings(EXCHANGE, address) };
    let exchange = Enclave::start(settings, Arc::new(NoCustomers), bind(address).await).await.unwrap();
    assert!(exchange.verification(&uuid).await.unwrap().unwrap().ivms101_originator.contains("GILDONG"));
}

async fn rekeyed_alone(world: &World, new: DataKey) {
    let rekey = Rekey::open(&world.database(EXCHANGE), &new, world.clock()).await.unwrap();
    while rekey.go_on().await.unwrap() {}
    rekey.end().await.unwrap();
}

#[tokio::test]
async fn who_has_no_data_key_is_handed_none() {
    let world = World::new().await;
    let path = world.database(EXCHANGE);
    Enclave::create_database(&path).await.unwrap();
    Enclave::try_database(&path, &key(7)).await.unwrap();
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let own = KeyPair::derive(Suite::XWing, &zeroize::Zeroizing::new([3; 32]));
    let ask = "INSERT INTO handovers (instance, public_key, seen_at) VALUES ('thief', ?, ?)";
    let now = i64::try_from(clock()().0).unwrap();
    let public = HEXLOWER.encode(own.public.bytes());
    sqlx::query(ask).bind(public).bind(now).execute(&pool).await.unwrap();
    let rekey = Rekey::open(&path, &key(8).after(key(7)), world.clock()).await.unwrap();
    // It asks, and holds the change up as somebody would that runs; it is given nothing.
    assert_eq!(rekey.hand_over().await.unwrap(), HandedOver::Asked);
    let given: Option<String> =
        sqlx::query_scalar("SELECT envelope FROM handovers").fetch_one(&pool).await.unwrap();
    assert_eq!(given, None);
    // Who asks no more is waited for no more.
    world.ahead.store(60, Ordering::SeqCst);
    assert_eq!(rekey.hand_over().await.unwrap(), HandedOver::Nobody);
}

#[tokio::test]
async fn who_took_an_older_key_over_does_not_count_for_the_next_one() {
    let world = World::new().await;
    let path = world.database(EXCHANGE);
    Enclave::create_database(&path).await.unwrap();
    Enclave::try_database(&path, &key(7)).await.unwrap();
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let taken = "INSERT INTO handovers (instance, public_key, seen_at, taken_at) VALUES ('x', '', unixepoch(), unixepoch())";
    // The command before was stopped, and the enclave ended the change without it.
    sqlx::query(taken).execute(&pool).await.unwrap();
    let open = async || Rekey::open(&path, &key(8).after(key(7)), world.clock()).await.unwrap();
    assert_eq!(open().await.hand_over().await.unwrap(), HandedOver::Nobody);
    // This command stopped and run again finds who has its own key.
    sqlx::query(taken).execute(&pool).await.unwrap();
    assert_eq!(open().await.hand_over().await.unwrap(), HandedOver::Taken(1));
}

#[tokio::test]
async fn of_two_keys_that_are_missing_the_one_that_is_handed_over_is_taken() {
    let world = World::new().await;
    let two = world.two().await;
    let mut uuids = vec![verified(&two).await];
    let (path, clock) = (world.database(EXCHANGE), world.clock());
    // A change that was stopped before anybody was asked, and the next one.
    drop(Rekey::open(&path, &key(8).after(key(7)), clock.clone()).await.unwrap());
    let rekey = Rekey::open(&path, &key(9).after(key(8).after(key(7))), clock).await.unwrap();
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let taken = "SELECT count(*) FROM handovers WHERE taken_at IS NOT NULL";
    for _ in 0..200 {
        rekey.hand_over().await.unwrap();
        if sqlx::query_scalar::<_, i64>(taken).fetch_one(&pool).await.unwrap() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(sqlx::query_scalar::<_, i64>(taken).fetch_one(&pool).await.unwrap(), 1);
    uuids.push(verified(&two).await);
    while rekey.go_on().await.unwrap() {}
    rekey.end().await.unwrap();
    for uuid in &uuids {
        let record = two.exchange.verification(uuid).await.unwrap().unwrap();
        assert!(record.ivms101_originator.contains("GILDONG"));
    }
}
