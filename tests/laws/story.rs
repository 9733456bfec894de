//! The main job, from a signed request to a released transaction.

use super::world::*;
use countersign::bitcoin::consensus::verify_bytes;
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
