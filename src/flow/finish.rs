//! How two signatures become a transaction: verify B, sign A last, place both, and have the consensus rules judge.

use ::bitcoin::hex::DisplayHex;

use super::context::Context;
use super::courier::Parcel;
use super::ledger::rows::{PrevoutRow, ReleasedRow};
use super::reserve;
use super::treasury::leaving;
use crate::bitcoin::{Branch, KeySlot};
use crate::bitcoin::{CheckedTransaction, Expectations, Pinned, check_psbt};
use crate::keys::{self, ChildIndex, HotKey, OrderItem, SigningOrder};
use crate::withdrawal::{Code, Finding};

/// Checks what the co-signer gave back, adds the last signature, and gives the finished transaction.
///
/// Nothing that comes back is believed: the PSBT is read anew and must be exactly what was reserved.
pub fn finish(
    context: &Context,
    key: &HotKey,
    parcel: &Parcel,
    signed: &[u8],
) -> Result<ReleasedRow, Finding> {
    let checked = check(context, parcel, signed)?;
    let no = |detail: String| Finding::new(Code::TransactionMismatch, detail);
    let order = SigningOrder::danger_vouch_for(parcel.reservation, order_items(&checked, KeySlot::A)?);
    // Held while the signature is made and no longer: a freeze waits for it.
    let permit = context.brake.permit(leaving(&parcel.row))?;
    let own = key.sign(&order).map_err(|e| no(e.to_string()))?;
    drop(permit);
    let own = own.iter().map(|s| *s.signature()).collect();
    let own = checked.danger_vouch_own(KeySlot::A, own).map_err(|e| no(e.to_string()))?;
    let theirs =
        checked.signatures().ok_or_else(|| no("the co-signer's signature is not there".to_owned()))?;
    let finished = checked.finish(theirs, &own).map_err(|e| no(e.to_string()))?;
    Ok(ReleasedRow {
        txid: finished.txid().to_string(),
        tx_hex: finished.bytes().to_lower_hex_string(),
        fee: u128::from(checked.fee_sat()),
        prevouts: checked
            .inputs()
            .iter()
            .map(|input| PrevoutRow {
                outpoint: input.coin().outpoint.to_string(),
                value_sat: input.coin().amount_sat,
                script_pubkey: input.coin().script.script_pubkey().to_hex_string(),
            })
            .collect(),
        log_index: 0,
    })
}

fn check(context: &Context, parcel: &Parcel, signed: &[u8]) -> Result<CheckedTransaction, Finding> {
    let txid =
        parcel.row.txid.parse().map_err(|_| Finding::new(Code::Internal, "the reservation has no txid"))?;
    let expect = Expectations {
        txid: Some(txid),
        receiver: KeySlot::B,
        signed_by: Some(KeySlot::B),
        payees: &parcel.payees,
        cold: parcel.cold_index.map(|index_max| Pinned { wallet: &context.cold, index_max }),
        change_index_max: parcel.row.change.map_or(0, |c| c.index),
        change_ready: parcel.change_script.clone(),
        caps: reserve::caps(context, parcel.fee_max),
        tip_height: parcel.row.tip_height,
    };
    let lookup =
        |outpoint: &::bitcoin::OutPoint| parcel.coins.iter().find(|c| c.outpoint == *outpoint).cloned();
    check_psbt(signed, &context.wallet, &expect, &lookup).map_err(|e| Finding::new(e.code(), e.to_string()))
}

/// The signing order of a checked transaction: the digests were computed here, from the checked transaction itself.
pub fn order_items(checked: &CheckedTransaction, slot: KeySlot) -> Result<Vec<OrderItem>, Finding> {
    checked
        .inputs()
        .iter()
        .map(|input| {
            let script = &input.coin().script;
            let branch = match script.branch() {
                Branch::Deposit => keys::Branch::Deposit,
                Branch::Change => keys::Branch::Change,
            };
            let index = ChildIndex::new(script.index())
                .ok_or_else(|| Finding::new(Code::Internal, "an index is out of range"))?;
            Ok(OrderItem::new(branch, index, *input.digest()).expecting(script.pubkey(slot).serialize()))
        })
        .collect()
}
