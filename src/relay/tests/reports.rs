//! What follows a yes: transactions, ends and inquiries, and that they are told over every break.

use serde_json::{Value, json};

use super::clearance::AGE;
use super::lived::*;
use super::story::contains;
use super::*;
use crate::enclave::{
    CallbackKind, Decision, Door, EnclaveFault, ErrorReason, ErrorReport, Outcome, Tell, TellAsk, Transfer,
    TransferStatus,
};
use crate::withdrawal::Code;

fn canceled() -> ErrorReport {
    ErrorReport {
        result: Decision::Error,
        reason: "USER-CANCELED".into(),
        message: Some("the customer changed her mind".into()),
    }
}

fn transfer(status: TransferStatus) -> Transfer {
    Transfer { status, tx_hash: Some("cd34".into()), vout: Some("2".into()) }
}

/// One column of a table of an enclave's database, as text.
async fn column(world: &World, vasp: VaspId, query: &str) -> Vec<String> {
    let file = format!("sqlite://{}", world.database(vasp).display());
    let pool = sqlx::SqlitePool::connect(&file).await.unwrap();
    let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(&pool).await.unwrap();
    pool.close().await;
    rows
}

/// Waits until a record of the robot has that transaction.
async fn reported(enclave: &Enclave, uuid: &str, hash: &str) {
    for _ in 0..200 {
        let record = enclave.verification(uuid).await.unwrap().unwrap();
        if record.tx_hash.as_deref() == Some(hash) {
            assert!(record.ordered_at.is_some());
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{hash} was never reported");
}

#[tokio::test]
async fn a_transaction_is_told_once_and_another_one_only_until_it_is_final() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    for _ in 0..2 {
        two.exchange.report_tx(&uuid, "ab12", Some("0")).await.unwrap();
    }
    let heard = two.theirs.hears(1).await;
    let said = json!({"verificationUuid": uuid, "txHash": "ab12", "vout": "0"});
    assert_eq!(heard[0], (CallbackKind::TxReport, said));
    reported(&two.robot, &uuid, "ab12").await;
    reported(&two.exchange, &uuid, "ab12").await;
    // A fee bump.
    two.ours.says(Some(transfer(TransferStatus::WaitConfirm)));
    two.exchange.report_tx(&uuid, "cd34", None).await.unwrap();
    let heard = two.theirs.hears(2).await;
    assert_eq!(heard[1].1, json!({"verificationUuid": uuid, "txHash": "cd34", "vout": Value::Null}));
    two.ours.says(Some(transfer(TransferStatus::Confirmed)));
    assert_eq!(
        two.exchange.report_tx(&uuid, "ef56", None).await.unwrap_err().code(),
        Code::VerificationState
    );
    assert_eq!(
        two.exchange.report_error(&uuid, &canceled()).await.unwrap_err().code(),
        Code::VerificationState
    );
    // Final once, final for good, even if the backend forgets.
    two.ours.says(None);
    assert_eq!(
        two.exchange.report_tx(&uuid, "ef56", None).await.unwrap_err().code(),
        Code::VerificationState
    );
    two.exchange.report_tx(&uuid, "cd34", None).await.unwrap();
    for vasp in [EXCHANGE, ROBOT] {
        let hashes = column(&world, vasp, "SELECT tx_hash FROM reports ORDER BY number").await;
        assert_eq!(hashes, ["ab12", "cd34"]);
    }
    assert_eq!(two.ours.heard().len(), 1, "who reports is not called back about it");
}

#[tokio::test]
async fn a_transfer_that_will_not_happen_is_an_error_on_both_sides() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    two.exchange.report_tx(&uuid, "ab12", None).await.unwrap();
    for _ in 0..2 {
        two.exchange.report_error(&uuid, &canceled()).await.unwrap();
    }
    let heard = two.theirs.hears(2).await;
    let said = json!({"verificationUuid": uuid, "result": "ERROR", "reason": "USER-CANCELED",
        "message": "the customer changed her mind"});
    assert_eq!(heard[1], (CallbackKind::ErrorReport, said));
    for enclave in [&two.exchange, &two.robot] {
        let record = enclave.verification(&uuid).await.unwrap().unwrap();
        assert_eq!(result(&record), (Outcome::Error, "USER-CANCELED", "the customer changed her mind"));
    }
    assert_eq!(two.robot.inquire(&uuid).await.unwrap().status, TransferStatus::Canceled);
    let late = two.exchange.report_tx(&uuid, "cd34", None).await.unwrap_err();
    assert_eq!(late.code(), Code::VerificationState);
}

