//! What is to be done about it: replace what waits too long, cancel what is useless, book what may be sent next.

use crate::withdrawal::Code;

use super::change::Change;
use super::facts::{Complaint, Delivery};
use super::job::JobKey;
use super::price::{AboveCap, cost, fresh, needed, replacing};
use super::slot::{Attempt, Slot};
use super::turn::{Subject, Turn};

impl Turn<'_> {
    /// Plans on what was observed.
    pub(super) fn plan(&mut self) {
        let waiting: Vec<u64> =
            self.ledger.slots.values().filter(|slot| slot.is_waiting()).map(|slot| slot.nonce).collect();
        for nonce in waiting.into_iter().filter(|nonce| *nonce >= self.facts.basics.nonce_head) {
            self.tend(nonce);
        }
        self.book();
        self.fuel();
    }

    /// Looks after one nonce that waits for a block.
    fn tend(&mut self, nonce: u64) {
        let Some(slot) = self.ledger.slots.get(&nonce).cloned() else { return };
        let Some((at, newest)) = slot.newest() else { return };
        let word = self.facts.deliveries.get(&nonce).filter(|word| word.attempt == at).cloned();
        let refused = self.refused(&slot, newest, word.as_ref());
        let useless = newest.runs && self.ledger.job_of(&slot).is_none_or(|job| job.is_done());
        if useless || refused {
            return self.replace(&slot, false, true);
        }
        let complaint = word.as_ref().and_then(|word| word.complaint.as_ref());
        let wants_more = matches!(complaint, Some(Complaint::Underpriced | Complaint::FeeTooLow));
        if complaint == Some(&Complaint::Funds) {
            let detail = format!("nodes refuse nonce {nonce} for want of funds");
            self.ails(Subject::Account, Code::GasFundsShort, detail, true);
        }
        if wants_more || self.is_stuck(&slot, newest) {
            self.replace(&slot, newest.runs, false);
        }
    }

    /// Whether it has waited for too long. Behind another one only its own fee can be the reason.
    fn is_stuck(&self, slot: &Slot, newest: &Attempt) -> bool {
        let long = self.waited(slot) >= self.rules.stuck_blocks;
        let first = slot.nonce == self.facts.basics.nonce_head;
        let cheap = newest.gas.fee_per_gas_max < needed(self.rules, &self.facts.basics.fees);
        long && (first || cheap)
    }

    fn waited(&self, slot: &Slot) -> u64 {
        self.facts.height().saturating_sub(slot.since)
    }

    /// Whether every node refuses it for long, for another reason than its fee: its nonce is then used up without it.
    fn refused(&mut self, slot: &Slot, newest: &Attempt, word: Option<&Delivery>) -> bool {
        let Some(Complaint::Other(text)) = word.and_then(|word| word.complaint.as_ref()) else {
            return false;
        };
        let detail = format!("nonce {}: {text}", slot.nonce);
        self.ails(Subject::Nonce(slot.nonce), Code::ExecutionUnsent, detail.clone(), false);
        let long = self.waited(slot) >= self.rules.stuck_blocks;
        if newest.runs && long && self.ledger.job_of(slot).is_some_and(|job| !job.is_done()) {
            self.hold(slot.job, Code::ExecutionUnsent, detail);
        }
        newest.runs && long
    }

    /// Books another attempt in the place of the newest one: under the caps, and once for each block.
    fn replace(&mut self, slot: &Slot, runs: bool, useless: bool) {
        let Some((_, newest)) = slot.newest() else { return };
        if self.waited(slot) == 0 {
            return;
        }
        let (rules, fees) = (self.rules, self.facts.basics.fees);
        let gas_limit = if runs { newest.gas.gas_limit } else { rules.cancel_gas };
        let wanted = replacing(rules, &fees, &newest.gas, gas_limit);
        let allowed =
            wanted.ok().filter(|gas| slot.attempts.len() < rules.attempts_max && self.affords(slot, gas));
        match allowed {
            Some(gas) => {
                let attempt = Attempt { runs, gas, block: self.facts.height(), txid: None };
                self.push(Change::Booked { nonce: slot.nonce, job: slot.job, attempt });
            }
            // a useless one is used up as it is, and costs no more than it would have
            None if useless => {}
            None => {
                let (fee, attempts) = (newest.gas.fee_per_gas_max, slot.attempts.len());
                let detail = format!("{attempts} attempts, the last at {fee} wei for a unit of gas");
                self.ails(Subject::Nonce(slot.nonce), Code::ExecutionStuck, detail, false);
            }
        }
    }

    /// Whether a job may cost what this attempt could come to.
    fn affords(&self, slot: &Slot, gas: &crate::ethereum::GasTerms) -> bool {
        let Some(job) = self.ledger.job_of(slot) else { return true };
        let others = self.ledger.spent(job).saturating_sub(slot.fee_max());
        others.saturating_add(cost(gas).max(slot.fee_max())) <= self.rules.fee_job_cap
    }

    /// Books what may be sent next: one of each lane after the other, as far as window and funds reach.
    fn book(&mut self) {
        let mut lanes = Vec::new();
        for safe in self.ledger.safes() {
            let (next, no) = self.lane(safe);
            lanes.push(next.into_iter());
            if let Some((key, code, detail)) = no {
                self.hold(key, code, detail);
            }
        }
        while !lanes.is_empty() {
            lanes.retain_mut(|lane| lane.next().is_some_and(|key| self.book_one(key)));
        }
    }

    /// Books one job. Says whether its lane may go on.
    fn book_one(&mut self, key: JobKey) -> bool {
        if self.ledger.waiting() >= self.rules.window {
            return false;
        }
        // a nonce that others used is none to book
        let next = self.ledger.next.filter(|next| *next >= self.facts.basics.nonce_head);
        let (Some(job), Some(nonce)) = (self.ledger.jobs.get(&key), next) else { return false };
        let (spent, gas_limit) = (self.ledger.spent(job), job.gas_limit);
        let gas = match fresh(self.rules, &self.facts.basics.fees, gas_limit) {
            Ok(gas) => gas,
            Err(AboveCap { needed }) => {
                let cap = self.rules.fee_per_gas_cap;
                let detail = format!("a unit of gas costs {needed} wei, the cap is {cap}");
                self.hold(key, Code::GasAboveCap, detail);
                return false;
            }
        };
        if spent.saturating_add(cost(&gas)) > self.rules.fee_job_cap {
            let detail = format!("{spent} wei are spent, and {} may come to it", cost(&gas));
            self.hold(key, Code::GasAboveCap, detail);
            return false;
        }
        let bound = self.ledger.bound_wei();
        if bound.saturating_add(cost(&gas)) > self.facts.basics.balance {
            let detail = format!("{bound} wei are bound, and it may cost {}", cost(&gas));
            self.hold(key, Code::GasFundsShort, detail.clone());
            self.ails(Subject::Account, Code::GasFundsShort, detail, true);
            return false;
        }
        let attempt = Attempt { runs: true, gas, block: self.facts.height(), txid: None };
        self.push(Change::Booked { nonce, job: key, attempt });
        true
    }

    /// Says that the account wants fuel, before it stands still.
    fn fuel(&mut self) {
        let (balance, low) = (self.facts.basics.balance, self.rules.balance_low);
        if balance < low {
            let detail = format!("the balance is {balance} wei, the mark is {low}");
            self.ails(Subject::Account, Code::GasFundsShort, detail, false);
        }
    }
}
