//! Coins that arrive: matched by transaction, by amount, by asking, or by nobody.

use super::clearance::AGE;
use super::lived::*;
use super::*;
use crate::enclave::{
    Deposit, DepositReason, DepositSearch, DepositSeen, DepositState, EnclaveFault, Transfer, TransferStatus,
};

fn coins(tx_hash: &str, vout: &str, amount: &str) -> DepositSeen {
    DepositSeen {
        symbol: "BTC".into(),
        network: Some("regtest".into()),
        tx_hash: tx_hash.into(),
        vout: Some(vout.into()),
        address: CHECKED.into(),
        amount: amount.into(),
        received_at: clock()(),
    }
}

async fn seen(two: &Two, tx_hash: &str, vout: &str) -> Deposit {
    two.robot.deposit_seen(coins(tx_hash, vout, "0.0015")).await.unwrap()
}

fn short(deposit: &Deposit) -> (DepositState, Option<DepositReason>, Option<&str>) {
    (deposit.state, deposit.reason, deposit.uuid.as_deref())
}

fn matched(uuid: &str, by: DepositReason) -> (DepositState, Option<DepositReason>, Option<&str>) {
    (DepositState::Matched, Some(by), Some(uuid))
}

const NOBODYS: (DepositState, Option<DepositReason>, Option<&str>) =
    (DepositState::Unmatched, Some(DepositReason::NoVerification), None);

