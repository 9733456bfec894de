//! L15: any one operator stops a party, and a quorum ends it after a delay. In one process, with a clock that can be moved.

use countersign::desk::*;
use countersign::evidence::*;
use countersign::withdrawal::*;

use super::thief::*;
use super::world::*;

const PARTIES: [KeyRole; 2] = [KeyRole::Signer, KeyRole::Cosigner];

fn operator() -> Caller {
    caller(Role::Operator, "x")
}

/// A freeze by kim, for both parties, with this number for a name.
pub fn freeze_of(world: &World, number: u8) -> FreezeOrder {
    let text = FreezeText {
        freeze: FreezeId::of_bytes([number; 16]),
        party: Addressee::Both,
        operator: "kim".into(),
        at: world.now(),
        reason: "a drill".into(),
    };
    let text = text.render();
    let signature = sign_ssh(&ssh_private(KIM), NAMESPACE_FREEZE, &text).unwrap();
    FreezeOrder { text, signature }
}

/// Freezes a party under that number, and waits until its log knows.
pub async fn freeze(world: &World, party: KeyRole, number: u8) -> InForce {
    let order = freeze_of(world, number);
    world.counter(party).freeze(&operator(), order).await.unwrap();
    noted(world, party).await
}

/// Waits until the log of a party knows of the freeze in force there.
async fn noted(world: &World, party: KeyRole) -> InForce {
    loop {
        let view = world.counter(party).standing(&operator()).await.unwrap();
        let in_force = view.in_force.expect("not frozen");
        if in_force.log_index.is_some() {
            return in_force;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn resume_text(world: &World, party: KeyRole, in_force: &InForce, scope: Scope) -> ResumeText {
    let at = world.now();
    let (freeze, reviewed) = (in_force.freeze.unwrap(), in_force.log_index.unwrap());
    ResumeText { freeze, party, scope, reviewed, at, expires_at: at.plus(3_600) }
}

fn signed_by(text: &ResumeText, seeds: &[u8]) -> ResumeOrder {
    let text = text.render();
    let sign = |seed: &u8| sign_ssh(&ssh_private(*seed), NAMESPACE_RESUME, &text).unwrap();
    ResumeOrder { signatures: seeds.iter().map(sign).collect(), text }
}

/// Has the quorum order the end of the freeze in force.
pub async fn resume(world: &World, party: KeyRole, scope: Scope) -> InForce {
    let in_force = noted(world, party).await;
    let order = signed_by(&resume_text(world, party, &in_force, scope), &[KIM, LEE]);
    world.counter(party).resume(&operator(), order).await.unwrap().in_force.unwrap()
}

async fn refusal(world: &World, party: KeyRole, order: ResumeOrder) -> &'static str {
    let no = world.counter(party).resume(&operator(), order).await.unwrap_err();
    no.code().as_str()
}

/// An hour later, with facts that are not stale.
pub async fn an_hour_later(world: &World, cold_sat: u64) {
    world.later(3_601);
    world.state_chain().await;
    world.state_price(PRICE).await;
    world.state_cold(cold_sat, &[]).await;
}

async fn until_free(world: &World, party: KeyRole) {
    while world.counter(party).standing(&operator()).await.unwrap().in_force.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// How many entries of that kind the signer's log has.
pub async fn entries(world: &World, kind: &str) -> usize {
    let named = format!("\"{kind}\"");
    world.leaves().await.iter().filter(|leaf| String::from_utf8_lossy(leaf).contains(&named)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_a_frozen_signer_signs_nothing_over_restarts_until_its_quorums_delay_is_over() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let signer = KeyRole::Signer;
    let in_force = freeze(&world, signer, 1).await;
    let waits = world.withdraw("r1", 2_000_000).await;
    assert_eq!(codes(&waits), ["FROZEN"], "held, not refused");
    world.restart_signer().await;
    assert_eq!(noted(&world, signer).await.freeze, in_force.freeze, "the marker survives a restart");
    world.until(waits.id, |v| codes(v) == ["FROZEN"]).await;

    let good = resume_text(&world, signer, &in_force, Scope::All);
    let changed = |change: &dyn Fn(&mut ResumeText)| {
        let mut text = good.clone();
        change(&mut text);
        signed_by(&text, &[KIM, LEE])
    };
    let size = world.counter(signer).standing(&operator()).await.unwrap().log_size;
    let cases = [
        // too few; the same person twice; nobody of the trust file; another namespace
        ("RESUME_QUORUM_SHORT", signed_by(&good, &[])),
        ("RESUME_QUORUM_SHORT", signed_by(&good, &[KIM])),
        ("RESUME_QUORUM_SHORT", signed_by(&good, &[KIM, KIM])),
        ("OPERATOR_UNKNOWN", signed_by(&good, &[KIM, STRANGER])),
        ("RESUME_INVALID", {
            let text = good.render();
            let sign = |seed| sign_ssh(&ssh_private(seed), NAMESPACE_APPROVAL, &text).unwrap();
            ResumeOrder { signatures: vec![sign(KIM), sign(LEE)], text }
        }),
        // another freeze, another party, an index before the freeze's own, one that is not there yet, too late, too early
        ("RESUME_INVALID", changed(&|t| t.freeze = FreezeId::of_bytes([9; 16]))),
        ("RESUME_INVALID", changed(&|t| t.party = KeyRole::Cosigner)),
        ("RESUME_INVALID", changed(&|t| t.reviewed -= 1)),
        ("RESUME_INVALID", changed(&|t| t.reviewed = size + 1_000)),
        ("RESUME_INVALID", changed(&|t| t.expires_at = t.at.plus(86_401))),
        ("RESUME_INVALID", changed(&|t| (t.at, t.expires_at) = (Seconds(1), Seconds(2)))),
        ("RESUME_INVALID", changed(&|t| t.at = t.at.plus(1_000))),
    ];
    for (at, (code, order)) in cases.into_iter().enumerate() {
        assert_eq!(refusal(&world, signer, order).await, code, "case {at}");
    }
    let order = signed_by(&good, &[LEE, KIM]);
    let pending = world.counter(signer).resume(&operator(), order).await.unwrap().in_force.unwrap();
    assert!(pending.resume.unwrap().effective_at >= world.now().plus(3_590));
    world.restart_signer().await;
    world.until(waits.id, |v| codes(v) == ["FROZEN"]).await;

    an_hour_later(&world, 70 * COIN).await;
    until_free(&world, signer).await;
    // what was asked meanwhile needs approval, whatever its tier; what is asked now does not
    world.until(waits.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    assert_eq!(codes(&world.withdraw("r2", 2_000_000).await), ["RELEASED"]);
    world.approve(waits.id, KIM).await.unwrap();
    world.until(waits.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    world.approve(waits.id, LEE).await.unwrap();
    world.until(waits.id, |v| codes(v) == ["RELEASED"]).await;
    assert_eq!(entries(&world, "frozen").await, 1, "noted once, whatever was restarted");
    assert_eq!(entries(&world, "resumed").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_what_was_booked_before_the_freeze_is_released_after_it_with_the_same_transaction() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    // the co-signer signs, and the signer does not hear of it
    world.tap.lose_answers(true);
    let request = world.request("r1", TAYLOR, 2_000_000);
    let view = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    let booked = world.until(view.id, |v| codes(v) == ["COSIGNER_UNREACHABLE"]).await;
    world.later(2);
    freeze(&world, KeyRole::Signer, 1).await;
    world.tap.lose_answers(false);
    world.until(view.id, |v| codes(v) == ["FROZEN"]).await;
    world.restart_signer().await;
    world.until(view.id, |v| codes(v) == ["FROZEN"]).await;
    assert!(world.find(view.id).await.raw_transaction.is_empty());
    resume(&world, KeyRole::Signer, Scope::All).await;
    an_hour_later(&world, 70 * COIN).await;
    let released = world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
    assert_eq!(released.txid, booked.txid);
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_a_frozen_cosigner_signs_nothing_and_wants_approvals_by_its_own_record() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let cosigner = KeyRole::Cosigner;
    freeze(&world, cosigner, 1).await;
    let view = world.withdraw("r1", 2_000_000).await;
    world.until(view.id, |v| codes(v) == ["FROZEN"]).await;
    world.restart_cosigner().await;
    world.mend();
    noted(&world, cosigner).await;
    resume(&world, cosigner, Scope::All).await;
    an_hour_later(&world, 70 * COIN).await;
    until_free(&world, cosigner).await;
    // the signer was never frozen: it shows what the co-signer wants approved
    world.until(view.id, |v| codes(v).contains(&"APPROVAL_REQUIRED")).await;
    world.approve(view.id, LEE).await.unwrap();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_a_stolen_signer_cannot_unfreeze_the_cosigner() {
    let (world, mut thief) = Thief::with(Plan::default(), 3, 100 * COIN).await;
    let in_force = freeze(&world, KeyRole::Cosigner, 1).await;
    let request = world.request("r1", TAYLOR, 2_000_000);
    let payment = thief.payment(&request);
    let loot = thief.book(&thief.plot(0, &[&request]), vec![payment.clone()]);
    let order = thief.order(std::slice::from_ref(&loot));
    assert_eq!(world.cosigner().countersign(order.clone()).await.unwrap_err().code(), Code::Frozen);
    // the quorum ends the freeze of the signer, and the thief has that text
    let text = resume_text(&world, KeyRole::Signer, &in_force, Scope::All);
    assert_eq!(refusal(&world, KeyRole::Cosigner, signed_by(&text, &[KIM, LEE])).await, "RESUME_INVALID");
    // a certificate is nobody's signature, and one person is no quorum
    let own = resume_text(&world, KeyRole::Cosigner, &in_force, Scope::All);
    assert_eq!(refusal(&world, KeyRole::Cosigner, signed_by(&own, &[])).await, "RESUME_QUORUM_SHORT");
    assert_eq!(world.cosigner().countersign(order.clone()).await.unwrap_err().code(), Code::Frozen);
    // a head alone is witnessed all the same
    let bare = CosignOrder { items: Vec::new(), ..order.clone() };
    assert!(matches!(world.cosigner().countersign(bare).await.unwrap().head, HeadAnswer::Cosigned(_)));
    thief.known = thief.tree.size();

    resume(&world, KeyRole::Cosigner, Scope::All).await;
    world.later(3_601);
    until_free(&world, KeyRole::Cosigner).await;
    tell(&world, world.chain()).await.unwrap();
    tell(&world, Body::Price(vec![(ASSET, Krw(PRICE))])).await.unwrap();
    tell(&world, NOTHING_NEW).await.unwrap();
    tell(&world, Body::Position { cold: vec![(ASSET, Amount::from_sat(100 * COIN))], swept: vec![] })
        .await
        .unwrap();
    // asked during the freeze: no approval, no signature; whatever the signer says of it
    let answer = VerificationAnswer { answered_at: world.now(), ..thief.answer(&request) };
    let payment = thief.payment_with(&request, &answer);
    let verdict = thief.try_to(&world, &thief.plot(0, &[&request]), vec![payment]).await;
    assert_eq!(no(verdict), "APPROVAL_REQUIRED");
    let fresh = world.request("r2", TAYLOR, 2_000_000);
    let payment = thief.payment(&fresh);
    yes(thief.try_to(&world, &thief.plot(1, &[&fresh]), vec![payment]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_a_quorum_may_resume_sweeps_alone() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    for party in PARTIES {
        freeze(&world, party, 1).await;
    }
    // far too much rests hot, and not even that is swept
    let coins = world.fund("c2", &[COIN; 60]).await;
    assert!(matches!(coins, Body::Coins { .. }));
    let view = world.withdraw("r1", 2_000_000).await;
    assert_eq!(codes(&view), ["FROZEN"]);
    let position = || async {
        let view = world.desk().position(&caller(Role::Auditor, "x"), None).await.unwrap();
        (view.frozen, view.assets.into_iter().next().unwrap().sweeps)
    };
    assert_eq!(position().await, (true, Vec::new()));
    for party in PARTIES {
        resume(&world, party, Scope::Sweeps).await;
    }
    an_hour_later(&world, 70 * COIN).await;
    let sweep = loop {
        let (frozen, sweeps) = position().await;
        assert!(frozen, "withdrawals stay frozen");
        if let Some(sweep) = sweeps.into_iter().next() {
            break sweep;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let transaction: bitcoin::Transaction =
        bitcoin::consensus::encode::deserialize(&sweep.raw_transaction).unwrap();
    assert_eq!(transaction.compute_txid().to_string(), sweep.txid);
    assert_eq!(codes(&world.find(view.id).await), ["FROZEN"]);
    // a new freeze stops sweeps again
    let again = freeze(&world, KeyRole::Signer, 2).await;
    assert!(!again.sweeps_resumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_an_old_freeze_or_resume_does_nothing_and_a_new_freeze_voids_what_waits() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let signer = KeyRole::Signer;
    let first = freeze_of(&world, 1);
    world.counter(signer).freeze(&operator(), first.clone()).await.unwrap();
    let in_force = noted(&world, signer).await;
    let old = signed_by(&resume_text(&world, signer, &in_force, Scope::All), &[KIM, LEE]);
    world.counter(signer).resume(&operator(), old.clone()).await.unwrap();
    // the same freeze again changes nothing: what waits still waits
    let view = world.counter(signer).freeze(&operator(), first.clone()).await.unwrap();
    assert!(view.in_force.unwrap().resume.is_some());
    // another one voids it
    let again = freeze(&world, signer, 2).await;
    assert!(again.resume.is_none());
    assert_eq!(again.since, in_force.since, "the earlier time stays");
    world.later(3_601);
    world.state_chain().await;
    assert!(world.counter(signer).standing(&operator()).await.unwrap().in_force.is_some());
    assert_eq!(refusal(&world, signer, old.clone()).await, "RESUME_INVALID", "it names another freeze");
    // ended, neither old message does anything
    resume(&world, signer, Scope::All).await;
    world.later(3_601);
    until_free(&world, signer).await;
    let no = world.counter(signer).freeze(&operator(), first).await.unwrap_err();
    assert_eq!(no.code(), Code::FreezeInvalid, "too old by now");
    assert_eq!(refusal(&world, signer, old).await, "RESUME_INVALID");
    assert!(world.brake(signer).standing().pays());
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_a_freeze_needs_a_listed_operators_own_words_for_this_party_and_now() {
    let world = World::new(Plan::default()).await;
    let cosigner = KeyRole::Cosigner;
    let text = |change: &dyn Fn(&mut FreezeText)| {
        let mut text = FreezeText::parse(&freeze_of(&world, 1).text).unwrap();
        change(&mut text);
        text.render()
    };
    let by = |seed: u8, namespace: &str, text: String| {
        let signature = sign_ssh(&ssh_private(seed), namespace, &text).unwrap();
        FreezeOrder { text, signature }
    };
    let now = world.now();
    let cases = [
        (Code::OperatorUnknown, by(STRANGER, NAMESPACE_FREEZE, text(&|_| {}))),
        (Code::FreezeInvalid, by(LEE, NAMESPACE_FREEZE, text(&|_| {}))),
        (Code::FreezeInvalid, by(KIM, NAMESPACE_RESUME, text(&|_| {}))),
        (Code::FreezeInvalid, by(KIM, NAMESPACE_FREEZE, text(&|t| t.party = Addressee::Signer))),
        (Code::FreezeInvalid, by(KIM, NAMESPACE_FREEZE, text(&|t| t.at = Seconds(now.0 - 700)))),
        (Code::FreezeInvalid, by(KIM, NAMESPACE_FREEZE, text(&|t| t.at = now.plus(300)))),
    ];
    for (at, (code, order)) in cases.into_iter().enumerate() {
        let no = world.counter(cosigner).freeze(&operator(), order).await.unwrap_err();
        assert_eq!(no.code(), code, "case {at}");
    }
    assert!(world.brake(cosigner).standing().pays());
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_who_asks_for_payments_ends_no_freeze() {
    let (mut named, mut holding) = (Plan::default(), Plan::default());
    named.trust.operators[1].name = "acme".into();
    holding.trust.request_keys[0].people = vec!["lee".into()];
    for plan in [named, holding] {
        let world = World::new(plan).await;
        let in_force = freeze(&world, KeyRole::Cosigner, 1).await;
        let text = resume_text(&world, KeyRole::Cosigner, &in_force, Scope::All);
        let signed = signed_by(&text, &[KIM, LEE]);
        assert_eq!(refusal(&world, KeyRole::Cosigner, signed).await, "RESUME_QUORUM_SHORT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_a_marker_that_is_lost_or_cannot_be_read_is_a_freeze() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let marker = world.dir.path().join("freeze-signer/freeze.json");
    freeze(&world, KeyRole::Signer, 1).await;
    world.stop_signer().await;
    std::fs::remove_file(&marker).unwrap();
    world.start_signer().await;
    assert_eq!(
        noted(&world, KeyRole::Signer).await.freeze,
        Some(FreezeId::of_bytes([1; 16])),
        "the log knows"
    );
    world.stop_signer().await;
    let damaged = ["", "{}", "{\"freeze\":null,\"past\":[],\"used\":[]}\n"];
    for (at, wrong) in damaged.into_iter().enumerate() {
        std::fs::write(&marker, wrong).unwrap();
        world.start_signer().await;
        let view = world.counter(KeyRole::Signer).standing(&operator()).await.unwrap();
        assert_eq!(view.in_force.unwrap().freeze, None, "{wrong:?}");
        assert_eq!(codes(&world.withdraw(&format!("r{at}"), 2_000_000).await), ["FROZEN"]);
        world.stop_signer().await;
    }
    world.start_signer().await;
    // a new freeze gives it a name, by which it can be ended
    freeze(&world, KeyRole::Signer, 2).await;
    resume(&world, KeyRole::Signer, Scope::All).await;
    an_hour_later(&world, 70 * COIN).await;
    until_free(&world, KeyRole::Signer).await;
}
