//! L4 where no VASP signs: the co-signer asks by its own route, with its own credentials, under a lower limit; and what the adapter
//! makes of an enclave server that lies, is late, or breaks off in the middle.

use std::time::Duration;

use countersign::desk::*;
use countersign::enclave::{Door, Kind, VerifyAsk, VerifyReply};
use countersign::evidence::*;
use countersign::withdrawal::*;
use serde_json::{Value, json};
use uuid::Uuid;
use wallet_policy::Units;

use super::thief::*;
use super::world::*;

const SAT: u64 = 1_000_000;
const COINS: &str = "0.01000000";

/// What a stolen signer says of a verification.
fn report(thief: &mut Thief, request: &WithdrawalRequest, uuid: Uuid) -> CosignPayment {
    let said = VerificationAnswer { uuid, ..thief.answer(request) };
    let text = render_report(&VerificationReport { said, route: "https://enclave.example".into() });
    let clearance = Some(ClearanceEvidence::Reported(text));
    CosignPayment { request: sign(request), clearance, approvals: Vec::new() }
}

async fn verified(server: &Server, address: &str, amount: &str) -> Uuid {
    Uuid::try_parse(&server.order(address, amount, ["Robbins", "Taylor"]).await).unwrap()
}

/// Code and detail of a no.
fn why(verdict: ItemVerdict) -> (&'static str, String) {
    match verdict {
        ItemVerdict::Refused(refusal) => (refusal.finding.code.as_str(), refusal.finding.detail),
        ItemVerdict::Signed(_) | ItemVerdict::Pending(_) => panic!("key B signed"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_both_parties_ask_the_enclave_server_each_with_its_own_credentials() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let mut world = World::funded(plan, 3, 70 * COIN).await;
    let view = world.withdraw("r1", SAT).await;
    assert_eq!(codes(&view), ["RELEASED"]);
    assert_eq!(server.calls("order", SIGNER_TOKEN).await, 1);
    assert_eq!(server.calls("order", COSIGNER_TOKEN).await, 0);
    assert_eq!(server.calls("item", COSIGNER_TOKEN).await, 1, "the co-signer asked by itself");
    let order = world.tap.orders.lock().unwrap().last().unwrap().clone();
    assert!(matches!(order.items[0].payments[0].clearance, Some(ClearanceEvidence::Reported(_))));
    for _ in 0..200 {
        if server.records().await[0]["txHash"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let transaction: bitcoin::Transaction =
        bitcoin::consensus::encode::deserialize(&view.raw_transaction).unwrap();
    assert_eq!(server.records().await[0]["txHash"], transaction.compute_txid().to_string());
    let denied = world.ask(&world.request("r2", ETHAN, SAT), ("Cook", "Ethan")).await.unwrap();
    assert_eq!(codes(&denied), ["TRAVEL_RULE_DENIED"]);
    let elsewhere = world.ask(&world.request("r3", MINSU, SAT), ("KIM", "MINSU")).await.unwrap();
    assert_eq!(codes(&elsewhere), ["TRAVEL_RULE_DENIED"]);
    world.restart_signer().await;
    world.restart_cosigner().await;
    assert_eq!(codes(&world.find(view.id).await), ["RELEASED"]);
    let shown = format!("{view:?} {denied:?} {:?}", world.tap.orders.lock().unwrap());
    personal_data_is_nowhere(&world, shown);
}

fn personal_data_is_nowhere(world: &World, shown: String) {
    let mut seen = vec![("what is shown and sent".to_owned(), shown.into_bytes())];
    let mut folders = vec![world.dir.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                seen.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    for word in ["Robbins", "ROBBINS", "robbins", "JIHYE", "jihye", "Ethan", "naturalPerson", "IVMS"] {
        for (name, bytes) in &seen {
            let held = bytes.windows(word.len()).any(|at| at == word.as_bytes());
            assert!(!held, "{name} holds `{word}`");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_a_stolen_signer_gets_no_signature_for_what_the_enclave_server_does_not_confirm() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let (world, mut thief) = Thief::with(plan, 3, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, SAT);
    let never = Uuid::new_v4();
    let other_payee = verified(&server, MINSU, COINS).await;
    let denied = Uuid::try_parse(&server.order(TAYLOR, COINS, ["Robbins", "Tailor"]).await).unwrap();
    let other_amount = verified(&server, TAYLOR, "0.01000001").await;
    let below = verified(&server, TAYLOR, "0.00999999").await;
    server.delay(3_600).await;
    let waits = verified(&server, TAYLOR, COINS).await;
    server.delay(0).await;
    for (what, uuid, code) in [
        ("never verified", never, "ROUTE_UNCONFIRMED"),
        ("denied for another payee", other_payee, "EVIDENCE_INVALID"),
        ("the VASP said no", denied, "TRAVEL_RULE_DENIED"),
        ("another amount", other_amount, "EVIDENCE_INVALID"),
        ("a smaller amount", below, "EVIDENCE_INVALID"),
        ("no result yet", waits, "ROUTE_UNCONFIRMED"),
    ] {
        let payment = report(&mut thief, &asked, uuid);
        let plot = thief.plot(0, &[&asked]);
        assert_eq!(no(thief.try_to(&world, &plot, vec![payment]).await), code, "{what}");
    }
    // and the true one clears
    let good = verified(&server, TAYLOR, COINS).await;
    let payment = report(&mut thief, &asked, good);
    let loot = thief.book(&thief.plot(0, &[&asked]), vec![payment]);
    let signed = yes(thief.ask_one(&world, &loot).await);
    // what was decided is answered as it was, and nobody is asked about it again
    let calls = server.calls("item", COSIGNER_TOKEN).await;
    assert_eq!(yes(thief.ask_one(&world, &loot).await), signed);
    assert_eq!(server.calls("item", COSIGNER_TOKEN).await, calls);
    // once: another withdrawal of the very same payee and amount needs its own
    let twin = world.request("r2", TAYLOR, SAT);
    let payment = report(&mut thief, &twin, good);
    assert_eq!(no(thief.try_to(&world, &thief.plot(1, &[&twin]), vec![payment]).await), "EVIDENCE_USED");
    let fresh = verified(&server, TAYLOR, COINS).await;
    let (one, two) = (world.request("r3", TAYLOR, SAT), world.request("r4", TAYLOR, SAT));
    let payments = vec![report(&mut thief, &one, fresh), report(&mut thief, &two, fresh)];
    let verdict = thief.try_to(&world, &thief.plot(1, &[&one, &two]), payments).await;
    assert_eq!(no(verdict), "EVIDENCE_USED", "two payments of one transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_whatever_the_route_says_otherwise_is_no() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let (world, mut thief) = Thief::with(plan, 1, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, SAT);
    let good = verified(&server, TAYLOR, COINS).await;
    let old = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1_900);
    let ahead = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(600);
    for (lies, code) in [
        (json!({ "verificationUuid": Uuid::new_v4().to_string() }), "ROUTE_UNCONFIRMED"),
        (json!({ "beneficiaryAccountNumber": ETHAN }), "EVIDENCE_INVALID"),
        (json!({ "beneficiaryVaspId": "7" }), "TRAVEL_RULE_VASP_UNKNOWN"),
        (json!({ "originatingVaspId": "7" }), "EVIDENCE_INVALID"),
        (json!({ "assetInfo.symbol": "ETH" }), "EVIDENCE_INVALID"),
        (json!({ "assetInfo.network": "Ethereum" }), "EVIDENCE_INVALID"),
        (json!({ "assetInfo.network": null }), "EVIDENCE_INVALID"),
        (json!({ "assetInfo.amount": "0.02" }), "EVIDENCE_INVALID"),
        (json!({ "assetInfo.amount": "1e-2" }), "EVIDENCE_INVALID"),
        (json!({ "assetInfo.isExceedingThreshold": false }), "NO_CLEARANCE"),
        (json!({ "result": "ERROR", "reason": "USER-CANCELED" }), "NO_CLEARANCE"),
        (json!({ "result": "PENDING" }), "ROUTE_UNCONFIRMED"),
        (json!({ "result": "verified" }), "ROUTE_UNCONFIRMED"),
        (json!({ "reason": "MISMATCHED-NAME" }), "ROUTE_UNCONFIRMED"),
        (json!({ "verifiedAt": null }), "EVIDENCE_INVALID"),
        (json!({ "verifiedAt": old.to_string() }), "CLEARANCE_EXPIRED"),
        (json!({ "verifiedAt": ahead.to_string() }), "EVIDENCE_INVALID"),
        (json!({ "beneficiaryVaspId": 7 }), "ROUTE_UNCONFIRMED"),
    ] {
        server.lie(COSIGNER_TOKEN, lies.clone()).await;
        let payment = report(&mut thief, &asked, good);
        let plot = thief.plot(0, &[&asked]);
        let (said, detail) = why(thief.try_to(&world, &plot, vec![payment]).await);
        assert_eq!(said, code, "{lies}: {detail}");
        assert!(!detail.contains("Robbins") && !detail.contains("JIHYE"), "{detail}");
    }
    server.lie(COSIGNER_TOKEN, json!({})).await;
    for mood in ["broken", "busy", "garbage", "redirect", "silent", "slow", "refused", "unknown"] {
        server.mood("item", mood, Some(COSIGNER_TOKEN)).await;
        let payment = report(&mut thief, &asked, good);
        let plot = thief.plot(0, &[&asked]);
        let (said, detail) = why(thief.try_to(&world, &plot, vec![payment]).await);
        assert_eq!(said, "ROUTE_UNCONFIRMED", "{mood}: {detail}");
        assert!(!detail.contains("Robbins"), "{detail}");
    }
    server.mood("item", "well", Some(COSIGNER_TOKEN)).await;
    let payment = report(&mut thief, &asked, good);
    yes(thief.try_to(&world, &thief.plot(0, &[&asked]), vec![payment]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_what_no_vasp_signed_is_paid_up_to_the_lower_limit_only() {
    let Some(mut plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    // The signer's own policy lets it pass: only the co-signer's stands between.
    let asset = plan.signer_policy.assets.get_mut(&ASSET.to_string()).unwrap();
    (asset.unsigned_per_tx_limit, asset.unsigned_daily_limit) = (asset.per_tx_limit, asset.daily_limit);
    let (world, mut thief) = Thief::with(plan, 2, 100 * COIN).await;
    let over = world.request("r1", TAYLOR, 1_500_001);
    let uuid = verified(&server, TAYLOR, "0.01500001").await;
    let payment = report(&mut thief, &over, uuid);
    assert_eq!(no(thief.try_to(&world, &thief.plot(0, &[&over]), vec![payment]).await), "LIMIT_UNSIGNED");
    let within = world.request("r2", TAYLOR, 1_500_000);
    let uuid = verified(&server, TAYLOR, "0.01500000").await;
    let payment = report(&mut thief, &within, uuid);
    yes(thief.try_to(&world, &thief.plot(0, &[&within]), vec![payment]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_splits_below_the_lower_limit_end_at_the_cosigners_own_daily_total() {
    let Some(mut plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let asset = plan.signer_policy.assets.get_mut(&ASSET.to_string()).unwrap();
    (asset.unsigned_per_tx_limit, asset.unsigned_daily_limit) = (asset.per_tx_limit, asset.daily_limit);
    let (mut world, mut thief) = Thief::with(plan, 6, 100 * COIN).await;
    let mut asked = Vec::new();
    for n in 0..6 {
        let request = world.request(&format!("r{n}"), TAYLOR, 1_500_000);
        let uuid = verified(&server, TAYLOR, "0.01500000").await;
        let payment = report(&mut thief, &request, uuid);
        asked.push((request, payment));
    }
    // Five at once are 7,500,000 satoshi on nobody's signature, and 6,000,000 is the day's total.
    let paid: Vec<_> = asked[..5].iter().map(|(request, _)| request).collect();
    let payments = asked[..5].iter().map(|(_, payment)| payment.clone()).collect();
    let verdict = thief.try_to(&world, &thief.plot(0, &paid), payments).await;
    assert_eq!(no(verdict), "UNSIGNED_TOTAL_REACHED");
    for (n, (request, payment)) in asked[..4].iter().enumerate() {
        yes(thief.try_to(&world, &thief.plot(n, &[request]), vec![payment.clone()]).await);
    }
    let (request, payment) = asked[4].clone();
    let verdict = thief.try_to(&world, &thief.plot(4, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "UNSIGNED_TOTAL_REACHED");
    world.restart_cosigner().await;
    let (request, payment) = asked[5].clone();
    let verdict = thief.try_to(&world, &thief.plot(5, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "UNSIGNED_TOTAL_REACHED", "it is read back from the co-signer's own store");
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_the_honest_signer_refuses_above_the_lower_limit_and_without_one_everything() {
    let Some(mut plan) = Plan::verifyvasp() else { return };
    let world = World::funded(plan, 2, 70 * COIN).await;
    assert_eq!(codes(&world.withdraw("r1", 1_500_001).await), ["LIMIT_UNSIGNED"]);
    assert!(world.tap.orders.lock().unwrap().is_empty(), "the co-signer was asked");
    plan = Plan::verifyvasp().unwrap();
    plan.signer_policy.assets.get_mut(&ASSET.to_string()).unwrap().unsigned_per_tx_limit = Units(0);
    let world = World::funded(plan, 2, 70 * COIN).await;
    assert_eq!(codes(&world.withdraw("r1", 10_000).await), ["LIMIT_UNSIGNED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_a_route_that_is_away_holds_and_the_withdrawal_goes_on_when_it_is_back() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let world = World::funded(plan, 2, 70 * COIN).await;
    server.mood("item", "broken", Some(COSIGNER_TOKEN)).await;
    let view = world.withdraw("r1", SAT).await;
    assert_eq!(codes(&view), ["COSIGNER_HOLDS"]);
    assert!(format!("{:?}", view.outcome).contains("ROUTE_UNCONFIRMED"), "{:?}", view.outcome);
    server.mood("item", "well", Some(COSIGNER_TOKEN)).await;
    for _ in 0..100 {
        world.later(5);
        world.state(NOTHING_NEW).await;
        if codes(&world.find(view.id).await) == ["RELEASED"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", world.find(view.id).await.outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_a_cosigner_without_a_route_signs_nothing_on_a_report() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let (world, mut thief) = Thief::with(Plan { route: false, ..plan }, 1, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, SAT);
    let payment = report(&mut thief, &asked, verified(&server, TAYLOR, COINS).await);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&asked]), vec![payment]).await;
    assert_eq!(no(verdict), "ROUTE_UNCONFIRMED");
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_a_vasp_that_signs_is_never_cleared_by_a_report_nor_the_other_by_a_signature() {
    let Some(mut plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let (world, mut thief) = Thief::with(Plan::verifyvasp().unwrap(), 1, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, SAT);
    let signed = thief.payment(&asked);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&asked]), vec![signed]).await;
    assert_eq!(no(verdict), "EVIDENCE_INVALID", "there is no key that could have signed");

    plan.trust = trust_content();
    let (world, mut thief) = Thief::with(plan, 1, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, SAT);
    let good = verified(&server, TAYLOR, COINS).await;
    let payment = report(&mut thief, &asked, good);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&asked]), vec![payment]).await;
    assert_eq!(no(verdict), "EVIDENCE_INVALID");
    assert_eq!(server.calls("item", COSIGNER_TOKEN).await, 0, "nobody is asked about a VASP that signs");
}

/// A question about a withdrawal of a hundredth of a coin to Taylor.
pub fn ask(world: &World, id: &str) -> VerifyAsk {
    asked_about(&world.request(id, TAYLOR, SAT))
}

/// What the enclave is asked about a request to pay Taylor.
pub fn asked_about(request: &WithdrawalRequest) -> VerifyAsk {
    let text = sign(request).text;
    VerifyAsk {
        request_digest: data_encoding::HEXLOWER.encode(&digest(&text)),
        request_text: text,
        symbol: "BTC".into(),
        network: "regtest".into(),
        destination: TAYLOR.into(),
        amount: request.amount,
        value: Some(Krw(1_000_000)),
        beneficiary_vasp: ROBOT_VASP,
        kind: Kind::User,
        payload: Some(ivms(("Robbins", "Taylor"), TAYLOR)),
        fresh_since: None,
    }
}

/// The call was made and its answer lost: whatever follows, one verification comes of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_verification_whose_beginning_was_lost_is_found_again_and_never_begun_twice() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let world = World::furnished(plan).await;
    for (n, mood) in ["lost", "silent"].into_iter().enumerate() {
        let ask = ask(&world, &format!("w{n}"));
        let adapter = world.own_adapter(&server).await;
        server.mood("order", mood, None).await;
        server.mood("list", "broken", None).await;
        assert_eq!(adapter.verify(ask.clone()).await.unwrap(), VerifyReply::Pending, "{mood}");
        adapter.stop().await;
        server.mood("order", "well", None).await;
        let adapter = world.own_adapter(&server).await;
        assert_eq!(adapter.verify(ask.clone()).await.unwrap(), VerifyReply::Pending, "unknown stays unknown");
        server.mood("list", "well", None).await;
        if mood == "silent" {
            assert_eq!(adapter.verify(ask.clone()).await.unwrap(), VerifyReply::Pending, "not found yet");
            world.later(120);
        }
        let reply = adapter.verify(VerifyAsk { payload: None, ..ask }).await.unwrap();
        assert!(matches!(reply, VerifyReply::Reported { .. }), "{mood}: {reply:?}");
        assert_eq!(server.records().await.len(), n + 1, "{mood}");
        adapter.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wrong_answer_of_the_enclave_server_is_a_yes() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let world = World::furnished(plan).await;
    let adapter = world.own_adapter(&server).await;
    let said = async |id: &str| match adapter.verify(ask(&world, id)).await {
        Ok(VerifyReply::Reported { report_text }) => {
            let said = parse_report(&report_text).unwrap().said;
            format!("{} {}", said.result.as_str(), said.reason)
        }
        Ok(other) => format!("{other:?}"),
        Err(fault) => fault.code().as_str().to_owned(),
    };
    for (n, (lies, expected)) in [
        (json!({ "beneficiaryAccountNumber": ETHAN }), "DENIED BENEFICIARY-ACCOUNT-NOT-MATCHED"),
        (json!({ "assetInfo.amount": "0.02" }), "ERROR UNDEFINED-ERROR"),
        (json!({ "assetInfo.network": "Ethereum" }), "ERROR UNDEFINED-ERROR"),
        (json!({ "beneficiaryVaspId": "7" }), "ERROR UNDEFINED-ERROR"),
        (json!({ "originatingVaspId": "7" }), "ERROR UNDEFINED-ERROR"),
        (json!({ "assetInfo.isExceedingThreshold": false }), "ERROR UNDEFINED-ERROR"),
        (json!({ "verificationUuid": Uuid::new_v4().to_string() }), "Pending"),
        (json!({ "result": "PENDING" }), "Pending"),
        (json!({ "result": "SOMETHING-NEW" }), "Pending"),
        (json!({ "result": "ERROR", "reason": "Robbins Taylor" }), "ERROR UNDEFINED-ERROR"),
        (json!({ "result": "UNKNOWN", "reason": null }), "DENIED UNKNOWN-ADDRESS"),
        (json!({ "result": "TRANSFER_ERROR", "reason": null }), "ERROR UNDEFINED-ERROR"),
    ]
    .into_iter()
    .enumerate()
    {
        server.lie(SIGNER_TOKEN, lies.clone()).await;
        assert_eq!(said(&format!("lie-{n}")).await, expected, "{lies}");
    }
    server.lie(SIGNER_TOKEN, json!({})).await;
    for (call, mood, expected) in [
        ("item", "garbage", "Pending"),
        ("item", "redirect", "Pending"),
        ("item", "broken", "Pending"),
        ("item", "unknown", "Pending"),
        ("order", "garbage", "Pending"),
        ("order", "redirect", "Pending"),
        ("order", "broken", "Pending"),
        ("order", "refused", "FIELD_MALFORMED"),
        ("self", "broken", "ENCLAVE_UNAVAILABLE"),
        ("vasps", "garbage", "ENCLAVE_UNAVAILABLE"),
    ] {
        server.mood(call, mood, None).await;
        // Whom it lists is remembered for a while: a new adapter asks anew.
        let adapter = world.own_adapter(&server).await;
        let reply = adapter.verify(ask(&world, &format!("{call}-{mood}"))).await;
        let found = match &reply {
            Ok(other) => format!("{other:?}"),
            Err(fault) => {
                assert!(!fault.to_string().contains("Robbins"), "{fault}");
                fault.code().as_str().to_owned()
            }
        };
        assert_eq!(found, expected, "{call} {mood}");
        server.mood(call, "well", None).await;
        adapter.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_that_grew_old_is_asked_for_again_under_a_new_verification() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let world = World::furnished(plan).await;
    let adapter = world.own_adapter(&server).await;
    let first = ask(&world, "w1");
    let uuid = |reply: VerifyReply| match reply {
        VerifyReply::Reported { report_text } => parse_report(&report_text).unwrap().said.uuid,
        other => panic!("{other:?}"),
    };
    let one = uuid(adapter.verify(first.clone()).await.unwrap());
    world.later(2_000);
    let anew = VerifyAsk { fresh_since: Some(Seconds(world.now().0 - 100)), payload: None, ..first.clone() };
    let two = uuid(adapter.verify(anew).await.unwrap());
    assert_ne!(one, two);
    assert_eq!(server.records().await.len(), 2);
    let without_price = VerifyAsk { value: None, ..ask(&world, "w2") };
    assert_eq!(adapter.verify(without_price).await.unwrap_err().code(), Code::PriceStale);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_came_before_any_price_is_asked_about_when_one_is_stated() {
    let Some(plan) = Plan::verifyvasp() else { return };
    let server = plan.server.clone().unwrap();
    let mut plan = plan;
    plan.settings.create_wait = Duration::from_millis(300);
    let world = World::new(plan).await;
    world.state_chain().await;
    let view = world.withdraw("r1", SAT).await;
    assert_eq!(server.records().await, Vec::<Value>::new(), "no worth is made up");
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    world.fund("c1", &[COIN]).await;
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    assert_eq!(server.records().await[0]["assetInfo"]["tradePrice"], "1000000");
}
