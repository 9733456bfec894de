//! The stolen key of an operator, certificate of an auditor, and relay.

use std::sync::atomic::Ordering;

use countersign::evidence::*;
use countersign::wire::v1;

use super::*;
use crate::approvals::{approval, text};

const LARGE: u64 = 20_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_operators_key_is_one_person_and_asks_for_nothing() {
    let mut plan = Plan::default();
    for settings in [&mut plan.signer_policy, &mut plan.cosigner_policy] {
        let text = policy_text().replace("{ treasury = 1 }", "{ treasury = 1, risk = 1 }");
        settings.tiers = toml::from_str::<wallet_policy::Settings>(&text).unwrap().tiers;
    }
    let mut robbery = Robbery::of(plan, &[LARGE]).await;
    let asked = robbery.taken[0].clone();
    let own = text(&robbery.world, &asked.request).render();
    let with = |approvals: Vec<String>| vec![CosignPayment { approvals, ..asked.payment.clone() }];
    // with the signer stolen as well: still one group of two, however often it signs
    for approvals in [vec![approval(&own, KIM)], vec![approval(&own, KIM); 3]] {
        let plot = robbery.plot(0, &asked);
        robbery.fails("APPROVAL_REQUIRED", &plot, with(approvals)).await;
    }
    // a request that no exchange signed is not helped by an approval
    let wished = robbery.world.request("wished", ETHAN, LARGE);
    let request = signed(sign_request(&wished, ed25519(&key(KIM))).unwrap(), "k1");
    let answer = robbery.answer(&wished);
    let approvals = vec![approval(&text(&robbery.world, &wished).render(), KIM)];
    let forged = CosignPayment { approvals, ..payment(request, Some(signed_answer(&answer, ROBOT))) };
    let plot = robbery.thief.plot(0, &[&wished]);
    robbery.fails("REQUEST_SIGNATURE_INVALID", &plot, vec![forged]).await;
    let plot = robbery.plot(0, &asked);
    robbery.succeeds(&plot, with(vec![approval(&own, KIM), approval(&own, LEE)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_certificate_of_an_auditor_reads_and_changes_nothing() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let wire = Wire::before(Desks::of_signer(&world.desk()), Role::Signer).await;
    let client = wire.client_as(Role::Auditor, "stolen");
    let held = world.request("r1", TAYLOR, LARGE);
    let view = world.ask(&held, ("Robbins", "Taylor")).await.unwrap();
    world.until(view.id, |v| codes(v) == ["APPROVAL_REQUIRED"]).await;
    let name = format!("withdrawals/{}", view.id);
    let before = world.leaves().await.len();
    // even with everybody's signatures in hand
    let request = world.request("r2", TAYLOR, 2_000_000);
    let create = v1::CreateWithdrawalRequest {
        request: Some(sign(&request).into()),
        ivms101_payload: ivms(("Robbins", "Taylor"), TAYLOR),
    };
    let cancel = v1::CancelWithdrawalRequest { cancellation: Some(cancel_of(&held, EXCHANGE).into()) };
    let signature = approval(&text(&world, &held).render(), KIM);
    let approve = v1::ApproveWithdrawalRequest { name: name.clone(), signature };
    let state = v1::SubmitStatementRequest { statement: Some(world.statement(NOTHING_NEW).into()) };
    let refill = || "rf_00000001".to_owned();
    let ask = v1::CreateRefillRequest { asset: ASSET.to_string(), ..Default::default() };
    let export = v1::ExportRefillRequest { refill: refill() };
    let import = v1::ImportRefillRequest { refill: refill(), psbt: b"psbt\xff".to_vec() };
    let give_up = v1::CancelRefillRequest { refill: refill(), reason: "stolen".into() };
    let challenge = v1::CreateWalletChallengeRequest::default();
    let registration = v1::CreateWalletRegistrationRequest::default();
    let removal = v1::DeleteWalletRegistrationRequest::default();
    let answers = [
        client.withdrawals().create_withdrawal(create).await.err(),
        client.withdrawals().cancel_withdrawal(cancel).await.err(),
        client.approvals().approve_withdrawal(approve.clone()).await.err(),
        client.statements().submit_statement(state).await.err(),
        client.refills().create_refill(ask).await.err(),
        client.refills().export_refill(export).await.err(),
        client.refills().import_refill(import).await.err(),
        client.refills().cancel_refill(give_up).await.err(),
        client.wallets().create_wallet_challenge(challenge).await.err(),
        client.wallets().create_wallet_registration(registration).await.err(),
        client.wallets().delete_wallet_registration(removal).await.err(),
    ];
    for no in answers {
        assert_eq!(no.unwrap().code(), tonic::Code::PermissionDenied);
    }
    assert_eq!(world.leaves().await.len(), before);
    // it reads
    let pick = Some(v1::get_withdrawal_request::Pick::Name(name));
    client.withdrawals().get_withdrawal(v1::GetWithdrawalRequest { pick }).await.unwrap();
    assert!(
        client.refills().list_refills(v1::ListRefillsRequest {}).await.unwrap().get_ref().refills.is_empty()
    );
    // who may approve does so with the same signature
    wire.client_as(Role::Operator, "kim").approvals().approve_withdrawal(approve).await.unwrap();
    world.until(view.id, |v| codes(v) == ["RELEASED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_relay_clears_nothing_and_only_delays() {
    // it holds its own signing key, and forges the counterparty's answer with it
    let mut robbery = Robbery::of(Plan::default(), &[2_000_000]).await;
    let request = robbery.world.request("r9", TAYLOR, 2_000_000);
    let answer = robbery.answer(&request);
    let forged = payment(sign(&request), Some(signed_answer(&answer, RELAY)));
    let plot = robbery.thief.plot(0, &[&request]);
    robbery.fails("EVIDENCE_INVALID", &plot, vec![forged]).await;
    let plot = robbery.thief.plot(0, &[&request]);
    let honest = payment(sign(&request), Some(signed_answer(&answer, ROBOT)));
    robbery.succeeds(&plot, vec![honest]).await;
    // it keeps everything back: nothing is cleared, and it is, once it passes
    let world = World::funded(Plan::default(), 2, 70 * COIN).await;
    world.ear.slow.store(true, Ordering::Relaxed);
    let request = world.request("r1", TAYLOR, 2_000_000);
    let desk = world.desk();
    let given = order(&request, ("Robbins", "Taylor"));
    let task =
        tokio::spawn(
            async move { WithdrawalDesk::create(&*desk, &caller(Role::Exchange, "acme"), given).await },
        );
    let id = request.id();
    let exchange = caller(Role::Exchange, "acme");
    while world.desk().find(&exchange, WithdrawalPick::Id(id)).await.is_err() {
        tokio::task::yield_now().await;
    }
    world.until(id, |v| codes(v) == ["CLEARANCE_PENDING"]).await;
    assert!(world.tap.orders.lock().unwrap().is_empty());
    world.ear.slow.store(false, Ordering::Relaxed);
    world.until(id, |v| codes(v) == ["RELEASED"]).await;
    task.await.unwrap().unwrap();
}
