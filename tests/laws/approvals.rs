//! L14: an approval is a signature over a text that each party rebuilds by itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use countersign::desk::*;
use countersign::evidence::rejection::RejectionText;
use countersign::evidence::trust_file::{OperatorEntry, TrustContent};
use countersign::evidence::*;
use countersign::withdrawal::*;

use super::thief::*;
use super::world::*;

/// From ten million won on: 0.2 BTC.
const LARGE: u64 = 20_000_000;

/// The text that the co-signer will rebuild for a request.
pub fn text(world: &World, request: &WithdrawalRequest) -> ApprovalText {
    let hash = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap();
    let trust = trust(&world.plan.trust);
    let given = sign(request);
    let verified =
        verify_request(&given.text, &given.key_id, &given.signature, &trust, world.now(), 86_400).unwrap();
    let policies =
        PolicyHashes { signer: hash(&world.policy_hash()), cosigner: hash(&world.cosigner_policy_hash()) };
    let expires = request.asked_at.plus(86_400);
    let wallet = hot_wallet().fingerprint();
    ApprovalText::of(&verified, &trust, TravelRule::Cleared, policies, &wallet, expires).unwrap()
}

pub fn approval(text: &str, seed: u8) -> String {
    sign_ssh(&ssh_private(seed), NAMESPACE_APPROVAL, text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_an_approval_counts_for_exactly_the_text_it_signed() {
    let (world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let request = world.request("r1", TAYLOR, LARGE);
    let other = world.request("r2", TAYLOR, LARGE);
    let payment = thief.payment(&request);
    let true_text = text(&world, &request);
    let with = |approvals: Vec<String>| CosignPayment { approvals, ..payment.clone() };
    let changed = |change: &dyn Fn(&mut ApprovalText)| {
        let mut text = text(&world, &request);
        change(&mut text);
        approval(&text.render(), KIM)
    };
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("", vec![]),
        // of another withdrawal, another fee cap, another policy on either side, another wallet, another end
        ("APPROVAL_INVALID", vec![approval(&text(&world, &other).render(), KIM)]),
        ("APPROVAL_INVALID", vec![changed(&|t| t.fee_max = Amount::from_sat(1))]),
        ("APPROVAL_INVALID", vec![changed(&|t| t.signer_policy = [0; 32])]),
        ("APPROVAL_INVALID", vec![changed(&|t| t.cosigner_policy = [0; 32])]),
        ("APPROVAL_INVALID", vec![changed(&|t| t.wallet = cold_wallet().fingerprint())]),
        ("APPROVAL_INVALID", vec![changed(&|t| t.expires_at = t.expires_at.plus(1))]),
        ("APPROVAL_INVALID", vec![changed(&|t| t.travel_rule = TravelRule::AddressOnly)]),
        // of another payee, another amount, another name of the VASP
        ("APPROVAL_INVALID", vec![changed(&|t| t.subject.destination = ETHAN.to_owned())]),
        ("APPROVAL_INVALID", vec![changed(&|t| t.subject.amount = Amount::from_sat(LARGE + 1))]),
        ("APPROVAL_INVALID", vec![changed(&|t| t.beneficiary_vasp_name = "Robot Holdings".to_owned())]),
        // in another namespace, by nobody, by the wrong group, by the same person twice
        (
            "APPROVAL_INVALID",
            vec![sign_ssh(&ssh_private(KIM), NAMESPACE_TRUST, &true_text.render()).unwrap()],
        ),
        ("OPERATOR_UNKNOWN", vec![approval(&true_text.render(), STRANGER)]),
        ("EVIDENCE_INVALID", vec!["no signature".to_owned()]),
        ("", vec![approval(&true_text.render(), LEE)]),
        ("", vec![approval(&true_text.render(), LEE), approval(&true_text.render(), LEE)]),
    ];
    // none of them counts, and the no says why
    for (at, (why, approvals)) in cases.into_iter().enumerate() {
        let verdict = thief.try_to(&world, &thief.plot(0, &[&request]), vec![with(approvals)]).await;
        let ItemVerdict::Refused(refusal) = verdict else { panic!("key B signed, case {at}") };
        assert_eq!((refusal.finding.code, refusal.is_hold), (Code::ApprovalRequired, true), "case {at}");
        assert!(refusal.finding.detail.contains(why), "case {at}: {}", refusal.finding.detail);
    }
    // a signer that names another policy of its own than the one that was approved
    thief.policy = "00".repeat(32);
    let good = with(vec![approval(&true_text.render(), KIM)]);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&request]), vec![good.clone()]).await;
    assert_eq!(no(verdict), "APPROVAL_REQUIRED");
    // unless it says that it only tightened that one: its own policy binds nobody but itself
    thief.policies_kept = vec!["11".repeat(32), "22".repeat(32), world.policy_hash()];
    let approvals = vec![approval(&text(&world, &other).render(), KIM)];
    let payment = CosignPayment { approvals, ..thief.payment(&other) };
    yes(thief.try_to(&world, &thief.plot(1, &[&other]), vec![payment]).await);
    (thief.policy, thief.policies_kept) = (world.policy_hash(), Vec::new());
    // a good one beside bad ones is as good as alone
    let mut beside = good.approvals.clone();
    beside.insert(0, approval(&text(&world, &other).render(), LEE));
    beside.insert(0, approval(&true_text.render(), STRANGER));
    yes(thief.try_to(&world, &thief.plot(0, &[&request]), vec![with(beside)]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_an_approval_that_expired_counts_no_more() {
    let plan = Plan {
        settings: countersign::flow::context::PartySettings {
            approval_age_s_max: 100,
            ..Plan::default().settings
        },
        ..Plan::default()
    };
    let (world, mut thief) = Thief::with(plan, 1, 100 * COIN).await;
    let request = world.request("r1", TAYLOR, LARGE);
    let mut text = text(&world, &request);
    text.expires_at = request.asked_at.plus(100);
    let payment = CosignPayment { approvals: vec![approval(&text.render(), KIM)], ..thief.payment(&request) };
    world.later(102);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "APPROVAL_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_two_keys_of_one_person_are_one_person() {
    let mut plan = Plan::default();
    let second = trust_content().operators[1].keys[0].clone();
    plan.trust.operators = vec![OperatorEntry {
        name: "kim".into(),
        groups: vec!["treasury".into()],
        keys: vec![plan.trust.operators[0].keys[0].clone(), second],
    }];
    for settings in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        settings.tiers =
            toml::from_str::<wallet_policy::Settings>(&policy_text().replace("treasury = 1", "treasury = 2"))
                .unwrap()
                .tiers;
    }
    let (world, mut thief) = Thief::with(plan, 1, 100 * COIN).await;
    let request = world.request("r1", TAYLOR, LARGE);
    let text = text(&world, &request).render();
    let approvals = vec![approval(&text, KIM), approval(&text, LEE)];
    let payment = CosignPayment { approvals, ..thief.payment(&request) };
    let verdict = thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "APPROVAL_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_who_asked_never_approves() {
    let mut plan = Plan::default();
    plan.trust.operators[0].name = "acme".into();
    let (world, mut thief) = Thief::with(plan, 1, 100 * COIN).await;
    let request = world.request("r1", TAYLOR, LARGE);
    let text = text(&world, &request).render();
    let payment = CosignPayment { approvals: vec![approval(&text, KIM)], ..thief.payment(&request) };
    let verdict = thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await;
    let ItemVerdict::Refused(refusal) = verdict else { panic!("key B signed") };
    assert_eq!((refusal.finding.code, refusal.is_hold), (Code::ApprovalRequired, true));
    assert!(refusal.finding.detail.contains("REQUESTER_APPROVES"), "{}", refusal.finding.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_tier_waits_for_the_right_group_and_then_goes_on() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let view = world.withdraw("r1", LARGE).await;
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    // the wrong group, twice; a stranger; a signature over another text
    world.approve(view.id, LEE).await.unwrap();
    let after = world.approve(view.id, LEE).await.unwrap();
    assert_eq!(codes(&after), ["APPROVAL_REQUIRED"]);
    assert_eq!(world.approve(view.id, STRANGER).await.unwrap_err().code(), Code::OperatorUnknown);
    let forged = ApprovalOrder { withdrawal: view.id, signature: approval("pay everything\n", KIM) };
    let no = world.desk().approve(&caller(Role::Operator, "x"), forged).await.unwrap_err();
    assert_eq!(no.code(), Code::ApprovalInvalid);
    // what waits still waits after a restart, with the approvals it has
    world.restart_signer().await;
    let pending = world.desk().pending(&caller(Role::Operator, "x"), page()).await.unwrap();
    assert_eq!(pending.items.len(), 1);
    assert_eq!(pending.items[0].given.len(), 1);
    assert_eq!(pending.items[0].given[0].operator, "lee");
    world.approve(view.id, KIM).await.unwrap();
    let released = world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    // exactly what was approved is paid
    let transaction: bitcoin::Transaction =
        bitcoin::consensus::encode::deserialize(&released.raw_transaction).unwrap();
    let destination = countersign::bitcoin::Destination::parse(TAYLOR, NETWORK).unwrap();
    let paid = transaction.output.iter().filter(|o| *o.script_pubkey == *destination.script_pubkey());
    assert_eq!(paid.map(|o| o.value.to_sat()).collect::<Vec<_>>(), [LARGE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_approvals_given_before_a_restart_count_when_the_cosigner_comes_later() {
    let mut plan = Plan::default();
    for settings in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        let text = policy_text().replace("{ treasury = 1 }", "{ treasury = 1, risk = 1 }");
        settings.tiers = toml::from_str::<wallet_policy::Settings>(&text).unwrap().tiers;
    }
    let mut world = World::funded(plan, 3, 70 * COIN).await;
    let view = world.withdraw("r1", LARGE).await;
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.approve(view.id, KIM).await.unwrap();
    world.cut();
    world.restart_signer().await;
    world.mend();
    let waits = |world: &World| {
        let desk = world.desk();
        async move { desk.pending(&caller(Role::Operator, "x"), page()).await.unwrap().items.len() }
    };
    while waits(&world).await == 0 {
        tokio::task::yield_now().await;
    }
    world.approve(view.id, LEE).await.unwrap();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

/// An operator says no to what waits.
pub async fn rejected(world: &World, id: WithdrawalId, request: &WithdrawalRequest) -> WithdrawalView {
    let given = sign(request);
    let trust = trust(&world.plan.trust);
    let verified =
        verify_request(&given.text, &given.key_id, &given.signature, &trust, world.now(), 86_400).unwrap();
    let text = RejectionText::of(&verified, "not today").render();
    let order =
        RejectionOrder { withdrawal: id, reason: "not today".into(), signature: approval(&text, LEE) };
    world.desk().reject(&caller(Role::Operator, "x"), order).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_an_operators_no_ends_what_waits_and_nothing_that_is_signed() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let reject = |id: WithdrawalId, request: WithdrawalRequest, seed: u8| {
        let given = sign(&request);
        let trust = trust(&world.plan.trust);
        let verified =
            verify_request(&given.text, &given.key_id, &given.signature, &trust, world.now(), 86_400)
                .unwrap();
        let text = RejectionText::of(&verified, "not today").render();
        let order =
            RejectionOrder { withdrawal: id, reason: "not today".into(), signature: approval(&text, seed) };
        let desk = world.desk();
        async move { desk.reject(&caller(Role::Operator, "x"), order).await }
    };
    let request = world.request("r1", TAYLOR, LARGE);
    let view = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    let no = reject(view.id, request.clone(), STRANGER).await.unwrap_err();
    assert_eq!(no.code(), Code::OperatorUnknown);
    assert_eq!(codes(&reject(view.id, request, LEE).await.unwrap()), ["REJECTED_BY_OPERATOR"]);
    let rejected = world.find(view.id).await;
    assert_eq!(codes(&rejected), ["REJECTED_BY_OPERATOR"]);
    // with the co-signer's word, by which the exchange knows that it is never paid
    let receipt = rejected.void_receipt.unwrap();
    let trust = trust(&world.plan.trust);
    let said = verify_void(&receipt.text, &receipt.signature, trust.attestation_key(), view.id).unwrap();
    assert_eq!(said.void().cause, VoidCause::Rejected);

    world.cut();
    let request = world.request("r2", TAYLOR, 2_000_000);
    let view = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    world.until(view.id, |v| codes(v) == ["COSIGNER_UNREACHABLE"]).await;
    // it is no no before the co-signer has it
    assert_eq!(reject(view.id, request.clone(), LEE).await.unwrap_err().code(), Code::CosignerUnreachable);
    world.mend();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    assert_eq!(reject(view.id, request, LEE).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(codes(&world.find(view.id).await), ["RELEASED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_an_approval_that_only_the_cosigner_does_not_accept_is_waited_for_and_shown() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    // the co-signer's copy of the trust file does not know kim's key
    let trusted = world.plan.trust.clone();
    world.plan.trust.operators[0].keys = vec![ssh_public(STRANGER)];
    world.plan.trust.version += 1;
    world.restart_cosigner().await;
    let view = world.withdraw("r1", LARGE).await;
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.approve(view.id, KIM).await.unwrap();
    let held = world.until(view.id, |v| codes(v) == ["COSIGNER_HOLDS", "APPROVAL_REQUIRED"]).await;
    assert!(format!("{:?}", held.outcome).contains("OPERATOR_UNKNOWN"), "{:?}", held.outcome);
    let pending = world.desk().pending(&caller(Role::Operator, "x"), page()).await.unwrap();
    assert_eq!(pending.items.len(), 1);
    // with the newer file it goes on by itself
    world.plan.trust = TrustContent { version: trusted.version + 2, ..trusted };
    world.restart_cosigner().await;
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_cosigner_that_wants_approvals_of_many_is_asked_for_its_policy_once() {
    let mut plan = Plan::default();
    plan.cosigner_policy.tiers[0].from_krw = wallet_policy::Krw(0);
    plan.settings.create_wait = Duration::from_millis(50);
    let world = World::funded(plan, 5, 70 * COIN).await;
    world.tap.hold_orders.store(true, Ordering::Relaxed);
    let mut asked = Vec::new();
    for n in 0..5 {
        let view = world.withdraw(&format!("r{n}"), 1_000_000).await;
        world.until(view.id, |v| v.stage == Stage::Reserved).await;
        asked.push(view.id);
    }
    let before = world.tap.statuses.load(Ordering::Relaxed);
    world.tap.hold_orders.store(false, Ordering::Relaxed);
    for id in asked {
        world.until(id, |v| codes(v).contains(&"COSIGNER_HOLDS")).await;
    }
    let statuses = world.tap.statuses.load(Ordering::Relaxed) - before;
    let orders: Vec<usize> = world.tap.orders.lock().unwrap().iter().map(|order| order.items.len()).collect();
    assert_eq!(orders[0], 5, "all at once");
    // once an order, and now and then by itself
    assert!(statuses <= orders.len() + 1, "{statuses} for {orders:?}");
}
