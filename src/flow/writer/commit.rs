//! The commit, and what is told and done after it.

use std::collections::{BTreeSet, HashMap};

use tracing::error;

use super::turn::Alarm;
use super::{Turn, Writer};
use crate::desk::{DeskError, WithdrawalView};
use crate::flow::found::Found;
use crate::flow::transactions::Transactions;
use crate::flow::{Reply, view};
use crate::store::Table;
use crate::withdrawal::{Outcome, WithdrawalId};

/// How many alarms wait for a store that does not take them.
const ALARMS_MAX: usize = 1_024;

impl Writer {
    pub(super) async fn commit(&mut self, mut turn: Turn) {
        if !turn.draft.is_empty() {
            self.flush_delivered(&mut turn);
        }
        let Turn { draft, effects, told, changed, found, transactions, waiting, alarms, .. } = turn;
        let done = if draft.is_empty() { Ok(()) } else { self.journal.commit(draft).await };
        match done {
            Ok(()) => {
                told.into_iter().for_each(|tell| tell(Ok(())));
                self.publish(&changed, (&found, &transactions), waiting);
                self.act(effects);
            }
            Err(fault) => {
                error!(code = %fault.code(), "commit failed: {fault}");
                told.into_iter().for_each(|tell| tell(Err(fault.desk_error())));
                waiting.into_iter().for_each(|(_, reply, _)| {
                    let _ = reply.send(Err(fault.desk_error()));
                });
                alarms.into_iter().for_each(|alarm| self.keep_alarm(alarm));
                self.reload(&fault).await;
            }
        }
    }

    /// Keeps an alarm for the next commit. Beyond the bound only the service's own log has it.
    pub(super) fn keep_alarm(&mut self, alarm: Alarm) {
        if self.alarms.len() < ALARMS_MAX {
            return self.alarms.push_back(alarm);
        }
        let ((_, about), finding) = alarm;
        error!(code = %finding.code, about, "{ALARMS_MAX} alarms wait to be written, which is the bound: {}", finding.detail);
    }

    /// Marks delivered statements with the next commit: a commit for them alone is not worth its sync, and a statement
    /// delivered twice is answered as known.
    fn flush_delivered(&mut self, turn: &mut Turn) {
        for key in std::mem::take(&mut self.ledger.delivered) {
            turn.draft.row(Table::Statement, key, "delivered", turn.draft.now(), "{}".to_owned());
        }
    }

    /// Tells readers and those who wait how the changed withdrawals stand.
    fn publish(
        &mut self,
        changed: &BTreeSet<WithdrawalId>,
        found: (&HashMap<WithdrawalId, Found>, &Transactions),
        waiting: Vec<(WithdrawalId, Reply<WithdrawalView>, bool)>,
    ) {
        let is_watched = self.hands.views.receiver_count() > 0;
        for id in changed {
            // Unless somebody watches, nobody is told of a withdrawal that only moves, or that nobody waits for.
            if !is_watched && (self.is_moving(id) || !self.is_awaited(id)) {
                continue;
            }
            let Some(view) = self.view(*id, found) else { continue };
            if is_settled(&view) {
                if view.stage != crate::withdrawal::Stage::Asked {
                    self.payloads.remove(id);
                }
                for waiter in self.waiters.remove(id).into_iter().flatten() {
                    let _ = waiter.send(Ok(view.clone()));
                }
            }
            if is_watched {
                let _ = self.hands.views.send(Some(view));
            }
        }
        for (id, reply, until_settled) in waiting {
            if until_settled && self.is_moving(&id) {
                self.waiters.entry(id).or_default().push(reply);
                continue;
            }
            match self.view(id, found) {
                Some(view) if !until_settled || is_settled(&view) => {
                    let _ = reply.send(Ok(view));
                }
                Some(_) => self.waiters.entry(id).or_default().push(reply),
                None => {
                    let _ = reply.send(Err(DeskError::not_found(id.to_string())));
                }
            }
        }
        self.waiters.retain(|_, replies| {
            replies.retain(|reply| !reply.is_closed());
            !replies.is_empty()
        });
    }

    /// Whether something goes on only once it is told how a withdrawal stands: a caller, or a payload that is let go.
    fn is_awaited(&self, id: &WithdrawalId) -> bool {
        self.waiters.contains_key(id) || self.payloads.contains_key(id)
    }

    fn is_moving(&self, id: &WithdrawalId) -> bool {
        self.ledger.open.get(id).is_some_and(|open| open.row.outcome() == Outcome::Moving)
    }

    pub(super) fn view(
        &self,
        id: WithdrawalId,
        (found, transactions): (&HashMap<WithdrawalId, Found>, &Transactions),
    ) -> Option<WithdrawalView> {
        match self.ledger.open.get(&id) {
            Some(open) => view::of_open(open, &self.ledger),
            None => view::of_found(id, found.get(&id)?, transactions),
        }
    }
}

/// Whether a caller who waits for an outcome should be told now.
fn is_settled(view: &WithdrawalView) -> bool {
    use crate::withdrawal::Code;
    match &view.outcome {
        Outcome::Moving => false,
        Outcome::Held(findings) => !findings.iter().any(|f| f.code == Code::ClearancePending),
        Outcome::Refused(_) | Outcome::Released => true,
    }
}