#[tokio::test]
async fn only_a_verified_transfer_of_ones_own_is_reported() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    let denied = two.exchange.order_user(order(UNCHECKED, &natural("Cook", "Ethan"))).await.unwrap().uuid;
    settled(&two.exchange, &denied).await;
    let exchange = &two.exchange;
    assert_eq!(exchange.report_tx(&denied, "ab12", None).await.unwrap_err().code(), Code::VerificationState);
    assert_eq!(
        exchange.report_error(&denied, &canceled()).await.unwrap_err().code(),
        Code::VerificationState
    );
    let none = uuid::Uuid::new_v4().to_string();
    assert!(matches!(exchange.report_tx(&none, "ab12", None).await, Err(EnclaveFault::Unknown)));
    // The receiving side has nothing to report, and the sending side nothing to inquire.
    assert!(matches!(two.robot.report_tx(&uuid, "ab12", None).await, Err(EnclaveFault::Unknown)));
    assert!(matches!(exchange.inquire(&uuid).await, Err(EnclaveFault::Unknown)));
    assert!(matches!(two.robot.inquire(&none).await, Err(EnclaveFault::Unknown)));
    for hash in ["", "a b", "a\nb", "\"", &"a".repeat(129)] {
        assert_eq!(exchange.report_tx(&uuid, hash, None).await.unwrap_err().code(), Code::FieldMalformed);
    }
    for reason in ["", "user canceled", "USER CANCELED", &"A".repeat(65)] {
        let report = ErrorReport { reason: reason.into(), ..canceled() };
        assert_eq!(exchange.report_error(&uuid, &report).await.unwrap_err().code(), Code::FieldMalformed);
    }
    assert!(two.theirs.heard().is_empty());
}

#[tokio::test]
async fn a_withdrawal_is_reported_by_its_digest_and_found_by_every_uuid_it_had() {
    let world = World::new().await;
    let two = world.two().await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    let first = answered(two.exchange.verify(ask.clone()).await.unwrap()).0;
    world.ahead.store(AGE + 60, Ordering::SeqCst);
    let anew = VerifyAsk { fresh_since: Some(Seconds(world.clock()().0 - AGE)), ..ask.clone() };
    let second = insist(&two.exchange, &anew).await.0;
    let (old, new) = (line(&first, "uuid"), line(&second, "uuid"));
    assert_ne!(old, new);
    let told = async |digest: &str, tell: Tell| {
        let asks = vec![TellAsk { request_digest: digest.to_owned(), tell }];
        Door::tell(&two.exchange, asks).await.unwrap().remove(0)
    };
    let tx = || Tell::Tx { tx_hash: "ab12".to_owned(), vout: 1, replaces: Vec::new() };
    told(&ask.request_digest, tx()).await.unwrap();
    assert_eq!(two.theirs.hears(1).await[0].1["verificationUuid"], json!(new));
    for uuid in [old, new] {
        assert_eq!(two.exchange.verification(uuid).await.unwrap().unwrap().tx_hash.as_deref(), Some("ab12"));
        assert_eq!(two.robot.inquire(uuid).await.unwrap().tx_hash.as_deref(), Some("ab12"));
    }
    assert!(matches!(told(&"00".repeat(32), tx()).await, Err(EnclaveFault::Unknown)));
    // Its answer is evidence by which the signer pays: the backend cannot call it off here.
    for uuid in [old, new] {
        let no = two.exchange.report_error(uuid, &canceled()).await;
        assert!(matches!(no, Err(EnclaveFault::State(_))), "{no:?}");
    }
    told(&ask.request_digest, Tell::Error(ErrorReason::UserCanceled)).await.unwrap();
    assert_eq!(two.theirs.hears(2).await[1].0, CallbackKind::ErrorReport);
    // What was verified once clears as before: the report is no evidence.
    assert_eq!(two.exchange.known_answer(&ask.request_digest).await.unwrap().0, second);
    assert!(two.ours.heard().is_empty());
}

