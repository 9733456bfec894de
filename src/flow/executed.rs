//! What became of a released Safe transaction, once it is in the chain for good: paid, or nobody was.

use super::Effect;
use super::context::Context;
use super::found::Found;
use super::ledger::Ledger;
use super::ledger::lane::Ended;
use super::ledger::rows::{self, Errand, ExecutedRow};
use super::recover;
use super::writer::Turn;
use crate::evidence::Ending;
use crate::store::Table;
use crate::withdrawal::{Code, Finding, Outcome, Stage, WithdrawalId};

/// Notes the end at each withdrawal that it pays. One that was not paid is held: its nonce is used up, and nobody pays it a second
/// time. It ends refused, under its own id, when the time of holds is over.
pub fn settle(context: &Context, ledger: &mut Ledger, turn: &mut Turn, ended: &Ended) {
    if let Some(errand @ (Errand::Refuel | Errand::Emptying)) = ended.claim.errand
        && ended.fact.ending != Ending::Paid
    {
        let code = code_of(ended.fact.ending);
        let detail = format!("{errand}: {} in transaction {}", ended.claim.hash, ended.fact.transaction);
        tracing::error!(%code, "{detail}");
        turn.enter_alarm((("reservation", ended.claim.reservation.to_string()), Finding::new(code, detail)));
    }
    for id in &ended.claim.withdrawals {
        let Some(found) = turn.found.get(id).cloned() else {
            tracing::error!(code = %Code::Internal, withdrawal = %id, "executed, and its row was not read");
            continue;
        };
        match ended.fact.ending {
            Ending::Paid => paid(turn, *id, found, ended),
            Ending::Reverted | Ending::Odd => unpaid(context, ledger, turn, (*id, found), ended),
        }
    }
}

const fn code_of(ending: Ending) -> Code {
    match ending {
        Ending::Reverted => Code::PayeeReverted,
        Ending::Paid | Ending::Odd => Code::PaymentNotAsAsked,
    }
}

fn executed_row(ended: &Ended) -> ExecutedRow {
    ExecutedRow {
        transaction: ended.fact.transaction.to_string(),
        ending: ended.fact.ending.as_str().to_owned(),
        height: ended.fact.height,
    }
}

fn paid(turn: &mut Turn, id: WithdrawalId, mut found: Found, ended: &Ended) {
    found.row.executed = Some(executed_row(ended));
    write(turn, id, found);
    // The counterparty is told the transaction of the chain now that there is one.
    turn.effects.push(Effect::Report);
}

fn unpaid(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (id, mut found): (WithdrawalId, Found),
    ended: &Ended,
) {
    let code = code_of(ended.fact.ending);
    let detail = format!("{} in transaction {}{}", ended.claim.hash, ended.fact.transaction, together(ended));
    tracing::error!(%code, withdrawal = %id, "{detail}");
    found.row.executed = Some(executed_row(ended));
    found.row.reservation = None;
    found.row.set_stage(Stage::Cleared);
    found.row.set_outcome(&Outcome::Held(vec![Finding::new(code, detail)]));
    let (row, updated_at) = (found.row.clone(), turn.draft.now());
    write(turn, id, found);
    turn.found.remove(&id);
    match recover::reopened(context, &id.to_string(), row, (turn.draft.last_index(), updated_at)) {
        Some(open) => ledger.admit(open),
        None => {
            tracing::error!(code = %Code::RequestKeyUnknown, withdrawal = %id, "its request verifies no more")
        }
    }
}

/// A batch is undone as a whole: what that means for each of it.
fn together(ended: &Ended) -> String {
    let count = ended.claim.withdrawals.len();
    match ended.fact.ending {
        Ending::Reverted if count > 1 => format!(
            ", a batch of {count} that was undone as a whole: none of them was paid, and one payee made it so; this one is not \
             paid under its id any more, and may be asked for anew"
        ),
        Ending::Reverted | Ending::Paid | Ending::Odd => String::new(),
    }
}

fn write(turn: &mut Turn, id: WithdrawalId, found: Found) {
    let now = turn.draft.now();
    turn.draft.row(Table::Withdrawal, id.to_string(), found.row.state(), now, rows::write(&found.row));
    turn.changed.insert(id);
    let log_index = turn.draft.last_index();
    turn.found.insert(id, Found { log_index, updated_at: now, ..found });
}
