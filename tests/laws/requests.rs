//! L1 and L2: only what the exchange signed, and each request once.

use std::sync::atomic::Ordering;

use countersign::desk::*;
use countersign::evidence::*;
use countersign::withdrawal::*;
use data_encoding::HEXLOWER;

use super::thief::*;
use super::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn l01_a_stolen_signer_can_pay_only_what_the_exchange_asked_once() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let true_payment = thief.payment(&asked);
    let answer = match true_payment.clearance.clone() {
        Some(ClearanceEvidence::Answer(answer)) => Some(answer),
        Some(ClearanceEvidence::Exempt(_) | ClearanceEvidence::Reported(_)) | None => None,
    };
    let plot = thief.plot(0, &[&asked]);

    // nobody asked: another key, another key's name, an altered text
    let forged = signed(sign_request(&asked, ed25519(&key(STRANGER))).unwrap(), "k1");
    let verdict = thief.try_to(&world, &plot, vec![payment(forged, answer.clone())]).await;
    assert_eq!(no(verdict), "REQUEST_SIGNATURE_INVALID");
    let unknown = SignedText { key_id: "k2".into(), ..sign(&asked) };
    let plot = thief.plot(0, &[&asked]);
    let verdict = thief.try_to(&world, &plot, vec![payment(unknown, answer.clone())]).await;
    assert_eq!(no(verdict), "REQUEST_KEY_UNKNOWN");
    let text = sign(&asked).text.replace("amount: 2000000", "amount: 3000000");
    let altered = SignedText { text, ..sign(&asked) };
    let plot = thief.plot(0, &[&asked]);
    let verdict = thief.try_to(&world, &plot, vec![payment(altered, answer.clone())]).await;
    assert_eq!(no(verdict), "REQUEST_SIGNATURE_INVALID");

    // asked, and something else is paid
    let others = [
        vec![(ETHAN.to_owned(), 2_000_000)],
        vec![(TAYLOR.to_owned(), 2_000_001)],
        vec![(TAYLOR.to_owned(), 2_000_000), (ETHAN.to_owned(), 1_000)],
        vec![(TAYLOR.to_owned(), 2_000_000), (TAYLOR.to_owned(), 2_000_000)],
        vec![],
    ];
    for payees in others {
        let plot = Plot { payees, ..thief.plot(0, &[&asked]) };
        let verdict = thief.try_to(&world, &plot, vec![true_payment.clone()]).await;
        assert_eq!(no(verdict), "TRANSACTION_MISMATCH");
    }
    // no evidence at all
    let verdict = thief.try_to(&world, &thief.plot(0, &[&asked]), vec![]).await;
    assert_eq!(no(verdict), "TRANSACTION_MISMATCH");

    // one request twice in one transaction
    let plot = thief.plot(0, &[&asked, &asked]);
    let second = thief.payment(&asked);
    let verdict = thief.try_to(&world, &plot, vec![true_payment.clone(), second]).await;
    assert_eq!(no(verdict), "REQUEST_ID_REUSED");

    // what was asked, once
    yes(thief.try_to(&world, &thief.plot(0, &[&asked]), vec![true_payment.clone()]).await);
    let again = thief.payment(&asked);
    let plot = Plot { change: Some((countersign::bitcoin::Branch::Change, 1)), ..thief.plot(1, &[&asked]) };
    assert_eq!(no(thief.try_to(&world, &plot, vec![again.clone()]).await), "ANCHOR_MISMATCH");

    // the id belongs to its first request, also after a restart
    let other = WithdrawalRequest { amount: Amount::from_sat(3_000_000), ..asked.clone() };
    let payment = thief.payment(&other);
    let verdict = thief.try_to(&world, &thief.plot(1, &[&other]), vec![payment.clone()]).await;
    assert_eq!(no(verdict), "REQUEST_ID_REUSED");
    world.restart_cosigner().await;
    let plot = thief.plot(1, &[&other]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![payment]).await), "REQUEST_ID_REUSED");
    let plot = thief.plot(1, &[&asked]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![again]).await), "ANCHOR_MISMATCH");
}

