//! L14: what voids an approval, and what does not. Two people are needed; the first has approved, then something changes,
//! then the second approves.

use countersign::desk::*;
use countersign::evidence::trust_file::OperatorEntry;
use countersign::evidence::*;
use countersign::withdrawal::*;
use wallet_policy::settings::AssetSettings;
use wallet_policy::{BUILT_IN, Settings};

use super::approvals::{approval, rejected};
use super::world::*;

/// 0.2 BTC are twenty million won.
const LARGE: u64 = 20_000_000;
const CHO: u8 = 13;

fn needs(plan: &mut Plan, needs: &str) {
    for settings in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        let text = policy_text().replace("{ treasury = 1 }", needs);
        settings.tiers = toml::from_str::<Settings>(&text).unwrap().tiers;
    }
}

fn of_treasury(plan: &mut Plan, name: &str, seed: u8) {
    let entry =
        OperatorEntry { name: name.into(), groups: vec!["treasury".into()], keys: vec![ssh_public(seed)] };
    plan.trust.operators.push(entry);
}

fn asset(settings: &mut Settings) -> &mut AssetSettings {
    settings.assets.get_mut(&ASSET.to_string()).unwrap()
}

/// A withdrawal that needs one of the treasury and one of risk, and has lee of risk.
async fn half_approved(change: impl FnOnce(&mut Plan)) -> (World, WithdrawalId) {
    let mut plan = Plan::default();
    needs(&mut plan, "{ treasury = 1, risk = 1 }");
    change(&mut plan);
    let world = World::funded(plan, 3, 70 * COIN).await;
    let view = world.withdraw("r1", LARGE).await;
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.approve(view.id, LEE).await.unwrap();
    assert_eq!(given(&world).await, ["lee"]);
    (world, view.id)
}

/// Who has approved what waits, as operators are shown.
async fn given(world: &World) -> Vec<String> {
    let pending = world.desk().pending(&caller(Role::Operator, "x"), page()).await.unwrap();
    pending.items.iter().flat_map(|one| one.given.iter().map(|given| given.operator.clone())).collect()
}

/// The first approval still counts, at both parties: with the second it is released.
async fn counts(world: &World, id: WithdrawalId) {
    assert_eq!(given(world).await, ["lee"]);
    world.approve(id, KIM).await.unwrap();
    world.until(id, |v| codes(v) == ["RELEASED"]).await;
}

/// The first approval counts no more; given again, it does.
async fn is_void(world: &World, id: WithdrawalId, lee: u8) {
    assert_eq!(given(world).await, Vec::<String>::new());
    let held = world.approve(id, KIM).await.unwrap();
    assert_eq!(codes(&held), ["APPROVAL_REQUIRED"]);
    assert_eq!(given(world).await, ["kim"]);
    world.approve(id, lee).await.unwrap();
    world.until(id, |v| codes(v) == ["RELEASED"]).await;
}

async fn restart(world: &mut World) {
    world.restart_cosigner().await;
    world.restart_signer().await;
}

fn tighter(settings: &mut Settings) {
    asset(settings).daily_limit.0 -= 1;
}

