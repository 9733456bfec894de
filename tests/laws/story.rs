//! The main job, from a signed request to a released transaction.

use super::world::*;
use countersign::bitcoin::consensus::verify_bytes;
use countersign::desk::{PositionDesk, Role};
use countersign::withdrawal::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_goes_from_a_signed_request_to_a_released_transaction() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let view = world.withdraw("r1", 2_000_000).await;
    assert_eq!(codes(&view), ["RELEASED"], "{view:?}");
    assert_eq!(view.stage, Stage::Released);
    let transaction: bitcoin::Transaction =
        bitcoin::consensus::encode::deserialize(&view.raw_transaction).unwrap();
    assert_eq!(transaction.compute_txid().to_string(), view.txid.clone().unwrap());
    let prevouts: Vec<bitcoin::TxOut> = view
        .prevouts
        .iter()
        .map(|p| bitcoin::TxOut {
            value: bitcoin::Amount::from_sat(p.value.sat().unwrap()),
            script_pubkey: bitcoin::ScriptBuf::from_bytes(p.script_pubkey.clone()),
        })
        .collect();
    verify_bytes(&view.raw_transaction, &prevouts).unwrap();
    let paid = transaction.output.iter().filter(|o| o.value.to_sat() == 2_000_000).count();
    assert_eq!(paid, 1);
    let change: u64 = transaction.output.iter().map(|o| o.value.to_sat()).sum::<u64>() - 2_000_000;
    assert_eq!(change + 2_000_000 + view.fee.unwrap().sat().unwrap(), COIN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_withdrawal_waits_for_its_operators_and_is_then_released() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let held = world.withdraw("big", 20_000_000).await;
    assert_eq!(codes(&held), ["APPROVAL_REQUIRED"], "{held:?}");
    world.approve(held.id, KIM).await.unwrap();
    let view = world.until(held.id, |v| v.outcome == Outcome::Released).await;
    assert_eq!(view.stage, Stage::Released);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_hot_is_swept_before_anything_is_released() {
    let world = World::funded(Plan::default(), 3, 2 * COIN).await;
    let view = world.withdraw("r1", 2_000_000).await;
    let view = world.until(view.id, |v| v.outcome == Outcome::Released).await;
    assert_eq!(view.stage, Stage::Released);
    let position = world.desk().position(&caller(Role::Auditor, "a"), None).await.unwrap().assets.remove(0);
    assert!(position.cold_in_transit > Amount::ZERO, "{position:?}");
    assert_eq!(position.surplus, Amount::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_crashed_takes_up_what_was_under_way() {
    let mut world = World::funded(Plan::default(), 3, 70 * COIN).await;
    world.cut();
    let request = world.request("r1", TAYLOR, 2_000_000);
    let held = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(codes(&held), ["COSIGNER_UNREACHABLE"], "{held:?}");
    world.restart_signer().await;
    world.mend();
    let view = world.until(held.id, |v| v.outcome == Outcome::Released).await;
    world.restart_signer().await;
    let again = world.ask(&request, ("Robbins", "Taylor")).await.unwrap();
    assert_eq!(again, view);
    let other = world.request("r1", TAYLOR, 2_000_001);
    let error = world.ask(&other, ("Robbins", "Taylor")).await.unwrap_err();
    assert_eq!(error.code(), Code::RequestIdReused);
}
