//! What others are told of a refill: the co-signer, and people.

use data_encoding::HEXLOWER;

use crate::desk::refills::ENDED_MAX;
use crate::desk::{RefillAttestOrder, RefillAttestPart, RefillPart, RefillState, RefillView};
use crate::flow::context::Context;
use crate::flow::handed_on;
use crate::flow::ledger::Ledger;
use crate::flow::ledger::refills::PartRow;
use crate::flow::ledger::rows::Signed;
use crate::withdrawal::{Amount, Seconds, WithdrawalId};

/// How long after its time the co-signer is told of a refill that ended, in seconds: by then it counts it no more.
const TOLD_S: u64 = 86_400;

/// What the co-signer is told of a refill, and of those that ended: it may have attested one whose word never came.
pub fn attest_order(ledger: &Ledger, id: &str, now: Seconds) -> Option<RefillAttestOrder> {
    let row = ledger.treasury.refills.named(id)?;
    let requests = row.earmarks.iter().filter_map(|earmark| {
        let open = ledger.open.get(&WithdrawalId::parse(&earmark.withdrawal).ok()?)?;
        Some(handed_on(open.request.signed()))
    });
    // The newest: far fewer are open at once, and what ended before them was told with them.
    let ended = ledger.treasury.refills.newest_first().filter(|(_, row)| {
        let has_ended = matches!(row.state(), RefillState::Cancelled | RefillState::Expired);
        has_ended && now.0 <= row.expires_at.saturating_add(TOLD_S)
    });
    Some(RefillAttestOrder {
        refill: id.to_owned(),
        index: row.index,
        parts: row
            .parts
            .iter()
            .map(|part| RefillAttestPart {
                txid: part.txid.clone(),
                vout: part.vout,
                amount_sat: part.amount_sat,
                fee_sat: part.fee_sat,
            })
            .collect(),
        requests: requests.collect(),
        ended: ended.map(|(id, _)| id.clone()).take(ENDED_MAX).collect(),
    })
}

/// Every refill as people are shown them all: those that have ended without their transactions.
pub fn views(context: &Context, ledger: &Ledger) -> Vec<RefillView> {
    let ids = ledger.treasury.refills.iter().map(|(id, _)| id);
    let mut views: Vec<RefillView> = ids.filter_map(|id| view(context, ledger, id)).collect();
    for view in views.iter_mut().filter(|view| !view.state.is_open()) {
        for part in &mut view.parts {
            (part.psbt, part.raw_transaction) = Default::default();
        }
    }
    views
}

/// A refill as people are shown it.
pub fn view(context: &Context, ledger: &Ledger, id: &str) -> Option<RefillView> {
    let row = ledger.treasury.refills.named(id)?;
    let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).unwrap_or_default();
    let may_export = row.attestation.is_some();
    let part = |part: &PartRow| RefillPart {
        txid: part.txid.clone(),
        amount: Amount::from_sat(part.amount_sat),
        fee: Amount::from_sat(part.fee_sat),
        inputs: u32::try_from(part.inputs.len()).unwrap_or(u32::MAX),
        psbt: if may_export { bytes(&part.psbt) } else { Vec::new() },
        raw_transaction: part.tx_hex.as_deref().map(bytes).unwrap_or_default(),
        seen: part.seen,
    };
    let earmarks = row.earmarks.iter().filter_map(|earmark| {
        let id = WithdrawalId::parse(&earmark.withdrawal).ok()?;
        Some((id, Amount::from_sat(earmark.amount_sat)))
    });
    Some(RefillView {
        id: id.to_owned(),
        state: row.state(),
        asset: context.asset,
        address: row.address.clone(),
        index: row.index,
        parts: row.parts.iter().map(part).collect(),
        earmarks: earmarks.collect(),
        requested_by: row.requested_by.clone(),
        requested_at: Seconds(row.requested_at),
        expires_at: Seconds(row.expires_at),
        attestation: row.attestation.as_ref().and_then(Signed::signed_text),
    })
}
