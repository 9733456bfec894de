//! The story of one withdrawal: asked → cleared → reserved → (co-signed) → released. Read this file first.
//!
//! Everything here runs inside the deciding writer, on the ledger in memory, and becomes true with the batch's commit.
//! A hold waits for something named; when it arrives the withdrawal is decided again from the start.

use std::fmt::Display;
use std::sync::Arc;

use data_encoding::HEXLOWER;

use super::batch::Batches;
use super::context::Context;
use super::found::Found;
use super::ledger::journal::Draft;
use super::ledger::rows::{self, ReleasedRow, Signed, WithdrawalRow};
use super::ledger::{Ledger, Open};
use super::writer::Turn;
use super::{Effect, approve, clear, void, wallet};
use crate::audit::EntryKind;
use crate::desk::DeskError;
use crate::enclave::Word;
use crate::evidence::NotProven;
use crate::evidence::{Passage, VerifiedRequest};
use crate::store::Table;
use crate::withdrawal::{Amount, Code, Finding, Outcome, ReservationId, Seconds, Stage, WithdrawalId};

/// How long after a no of the co-signer's a withdrawal is tried again by itself: at first, and at most, in seconds.
const RETRY_S_MIN: u64 = 2;

const RETRY_S_MAX: u64 = 300;

/// The most withdrawals decided in one turn.
const DECISIONS_MAX: usize = 512;

/// A request arrives (laws L1, L2): new, repeated, or another one under a used id. Returns the id to answer about.
pub fn ask(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (request, late): (VerifiedRequest, Option<Finding>),
    (payload, answer): (String, Option<Word>),
) -> Result<WithdrawalId, DeskError> {
    let id = request.id();
    if let Some((digest, known_payload)) = known(ledger, turn, &id) {
        let same = digest == hex(request.digest()) && (known_payload == payload || payload == "-");
        if !same {
            return Err(reused(turn, &request));
        }
        let waits = ledger.open.get(&id).is_some_and(|o| o.clearance.is_none() && !o.row.is_final());
        if waits {
            turn.effects.push(Effect::Clear(id));
        }
        return Ok(id);
    }
    if let Some(finding) = late {
        return Err(DeskError::Refused(finding));
    }
    if ledger.open.len() >= context.settings.open_max {
        let detail = format!("{} withdrawals are open, which is the bound", ledger.open.len());
        return Err(DeskError::nothing_happened(Code::QueueFull, detail));
    }
    ledger.admit(admit(turn, request, payload));
    match answer {
        Some(word) => answered(context, ledger, turn, id, &word),
        None => turn.effects.push(Effect::Clear(id)),
    }
    Ok(id)
}

/// Refuses what was read back and whose request no longer verifies under the trust file of today: its key was taken out.
/// What is reserved already stays so, and goes to nobody: people must look.
pub fn refuse_disowned(ledger: &mut Ledger, turn: &mut Turn) {
    for (id, mut row) in std::mem::take(&mut ledger.disowned) {
        if let Some(reservation) = &row.reservation {
            tracing::error!(code = %Code::RequestKeyUnknown, withdrawal = %id, reservation, "reserved for a request whose key is no longer trusted; its coins stay locked");
            continue;
        }
        let finding = Finding::new(Code::RequestKeyUnknown, "the key of its request is no longer trusted");
        let log_index = enter(turn, id, EntryKind::Refused, std::slice::from_ref(&finding));
        row.set_outcome(&Outcome::Refused(vec![finding]));
        let updated_at = turn.draft.now();
        turn.draft.row(Table::Withdrawal, id.to_string(), row.state(), updated_at, rows::write(&row));
        turn.changed.insert(id);
        turn.found.insert(id, Found { row, log_index, updated_at });
        turn.effects.push(Effect::Report);
    }
}

fn known(ledger: &Ledger, turn: &Turn, id: &WithdrawalId) -> Option<(String, String)> {
    let row = ledger.open.get(id).map(|o| &o.row).or_else(|| turn.found.get(id).map(|f| &f.row))?;
    Some((row.digest.clone(), row.payload.clone()))
}

