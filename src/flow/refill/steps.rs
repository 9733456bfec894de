//! What happens to a refill after it was booked.

use data_encoding::HEXLOWER;

use super::book::put;
use super::cold::cold_coin;
use super::refused;
use crate::bitcoin::refill::{finish, txid_of};
use crate::desk::{DeskError, RefillState, SignedText};
use crate::flow::context::Context;
use crate::flow::ledger::Ledger;
use crate::flow::ledger::refills::RefillRow;
use crate::flow::ledger::rows::Signed;
use crate::flow::writer::Turn;
use crate::withdrawal::{Code, Finding, Seconds};

/// One refill by its id.
fn named(ledger: &Ledger, id: &str) -> Result<RefillRow, DeskError> {
    ledger.treasury.refills.named(id).cloned().ok_or_else(|| DeskError::not_found(id))
}

/// The co-signer's word came.
pub fn attested(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, word): (&str, &SignedText),
) -> Result<(), DeskError> {
    let row = RefillRow { attestation: Some(Signed::of(word)), ..named(ledger, id)? };
    put(context, ledger, turn, (id, row, ""));
    Ok(())
}

/// The PSBTs are handed out: only with the co-signer's word.
pub fn exported(context: &Context, ledger: &mut Ledger, turn: &mut Turn, id: &str) -> Result<(), DeskError> {
    let mut row = named(ledger, id)?;
    match (row.state(), &row.attestation) {
        (RefillState::Exported | RefillState::Signed | RefillState::Seen | RefillState::Settled, _) => Ok(()),
        (RefillState::Requested, Some(_)) => {
            row.set_state(RefillState::Exported);
            put(context, ledger, turn, (id, row, ""));
            Ok(())
        }
        (RefillState::Requested, None) => {
            Err(refused(Code::CosignerUnreachable, "the co-signer has not attested it yet"))
        }
        (state @ (RefillState::Expired | RefillState::Cancelled), _) => Err(wrong_state(id, state)),
    }
}

fn wrong_state(id: &str, state: RefillState) -> DeskError {
    refused(Code::RefillState, format!("{id} is {}", state.as_str()))
}

/// A signed copy was handed back: it is checked against what was exported, and its transaction kept.
pub fn import(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, psbt): (&str, &[u8]),
) -> Result<(), DeskError> {
    let mut row = named(ledger, id)?;
    let state = row.state();
    if !matches!(state, RefillState::Exported | RefillState::Signed) {
        return Err(wrong_state(id, state));
    }
    let txid = txid_of(psbt).map_err(DeskError::Invalid)?;
    let foreign = || refused(Code::RefillForeign, format!("transaction {txid} is none that {id} exported"));
    let part = row.parts.iter_mut().find(|part| part.txid == txid).ok_or_else(foreign)?;
    if part.tx_hex.is_some() {
        return Ok(());
    }
    let coins: Vec<_> = part.inputs.iter().filter_map(|coin| cold_coin(context, coin)).collect();
    let coins: Vec<_> = coins.iter().map(|coin| coin.coin().clone()).collect();
    let exported = HEXLOWER.decode(part.psbt.as_bytes()).unwrap_or_default();
    let finished =
        finish(psbt, &exported, &coins).map_err(|error| refused(error.code(), error.to_string()))?;
    part.tx_hex = Some(HEXLOWER.encode(&finished));
    if row.parts.iter().all(|part| part.tx_hex.is_some()) {
        row.set_state(RefillState::Signed);
        row.signed_at = Some(turn.draft.now().0);
    }
    put(context, ledger, turn, (id, row, ""));
    Ok(())
}

/// Takes a refill back. One that carries signatures may be broadcast by whoever holds them, and is not taken back.
pub fn cancel(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, code): (&str, &str),
) -> Result<(), DeskError> {
    let mut row = named(ledger, id)?;
    let is_signed = row.parts.iter().any(|part| part.tx_hex.is_some());
    match row.state() {
        RefillState::Cancelled | RefillState::Expired => return Ok(()),
        RefillState::Requested | RefillState::Exported if !is_signed => {}
        state => return Err(wrong_state(id, state)),
    }
    row.set_state(RefillState::Cancelled);
    put(context, ledger, turn, (id, row, code));
    Ok(())
}

/// The co-signer attests it never. Its address, which nobody has seen, is free for the next; that of a refill which is only
/// taken back is not: the co-signer may have attested it, and its word was lost.
pub fn denied(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, code): (&str, Code),
) -> Result<(), DeskError> {
    let row = named(ledger, id)?;
    cancel(context, ledger, turn, (id, code.as_str()))?;
    if row.state() == RefillState::Requested && row.attestation.is_none() {
        ledger.addresses.give_change_back(row.index);
    }
    Ok(())
}

/// Refills that waited too long for their signatures end.
pub fn expire(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    let now = turn.draft.now();
    let waits = |row: &RefillRow| {
        let unsigned = row.parts.iter().all(|part| part.tx_hex.is_none());
        unsigned && row.state().is_open() && now.0 > row.expires_at
    };
    let old: Vec<(String, RefillRow)> = ledger
        .treasury
        .refills
        .open()
        .filter(|(_, row)| waits(row))
        .map(|(id, row)| (id.clone(), row.clone()))
        .collect();
    for (id, mut row) in old {
        row.set_state(RefillState::Expired);
        put(context, ledger, turn, (&id, row, ""));
    }
}

/// Tells people, once, of coins that left cold long ago and never came: until they come they count as cold.
pub fn tell_unseen(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    let now = turn.draft.now();
    let Some(before) = now.0.checked_sub(context.settings.transit_s_max) else { return };
    for id in ledger.treasury.refills.unseen_since(Seconds(before)) {
        let detail = "a refill is signed and its coins have not come: broadcast it, or bump its fee";
        turn.enter_alarm((("subject", id), Finding::new(Code::RefillUnseen, detail)));
    }
}
