//! What the chain says about nonces and jobs: in a block, undone, final, done by somebody else.

use crate::ethereum::{B256, judge_receipt};
use crate::node::{Inclusion, Settled};
use crate::withdrawal::Code;

use super::change::Change;
use super::facts::{Facts, Wei};
use super::job::{Effect, Job, JobKey, Outcome, Seen};
use super::slot::{End, Mined, Slot};
use super::turn::{Subject, Turn};

impl Turn<'_> {
    /// Takes in what the chain says. Says whether anything may be planned on it.
    pub(super) fn observe(&mut self) -> bool {
        let nonce_head = self.facts.basics.nonce_head;
        if self.ledger.first_open().is_some_and(|open| self.is_undone_for_good(open)) {
            let detail = format!("the account is at nonce {nonce_head}, and earlier ones were final");
            self.ails(Subject::Account, Code::FinalityBroken, detail, true);
            return false;
        }
        self.follow_account(nonce_head);
        let open: Vec<u64> = self.ledger.slots.keys().copied().collect();
        open.into_iter().for_each(|nonce| self.observe_slot(nonce));
        let jobs: Vec<JobKey> = self.ledger.jobs.keys().copied().collect();
        jobs.into_iter().for_each(|key| self.observe_job(key));
        true
    }

    /// Whether the chain has taken back a nonce that ended.
    fn is_undone_for_good(&self, open: u64) -> bool {
        self.facts.basics.nonce_head < open
    }

    /// Begins where the account stands; a nonce that somebody else used is stepped over. Both only when it is final: what
    /// an undone block gives back would be a gap that nobody fills.
    fn follow_account(&mut self, nonce_head: u64) {
        let is_final = self.facts.basics.nonce_last == nonce_head;
        match self.ledger.next {
            Some(next) if next >= nonce_head => {}
            Some(next) => {
                let detail = format!("the nonces from {next} to before {nonce_head} were used by others");
                self.ails(Subject::Account, Code::AccountNonceForeign, detail, true);
                if is_final {
                    self.push(Change::Started { nonce: nonce_head });
                }
            }
            None if is_final => self.push(Change::Started { nonce: nonce_head }),
            None => {}
        }
    }

    fn observe_slot(&mut self, nonce: u64) {
        let Some(slot) = self.ledger.slots.get(&nonce).filter(|slot| slot.end.is_none()).cloned() else {
            return;
        };
        let (used, height) = (nonce < self.facts.basics.nonce_head, self.facts.height());
        let stands = slot.mined.map(|mined| (mined, self.facts.stands(mined.block, mined.block_hash)));
        match stands {
            // a block beyond the latest one that is agreed on says nothing yet
            Some((_, None)) => return,
            Some((mined, Some(true))) => {
                match self.facts.receipts.get(&mined.txid) {
                    Some(Settled::Final(_)) => {
                        self.push(Change::Ended { nonce, end: slot.end_by(mined.attempt) })
                    }
                    Some(Settled::Absent) => self.push(Change::Unmined { nonce, was: mined, height }),
                    Some(Settled::Mined(_)) | None => {}
                }
                return;
            }
            Some((was, Some(false))) => self.push(Change::Unmined { nonce, was, height }),
            None => {}
        }
        if used {
            self.observe_used(&slot);
        }
    }

    /// A nonce that the chain has used up, and that is in no block as far as is known.
    fn observe_used(&mut self, slot: &Slot) {
        let nonce = slot.nonce;
        let answers =
            slot.attempts.iter().map(|attempt| attempt.txid.map(|id| (id, self.facts.receipts.get(&id))));
        let mut absent = true;
        for (at, answer) in answers.enumerate() {
            match answer {
                Some((txid, Some(Settled::Mined(found) | Settled::Final(found)))) => {
                    let mined = self.mined(slot, at, txid, found);
                    if found.block <= self.facts.basics.head.number {
                        self.push(Change::Mined { nonce, mined });
                    }
                    return;
                }
                Some((_, Some(Settled::Absent))) => {}
                Some((_, None)) | None => absent = false,
            }
        }
        if absent {
            self.foreign(nonce);
        }
    }

    fn mined(&self, slot: &Slot, attempt: usize, txid: B256, found: &Inclusion) -> Mined {
        let runs = slot.attempts.get(attempt).is_some_and(|attempt| attempt.runs);
        let job = self.ledger.job_of(slot).filter(|_| runs);
        let effect = job.and_then(|job| effect(job, found));
        let gas_paid = Wei::from(found.gas_used).saturating_mul(found.gas_price);
        Mined { attempt, txid, block: found.block, block_hash: found.block_hash, gas_paid, effect }
    }

    /// The nonce is used, and by none of ours. It counts when no block can bring ours back.
    fn foreign(&mut self, nonce: u64) {
        let detail = "its nonce is used by another transaction".to_owned();
        self.ails(Subject::Nonce(nonce), Code::AccountNonceForeign, detail, true);
        if nonce < self.facts.basics.nonce_last {
            self.push(Change::Ended { nonce, end: End::Foreign });
        }
    }

    fn observe_job(&mut self, key: JobKey) {
        let Some(job) = self.ledger.jobs.get(&key).filter(|job| job.outcome.is_none()).cloned() else {
            return;
        };
        if let Some(seen) = job.seen {
            match self.facts.stands(seen.block, seen.block_hash) {
                None => return,
                Some(true) => return self.settle(&job, &seen),
                Some(false) => self.push(Change::Undone { job: key, was: seen }),
            }
        }
        match self.own(&job).or_else(|| self.found(&job)) {
            Some(seen) => self.push(Change::Seen { job: key, seen }),
            None => self.lost(&job),
        }
    }

    /// Its execution by an own transaction.
    fn own(&self, job: &Job) -> Option<Seen> {
        let slots = job.slots.iter().filter_map(|nonce| self.ledger.slots.get(nonce));
        let mut mined = slots.filter_map(|slot| slot.mined.map(|mined| (slot.nonce, mined)));
        mined.find_map(|(nonce, Mined { txid, block, block_hash, effect, .. })| {
            Some(Seen { txid, block, block_hash, effect: effect?, nonce: Some(nonce) })
        })
    }

    /// Its execution by somebody else.
    fn found(&self, job: &Job) -> Option<Seen> {
        let txid = (*self.facts.searches.get(&job.key)?)?;
        let (Settled::Mined(found) | Settled::Final(found)) = self.facts.receipts.get(&txid)? else {
            return None;
        };
        let (block, block_hash) = (found.block, found.block_hash);
        let is_here = block <= self.facts.basics.head.number;
        let effect = effect(job, found).filter(|_| is_here)?;
        Some(Seen { txid, block, block_hash, effect, nonce: None })
    }

    /// Its block is final: what the receipt says now is what became of it.
    fn settle(&mut self, job: &Job, seen: &Seen) {
        let found = match self.facts.receipts.get(&seen.txid) {
            Some(Settled::Final(found)) => found,
            Some(Settled::Absent) => return self.push(Change::Undone { job: job.key, was: *seen }),
            Some(Settled::Mined(_)) | None => return,
        };
        let verdict = judge_receipt(&found.receipt, job.key.safe, job.hash(), job.tx.actions());
        let Some(effect) = Effect::of(&verdict) else {
            // the same block said otherwise before: nothing is believed
            let detail = format!("{} held it, and does no more", seen.txid);
            return self.ails(Subject::Job(job.key), Code::FinalityBroken, detail, true);
        };
        if effect == Effect::NotAsAsked {
            let detail = format!("{}: {verdict:?}", seen.txid);
            self.ails(Subject::Job(job.key), Code::PaymentNotAsAsked, detail, true);
        }
        let detail = self.facts.reasons.get(&job.key).cloned().unwrap_or_default();
        let outcome = Outcome::Executed { effect, txid: seen.txid, block: found.block, detail };
        self.push(Change::Settled { job: job.key, outcome });
    }

    /// The Safe has gone past its nonce for good, and nobody is found who executed it.
    fn lost(&mut self, job: &Job) {
        let searched = self.facts.searches.get(&job.key) == Some(&None);
        let past = self.facts.safe(&job.key).is_some_and(|safe| safe.last > job.key.nonce);
        let slots = job.slots.iter().filter_map(|nonce| self.ledger.slots.get(nonce));
        let mut open = slots.filter(|slot| slot.nonce < self.facts.basics.nonce_last && slot.end.is_none());
        if searched && past && open.all(|slot| slot.mined.is_some()) {
            let detail = format!("searched from block {} on", job.since);
            self.ails(Subject::Job(job.key), Code::ExecutionNotFound, detail, true);
            self.push(Change::Settled { job: job.key, outcome: Outcome::NotFound { since: job.since } });
        }
    }
}

fn effect(job: &Job, found: &Inclusion) -> Option<Effect> {
    Effect::of(&judge_receipt(&found.receipt, job.key.safe, job.hash(), job.tx.actions()))
}

impl Facts {
    /// The block that turns count from.
    pub(super) const fn height(&self) -> u64 {
        self.basics.head.number
    }
}