fn looser(settings: &mut Settings) {
    asset(settings).price_move_bp_max += 1;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_restart_of_either_party_keeps_it() {
    let (mut world, id) = half_approved(|_| {}).await;
    world.restart_cosigner().await;
    world.restart_signer().await;
    counts(&world, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_clearance_that_is_renewed_with_the_same_result_keeps_it() {
    let (world, id) = half_approved(|_| {}).await;
    let asked = world.ear.asked.load(std::sync::atomic::Ordering::Relaxed);
    world.later(2_000);
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    world.until(id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while world.ear.asked.load(std::sync::atomic::Ordering::Relaxed) == asked {
        assert!(tokio::time::Instant::now() < deadline, "nobody was asked again");
        tokio::task::yield_now().await;
    }
    world.until(id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    counts(&world, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_tightened_policy_of_the_signer_keeps_it() {
    let (mut world, id) = half_approved(|_| {}).await;
    tighter(&mut world.plan.signer_policy);
    world.restart_signer().await;
    counts(&world, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_tightened_policy_of_the_cosigner_keeps_it_whether_the_signer_has_heard_of_it_or_not() {
    for heard in [false, true] {
        let (mut world, id) = half_approved(|_| {}).await;
        tighter(&mut world.plan.cosigner_policy);
        world.restart_cosigner().await;
        if heard {
            world.restart_signer().await;
        }
        counts(&world, id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_tightened_twice_at_both_parties_keeps_it() {
    let (mut world, id) = half_approved(|_| {}).await;
    for _ in 0..2 {
        tighter(&mut world.plan.signer_policy);
        tighter(&mut world.plan.cosigner_policy);
        restart(&mut world).await;
    }
    counts(&world, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_one_more_rule_that_forbids_keeps_it_and_another_change_of_the_rules_voids_it() {
    let forbid = (
        "own.cedar",
        r#"@id("huge") forbid (principal, action, resource) when { context.valueKrw > 900000000 };"#,
    );
    let (mut world, id) = half_approved(|_| {}).await;
    world.plan.cosigner_files = [BUILT_IN, &[forbid]].concat().leak();
    restart(&mut world).await;
    counts(&world, id).await;

    let (mut world, id) =
        half_approved(|plan| plan.cosigner_files = [BUILT_IN, &[forbid]].concat().leak()).await;
    world.plan.cosigner_files = BUILT_IN;
    restart(&mut world).await;
    is_void(&world, id, LEE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_loosened_policy_of_the_signer_voids_it() {
    let (mut world, id) = half_approved(|_| {}).await;
    looser(&mut world.plan.signer_policy);
    world.restart_signer().await;
    is_void(&world, id, LEE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_loosened_policy_of_the_cosigner_voids_it() {
    let (mut world, id) = half_approved(|_| {}).await;
    looser(&mut world.plan.cosigner_policy);
    restart(&mut world).await;
    is_void(&world, id, LEE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_loosened_policy_of_the_cosigner_voids_it_before_the_signer_has_heard_of_it() {
    let (mut world, id) = half_approved(|_| {}).await;
    looser(&mut world.plan.cosigner_policy);
    world.restart_cosigner().await;
    world.approve(id, KIM).await.unwrap();
    world.until(id, |v| codes(v) == ["COSIGNER_HOLDS", "APPROVAL_REQUIRED"]).await;
    // and nothing is lost: by now it has, and both are asked anew
    assert_eq!(given(&world).await, Vec::<String>::new());
    world.approve(id, KIM).await.unwrap();
    world.approve(id, LEE).await.unwrap();
    world.until(id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_policy_that_is_tighter_in_one_figure_and_looser_in_another_voids_it() {
    let (mut world, id) = half_approved(|_| {}).await;
    tighter(&mut world.plan.signer_policy);
    looser(&mut world.plan.signer_policy);
    world.restart_signer().await;
    is_void(&world, id, LEE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_policy_that_was_loosened_and_is_as_it_was_again_counts_as_what_was_approved() {
    let (mut world, id) = half_approved(|_| {}).await;
    let was = world.plan.signer_policy.clone();
    looser(&mut world.plan.signer_policy);
    world.restart_signer().await;
    assert_eq!(given(&world).await, Vec::<String>::new());
    world.plan.signer_policy = was;
    world.restart_signer().await;
    counts(&world, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_another_name_of_the_vasp_voids_it() {
    let (mut world, id) = half_approved(|_| {}).await;
    world.plan.trust.vasps[0].name = "Robot Holdings".into();
    world.plan.trust.version += 1;
    restart(&mut world).await;
    is_void(&world, id, LEE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_revoked_key_voids_it_and_the_persons_new_key_approves() {
    let (mut world, id) = half_approved(|_| {}).await;
    world.plan.trust.operators[1].keys = vec![ssh_public(CHO)];
    world.plan.trust.version += 1;
    restart(&mut world).await;
    assert_eq!(world.approve(id, LEE).await.unwrap_err().code(), Code::OperatorUnknown);
    is_void(&world, id, CHO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_key_revoked_at_the_cosigner_alone_voids_it() {
    let (mut world, id) = half_approved(|_| {}).await;
    world.plan.trust.operators[1].keys = vec![ssh_public(CHO)];
    world.plan.trust.version += 1;
    world.restart_cosigner().await;
    world.approve(id, KIM).await.unwrap();
    let held = world.until(id, |v| codes(v) == ["COSIGNER_HOLDS", "APPROVAL_REQUIRED"]).await;
    assert!(format!("{:?}", held.outcome).contains("OPERATOR_UNKNOWN"), "{:?}", held.outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_a_person_taken_out_of_the_group_fills_its_place_no_more() {
    let (mut world, id) = half_approved(|_| {}).await;
    world.plan.trust.operators[1].groups = vec!["treasury".into()];
    world.plan.trust.operators.push(OperatorEntry {
        name: "cho".into(),
        groups: vec!["risk".into()],
        keys: vec![ssh_public(CHO)],
    });
    world.plan.trust.version += 1;
    restart(&mut world).await;
    // two of the treasury are none of risk
    assert_eq!(codes(&world.approve(id, KIM).await.unwrap()), ["APPROVAL_REQUIRED"]);
    world.approve(id, CHO).await.unwrap();
    world.until(id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_an_approval_ends_and_one_that_comes_later_is_too_late() {
    let (world, id) = half_approved(|plan| plan.settings.approval_age_s_max = 1_000).await;
    world.later(1_001);
    assert_eq!(world.approve(id, KIM).await.unwrap_err().code(), Code::ApprovalInvalid);
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    world.until(id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    // it is not lost: an operator says no, and the exchange asks anew
    let request = world.find(id).await.request;
    assert_eq!(codes(&rejected(&world, id, &request).await), ["REJECTED_BY_OPERATOR"]);
}

// -- whose yes, and how many -------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn l14_who_can_sign_with_the_key_that_asked_never_approves_and_nothing_is_lost() {
    let mut plan = Plan::default();
    of_treasury(&mut plan, "cho", CHO);
    plan.trust.request_keys[0].people = vec!["kim".into()];
    let world = World::funded(plan, 3, 70 * COIN).await;
    let view = world.withdraw("r1", LARGE).await;
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    assert_eq!(world.approve(view.id, KIM).await.unwrap_err().code(), Code::RequesterApproves);
    assert_eq!(codes(&world.find(view.id).await), ["APPROVAL_REQUIRED"]);
    world.approve(view.id, CHO).await.unwrap();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_who_asked_by_the_cosigners_trust_file_alone_is_left_out_there() {
    let mut plan = Plan::default();
    of_treasury(&mut plan, "cho", CHO);
    let mut world = World::funded(plan, 3, 70 * COIN).await;
    world.plan.trust.request_keys[0].people = vec!["kim".into()];
    world.plan.trust.version += 1;
    world.restart_cosigner().await;
    let view = world.withdraw("r1", LARGE).await;
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.approve(view.id, KIM).await.unwrap();
    let held = world.until(view.id, |v| codes(v) == ["COSIGNER_HOLDS", "APPROVAL_REQUIRED"]).await;
    assert!(format!("{:?}", held.outcome).contains("REQUESTER_APPROVES"), "{:?}", held.outcome);
    world.approve(view.id, CHO).await.unwrap();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_two_of_a_group_are_two_people() {
    let mut plan = Plan::default();
    needs(&mut plan, "{ treasury = 2 }");
    of_treasury(&mut plan, "cho", CHO);
    let world = World::funded(plan, 3, 70 * COIN).await;
    let view = world.withdraw("r1", LARGE).await;
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    for _ in 0..2 {
        assert_eq!(codes(&world.approve(view.id, KIM).await.unwrap()), ["APPROVAL_REQUIRED"]);
        assert_eq!(given(&world).await, ["kim"]);
    }
    world.approve(view.id, CHO).await.unwrap();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_one_person_in_two_groups_fills_one_place() {
    let mut plan = Plan::default();
    needs(&mut plan, "{ treasury = 1, risk = 1 }");
    plan.trust.operators[0].groups = vec!["treasury".into(), "risk".into()];
    let world = World::funded(plan, 3, 70 * COIN).await;
    let view = world.withdraw("r1", LARGE).await;
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    assert_eq!(codes(&world.approve(view.id, KIM).await.unwrap()), ["APPROVAL_REQUIRED"]);
    world.approve(view.id, LEE).await.unwrap();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_an_assets_own_tiers_stand_on_top_of_those_for_every_asset() {
    let mut plan = Plan::default();
    for settings in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        let own = r#"tiers = [{ from_krw = "1000000", needs = { risk = 1 } }]"#;
        asset(settings).tiers = toml::from_str::<Tiers>(own).unwrap().tiers;
    }
    let world = World::funded(plan, 3, 70 * COIN).await;
    // two million won: nobody by the tiers for every asset, one of risk by those of this one
    let small = world.withdraw("r1", 2_000_000).await;
    world.until(small.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    assert_eq!(codes(&world.approve(small.id, KIM).await.unwrap()), ["APPROVAL_REQUIRED"]);
    world.approve(small.id, LEE).await.unwrap();
    world.until(small.id, |v| codes(v) == ["RELEASED"]).await;
    // twenty million: both
    let large = world.withdraw("r2", LARGE).await;
    world.until(large.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    assert_eq!(codes(&world.approve(large.id, LEE).await.unwrap()), ["APPROVAL_REQUIRED"]);
    world.approve(large.id, KIM).await.unwrap();
    world.until(large.id, |v| codes(v) == ["RELEASED"]).await;
}

#[derive(serde::Deserialize)]
struct Tiers {
    tiers: Vec<wallet_policy::tiers::Tier>,
}

#[tokio::test(flavor = "multi_thread")]
async fn l14_what_is_no_approval_is_answered_with_a_code_and_a_cure_and_nothing_is_lost() {
    let (world, id) = half_approved(|plan| of_treasury(plan, "cho", CHO)).await;
    let other = world.withdraw("r2", LARGE).await;
    let texts = world.desk().pending(&caller(Role::Operator, "x"), page()).await.unwrap().items;
    let text_of = |id| texts.iter().find(|one| one.withdrawal == id).unwrap().text.clone();
    let (text, others) = (text_of(id), text_of(other.id));
    let in_namespace = |namespace| sign_ssh(&ssh_private(KIM), namespace, &text).unwrap();
    let good = approval(&text, KIM);
    let cases = [
        ("an operator nobody knows", approval(&text, STRANGER), Code::OperatorUnknown),
        ("a key of the trust file's quorum", approval(&text, QUORUM[0]), Code::OperatorUnknown),
        ("the namespace of trust files", in_namespace(NAMESPACE_TRUST), Code::ApprovalInvalid),
        ("the namespace of freezes", in_namespace(NAMESPACE_FREEZE), Code::ApprovalInvalid),
        ("the namespace of files", in_namespace("file"), Code::ApprovalInvalid),
        ("the approval of another withdrawal", approval(&others, KIM), Code::ApprovalInvalid),
        ("a text without its end", approval(text.trim_end(), KIM), Code::ApprovalInvalid),
        ("half an armor", good[..good.len() / 2].to_owned(), Code::SignatureMalformed),
        ("no armor", "yes".to_owned(), Code::SignatureMalformed),
        ("two armors", format!("{good}{good}"), Code::SignatureMalformed),
    ];
    for (what, signature, code) in cases {
        let order = ApprovalOrder { withdrawal: id, signature };
        let no = world.desk().approve(&caller(Role::Operator, "x"), order).await.unwrap_err();
        assert_eq!(no.code(), code, "{what}");
        assert!(!no.code().cure().is_empty(), "{what}");
        assert_eq!(given(&world).await, ["lee"], "{what}");
    }
    let nothing = WithdrawalId::of(&Organisation::parse("acme").unwrap(), &RequestId::parse("r9").unwrap());
    let order = ApprovalOrder { withdrawal: nothing, signature: good.clone() };
    let no = world.desk().approve(&caller(Role::Operator, "x"), order).await.unwrap_err();
    assert_eq!(no.code(), Code::NotFound);
    // the same yes twice is one yes, and more than are asked for are no fault
    for seed in [LEE, LEE] {
        world.approve(id, seed).await.unwrap();
    }
    assert_eq!(given(&world).await, ["lee"]);
    world.cut();
    world.approve(id, KIM).await.unwrap();
    let order = ApprovalOrder { withdrawal: id, signature: approval(&text, CHO) };
    let _ = world.desk().approve(&caller(Role::Operator, "x"), order).await;
    world.mend();
    world.until(id, |v| codes(v) == ["RELEASED"]).await;
}