fn reused(turn: &mut Turn, request: &VerifiedRequest) -> DeskError {
    let finding =
        Finding::new(Code::RequestIdReused, format!("{} was asked before with other contents", request.id()));
    turn.draft.entry(
        EntryKind::Refused,
        &[
            ("subject", &"request"),
            ("withdrawal", &request.id()),
            ("request_digest", &hex(request.digest())),
            ("code", &finding.code),
        ],
    );
    DeskError::Refused(finding)
}

fn admit(turn: &mut Turn, request: VerifiedRequest, payload: String) -> Open {
    let asked = request.request();
    let id = request.id();
    let now = turn.draft.now();
    let digest = hex(request.digest());
    let log_index = turn.draft.entry(
        EntryKind::Asked,
        &[
            ("withdrawal", &id),
            ("organisation", &asked.organisation),
            ("request_id", &asked.request_id),
            ("request_digest", &digest),
            ("asset", &asked.asset),
            ("amount", &asked.amount),
            ("destination", &asked.destination),
            ("fee_max", &asked.fee_max),
            ("beneficiary_vasp", &asked.beneficiary_vasp),
            ("asked_at", &asked.asked_at.0),
            ("key", &request.signed().key_id()),
        ],
    );
    let signed = Signed {
        text: request.signed().text().to_owned(),
        key_id: request.signed().key_id().to_owned(),
        signature: hex(request.signed().signature()),
    };
    turn.changed.insert(id);
    Open {
        id,
        place: 0,
        row: WithdrawalRow::asked(signed, digest, payload, now),
        request: Arc::new(request),
        clearance: None,
        approvals: Vec::new(),
        stored_approvals: Vec::new(),
        charged_at: None,
        retry_s: 0,
        not_before: Seconds(0),
        log_index,
        updated_at: now,
    }
}

/// The counterparty has answered: a clearance, a no, or nothing that proves anything (laws L3, L4).
pub fn answered(context: &Context, ledger: &mut Ledger, turn: &mut Turn, id: WithdrawalId, word: &Word) {
    let value = ledger.open.get(&id).and_then(|open| {
        let request = open.request.request();
        ledger.treasury.of(request.asset).value(request.amount)
    });
    let Some(open) = ledger.open.get_mut(&id).filter(|o| o.row.reservation.is_none()) else {
        // It ended while the question was out, and the counterparty may have verified what will not happen.
        if turn.found.get(&id).is_some_and(|found| matches!(found.row.outcome(), Outcome::Refused(_))) {
            turn.effects.push(Effect::ReportLate(id));
        }
        return;
    };
    let now = turn.draft.now();
    let name_match = context.needs_name(value, open.request.request().beneficiary_vasp, now);
    match clear::prove(context, word, &open.request, name_match) {
        // A renewal that brings the answer we have is no news, and nothing is decided again for it.
        Ok(clearance) if open.clearance.as_ref().is_some_and(|old| old.text() == clearance.text()) => return,
        Ok(clearance) => clear(open, turn, clearance),
        Err(NotProven::Refused(finding)) if finding.code == Code::ClearanceExpired => {
            turn.effects.push(Effect::Clear(id));
        }
        Err(NotProven::Refused(finding)) => settle(open, turn, Outcome::Refused(vec![finding])),
        Err(NotProven::Unreadable(invalid)) => {
            let finding = Finding::new(Code::EvidenceInvalid, invalid.to_string());
            settle(open, turn, Outcome::Refused(vec![finding]));
        }
    }
    ledger.ripen(&id);
}

/// A clearance came: it is written down, and kept with its evidence.
pub fn clear(open: &mut Open, turn: &mut Turn, clearance: Passage) {
    let said = match &clearance {
        Passage::Cleared(clearance) => clearance.kind().as_str(),
        Passage::Reported(_) | Passage::Exempt(_) => clearance.travel_rule().as_str(),
    };
    let uuid = clearance.uuid().map(|uuid| uuid.to_string()).unwrap_or_default();
    let expires_at = clearance.expires_at().map(|at| at.0.to_string()).unwrap_or_default();
    open.log_index = turn.draft.entry(
        EntryKind::Cleared,
        &[
            ("withdrawal", &open.id),
            ("clearance", &said),
            ("evidence", &hex(&crate::evidence::digest(clearance.text()))),
            ("request_digest", &open.row.digest),
            ("uuid", &uuid),
            ("vasp", &open.request.request().beneficiary_vasp),
            ("expires_at", &expires_at),
        ],
    );
    open.row.set_stage(Stage::Cleared);
    open.row.evidence = Some(Signed {
        text: clearance.text().to_owned(),
        key_id: clearance.key_id(),
        signature: clearance.signature().map(|signature| hex(signature)).unwrap_or_default(),
    });
    open.clearance = Some(clearance);
    turn.changed.insert(open.id);
}

