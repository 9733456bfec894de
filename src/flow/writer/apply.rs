//! What each command does to the batch.

use tracing::error;

use super::{Turn, Writer};
use crate::desk::{DeskError, StatementReceipt};
use crate::evidence::statement::{Body, VerifiedStatement};
use crate::flow::context::Context;
use crate::flow::ledger::Ledger;
use crate::flow::ledger::rows::Errand;
use crate::flow::statement::{self, OwnScripts, Taking};
use crate::flow::{
    Allocated, Command, Effect, RefillStep, address, approve, executed, rail, refill, treasury, void, wallet,
    withdraw,
};
use crate::withdrawal::Finding;

/// How many statements may wait for the co-signer, of which memory holds the keys: two months of an observer who states
/// every kind each three minutes.
const UNDELIVERED_MAX: usize = 100_000;

impl Writer {
    /// Whether a transaction was finished too late: it is dropped, and made again, the same bytes, when the freeze ends.
    fn is_too_late(&self, reservation: &crate::withdrawal::ReservationId) -> bool {
        let found = self.ledger.reservations.get(reservation);
        found.is_some_and(|found| !self.context.brake.is_free(treasury::leaving(&found.row)))
    }

    pub(super) fn apply(&mut self, command: Command, turn: &mut Turn) {
        if let Command::Finished { reservation, .. } = &command
            && self.is_too_late(reservation)
        {
            return;
        }
        let (context, ledger) = (&self.context, &mut self.ledger);
        match command {
            Command::Ask { request, payload, answer, personal, late, reply } => {
                let asked = withdraw::ask(context, ledger, turn, (*request, late), (payload, answer));
                match asked {
                    Ok(id) => {
                        let asks = ledger.open.get(&id).is_some_and(|open| {
                            open.clearance.is_none()
                                && !open.request.request().beneficiary_vasp.is_self_hosted()
                        });
                        if let Some(personal) = personal.filter(|p| asks && !p.is_empty()) {
                            self.payloads.insert(id, personal);
                        }
                        turn.waiting.push((id, reply, true));
                    }
                    Err(error) => turn.tell(reply, Err(error)),
                }
            }
            Command::Answered { id, word } => withdraw::answered(context, ledger, turn, id, &word),
            Command::Unanswered { id, finding } => withdraw::unanswered(ledger, turn, id, finding),
            Command::Unvalued { id, personal } => {
                if ledger.open.contains_key(&id) {
                    self.payloads.extend(personal.map(|personal| (id, personal)));
                    self.unvalued.push(id);
                }
            }
            Command::Approve { id, approval, reply } => match approve::approve(ledger, turn, id, approval) {
                Ok(()) => turn.waiting.push((id, reply, false)),
                Err(error) => turn.tell(reply, Err(error)),
            },
            Command::Reject { rejection, receipt, reply } => {
                match void::rejected(ledger, turn, &rejection, &receipt) {
                    Ok(id) => turn.waiting.push((id, reply, false)),
                    Err(error) => turn.tell(reply, Err(error)),
                }
            }
            Command::Cancel { cancel, receipt, reply } => {
                let done = match receipt {
                    Some(receipt) => void::cancelled(ledger, turn, &cancel, &receipt),
                    None => Ok(void::let_go(ledger, turn, &cancel)),
                };
                match done {
                    Ok(id) => turn.waiting.push((id, reply, false)),
                    Err(error) => turn.tell(reply, Err(error)),
                }
            }
            Command::State { statement, reply } => {
                let taken = self.take_statement(&statement, turn);
                turn.tell(reply, taken);
            }
            Command::Allocate { orders, reply } => {
                let allocated = address::allocate(context, ledger, turn, &orders);
                turn.tell::<Vec<Allocated>>(reply, allocated);
            }
            Command::Register { registration, effective_at, reply } => {
                let taken = wallet::register(context, ledger, turn, (*registration, effective_at));
                turn.tell(reply, taken.map_err(DeskError::Refused));
            }
            Command::Remove { removal, reply } => {
                let removed = wallet::remove(context, ledger, turn, &removal);
                turn.tell(reply, removed.map_err(DeskError::Refused));
            }
            Command::RequestRefill { by, amount, coins, reply } => {
                let booked = refill::request(context, ledger, turn, &by, (amount, coins));
                let shown = booked.and_then(|id| show_refill(context, ledger, &id));
                turn.tell(reply, shown);
            }
            Command::Refill { id, step, reply } => {
                let done = match step {
                    RefillStep::Attested(word) => refill::attested(context, ledger, turn, (&id, &word)),
                    RefillStep::Exported => refill::exported(context, ledger, turn, &id),
                    RefillStep::Import(psbt) => refill::import(context, ledger, turn, (&id, &psbt)),
                    RefillStep::Cancel(reason) => refill::cancel(context, ledger, turn, (&id, &reason)),
                    RefillStep::Denied(code) => refill::denied(context, ledger, turn, (&id, code)),
                };
                let shown = done.and_then(|()| show_refill(context, ledger, &id));
                turn.tell(reply, shown);
            }
            Command::Attested { attested, reply } => {
                address::attested(ledger, turn, attested);
                turn.tell(reply, Ok(()));
            }
            Command::Delivered { keys } => {
                ledger.undelivered = ledger.undelivered.saturating_sub(keys.len());
                ledger.delivered.extend(keys);
            }
            Command::Finished { reservation, finished } => {
                if void::may_be_released(ledger, turn, reservation) {
                    treasury::finished(context, ledger, turn, reservation, finished);
                }
            }
            Command::CosignerRefused { reservation, refusal } => {
                treasury::cosigner_refused(ledger, turn, reservation, &refusal);
            }
            Command::Alarm { about, finding } => {
                error!(code = %finding.code, about = about.1, "{}", finding.detail);
                turn.enter_alarm((about, finding));
            }
            Command::CosignerSilent { reservation, code } => {
                treasury::cosigner_silent(ledger, turn, reservation, code);
            }
            Command::Tick => ledger.ripen_due(turn.draft.now()),
        }
    }

