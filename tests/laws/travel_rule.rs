//! L3 to L5: no payment without a clearance that is bound to it, verified by each party; and no personal data anywhere.

use std::path::Path;
use std::sync::atomic::Ordering;

use countersign::desk::*;
use countersign::enclave;
use countersign::evidence::*;
use countersign::withdrawal::*;

use super::thief::*;
use super::world::*;

/// Won for 0.009 BTC at the price that stands: below the threshold of a million.
const SMALL: u64 = 900_000;

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_clearance_for_another_payment_clears_nothing() {
    let (world, mut thief) = Thief::with(Plan::default(), 2, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let other = world.request("r2", TAYLOR, 2_000_000);
    let good = thief.answer(&asked);
    let lies: Vec<(&str, VerificationAnswer)> = vec![
        ("EVIDENCE_INVALID", thief.answer(&other)),
        ("EVIDENCE_INVALID", VerificationAnswer { amount: Amount::from_sat(2_000_001), ..good.clone() }),
        ("EVIDENCE_INVALID", VerificationAnswer { destination: ETHAN.into(), ..good.clone() }),
        ("EVIDENCE_INVALID", VerificationAnswer { originating_vasp: VaspId(7), ..good.clone() }),
        (
            "EVIDENCE_INVALID",
            VerificationAnswer {
                network: countersign::withdrawal::Chain::Bitcoin(Network::Signet),
                ..good.clone()
            },
        ),
        ("EVIDENCE_INVALID", VerificationAnswer { asset: Asset::Bitcoin(Network::Signet), ..good.clone() }),
        ("EVIDENCE_INVALID", VerificationAnswer { request_digest: [1; 32], ..good.clone() }),
        ("EVIDENCE_INVALID", VerificationAnswer { answered_at: world.now().plus(3_600), ..good.clone() }),
        (
            "CLEARANCE_EXPIRED",
            VerificationAnswer { answered_at: Seconds(world.now().0 - 1_801), ..good.clone() },
        ),
        ("TRAVEL_RULE_VASP_UNKNOWN", VerificationAnswer { beneficiary_vasp: VaspId(7), ..good.clone() }),
        ("TRAVEL_RULE_DENIED", denied(&good, AnswerResult::Denied)),
        ("NO_CLEARANCE", denied(&good, AnswerResult::Error)),
        ("NO_CLEARANCE", VerificationAnswer { kind: AnswerKind::Account, commitment: None, ..good.clone() }),
    ];
    for (code, answer) in lies {
        let plot = thief.plot(0, &[&asked]);
        let payment = thief.payment_with(&asked, &answer);
        assert_eq!(no(thief.try_to(&world, &plot, vec![payment]).await), code, "{answer:?}");
    }
    // signed by somebody else, altered, or not there
    let forged = payment(sign(&asked), Some(signed_answer(&good, STRANGER)));
    let mut altered = signed_answer(&denied(&good, AnswerResult::Denied), ROBOT);
    altered.text = altered.text.replace("DENIED", "VERIFIED").replace("NAME_MISMATCH", "OK");
    let altered = payment(sign(&asked), Some(altered));
    let missing = payment(sign(&asked), None);
    for (code, payment) in
        [("EVIDENCE_INVALID", forged), ("EVIDENCE_INVALID", altered), ("NO_CLEARANCE", missing)]
    {
        let plot = thief.plot(0, &[&asked]);
        assert_eq!(no(thief.try_to(&world, &plot, vec![payment]).await), code);
    }
    // and the true one clears
    let payment = thief.payment_with(&asked, &good);
    yes(thief.try_to(&world, &thief.plot(1, &[&asked]), vec![payment]).await);
}

fn denied(good: &VerificationAnswer, result: AnswerResult) -> VerificationAnswer {
    VerificationAnswer { result, reason: "NAME_MISMATCH".into(), ..good.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_vasp_that_is_not_active_clears_nothing() {
    let mut plan = Plan::default();
    plan.trust.vasps[0].active = false;
    let (world, mut thief) = Thief::with(plan, 1, 100 * COIN).await;
    let asked = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&asked);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&asked]), vec![payment]).await;
    assert_eq!(no(verdict), "TRAVEL_RULE_VASP_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_the_counterpartys_no_refuses_the_withdrawal() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    let stranger = hot_wallet().address(countersign::bitcoin::Branch::Deposit, 500).unwrap();
    let cases = [
        ("r1", TAYLOR, ("Robbins", "Tailor"), "a name that does not match"),
        ("r2", ETHAN, ("Cook", "Ethan"), "a customer whose identity was not checked"),
        ("r3", stranger.as_str(), ("Robbins", "Taylor"), "an address nobody there holds"),
    ];
    for (id, destination, name, what) in cases {
        let request = world.request(id, destination, 2_000_000);
        let view = world.ask(&request, name).await.unwrap();
        assert_eq!(codes(&view), ["TRAVEL_RULE_DENIED"], "{what}");
    }
    assert!(world.tap.orders.lock().unwrap().is_empty(), "the co-signer was asked");
    // a local spelling of the right name is the right name
    let request = world.request("r4", MINSU, 2_000_000);
    assert_eq!(codes(&world.ask(&request, ("김", "민수")).await.unwrap()), ["RELEASED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l03_a_clearance_that_grew_old_is_asked_for_again() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    let held = world.withdraw("r1", 20_000_000).await;
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.later(1_900);
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    world.until(held.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.approve(held.id, KIM).await.unwrap();
    world.until(held.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_a_stolen_signer_cannot_use_one_answer_twice() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let (one, two) = (world.request("r1", TAYLOR, 2_000_000), world.request("r2", TAYLOR, 2_000_000));
    let first = thief.answer(&one);
    let second = VerificationAnswer { uuid: first.uuid, ..thief.answer(&two) };
    let (first, second) = (thief.payment_with(&one, &first), thief.payment_with(&two, &second));
    // for two payments of one transaction
    let plot = thief.plot(0, &[&one, &two]);
    let verdict = thief.try_to(&world, &plot, vec![first.clone(), second.clone()]).await;
    assert_eq!(no(verdict), "EVIDENCE_USED");
    // for two transactions of one order
    let a = thief.book(&thief.plot(0, &[&one]), vec![first]);
    let b = thief.book(&thief.plot(1, &[&two]), vec![second.clone()]);
    let mut verdicts = thief.ask(&world, &[a, b]).await;
    assert_eq!(no(verdicts.remove(1)), "EVIDENCE_USED");
    yes(verdicts.remove(0));
    // later, and after a restart
    let plot = thief.plot(1, &[&two]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![second.clone()]).await), "EVIDENCE_USED");
    world.restart_cosigner().await;
    let plot = thief.plot(1, &[&two]);
    assert_eq!(no(thief.try_to(&world, &plot, vec![second]).await), "EVIDENCE_USED");
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_splits_below_the_threshold_end_at_the_cosigners_own_total() {
    let (mut world, mut thief) = Thief::with(Plan::default(), 6, 100 * COIN).await;
    let mut requests = Vec::new();
    for n in 0..5 {
        let request = world.request(&format!("r{n}"), TAYLOR, SMALL);
        let answer = thief.answer(&request);
        let answer = VerificationAnswer { kind: AnswerKind::Account, commitment: None, ..answer };
        requests.push((request.clone(), thief.payment_with(&request, &answer)));
    }
    // four at once are 3,600,000 won without a name, and 3,000,000 is the total
    let paid: Vec<_> = requests[..4].iter().map(|(r, _)| r).collect();
    let payments = requests[..4].iter().map(|(_, p)| p.clone()).collect();
    let verdict = thief.try_to(&world, &thief.plot(0, &paid), payments).await;
    assert_eq!(no(verdict), "UNNAMED_TOTAL_REACHED");
    // one by one the fourth is too much, also after a restart
    for (n, (request, payment)) in requests[..3].iter().enumerate() {
        yes(thief.try_to(&world, &thief.plot(n, &[request]), vec![payment.clone()]).await);
    }
    let (request, payment) = requests[3].clone();
    let verdict = thief.try_to(&world, &thief.plot(3, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "UNNAMED_TOTAL_REACHED");
    world.restart_cosigner().await;
    let (request, payment) = requests[4].clone();
    let verdict = thief.try_to(&world, &thief.plot(4, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "UNNAMED_TOTAL_REACHED");
    // a name match needs no room in it
    let named = world.request("r9", TAYLOR, SMALL);
    let payment = thief.payment(&named);
    yes(thief.try_to(&world, &thief.plot(5, &[&named]), vec![payment]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_the_cosigner_values_the_amount_at_its_own_price() {
    let (world, mut thief) = Thief::with(Plan::default(), 1, 100 * COIN).await;
    let request = world.request("r1", TAYLOR, 950_000);
    let answer = thief.answer(&request);
    let answer = VerificationAnswer { kind: AnswerKind::Account, commitment: None, ..answer };
    // at the co-signer's price it is 1,045,000 won by now, whatever the signer says
    world.later(1);
    tell(&world, Body::Price(vec![(ASSET, Krw(110_000_000))])).await.unwrap();
    let payment = thief.payment_with(&request, &answer);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "NO_CLEARANCE");
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_from_the_day_the_floor_falls_the_cosigner_wants_a_name_for_any_amount() {
    let mut plan = Plan::default();
    let today = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let rule = format!(
        r#"own = "KR"
        steps = [
            {{ jurisdiction = "KR", from = "1970-01-01T00:00:00Z", floor_krw = "1000000" }},
            {{ jurisdiction = "KR", from = "{}", floor_krw = "0" }},
        ]"#,
        Seconds(today + 1_000)
    );
    plan.cosigner_policy.travel_rule = toml::from_str(&rule).unwrap();
    let (world, mut thief) = Thief::with(plan, 2, 100 * COIN).await;
    let unnamed = |thief: &mut Thief, request: &WithdrawalRequest| {
        let answer = thief.answer(request);
        let answer = VerificationAnswer { kind: AnswerKind::Account, commitment: None, ..answer };
        thief.payment_with(request, &answer)
    };
    let request = world.request("r1", TAYLOR, SMALL);
    let payment = unnamed(&mut thief, &request);
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await);
    world.later(1_001);
    for fact in [Body::Price(vec![(ASSET, Krw(PRICE))]), world.chain(), NOTHING_NEW] {
        tell(&world, fact).await.unwrap();
    }
    tell(&world, Body::Position { cold: vec![(ASSET, Amount::from_sat(100 * COIN))], swept: vec![] })
        .await
        .unwrap();
    let request = world.request("r2", TAYLOR, SMALL);
    let payment = unnamed(&mut thief, &request);
    assert_eq!(no(thief.try_to(&world, &thief.plot(1, &[&request]), vec![payment]).await), "NO_CLEARANCE");
    let payment = thief.payment(&request);
    yes(thief.try_to(&world, &thief.plot(1, &[&request]), vec![payment]).await);
}

/// What waits for an approval.
const LARGE: u64 = 20_000_000;

async fn restate(world: &World) {
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
}

/// The result and reason at the counterparty, once it knows that nothing will come.
async fn error_of(world: &World, sat: u64) -> String {
    let record = world.until_theirs(sat, |record| record.result == enclave::Outcome::Error).await;
    assert_eq!(record.tx_hash, None);
    record.reason.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counterparty_is_told_by_which_output_of_which_transaction_it_is_paid() {
    let world = World::funded(Plan::default(), 4, 70 * COIN).await;
    for n in 0..4 {
        let view = world.withdraw(&format!("r{n}"), 2_000_001 + n).await;
        assert_eq!(codes(&view), ["RELEASED"]);
        world.until_told(&view).await;
    }
    assert_eq!(world.ear.heard.lock().unwrap().len(), 4, "once each");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_told_is_told_later_and_holds_up_no_withdrawal() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    world.ear.deaf.store(true, Ordering::Relaxed);
    let one = world.withdraw("r1", 2_000_001).await;
    let two = world.withdraw("r2", 2_000_002).await;
    assert_eq!((codes(&one), codes(&two)), (vec!["RELEASED"], vec!["RELEASED"]));
    assert_eq!(world.theirs(2_000_001).await.unwrap().tx_hash, None);
    world.ear.deaf.store(false, Ordering::Relaxed);
    world.until_told(&one).await;
    world.until_told(&two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_stopped_before_it_told_tells_of_the_last_day_when_it_starts() {
    let mut world = World::funded(Plan::default(), 4, 70 * COIN).await;
    world.ear.deaf.store(true, Ordering::Relaxed);
    let old = world.withdraw("r1", 2_000_001).await;
    world.later(86_400 + 60);
    restate(&world).await;
    let one = world.withdraw("r2", 2_000_002).await;
    let held = world.request("r3", TAYLOR, LARGE);
    let id = world.ask(&held, ("Robbins", "Taylor")).await.unwrap().id;
    world.until(id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.desk().cancel(&caller(Role::Exchange, "acme"), cancel_of(&held, EXCHANGE)).await.unwrap();
    world.stop_signer().await;
    assert!(world.ear.heard.lock().unwrap().is_empty());
    world.ear.deaf.store(false, Ordering::Relaxed);
    world.start_signer().await;
    world.until_told(&one).await;
    assert_eq!(error_of(&world, LARGE).await, "USER-CANCELED");
    assert_eq!(codes(&old), ["RELEASED"]);
    assert_eq!(world.theirs(2_000_001).await.unwrap().tx_hash, None, "longer ago than a day");

    // told again, it is the same
    world.restart_signer().await;
    let next = world.withdraw("r4", 2_000_004).await;
    world.until_told(&next).await;
    world.until_told(&one).await;
    assert_eq!(error_of(&world, LARGE).await, "USER-CANCELED");
    assert_eq!(world.ear.heard.lock().unwrap().len(), 2 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counterparty_is_told_that_what_it_verified_will_not_come() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    // taken back by the exchange
    let request = world.request("r1", TAYLOR, LARGE);
    let id = world.ask(&request, ("Robbins", "Taylor")).await.unwrap().id;
    world.until(id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.desk().cancel(&caller(Role::Exchange, "acme"), cancel_of(&request, EXCHANGE)).await.unwrap();
    assert_eq!(error_of(&world, LARGE).await, "USER-CANCELED");
    // held for too long
    let id = world.withdraw("r2", LARGE + 1).await.id;
    world.until(id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.later(86_400 + 60);
    world.until(id, |v| codes(v) == ["HOLD_EXPIRED"]).await;
    assert_eq!(error_of(&world, LARGE + 1).await, "UNDEFINED-ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counterparty_is_told_of_an_operators_no_and_of_the_cosigners() {
    // the co-signer's own limit is lower than the signer's: it alone says no
    let mut plan = Plan::default();
    let assets = plan.cosigner_policy.assets.values_mut();
    assets.for_each(|limits| limits.per_tx_limit = wallet_policy::Units(3_000_000));
    let world = World::funded(plan, 3, 70 * COIN).await;
    let refused = world.withdraw("r1", 5_000_000).await;
    let refused = world.until(refused.id, |v| matches!(v.outcome, Outcome::Refused(_))).await;
    assert!(!world.tap.orders.lock().unwrap().is_empty(), "the signer said no by itself: {refused:?}");
    assert_eq!(error_of(&world, 5_000_000).await, "NOT-ALLOWED");
    // an operator's no
    let request = world.request("r2", TAYLOR, LARGE);
    let view = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    let view = crate::approvals::rejected(&world, view.id, &request).await;
    assert_eq!(codes(&view), ["REJECTED_BY_OPERATOR"]);
    assert_eq!(error_of(&world, LARGE).await, "NOT-ALLOWED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_that_comes_after_the_withdrawal_was_taken_back_is_answered_with_an_error() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    world.ear.slow.store(true, Ordering::Relaxed);
    let request = world.request("r1", TAYLOR, 2_000_001);
    let id = WithdrawalId::of(&request.organisation, &request.request_id);
    let (view, ()) = tokio::join!(world.ask(&request, ("Robbins", "Taylor")), async {
        let exchange = caller(Role::Exchange, "acme");
        while world.desk().find(&exchange, WithdrawalPick::Id(id)).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        world.desk().cancel(&exchange, cancel_of(&request, EXCHANGE)).await.unwrap();
    });
    assert_eq!(codes(&view.unwrap()), ["CANCELLED"]);
    assert!(world.theirs(2_000_001).await.is_none());
    world.ear.slow.store(false, Ordering::Relaxed);
    assert_eq!(error_of(&world, 2_000_001).await, "USER-CANCELED");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_of_what_the_counterparty_itself_refused() {
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    let no = world.ask(&world.request("r1", ETHAN, 2_000_001), ("Cook", "Ethan")).await.unwrap();
    assert_eq!(codes(&no), ["TRAVEL_RULE_DENIED"]);
    let yes = world.withdraw("r2", 2_000_002).await;
    world.until_told(&yes).await;
    assert_eq!(world.ear.heard.lock().unwrap().len(), 1);
    let record = world.theirs(2_000_001).await.unwrap();
    assert_eq!((record.result, record.reason.as_deref()), (enclave::Outcome::Denied, Some("UNVERIFIED-KYC")));
}

#[tokio::test(flavor = "multi_thread")]
async fn l05_no_row_leaf_or_file_holds_personal_data() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let view = world.withdraw("r1", 2_000_000).await;
    assert_eq!(codes(&view), ["RELEASED"]);
    let denied = world.ask(&world.request("r2", ETHAN, 2_000_000), ("Cook", "Ethan")).await.unwrap();
    assert_eq!(codes(&denied), ["TRAVEL_RULE_DENIED"]);
    let shown = format!("{view:?} {denied:?} {:?}", world.tap.orders.lock().unwrap());
    world.restart_signer().await;
    let mut files = 0;
    let mut seen = vec![("what is shown and sent".to_owned(), shown.into_bytes())];
    // the markers of both brakes, too
    let folders = ["", "freeze-signer", "freeze-cosigner"].map(|name| world.dir.path().join(name));
    let listed = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    for path in listed.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        files += 1;
        seen.push((name_of(&path), std::fs::read(&path).unwrap()));
    }
    assert!(files >= 4, "{files} files");
    // the search finds what is there
    assert!(seen.iter().any(|(_, bytes)| has(bytes, TAYLOR)), "no file names the destination");
    for word in ["Robbins", "ROBBINS", "robbins", "JIHYE", "jihye", "Ethan", "naturalPerson", "IVMS"] {
        for (name, bytes) in &seen {
            assert!(!has(bytes, word), "{name} holds `{word}`");
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn has(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|at| at == word.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn l04_a_crash_that_loses_the_names_does_not_make_do_without_them() {
    let mut plan = Plan::default();
    plan.settings.create_wait = std::time::Duration::from_millis(500);
    let mut world = World::funded(plan, 2, 70 * COIN).await;
    world.ear.slow.store(true, Ordering::Relaxed);
    let request = world.request("r1", TAYLOR, SMALL);
    let (desk, first) = (world.desk(), order(&request, ("Robbins", "Taylor")));
    let create = tokio::spawn(async move {
        let _ = WithdrawalDesk::create(&*desk, &caller(Role::Exchange, "acme"), first).await;
    });
    while world.ear.asked.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // the names were in memory only, and the enclave never had them
    world.stop_signer().await;
    create.abort();
    world.ear.slow.store(false, Ordering::Relaxed);
    world.ear.asked.store(0, Ordering::Relaxed);
    world.start_signer().await;
    while world.ear.asked.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // the exchange asks again, with the names: it is the person that is verified
    while codes(&world.ask(&request, ("Robbins", "Taylor")).await.unwrap()) != ["RELEASED"] {}
    let cleared = world.leaves().await;
    let cleared = cleared.iter().map(|leaf| String::from_utf8_lossy(leaf).into_owned());
    let cleared: Vec<String> = cleared.filter(|t| t.contains(r#""kind":"cleared""#)).collect();
    assert!(cleared.len() == 1 && cleared[0].contains(r#""clearance":"user""#), "{cleared:?}");
}

/// A world whose withdrawal was written down and whose names no enclave has: they were in the memory of a signer that died.
async fn without_names(sat: u64) -> (World, WithdrawalRequest) {
    let mut plan = Plan::default();
    plan.settings.create_wait = std::time::Duration::from_millis(500);
    let mut world = World::funded(plan, 2, 70 * COIN).await;
    world.ear.slow.store(true, Ordering::Relaxed);
    let request = world.request("r1", TAYLOR, sat);
    let view = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(codes(&view), ["CLEARANCE_PENDING"]);
    world.stop_signer().await;
    world.ear.asked.store(0, Ordering::Relaxed);
    world.start_signer().await;
    world.until_asked(2).await;
    (world, request)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_come_again_while_it_is_asked_without_them_are_taken_up() {
    let (world, request) = without_names(2_000_000).await;
    // Asked again once, while the signer that came back asks without names.
    let view = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(codes(&view), ["CLEARANCE_PENDING"]);
    world.ear.slow.store(false, Ordering::Relaxed);
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

/// The uuids of the answers that cleared, in order.
async fn uuids_cleared(world: &World) -> Vec<String> {
    let leaves = world.leaves().await;
    let leaves = leaves.iter().map(|leaf| String::from_utf8_lossy(leaf).into_owned());
    let cleared = leaves.filter(|text| text.contains(r#""kind":"cleared""#));
    let uuid = |text: String| text.split(r#""uuid":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    cleared.map(uuid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_that_grew_old_while_held_is_asked_for_again_with_the_names_of_before_by_whoever_lives_then() {
    let mut world = World::funded(Plan::default(), 2, 70 * COIN).await;
    let held = world.withdraw("r1", LARGE).await.id;
    world.until(held, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    // Hour by hour for most of a day; signer and enclave die in between, and the exchange says nothing.
    for hour in 1..=4 {
        world.stop_signer().await;
        world.later(5 * 3_600);
        world.start_signer().await;
        restate(&world).await;
        let renewed = async {
            while uuids_cleared(&world).await.len() <= hour {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), renewed).await.expect("it is asked again");
        world.until(held, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    }
    let uuids: std::collections::BTreeSet<String> = uuids_cleared(&world).await.into_iter().collect();
    assert_eq!(uuids.len(), 5, "each time under a new uuid");
    world.approve(held, KIM).await.unwrap();
    world.until(held, |v| codes(v) == ["RELEASED"]).await;
}