/// The travel rule will not answer: refused, or the hold says what it waits for.
pub fn unanswered(ledger: &mut Ledger, turn: &mut Turn, id: WithdrawalId, finding: Finding) {
    let Some(open) = ledger.open.get_mut(&id).filter(|o| o.row.reservation.is_none()) else { return };
    settle(open, turn, Outcome::Refused(vec![finding]));
}

/// Decides, in the order asked, the withdrawals for which something has changed.
///
/// At most a few hundred in one turn: the rest is decided in the next, so that no caller waits for all of them.
pub fn decide_ripe(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    let mut batches = Batches::default();
    for _ in 0..DECISIONS_MAX {
        let Some(id) = ledger.next_ripe() else { break };
        decide(context, ledger, turn, (id, &mut batches));
    }
    batches.book(context, ledger, turn);
    // What changed without being decided (released, cancelled, unanswered) is written as well.
    drop_final(ledger, turn);
}

/// Final withdrawals leave memory; the store has them for ever.
fn drop_final(ledger: &mut Ledger, turn: &mut Turn) {
    let gone: Vec<WithdrawalId> = turn
        .changed
        .iter()
        .filter(|id| ledger.open.get(id).is_some_and(|o| o.row.is_final()))
        .copied()
        .collect();
    write_rows(ledger, turn);
    if !gone.is_empty() {
        turn.effects.push(Effect::Report);
    }
    for id in gone {
        if let Some(open) = ledger.remove(&id) {
            turn.found
                .insert(id, Found { row: open.row, log_index: open.log_index, updated_at: open.updated_at });
        }
    }
}

/// Writes the row of every withdrawal that changed in this turn.
pub fn write_rows(ledger: &Ledger, turn: &mut Turn) {
    for id in turn.changed.clone() {
        if let Some(open) = ledger.open.get(&id) {
            let (state, content) = (open.row.state(), rows::write(&open.row));
            turn.draft.row(Table::Withdrawal, id.to_string(), state, open.updated_at, content);
        }
    }
}

/// Decides one: it is settled, or gathered for a transaction of this turn.
fn decide(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, batches): (WithdrawalId, &mut Batches),
) {
    let now = turn.draft.now();
    if let Err(outcome) = wallet::exempt(context, ledger, turn, id) {
        return settle_by_id(ledger, turn, id, outcome);
    }
    if let Some(open) = ledger.open.get_mut(&id) {
        approve::take_up(context, open, now);
    }
    if ledger.open.get(&id).is_none_or(|o| o.row.reservation.is_some() || o.row.is_final()) {
        return;
    }
    let Some(outcome) = batches.weigh(context, ledger, turn, id) else { return };
    if matches!(&outcome, Outcome::Held(f) if f.iter().any(|f| f.code == Code::ClearanceExpired)) {
        turn.effects.push(Effect::Clear(id));
    }
    settle_by_id(ledger, turn, id, outcome);
}

/// Says an outcome of a withdrawal, if it is open.
pub fn settle_by_id(ledger: &mut Ledger, turn: &mut Turn, id: WithdrawalId, outcome: Outcome) {
    if let Some(open) = ledger.open.get_mut(&id) {
        settle(open, turn, outcome);
    }
}

/// Says an outcome of a withdrawal, and writes it down if it is news.
pub fn settle(open: &mut Open, turn: &mut Turn, outcome: Outcome) {
    if !open.row.set_outcome(&outcome) {
        return;
    }
    open.log_index = match &outcome {
        Outcome::Held(findings) => enter(turn, open.id, EntryKind::Held, findings),
        Outcome::Refused(findings) => enter(turn, open.id, EntryKind::Refused, findings),
        Outcome::Moving | Outcome::Released => open.log_index,
    };
    mark(open, turn);
}