/// Waits until nobody is asked about it any more.
async fn settled_deposit(enclave: &Enclave, id: u64) -> Deposit {
    for _ in 0..200 {
        let deposit = enclave.deposit(id).await.unwrap().unwrap();
        if !deposit.is_open {
            return deposit;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("deposit {id} is still open");
}

fn transfer(status: TransferStatus, tx_hash: Option<&str>) -> Transfer {
    Transfer { status, tx_hash: tx_hash.map(str::to_owned), vout: tx_hash.map(|_| "1".to_owned()) }
}

#[tokio::test]
async fn coins_whose_transaction_was_reported_belong_to_that_verification_alone() {
    let world = World::new().await;
    let two = world.two().await;
    let (_other, uuid) = (verified(&two).await, verified(&two).await);
    two.exchange.report_tx(&uuid, "ab12", Some("1")).await.unwrap();
    two.theirs.hears(1).await;
    let first = seen(&two, "ab12", "1").await;
    assert_eq!(short(&first), matched(&uuid, DepositReason::Tx));
    assert_eq!(seen(&two, "ab12", "1").await, first, "handed in again it is the same");
    for changed in
        [coins("ab12", "1", "0.0016"), DepositSeen { address: KOREAN.into(), ..coins("ab12", "1", "0.0015") }]
    {
        assert!(matches!(two.robot.deposit_seen(changed).await, Err(EnclaveFault::Conflict)));
    }
    let bad = DepositSeen { symbol: "XRP".into(), ..coins("ab12", "1", "0.0015") };
    for bad in [bad, coins("ab 12", "1", "1"), coins("ab12", "1", "0"), coins("ab12", "1", "0.000000001")] {
        assert!(matches!(two.robot.deposit_seen(bad).await, Err(EnclaveFault::Invalid(_))));
    }
    let of_it = DepositSearch { tx_hash: Some("ab12".into()), ..DepositSearch::default() };
    assert_eq!(two.robot.deposits(&of_it).await.unwrap(), [first]);
}

#[tokio::test]
async fn without_a_report_the_amount_tells_and_no_verification_is_used_twice() {
    let world = World::new().await;
    let two = world.two().await;
    assert_eq!(short(&seen(&two, "aa", "0").await), NOBODYS);
    let uuid = verified(&two).await;
    // Two outputs at the same moment: one of them is it.
    let (one, other) = tokio::join!(seen(&two, "bb", "0"), seen(&two, "bb", "1"));
    let states = [one.state, other.state];
    assert!(
        states.contains(&DepositState::Matched) && states.contains(&DepositState::Unmatched),
        "{states:?}"
    );
    let (taken, left) = if one.state == DepositState::Matched { (one, other) } else { (other, one) };
    assert_eq!((short(&taken), short(&left)), (matched(&uuid, DepositReason::Amount), NOBODYS));
    // One that was nobody's is looked for again when it is handed in again.
    let next = verified(&two).await;
    assert_eq!(short(&seen(&two, "aa", "0").await), matched(&next, DepositReason::Amount));
    assert_eq!(short(&seen(&two, "bb", left.seen.vout.as_deref().unwrap()).await), NOBODYS);
}

#[tokio::test]
async fn of_several_that_fit_the_sender_says_which_and_its_word_stands_in_the_record() {
    let world = World::new().await;
    let two = world.two().await;
    let (one, other) = (verified(&two).await, verified(&two).await);
    two.ours.says(Some(transfer(TransferStatus::Pending, None)));
    let said = transfer(TransferStatus::Processing, Some("ab12"));
    two.ours.transfers.lock().unwrap().insert(other.clone(), said);
    let deposit = seen(&two, "ab12", "1").await;
    assert_eq!(short(&deposit), (DepositState::Ambiguous, None, None));
    assert_eq!(deposit.candidates.len(), 2);
    assert!(deposit.is_open && deposit.candidates.contains(&one) && deposit.candidates.contains(&other));
    let deposit = settled_deposit(&two.robot, deposit.id).await;
    assert_eq!(short(&deposit), matched(&other, DepositReason::Tx));
    let record = two.robot.verification(&other).await.unwrap().unwrap();
    assert_eq!((record.tx_hash.as_deref(), record.vout.as_deref()), (Some("ab12"), Some("1")));
    assert_eq!(two.robot.verification(&one).await.unwrap().unwrap().tx_hash, None);
    let said = deposit.inquiries.iter().map(|i| (i.uuid.clone(), i.status)).collect::<BTreeMap<_, _>>();
    assert_eq!(said[&other], Some(TransferStatus::Processing));
    assert_eq!(said[&one], Some(TransferStatus::Pending));
}

#[tokio::test]
async fn an_inquiry_of_the_backend_writes_the_transaction_down_and_a_later_report_replaces_it() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    two.ours.says(Some(transfer(TransferStatus::Processing, Some("ab12"))));
    two.robot.inquire(&uuid).await.unwrap();
    let record = || async { two.robot.verification(&uuid).await.unwrap().unwrap() };
    assert_eq!(record().await.tx_hash.as_deref(), Some("ab12"));
    assert!(record().await.ordered_at.is_some());
    two.exchange.report_tx(&uuid, "cd34", Some("0")).await.unwrap();
    two.theirs.hears(1).await;
    assert_eq!(record().await.tx_hash.as_deref(), Some("cd34"));
}

#[tokio::test]
async fn a_report_that_comes_later_settles_what_waits_at_once() {
    let world = World::new().await;
    let two = world.two().await;
    let (uuid, _) = (verified(&two).await, verified(&two).await);
    let deposit = seen(&two, "ab12", "1").await;
    assert_eq!(deposit.state, DepositState::Ambiguous);
    // Both senders have answered that nothing was sent yet; the next question is a minute away.
    while two.robot.deposit(deposit.id).await.unwrap().unwrap().inquiries.len() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    two.exchange.report_tx(&uuid, "ab12", Some("1")).await.unwrap();
    let deposit = settled_deposit(&two.robot, deposit.id).await;
    assert_eq!(short(&deposit), matched(&uuid, DepositReason::Tx));
}

#[tokio::test]
async fn coins_that_nobody_names_are_left_to_people_with_what_was_said() {
    let world = World::new().await;
    let mut two = world.two().await;
    let uuid = verified(&two).await;
    let other = two.robot.deposit_seen(coins("aa", "0", "0.002")).await.unwrap();
    assert_eq!(short(&other), (DepositState::Waiting, None, None));
    two.ours.says(Some(transfer(TransferStatus::Canceled, None)));
    // Over a restart it waits on, and its sender is asked again.
    two.robot.stop().await;
    world.ahead.store(100, Ordering::SeqCst);
    two.robot = world.lived(ROBOT, &two.theirs).await;
    let other = settled_deposit(&two.robot, other.id).await;
    assert_eq!(short(&other), (DepositState::Unmatched, Some(DepositReason::Canceled), None));
    assert_eq!(other.inquiries[0].status, Some(TransferStatus::Canceled));
    // The sender is away: an hour later people decide.
    let silent = two.robot.deposit_seen(coins("bb", "0", "0.002")).await.unwrap();
    two.exchange.stop().await;
    world.ahead.store(3_800, Ordering::SeqCst);
    let silent = settled_deposit(&two.robot, silent.id).await;
    assert_eq!(silent.state, DepositState::Unmatched);
    assert_eq!(two.robot.verification(&uuid).await.unwrap().unwrap().tx_hash, None);
    let left = DepositSearch { state: Some(DepositState::Unmatched), ..DepositSearch::default() };
    let left: Vec<u64> = two.robot.deposits(&left).await.unwrap().iter().map(|one| one.id).collect();
    assert_eq!(left, [silent.id, other.id], "the newest first");
}

#[tokio::test]
async fn the_named_transaction_with_another_amount_is_no_match_and_says_so() {
    let world = World::new().await;
    let two = world.two().await;
    let uuid = verified(&two).await;
    two.exchange.report_tx(&uuid, "ab12", Some("1")).await.unwrap();
    two.theirs.hears(1).await;
    let deposit = two.robot.deposit_seen(coins("ab12", "1", "0.0014")).await.unwrap();
    assert_eq!(deposit.state, DepositState::Waiting);
    world.ahead.store(3_700, Ordering::SeqCst);
    let deposit = settled_deposit(&two.robot, deposit.id).await;
    assert_eq!(short(&deposit), (DepositState::Unmatched, Some(DepositReason::OtherAmount), None));
}

#[tokio::test]
async fn a_withdrawal_that_was_verified_again_is_one_transfer() {
    let world = World::new().await;
    let two = world.two().await;
    let ask = ask("w1", CHECKED, &natural("Robbins", "Taylor"));
    let (first, _) = insist(&two.exchange, &ask).await;
    world.ahead.store(AGE + 60, Ordering::SeqCst);
    let since = Some(Seconds(world.clock()().0 - AGE));
    let (second, _) = insist(&two.exchange, &VerifyAsk { fresh_since: since, ..ask }).await;
    assert_ne!(line(&first, "uuid"), line(&second, "uuid"));
    assert_eq!(short(&seen(&two, "ab12", "0").await), matched(line(&second, "uuid"), DepositReason::Amount));
    assert_eq!(short(&seen(&two, "cd34", "0").await), NOBODYS, "the answer of before is used up with it");
}