    fn take_statement(
        &mut self,
        verified: &VerifiedStatement,
        turn: &mut Turn,
    ) -> Result<StatementReceipt, DeskError> {
        let said = verified.statement();
        let last = self.ledger.treasury.heard.last_number(&said.observer, said.body.kind());
        if last.is_some_and(|last| said.number <= last) {
            let finding = Finding::new(
                crate::withdrawal::Code::StatementOutOfOrder,
                format!("number {} after {}", said.number, last.unwrap_or(0)),
            );
            return Err(DeskError::Refused(finding));
        }
        if self.ledger.undelivered >= UNDELIVERED_MAX {
            let detail = format!("{UNDELIVERED_MAX} statements wait for the co-signer, which is the bound");
            return Err(DeskError::nothing_happened(crate::withdrawal::Code::QueueFull, detail));
        }
        let taking = Taking {
            asset: self.context.asset,
            band: &|asset| self.context.band(asset),
            scripts: &self.ledger.addresses,
            stored: &turn.spent,
            state: "undelivered",
        };
        let (log_index, ended) =
            statement::take(&mut self.ledger.treasury, &mut turn.draft, &taking, verified)
                .map_err(DeskError::Refused)?;
        for ended in &ended {
            executed::settle(&self.context, &mut self.ledger, turn, ended);
        }
        match &said.body {
            Body::Safe(fact) => {
                self.ledger.look_again(Errand::Refuel, rail::coin(fact.chain));
                self.ledger.look_again(Errand::Emptying, rail::coin(fact.chain));
            }
            Body::Deposits(fact) => self.ledger.look_again(Errand::Emptying, rail::coin(fact.chain)),
            _ => {}
        }
        self.ledger.undelivered = self.ledger.undelivered.saturating_add(1);
        turn.effects.push(Effect::Deliver(statement::key(said)));
        self.ledger.ripen_all();
        turn.effects.extend(std::mem::take(&mut self.unvalued).into_iter().map(Effect::Clear));
        Ok(StatementReceipt { number: said.number, log_index })
    }
}

fn show_refill(context: &Context, ledger: &Ledger, id: &str) -> Result<crate::desk::RefillView, DeskError> {
    refill::view(context, ledger, id).ok_or_else(|| DeskError::not_found(id))
}

impl OwnScripts for crate::flow::ledger::Addresses {
    fn find(&self, script: &::bitcoin::Script) -> Option<(u32, u32)> {
        Self::find(self, script)
    }
}