#[tokio::test(flavor = "multi_thread")]
async fn l01_one_request_in_two_transactions_of_one_order_is_paid_once() {
    let (world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let (one, two) = (thief.payment(&asked), thief.payment(&asked));
    let first = thief.book(&thief.plot(0, &[&asked]), vec![one.clone()]);
    let second = thief.book(&thief.plot(1, &[&asked]), vec![two]);
    let same_anchor = thief.book(&thief.plot(0, &[&asked]), vec![one]);
    let mut verdicts = thief.ask(&world, &[first, second, same_anchor]).await;
    assert_eq!(no(verdicts.remove(1)), "ANCHOR_MISMATCH");
    assert_eq!(no(verdicts.remove(1)), "COIN_UNKNOWN");
    yes(verdicts.remove(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn l01_a_request_too_old_or_from_the_future_is_not_signed() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let early =
        WithdrawalRequest { asked_at: world.now().plus(600), ..world.request("r1", TAYLOR, 2_000_000) };
    let payment = thief.payment(&early);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&early]), vec![payment]).await;
    assert_eq!(no(verdict), "REQUEST_TIME_OUT_OF_RANGE");
    let late = world.request("r2", TAYLOR, 2_000_000);
    world.later(86_400 + 601);
    let payment = thief.payment(&late);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&late]), vec![payment]).await;
    assert_eq!(no(verdict), "REQUEST_TIME_OUT_OF_RANGE");
}

#[tokio::test(flavor = "multi_thread")]
async fn l01_the_signer_too_takes_only_what_the_exchange_signed() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let forged = signed(sign_request(&asked, ed25519(&key(STRANGER))).unwrap(), "k1");
    let order = WithdrawalOrder { request: forged, ..order(&asked, ("Robbins", "Taylor")) };
    let no =
        WithdrawalDesk::create(&*world.desk(), &caller(Role::Exchange, "acme"), order).await.unwrap_err();
    assert_eq!(no.code(), Code::RequestSignatureInvalid);
    let order = super::world::order(&asked, ("Robbins", "Taylor"));
    let no =
        WithdrawalDesk::create(&*world.desk(), &caller(Role::Exchange, "else"), order).await.unwrap_err();
    assert_eq!(no.code(), Code::RequestKeyUnknown);
    assert!(world.tap.orders.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_same_id_same_digest_gives_the_saved_outcome() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    let first = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(codes(&first), ["RELEASED"]);
    let asked = world.tap.orders.lock().unwrap().len();
    let again = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(again.raw_transaction, first.raw_transaction);

    let other = WithdrawalRequest { amount: Amount::from_sat(2_000_001), ..request.clone() };
    let no = world.ask(&other, ("Robbins", "Taylor")).await.unwrap_err();
    assert_eq!(no.code(), Code::RequestIdReused);
    // personal data is part of what was asked, by its keyed hash
    let no = world.ask(&request, ("Cook", "Ethan")).await.unwrap_err();
    assert_eq!(no.code(), Code::RequestIdReused);

    world.restart_signer().await;
    let after = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(codes(&after), ["RELEASED"]);
    assert_eq!(after.raw_transaction, first.raw_transaction);
    assert_eq!(world.ask(&other, ("Robbins", "Taylor")).await.unwrap_err().code(), Code::RequestIdReused);
    assert_eq!(world.tap.orders.lock().unwrap().len(), asked, "it was signed again");
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_a_repeat_is_answered_with_its_outcome_however_old_it_is() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    let never_asked = world.request("r2", TAYLOR, 2_000_000);
    let first = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(codes(&first), ["RELEASED"]);
    world.later(3_600);
    let again = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(again.raw_transaction, first.raw_transaction);
    let other = WithdrawalRequest { amount: Amount::from_sat(2_000_001), ..request.clone() };
    assert_eq!(world.ask(&other, ("Robbins", "Taylor")).await.unwrap_err().code(), Code::RequestIdReused);
    // new, it is refused for its age
    let no = world.ask(&never_asked, ("Robbins", "Taylor")).await.unwrap_err();
    assert_eq!(no.code(), Code::RequestTimeOutOfRange);
    world.restart_signer().await;
    let again = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(again.raw_transaction, first.raw_transaction);
}