#[tokio::test]
async fn what_the_signer_says_of_a_withdrawal_is_told_once_and_replaces_nothing_that_others_said() {
    let world = World::new().await;
    let two = world.two().await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    let uuid = line(&answered(two.exchange.verify(ask.clone()).await.unwrap()).0, "uuid").to_owned();
    let about = |digest: &str, tell: Tell| TellAsk { request_digest: digest.to_owned(), tell };
    let tx = |hash: &str| Tell::Tx { tx_hash: hash.to_owned(), vout: 1, replaces: Vec::new() };
    let digest = ask.request_digest.as_str();
    let asks = vec![
        about(&"00".repeat(32), tx("ab12")),
        about(digest, tx("ab12")),
        about("not a digest", Tell::Error(ErrorReason::NotAllowed)),
    ];
    for _ in 0..2 {
        let told = Door::tell(&two.exchange, asks.clone()).await.unwrap();
        assert!(
            matches!(told[..], [Err(EnclaveFault::Unknown), Ok(()), Err(EnclaveFault::Unknown)]),
            "{told:?}"
        );
    }
    two.exchange.report_tx(&uuid, "cd34", Some("0")).await.unwrap();
    let told = Door::tell(&two.exchange, asks).await.unwrap();
    assert!(matches!(told[1], Err(EnclaveFault::State(_))), "{told:?}");
    assert_eq!(two.theirs.hears(2).await.len(), 2);
    let record = two.robot.verification(&uuid).await.unwrap().unwrap();
    assert_eq!((record.tx_hash.as_deref(), record.vout.as_deref()), (Some("cd34"), Some("0")));
}

#[tokio::test]
async fn a_fee_bump_of_the_signer_replaces_its_own_transaction_in_order_and_no_others() {
    let world = World::new().await;
    let two = world.two().await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    let uuid = line(&answered(two.exchange.verify(ask.clone()).await.unwrap()).0, "uuid").to_owned();
    let tell = async |hash: &str, replaces: &[&str]| {
        let replaces = replaces.iter().map(|hash| (*hash).to_owned()).collect();
        let tell = Tell::Tx { tx_hash: hash.to_owned(), vout: 1, replaces };
        let ask = TellAsk { request_digest: ask.request_digest.clone(), tell };
        Door::tell(&two.exchange, vec![ask]).await.unwrap().remove(0)
    };
    tell("aa", &[]).await.unwrap();
    tell("bb", &["aa"]).await.unwrap();
    // Said again it changes nothing, and the one of before does not come back.
    tell("bb", &["aa"]).await.unwrap();
    assert!(matches!(tell("aa", &[]).await, Err(EnclaveFault::State(_))));
    // One in between was never told: the last one replaces all of its line.
    tell("dd", &["aa", "bb", "cc"]).await.unwrap();
    let heard: Vec<_> =
        two.theirs.hears(3).await.into_iter().map(|(_, said)| said["txHash"].clone()).collect();
    assert_eq!(heard, ["aa", "bb", "dd"]);
    for vasp in [EXCHANGE, ROBOT] {
        let hashes = column(&world, vasp, "SELECT tx_hash FROM reports ORDER BY number").await;
        assert_eq!(hashes, ["aa", "bb", "dd"], "each stands written down, in order");
    }
    reported(&two.robot, &uuid, "dd").await;
    // What somebody else reported is nobody's to replace unseen, and what is final stays.
    two.exchange.report_tx(&uuid, "ee", Some("0")).await.unwrap();
    assert!(matches!(tell("ff", &["dd"]).await, Err(EnclaveFault::State(_))));
    two.ours.says(Some(transfer(TransferStatus::Confirmed)));
    assert!(matches!(tell("ff", &["ee"]).await, Err(EnclaveFault::State(_))));
}

#[tokio::test]
async fn an_inquiry_brings_what_the_senders_backend_says_or_its_record() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    let of = |status, tx_hash: Option<&str>, vout: Option<&str>| Transfer {
        status,
        tx_hash: tx_hash.map(Into::into),
        vout: vout.map(Into::into),
    };
    assert_eq!(two.robot.inquire(&uuid).await.unwrap(), of(TransferStatus::Pending, None, None));
    two.exchange.report_tx(&uuid, "ab12", Some("0")).await.unwrap();
    let known = of(TransferStatus::Processing, Some("ab12"), Some("0"));
    assert_eq!(two.robot.inquire(&uuid).await.unwrap(), known);
    for status in TransferStatus::ALL {
        two.ours.says(Some(transfer(status)));
        assert_eq!(two.robot.inquire(&uuid).await.unwrap(), transfer(status));
    }
    two.exchange.stop().await;
    assert!(matches!(two.robot.inquire(&uuid).await, Err(EnclaveFault::NoAnswer)));
}