/// Writes down why a withdrawal is held or refused.
fn enter(turn: &mut Turn, id: WithdrawalId, kind: EntryKind, findings: &[Finding]) -> u64 {
    let codes: Vec<&str> = findings.iter().map(|f| f.code.as_str()).collect();
    let first = codes.first().copied().unwrap_or(Code::Internal.as_str());
    let details: Vec<&str> = findings.iter().map(|f| f.detail.as_str()).collect();
    let detail = Draft::spelled(&details.join("; "));
    let codes = codes.join(" ");
    let fields: [(&str, &dyn Display); 5] = [
        ("subject", &"withdrawal"),
        ("withdrawal", &id),
        ("code", &first),
        ("codes", &codes),
        ("detail", &detail),
    ];
    // Only a refusal may be of something else than a withdrawal.
    let fields = if kind == EntryKind::Held { fields.split_at(1).1 } else { &fields };
    turn.draft.entry(kind, fields)
}

fn mark(open: &mut Open, turn: &mut Turn) {
    open.updated_at = turn.draft.now();
    turn.changed.insert(open.id);
}

/// Both signatures are in: the withdrawal is released with the commit of this turn.
pub fn released(ledger: &mut Ledger, turn: &mut Turn, id: WithdrawalId, released: &ReleasedRow) {
    if let Some(open) = ledger.open.get_mut(&id) {
        open.row.set_stage(Stage::Released);
        open.row.released = Some(released.clone());
        open.log_index = released.log_index;
        settle(open, turn, Outcome::Released);
    }
}

/// The co-signer's no to a transaction, as it falls on one withdrawal that this was to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum No {
    /// It is about this one, and stays.
    Refused,
    /// It is about this one for now, or about nobody of several.
    Held,
    /// It is about another one.
    Beside,
}

/// The co-signer said no; with no signature in the world the withdrawal is free to be decided again (law L20): at once, where the
/// no is about another one.
pub fn unreserved(ledger: &mut Ledger, turn: &mut Turn, id: WithdrawalId, (no, finding): (No, &Finding)) {
    let Some(open) = ledger.open.get_mut(&id) else { return };
    open.row.reservation = None;
    open.row.set_stage(Stage::Cleared);
    if void::settle_taken_back(open, turn) {
        return;
    }
    if no == No::Beside {
        mark(open, turn);
        if open.clearance.is_none() {
            turn.effects.push(Effect::Clear(id));
        }
        return ledger.ripen(&id);
    }
    // Each attempt is a reservation that both parties keep for ever as dead.
    open.retry_s = open.retry_s.saturating_mul(2).clamp(RETRY_S_MIN, RETRY_S_MAX);
    open.not_before = turn.draft.now().plus(open.retry_s);
    // After a restart a clearance that had expired is not there any more to say so.
    if open.clearance.is_none() {
        turn.effects.push(Effect::Clear(id));
    }
    let detail = format!("{}: {}", finding.code, finding.detail);
    let outcome = if no == No::Refused && void::was_taken_back(finding) {
        Outcome::Refused(vec![finding.clone()])
    } else if no == No::Held {
        // Operators are shown what waits for them, whichever party misses their word.
        let missing = Some(finding).filter(|f| f.code == Code::ApprovalRequired).cloned();
        let held = std::iter::once(Finding::new(Code::CosignerHolds, detail)).chain(missing);
        Outcome::Held(held.collect())
    } else {
        Outcome::Refused(vec![Finding::new(Code::CosignerRefused, detail)])
    };
    settle(open, turn, outcome);
}

/// A reservation is made for a withdrawal.
pub fn mark_reserved(
    ledger: &mut Ledger,
    turn: &mut Turn,
    id: WithdrawalId,
    reservation: ReservationId,
    log_index: u64,
) {
    if let Some(open) = ledger.open.get_mut(&id) {
        open.row.set_stage(Stage::Reserved);
        open.row.reservation = Some(reservation.to_string());
        open.row.set_outcome(&Outcome::Moving);
        open.log_index = log_index;
        mark(open, turn);
    }
}

/// The amount of a withdrawal; zero where it is unknown.
pub fn amount_of(ledger: &Ledger, id: &WithdrawalId) -> Amount {
    ledger.open.get(id).map_or(Amount::ZERO, |o| o.request.request().amount)
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
