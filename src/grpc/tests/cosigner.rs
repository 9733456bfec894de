//! The door to the co-signer against the co-signer's own face.

use std::time::Duration;

use super::super::Limits;
use super::desks::Pretend;
use super::{Running, VALID, identity, start_as};
use crate::cosigner::{RemoteCosigner, RemoteLimits};
use crate::desk::{
    AttestationOrder, ChallengeOrder, CosignDesk, CosignItem, CosignOrder, DeskError, HeadAnswer,
    ItemVerdict, Recalled, Role, SignedText, WalletEvidence,
};
use crate::pki;
use crate::wire::channel::ChannelOrder;
use crate::withdrawal::{Asset, Chain, Code, CustomerRef, Network, Organisation, ReservationId};

async fn start() -> Running {
    start_as(Role::Cosigner, Limits::default(), Pretend::default()).await
}

fn door_as(running: &Running, role: Role, limits: RemoteLimits) -> RemoteCosigner {
    let trusted = std::slice::from_ref(running.authority.certificate());
    let tls = pki::client_config(trusted, identity(&running.authority, role, VALID)).unwrap();
    let order = ChannelOrder { address: running.address.to_string(), tls, server_role: Role::Cosigner };
    RemoteCosigner::new(&order, limits).unwrap()
}

fn door(running: &Running) -> RemoteCosigner {
    door_as(running, Role::Signer, RemoteLimits::default())
}

fn reservation(n: u8) -> ReservationId {
    ReservationId::of_txid(&[n; 32])
}

fn order(checkpoint: &str) -> CosignOrder {
    let item = |n| CosignItem {
        reservation: reservation(n),
        psbt: vec![n],
        leaf: b"{}".to_vec(),
        leaf_index: 0,
        inclusion: vec![],
        payments: vec![],
    };
    CosignOrder {
        checkpoint: checkpoint.into(),
        old_size: 0,
        consistency: vec![],
        policy: "ab".repeat(32),
        policies_kept: Vec::new(),
        items: vec![item(1), item(2)],
    }
}

#[tokio::test]
async fn a_wallet_passes_through_the_door_as_it_is() {
    let running = start().await;
    let door = door(&running);
    let asked = ChallengeOrder {
        organisation: Organisation::parse("x").unwrap(),
        customer_ref: CustomerRef::parse("c").unwrap(),
        asset: Asset::Bitcoin(Network::Signet),
        address: "tb1q".into(),
    };
    assert_eq!(door.challenge(asked.clone()).await, running.desk.challenge(asked).await);
    let text = |text: &str| SignedText { text: text.into(), key_id: "k".into(), signature: [7; 64] };
    let evidence = WalletEvidence { registration: text("r"), challenge: text("c") };
    assert_eq!(door.register(evidence.clone()).await, running.desk.register(evidence).await);
    assert_eq!(door.remove(text("known")).await, Ok(()));
    assert_eq!(door.remove(text("unknown")).await.unwrap_err().code(), Code::WalletNotRegistered);
}

#[tokio::test]
async fn every_question_is_answered_through_the_door_as_by_the_desk_itself() {
    let running = start().await;
    let door = door(&running);
    assert_eq!(door.status().await, running.desk.status().await);
    let outcome = door.countersign(order("n")).await.unwrap();
    assert_eq!(outcome.head, HeadAnswer::Cosigned("line\n".into()));
    assert_eq!(outcome.verdicts[1], (reservation(2), ItemVerdict::Signed(vec![2])));
    let behind = door.countersign(order("behind")).await.unwrap();
    assert_eq!(behind.head, HeadAnswer::KnownSize(9));
    let recalled = door.recall(vec![reservation(1), reservation(2)]).await.unwrap();
    assert_eq!(recalled, [Recalled::Signed(vec![1]), Recalled::Dead]);
    let statement = |text: &str| SignedText { text: text.into(), key_id: "k".into(), signature: [0; 64] };
    let answers = door.submit_statements(vec![statement("new"), statement("old")]).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().number, 6);
    assert_eq!(answers[1].as_ref().unwrap_err().code, Code::StatementOutOfOrder);
}

#[tokio::test]
async fn more_addresses_than_one_message_may_carry_are_asked_in_parts_and_come_back_in_order() {
    let running = start().await;
    let order = |index| AttestationOrder {
        organisation: Organisation::parse("x").unwrap(),
        customer_ref: CustomerRef::parse("c").unwrap(),
        network: Chain::Bitcoin(Network::Regtest),
        branch: 0,
        index,
    };
    let attested = door(&running).attest_addresses((0..2001).map(order).collect()).await.unwrap();
    assert_eq!(attested.len(), 2001);
    assert!(attested.iter().enumerate().all(|(n, a)| a.text == format!("index {n}")));
}

#[tokio::test]
async fn answers_to_other_reservations_or_too_few_are_no_answer() {
    let running = start().await;
    for lie in ["swapped", "short"] {
        let error = door(&running).countersign(order(lie)).await.unwrap_err();
        assert!(matches!(error, DeskError::Fault { may_have_happened: true, .. }), "{lie}: {error}");
    }
}

#[tokio::test]
async fn only_the_signer_is_answered() {
    let running = start().await;
    for role in [Role::Exchange, Role::Operator, Role::Auditor, Role::Observer] {
        let error =
            door_as(&running, role, RemoteLimits::default()).countersign(order("n")).await.unwrap_err();
        assert_eq!(error.code(), Code::RoleNotAllowed, "{role}");
    }
}

#[tokio::test]
async fn a_line_that_breaks_after_the_question_leaves_the_effect_open_and_is_made_again() {
    let running = start().await;
    let door = door(&running);
    let error = door.countersign(order("panic")).await.unwrap_err();
    assert!(
        matches!(error, DeskError::Fault { code: Code::CosignerUnreachable, may_have_happened: true, .. }),
        "{error:?}"
    );
    assert!(door.status().await.is_ok());
}

#[tokio::test]
async fn a_co_signer_that_was_never_reached_has_done_nothing() {
    let running = start().await;
    let door = door(&running);
    let _ = running.stop.send(());
    running.server.await.unwrap();
    let error = door.countersign(order("n")).await.unwrap_err();
    assert!(
        matches!(error, DeskError::Fault { code: Code::CosignerUnreachable, may_have_happened: false, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_signer_cannot_be_taken_for_the_co_signer() {
    let running = start_as(Role::Signer, Limits::default(), Pretend::default()).await;
    let error = door(&running).status().await.unwrap_err();
    assert!(error.to_string().contains("not a cosigner"), "{error}");
}

#[tokio::test]
async fn a_co_signer_that_does_not_answer_in_time_may_have_signed() {
    let running = start().await;
    let limits = RemoteLimits { deadline: Duration::from_millis(500), ..RemoteLimits::default() };
    let error = door_as(&running, Role::Signer, limits).countersign(order("wait")).await.unwrap_err();
    assert!(
        matches!(error, DeskError::Fault { code: Code::DeadlineExceeded, may_have_happened: true, .. }),
        "{error:?}"
    );
}