#[tokio::test(flavor = "multi_thread")]
async fn l01_a_key_that_was_taken_out_pays_nothing_more_and_keeps_nobody_from_starting() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let held = world.withdraw("r1", 20_000_000).await;
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.stop_signer().await;
    world.plan.trust.version = 2;
    world.plan.trust.request_keys[0].key = HEXLOWER.encode(key(STRANGER).verifying_key().as_bytes());
    world.start_signer().await;
    world.until(held.id, |v| codes(v) == ["REQUEST_KEY_UNKNOWN"]).await;
    assert!(matches!(world.find(held.id).await.outcome, Outcome::Refused(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_the_same_request_from_many_sides_at_once_is_one_payment() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    let asks = (0..8).map(|_| world.ask(&request, ("Robbins", "Taylor")));
    let views = futures_util::future::join_all(asks).await;
    let txids: std::collections::BTreeSet<_> = views.into_iter().map(|v| v.unwrap().txid.unwrap()).collect();
    assert_eq!(txids.len(), 1);
    let items: usize = world.tap.orders.lock().unwrap().iter().map(|o| o.items.len()).sum();
    assert_eq!(items, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_cancel_succeeds_only_with_the_cosigners_receipt_and_not_once_it_has_signed() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let exchange = caller(Role::Exchange, "acme");
    let attestation_key = trust(&world.plan.trust).attestation_key().to_owned();
    let holds = |cancelled: &Cancellation, id| {
        let receipt = cancelled.receipt.as_ref().unwrap();
        let said = verify_void(&receipt.text, &receipt.signature, &attestation_key, id).unwrap();
        assert_eq!(said.void().cause, VoidCause::Cancelled);
    };
    // it waits for an approval: it can be taken back, by who asked and by nobody else
    let request = world.request("r1", TAYLOR, 20_000_000);
    let held = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    let no = world.desk().cancel(&exchange, cancel_of(&request, STRANGER)).await.unwrap_err();
    assert_eq!(no.code(), Code::RequestSignatureInvalid);
    // the co-signer has not heard of it: nothing is claimed, and nothing has changed
    world.cut();
    let waits = world.desk().cancel(&exchange, cancel_of(&request, EXCHANGE)).await.unwrap_err();
    assert_eq!(waits.code(), Code::CosignerUnreachable);
    assert_eq!(codes(&world.find(held.id).await), ["APPROVAL_REQUIRED"]);
    world.mend();
    let gone = world.desk().cancel(&exchange, cancel_of(&request, EXCHANGE)).await.unwrap();
    holds(&gone, held.id);
    let view = gone.withdrawal.clone().unwrap();
    assert_eq!(codes(&view), ["CANCELLED"]);
    assert_eq!(view.void_receipt, gone.receipt);
    // asked again, it is the same receipt
    let again = world.desk().cancel(&exchange, cancel_of(&request, EXCHANGE)).await.unwrap();
    assert_eq!(again.receipt, gone.receipt);

    // it is booked and not signed: the co-signer decides, and then says no to the booking
    world.tap.hold_orders.store(true, Ordering::Relaxed);
    let request = world.request("r2", TAYLOR, 2_000_000);
    let booked = world.ask(&request, ("Robbins", "Taylor")).await.unwrap().id;
    world.until(booked, |v| codes(v) == ["COSIGNER_UNREACHABLE"]).await;
    let taken = world.desk().cancel(&exchange, cancel_of(&request, EXCHANGE)).await.unwrap();
    holds(&taken, booked);
    world.tap.hold_orders.store(false, Ordering::Relaxed);
    world.until(booked, |v| codes(v) == ["CANCELLED"]).await;

    // it is signed: too late, and it says so
    let request = world.request("r3", TAYLOR, 2_000_000);
    let id = world.ask(&request, ("Robbins", "Taylor")).await.unwrap().id;
    world.until(id, |v| codes(v) == ["RELEASED"]).await;
    let late = world.desk().cancel(&exchange, cancel_of(&request, EXCHANGE)).await.unwrap();
    assert_eq!(late.receipt, None);
    assert_eq!(codes(&late.withdrawal.unwrap()), ["RELEASED"]);

    // what was taken back stays so after a restart of both, and is never paid
    world.restart_signer().await;
    world.restart_cosigner().await;
    let kept = world.find(held.id).await;
    assert_eq!((codes(&kept), kept.void_receipt), (vec!["CANCELLED"], gone.receipt));
    assert_eq!(codes(&world.find(booked).await), ["CANCELLED"]);
    assert_eq!(codes(&world.find(id).await), ["RELEASED"]);
}
