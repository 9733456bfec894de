//! Re-issue after a claimed cancel: what was taken back with the co-signer's receipt is never signed, and without one it is
//! not taken back.

use std::sync::atomic::Ordering;

use countersign::evidence::rejection::RejectionText;
use countersign::evidence::*;

use super::*;
use crate::approvals::approval;

fn cancellation(taken: &Taken) -> VoidOrder {
    VoidOrder::Cancellation(cancel_of(&taken.request, EXCHANGE))
}

fn verified(world: &World, request: &SignedText) -> VerifiedRequest {
    let trust = trust(&world.plan.trust);
    VerifiedRequest::reverify(&request.text, &request.key_id, &request.signature, &trust).unwrap()
}

fn rejection(world: &World, taken: &Taken, seed: u8) -> VoidOrder {
    let request = taken.payment.request.clone();
    let text = RejectionText::of(&verified(world, &request), "not today").render();
    VoidOrder::Rejection { request, signature: approval(&text, seed), text }
}

#[track_caller]
fn receipt(voided: Voided) -> SignedText {
    match voided {
        Voided::Receipt(receipt) => receipt,
        Voided::Signed => panic!("it is signed"),
    }
}

/// What the exchange's client says of a receipt.
fn client(world: &World, receipt: &SignedText, id: WithdrawalId) -> Result<VoidCause, Code> {
    let trust = trust(&world.plan.trust);
    let said = verify_void(&receipt.text, &receipt.signature, trust.attestation_key(), id);
    said.map(|said| said.void().cause).map_err(|no| no.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_a_stolen_signer_that_claims_a_cancel_has_no_receipt_for_it() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000, 2_000_000]).await;
    let (claimed, other) = (robbery.taken[0].clone(), robbery.taken[1].clone());
    let id = claimed.request.id();
    let true_one = receipt(robbery.line().void(cancellation(&other)).await.unwrap());
    assert_eq!(client(&robbery.world, &true_one, other.request.id()), Ok(VoidCause::Cancelled));
    // what a thief has to show: the receipt of another, one altered, one signed with keys of its own, an attestation
    let said = void::parse_void(&true_one.text).unwrap();
    let mine = WithdrawalVoid { request_id: claimed.request.request_id.clone(), ..said };
    let own = void::render_void(&mine);
    let altered = SignedText { text: own.clone(), ..true_one.clone() };
    let signature = identity(0xa, "attestation").sign_text(&own).unwrap();
    let forged = SignedText { text: own, key_id: "attestation".into(), signature };
    let elsewhere = crate::thief::attest(&robbery.world, "victim", 0, 40).await.unwrap();
    for (what, shown) in [("another's", &true_one), ("altered", &altered), ("forged", &forged)] {
        assert_eq!(client(&robbery.world, shown, id), Err(Code::EvidenceInvalid), "{what}");
    }
    assert_eq!(client(&robbery.world, &elsewhere, id), Err(Code::FieldMalformed));
    // and it was right not to be believed: what the co-signer has not heard of, it signs
    let plot = robbery.plot(0, &claimed);
    robbery.succeeds(&plot, vec![claimed.payment]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_what_was_cancelled_with_a_receipt_is_never_signed() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000, 2_000_000]).await;
    let (gone, stays) = (robbery.taken[0].clone(), robbery.taken[1].clone());
    let first = receipt(robbery.line().void(cancellation(&gone)).await.unwrap());
    for round in 0..2 {
        // by itself, from another coin, beside another, under another digest of the same id
        for coin in 0..2 {
            let plot = robbery.plot(coin, &gone);
            robbery.fails("CANCELLED", &plot, vec![gone.payment.clone()]).await;
        }
        let both = Plot {
            change: Some((Branch::Change, 21)),
            ..robbery.thief.plot(0, &[&stays.request, &gone.request])
        };
        robbery.fails("CANCELLED", &both, vec![stays.payment.clone(), gone.payment.clone()]).await;
        let other = WithdrawalRequest { amount: Amount::from_sat(3_000_000), ..gone.request.clone() };
        let payment = robbery.payment(&other);
        let plot = robbery.thief.plot(0, &[&other]);
        robbery.fails("CANCELLED", &plot, vec![payment]).await;
        // asked again it is the same receipt, however late, whatever else is said of it
        for again in [cancellation(&gone), rejection(&robbery.world, &gone, KIM)] {
            assert_eq!(receipt(robbery.line().void(again).await.unwrap()), first, "round {round}");
        }
        robbery.world.restart_cosigner().await;
    }
    let plot = robbery.plot(0, &stays);
    robbery.succeeds(&plot, vec![stays.payment]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_what_an_operator_rejected_with_a_receipt_is_never_signed() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000, 2_000_000]).await;
    let (gone, stays) = (robbery.taken[0].clone(), robbery.taken[1].clone());
    let given = receipt(robbery.line().void(rejection(&robbery.world, &gone, LEE)).await.unwrap());
    assert_eq!(client(&robbery.world, &given, gone.request.id()), Ok(VoidCause::Rejected));
    for _ in 0..2 {
        let plot = robbery.plot(0, &gone);
        robbery.fails("REJECTED_BY_OPERATOR", &plot, vec![gone.payment.clone()]).await;
        robbery.world.restart_cosigner().await;
    }
    let plot = robbery.plot(0, &stays);
    robbery.succeeds(&plot, vec![stays.payment]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_a_stolen_signer_takes_nothing_back_that_nobody_took_back() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000, 2_000_000]).await;
    let (asked, other) = (robbery.taken[0].clone(), robbery.taken[1].clone());
    let before = robbery.books().await;
    let forged = VoidOrder::Cancellation(cancel_of(&asked.request, STRANGER));
    let of_another = match rejection(&robbery.world, &asked, KIM) {
        VoidOrder::Rejection { text, signature, .. } => {
            VoidOrder::Rejection { request: other.payment.request.clone(), text, signature }
        }
        VoidOrder::Cancellation(_) => unreachable!(),
    };
    let late =
        WithdrawalRequest { asked_at: Seconds(asked.request.asked_at.0 - 601), ..asked.request.clone() };
    let late = VoidOrder::Cancellation(cancel_of(&late, EXCHANGE));
    let cases = [
        (forged, Code::RequestSignatureInvalid),
        (rejection(&robbery.world, &asked, STRANGER), Code::OperatorUnknown),
        (of_another, Code::ApprovalInvalid),
        (late, Code::RequestTimeOutOfRange),
    ];
    for (order, code) in cases {
        assert_eq!(robbery.line().void(order).await.unwrap_err().code(), code);
    }
    assert_eq!(robbery.books().await, before);
    let plot = robbery.plot(0, &asked);
    robbery.succeeds(&plot, vec![asked.payment.clone()]).await;
    // too late now, for ever
    for _ in 0..2 {
        assert_eq!(robbery.line().void(cancellation(&asked)).await.unwrap(), Voided::Signed);
        assert_eq!(
            robbery.line().void(rejection(&robbery.world, &asked, KIM)).await.unwrap(),
            Voided::Signed
        );
        robbery.world.restart_cosigner().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_of_a_cancel_and_a_signature_at_once_there_is_exactly_one() {
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000; 6]).await;
    for (n, taken) in robbery.taken.clone().into_iter().enumerate() {
        let index = u32::try_from(n).unwrap();
        let plot = Plot { change: Some((Branch::Change, 30 + index)), ..robbery.plot(n, &taken) };
        let loot = robbery.thief.book(&plot, vec![taken.payment.clone()]);
        let line = robbery.wire.cosigner_as(Role::Signer);
        let order = cancellation(&taken);
        let cancels = tokio::spawn(async move {
            // each time a little later
            for _ in 0..n * 20 {
                tokio::task::yield_now().await;
            }
            line.void(order).await.unwrap()
        });
        let verdict = robbery.ask(std::slice::from_ref(&loot)).await.remove(0);
        match (cancels.await.unwrap(), verdict) {
            (Voided::Receipt(_), refused @ ItemVerdict::Refused(_)) => assert_eq!(no(refused), "CANCELLED"),
            (Voided::Signed, ItemVerdict::Signed(_)) => {}
            both => panic!("{both:?}"),
        }
        let late = robbery.line().void(cancellation(&taken)).await.unwrap();
        let again = robbery.ask(std::slice::from_ref(&loot)).await.remove(0);
        assert_eq!(matches!(late, Voided::Signed), matches!(again, ItemVerdict::Signed(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_a_cancel_that_the_signer_died_over_stands_at_the_cosigner() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let request = world.request("r1", TAYLOR, 20_000_000);
    let held = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    // the co-signer has it; the signer died before it wrote it down
    let order = VoidOrder::Cancellation(cancel_of(&request, EXCHANGE));
    let first = receipt(world.cosigner().void(order).await.unwrap());
    world.restart_signer().await;
    assert_eq!(codes(&world.find(held.id).await), ["APPROVAL_REQUIRED"]);
    world.approve(held.id, KIM).await.unwrap();
    let ended = world.until(held.id, |v| matches!(v.outcome, Outcome::Refused(_))).await;
    assert_eq!((codes(&ended), ended.void_receipt), (vec!["CANCELLED"], None));
    // asked again, the receipt is there
    let exchange = caller(Role::Exchange, "acme");
    let again = world.desk().cancel(&exchange, cancel_of(&request, EXCHANGE)).await.unwrap();
    assert_eq!(again.receipt, Some(first.clone()));
    world.restart_signer().await;
    assert_eq!(world.find(held.id).await.void_receipt, Some(first));
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_what_was_refused_or_never_asked_is_cancelled_with_a_receipt_before_it_is_asked_anew() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let exchange = caller(Role::Exchange, "acme");
    // refused: the signer's word alone, until the receipt is there; why it was refused stays said
    let denied = world.request("r1", ETHAN, 2_000_000);
    let view = world.ask(&denied, ("Cook", "Ethan")).await.unwrap();
    assert_eq!((codes(&view), view.void_receipt), (vec!["TRAVEL_RULE_DENIED"], None));
    let cancelled = world.desk().cancel(&exchange, cancel_of(&denied, EXCHANGE)).await.unwrap();
    let given = cancelled.receipt.unwrap();
    assert_eq!(client(&world, &given, view.id), Ok(VoidCause::Cancelled));
    let found = world.find(view.id).await;
    assert_eq!((codes(&found), found.void_receipt), (vec!["TRAVEL_RULE_DENIED"], Some(given)));
    // too late for the signer, which kept nothing of it; the co-signer would still sign it
    let late = world.request("r2", TAYLOR, 2_000_000);
    world.later(601);
    let no = world.ask(&late, ("Robbins", "Taylor")).await.unwrap_err();
    assert_eq!(no.code(), Code::RequestTimeOutOfRange);
    let cancel = WithdrawalRequest { asked_at: world.now(), ..late.clone() };
    let cancelled = world.desk().cancel(&exchange, cancel_of(&cancel, EXCHANGE)).await.unwrap();
    assert_eq!(cancelled.withdrawal, None);
    assert_eq!(client(&world, &cancelled.receipt.unwrap(), late.id()), Ok(VoidCause::Cancelled));
    // asked all the same, it is not paid
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    let asked = world.ask(&cancel, ("Robbins", "Taylor")).await.unwrap();
    world.until(asked.id, |v| codes(v) == ["CANCELLED"]).await;
    // and another one is
    assert_eq!(codes(&world.withdraw("r3", 2_000_000).await), ["RELEASED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l02_a_stolen_cosigner_that_gives_a_receipt_and_signs_gets_no_signature_of_a() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let exchange = caller(Role::Exchange, "acme");
    let forge = |request: &WithdrawalRequest| {
        let void = WithdrawalVoid {
            organisation: request.organisation.clone(),
            request_id: request.request_id.clone(),
            cause: VoidCause::Cancelled,
            evidence: [1; 32],
            voided_at: world.now(),
        };
        let text = void::render_void(&void);
        let signature = identity(0xb, "attestation").sign_text(&text).unwrap();
        let receipt = SignedText { text, key_id: "attestation".into(), signature };
        *world.tap.forge_receipt.lock().unwrap() = Some(receipt);
    };
    // the receipt first, then the signature: the signer keeps its own back
    world.tap.hold_orders.store(true, Ordering::Relaxed);
    let request = world.request("r1", TAYLOR, 2_000_000);
    let id = world.ask(&request, ("Robbins", "Taylor")).await.unwrap().id;
    world.until(id, |v| codes(v) == ["COSIGNER_UNREACHABLE"]).await;
    forge(&request);
    let cancelled = world.desk().cancel(&exchange, cancel_of(&request, EXCHANGE)).await.unwrap();
    assert_eq!(client(&world, &cancelled.receipt.unwrap(), id), Ok(VoidCause::Cancelled));
    world.tap.hold_orders.store(false, Ordering::Relaxed);
    let ended = world.until(id, |v| codes(v) == ["CANCELLED"]).await;
    assert!(ended.raw_transaction.is_empty());
    let alarm = |leaf: &[u8]| {
        let text = String::from_utf8_lossy(leaf).into_owned();
        text.contains(r#""kind":"alarm""#) && text.contains("EVIDENCE_INVALID")
    };
    assert!(world.leaves().await.iter().any(|leaf| alarm(leaf)), "nobody is told");
    // the signature first, then the receipt: no receipt leaves
    *world.tap.forge_receipt.lock().unwrap() = None;
    let paid = world.request("r2", TAYLOR, 2_000_000);
    let view = world.ask(&paid, ("Robbins", "Taylor")).await.unwrap();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    forge(&paid);
    let no = world.desk().cancel(&exchange, cancel_of(&paid, EXCHANGE)).await.unwrap_err();
    assert_eq!(no.code(), Code::EvidenceInvalid);
    assert_eq!(world.find(view.id).await.void_receipt, None);
    // a receipt of another withdrawal is none
    let third = world.request("r3", TAYLOR, 20_000_000);
    let held = world.ask(&third, ("Robbins", "Taylor")).await.unwrap();
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    let no = world.desk().cancel(&exchange, cancel_of(&third, EXCHANGE)).await.unwrap_err();
    assert_eq!(no.code(), Code::EvidenceInvalid);
    assert_eq!(codes(&world.find(held.id).await), ["APPROVAL_REQUIRED"]);
}