#[tokio::test]
async fn a_report_waits_for_the_relay_and_the_other_side_and_comes_once() {
    let mut world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    world.stop_relay().await;
    two.exchange.report_tx(&uuid, "ab12", None).await.unwrap();
    two.exchange.report_tx(&uuid, "cd34", None).await.unwrap();
    two.robot.stop().await;
    world.start_relay().await;
    let exchange = two.exchange;
    exchange.stop().await;
    // As if it had been killed in the middle of a call.
    let file = format!("sqlite://{}", world.database(EXCHANGE).display());
    let pool = sqlx::SqlitePool::connect(&file).await.unwrap();
    let killed =
        "UPDATE commands SET status = 'PROCESSING', fetched_at = unixepoch() WHERE command_type = 'REPORT'";
    sqlx::raw_sql(killed).execute(&pool).await.unwrap();
    pool.close().await;
    let _exchange = world.lived(EXCHANGE, &two.ours).await;
    let robot = world.lived(ROBOT, &two.theirs).await;
    reported(&robot, &uuid, "cd34").await;
    let heard = two.theirs.hears(2).await;
    assert_eq!([&heard[0].1["txHash"], &heard[1].1["txHash"]], [&json!("ab12"), &json!("cd34")]);
    for _ in 0..100 {
        if column(&world, EXCHANGE, "SELECT status FROM commands WHERE status <> 'DONE'").await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let bodies = "SELECT status FROM commands WHERE status <> 'DONE' OR command_body IS NOT NULL";
    assert!(column(&world, EXCHANGE, bodies).await.is_empty());
    assert_eq!(two.theirs.heard().len(), 2);
}

#[tokio::test]
async fn a_backend_that_hears_nothing_is_called_back_until_it_does_over_a_restart() {
    let world = World::new().await;
    let two = world.two().await;
    two.ours.deaf.store(true, Ordering::SeqCst);
    let uuid = verified(&two).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    two.exchange.stop().await;
    let exchange = world.lived(EXCHANGE, &two.ours).await;
    assert!(two.ours.heard().is_empty());
    two.ours.deaf.store(false, Ordering::SeqCst);
    assert_eq!(two.ours.hears(1).await[0].1["verificationUuid"], json!(uuid));
    // Stopped between hearing and noting, it would be told once more: at least once is the promise.
    while column(&world, EXCHANGE, "SELECT status FROM commands").await != ["DONE"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    exchange.stop().await;
    let _exchange = world.lived(EXCHANGE, &two.ours).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    two.ours.hears(1).await;
}

#[tokio::test]
async fn what_nobody_hears_for_a_day_is_given_up_with_an_alarm_by_code() {
    let log = super::attacks::Log::default();
    let _listening = log.listen();
    let world = World::new().await;
    let two = world.two().await;
    two.ours.deaf.store(true, Ordering::SeqCst);
    verified(&two).await;
    world.ahead.store(86_401, Ordering::SeqCst);
    let wiped = "SELECT status FROM commands WHERE command_body IS NULL";
    let mut status = Vec::new();
    for _ in 0..200 {
        status = column(&world, EXCHANGE, wiped).await;
        if !status.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status, ["ERROR"]);
    let text = log.text();
    assert!(text.contains("COMMAND_GIVEN_UP") && !text.contains("Robbins"), "{text}");
}

/// Law L5, for the whole life of an ordered verification.
#[tokio::test]
async fn an_ordered_life_leaves_no_personal_data_in_a_file_or_in_the_log() {
    let log = super::attacks::Log::default();
    let _listening = log.listen();
    let world = World::new().await;
    let two = world.two().await;
    // A callback that waits is in the file too.
    two.ours.deaf.store(true, Ordering::SeqCst);
    two.theirs.deaf.store(true, Ordering::SeqCst);
    let uuid = verified(&two).await;
    two.exchange.report_tx(&uuid, "ab12", Some("0")).await.unwrap();
    two.exchange.report_error(&uuid, &canceled()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut said = format!("{:?}", two.exchange.verification(&uuid).await.unwrap().unwrap());
    said += &format!("{:?} {:?}", order(CHECKED, &natural("Robbins", "Taylor")), canceled());
    two.exchange.stop().await;
    two.robot.stop().await;
    said += &log.text();
    let files = [EXCHANGE, ROBOT].map(|vasp| database_bytes(&world.database(vasp)));
    assert!(files.iter().all(|bytes| contains(bytes, CHECKED) && contains(bytes, "ab12")));
    for name in ["Robbins", "Taylor", "HONG", "GILDONG", "Gangneung", "1990-01-31", "changed her mind"] {
        assert!(!said.contains(name), "{name} in {said}");
        assert!(files.iter().all(|bytes| !contains(bytes, name)), "{name} is in a database file");
    }
}
