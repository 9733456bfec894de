//! Withdrawals that are taken back. The co-signer is told first: what it has written down is never signed, and its signed
//! receipt is what makes a cancellation or a rejection true (law L2). The signer then follows.

use std::fmt::Display;

use super::ledger::rows::{FindingRow, Signed, TakenBackRow};
use super::ledger::{Ledger, Open, rows};
use super::withdraw::settle;
use super::writer::Turn;
use crate::audit::EntryKind;
use crate::desk::{DeskError, SignedText};
use crate::evidence::{Rejection, VerifiedCancel, digest};
use crate::store::Table;
use crate::withdrawal::{Code, Finding, Outcome, ReservationId, WithdrawalId};

/// The exchange took a request back, and the co-signer has it.
pub fn cancelled(
    ledger: &mut Ledger,
    turn: &mut Turn,
    cancel: &VerifiedCancel,
    receipt: &SignedText,
) -> Result<WithdrawalId, DeskError> {
    let (id, said) = (cancel.withdrawal(), cancel.cancel());
    if !is_news(ledger, turn, &id)? {
        return Ok(id);
    }
    let log_index = turn.draft.entry(
        EntryKind::Cancelled,
        &[
            ("withdrawal", &id),
            ("organisation", &said.organisation),
            ("request_id", &said.request_id),
            ("key", &cancel.signed().key_id()),
            ("receipt_digest", &hex(&digest(&receipt.text))),
        ],
    );
    take_back(
        ledger,
        turn,
        id,
        log_index,
        receipt,
        Finding::new(Code::Cancelled, "taken back by the exchange"),
    );
    Ok(id)
}

/// The exchange took a request back that the co-signer has signed. Nothing keeps that from being paid, so nothing changes; but where
/// its nonce is used up and nobody was paid, nothing is left to wait for.
pub fn let_go(ledger: &mut Ledger, turn: &mut Turn, cancel: &VerifiedCancel) -> WithdrawalId {
    let id = cancel.withdrawal();
    let unpaid = ledger.open.get_mut(&id).filter(|open| open.row.executed.is_some() && !open.row.is_final());
    if let Some(open) = unpaid {
        let waited: Vec<&str> = open.row.findings.iter().map(|f| f.detail.as_str()).collect();
        let detail = format!("taken back by the exchange; nobody was paid: {}", waited.join("; "));
        settle(open, turn, Outcome::Refused(vec![Finding::new(Code::Cancelled, detail)]));
    }
    id
}

/// An operator rejected it, and the co-signer has it.
pub fn rejected(
    ledger: &mut Ledger,
    turn: &mut Turn,
    rejection: &Rejection,
    receipt: &SignedText,
) -> Result<WithdrawalId, DeskError> {
    let id = rejection.text().withdrawal();
    if !is_news(ledger, turn, &id)? {
        return Ok(id);
    }
    let log_index = turn.draft.entry(
        EntryKind::Rejected,
        &[
            ("withdrawal", &id),
            ("operator", &rejection.person()),
            ("approval", &hex(rejection.digest())),
            ("reason", &rejection.text().reason),
            ("receipt_digest", &hex(&digest(&receipt.text))),
        ],
    );
    let detail = format!("{}: {}", rejection.person(), rejection.text().reason);
    take_back(ledger, turn, id, log_index, receipt, Finding::new(Code::RejectedByOperator, detail));
    Ok(id)
}

/// Says what a withdrawal that was taken back is, once no reservation stands for it; whether it is one.
pub fn settle_taken_back(open: &mut Open, turn: &mut Turn) -> bool {
    let Some(finding) = open.row.taken_back.as_ref().map(|taken| taken.finding.finding()) else {
        return false;
    };
    settle(open, turn, Outcome::Refused(vec![finding]));
    true
}

/// The co-signer's no that means: it was taken back, and this party had not heard of it.
pub fn was_taken_back(finding: &Finding) -> bool {
    matches!(finding.code, Code::Cancelled | Code::RejectedByOperator)
}

/// Whether the receipt is not there yet. One for what was released is none: the co-signer has signed it.
fn is_news(ledger: &Ledger, turn: &mut Turn, id: &WithdrawalId) -> Result<bool, DeskError> {
    let row = ledger.open.get(id).map(|o| &o.row).or_else(|| turn.found.get(id).map(|f| &f.row));
    let row = row.ok_or_else(|| DeskError::not_found(id.to_string()))?;
    if row.outcome() == Outcome::Released {
        let finding = Finding::new(Code::EvidenceInvalid, BOTH);
        alarm(turn, ("withdrawal", id), &finding);
        return Err(DeskError::Refused(finding));
    }
    Ok(row.taken_back.is_none())
}

/// Whether a finished transaction may leave: not if the co-signer said of a withdrawal in it that it never signs it. Then
/// its coins stay locked, and people must look.
pub fn may_be_released(ledger: &mut Ledger, turn: &mut Turn, id: ReservationId) -> bool {
    let Some(withdrawals) = ledger.reservations.get(&id).map(|r| r.withdrawals.clone()) else { return true };
    let stands = |id: &WithdrawalId| ledger.open.get(id).is_some_and(|open| open.row.taken_back.is_none());
    if withdrawals.iter().all(stands) {
        return true;
    }
    alarm(turn, ("reservation", &id), &Finding::new(Code::EvidenceInvalid, BOTH));
    for withdrawal in withdrawals {
        if let Some(open) = ledger.open.get_mut(&withdrawal)
            && !settle_taken_back(open, turn)
        {
            settle(open, turn, Outcome::Held(vec![Finding::new(Code::CosignerHolds, BOTH_OF_ANOTHER)]));
        }
    }
    false
}

const BOTH_OF_ANOTHER: &str = "it is paid by one transaction with a withdrawal that was taken back and signed all the same; people must look";

const BOTH: &str = "the co-signer gave a receipt that it never signs this, and signed it";

fn alarm(turn: &mut Turn, (field, name): (&str, &dyn Display), finding: &Finding) {
    tracing::error!(code = %finding.code, about = %name, "{}", finding.detail);
    let fields: [(&str, &dyn Display); 3] =
        [("code", &finding.code), (field, name), ("detail", &finding.detail)];
    turn.draft.entry(EntryKind::Alarm, &fields);
}

fn take_back(
    ledger: &mut Ledger,
    turn: &mut Turn,
    id: WithdrawalId,
    log_index: u64,
    receipt: &SignedText,
    finding: Finding,
) {
    let taken = TakenBackRow { receipt: Signed::of(receipt), finding: FindingRow::of(&finding) };
    turn.changed.insert(id);
    if let Some(open) = ledger.open.get_mut(&id) {
        open.row.taken_back = Some(taken);
        (open.log_index, open.updated_at) = (log_index, turn.draft.now());
        // What is booked is with the co-signer, which says no to it; its coins are free with that no.
        if open.row.reservation.is_none() && !open.row.is_final() {
            settle_taken_back(open, turn);
        }
        return ledger.ripen(&id);
    }
    // It had ended unpaid: what ended it stays said, and the receipt is kept with it.
    let now = turn.draft.now();
    if let Some(found) = turn.found.get_mut(&id) {
        found.row.taken_back = Some(taken);
        (found.log_index, found.updated_at) = (log_index, now);
        let (state, content) = (found.row.state(), rows::write(&found.row));
        turn.draft.row(Table::Withdrawal, id.to_string(), state, now, content);
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
