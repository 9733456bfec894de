//! A lane: the jobs of one Safe, strictly in the order of its nonces. Which of them may be sent next?

use crate::ethereum::Address;
use crate::withdrawal::Code;

use super::job::{Job, JobKey};
use super::slot::Slot;
use super::turn::Turn;

/// Why a job may not be sent, and more.
pub(super) type No = (JobKey, Code, String);

impl Turn<'_> {
    /// The jobs of a Safe that may be sent now, in order, and what keeps back the first one that may not.
    pub(super) fn lane(&self, safe: Address) -> (Vec<JobKey>, Option<No>) {
        let mut next = Vec::new();
        let Some(nonces) = self.facts.basics.safes.get(&safe) else {
            let first = self.first_waiting(safe, 0).map(|job| {
                (job.key, Code::NodesNotAgreed, "no Safe could be read at its address".to_owned())
            });
            return (next, first);
        };
        let (mut nonce, mut last_slot) = (nonces.head, None);
        while let Some(job) = self.ledger.jobs.get(&JobKey { safe, nonce }) {
            match self.step(job, nonce == nonces.head, &mut last_slot) {
                Ok(true) => next.push(job.key),
                Ok(false) => {}
                Err(no) => return (next, no.map(|(code, detail)| (job.key, code, detail))),
            }
            nonce = nonce.saturating_add(1);
        }
        let beyond = self.first_waiting(safe, nonce);
        (next, beyond.map(|job| (job.key, Code::SafeNonceAwaited, format!("nonce {nonce} comes before it"))))
    }

    fn first_waiting(&self, safe: Address, from: u64) -> Option<&Job> {
        let lane = JobKey { safe, nonce: from }..=JobKey { safe, nonce: u64::MAX };
        self.ledger.jobs.range(lane).map(|(_, job)| job).find(|job| !job.is_done())
    }

    /// Whether a job may be sent (`true`), is on its way (`false`), or stops the lane.
    fn step(
        &self,
        job: &Job,
        is_front: bool,
        last_slot: &mut Option<u64>,
    ) -> Result<bool, Option<(Code, String)>> {
        if job.is_done() {
            return Ok(false);
        }
        let slots = job.slots.iter().filter_map(|nonce| self.ledger.slots.get(nonce));
        if let Some(slot) = slots.filter(|slot| slot.is_running()).max_by_key(|slot| slot.nonce) {
            return self.behind(slot, last_slot);
        }
        if is_front {
            self.tried(job)?;
        } else if !job.slots.is_empty() {
            // it failed once: it waits until nothing is in front of it, and is tried before gas is spent again
            return Err(None);
        }
        // what comes now gets a later nonce than everything that is booked
        *last_slot = Some(u64::MAX);
        Ok(true)
    }

    /// A job on its way runs only if those in front of it have earlier nonces of the account.
    fn behind(&self, slot: &Slot, last_slot: &mut Option<u64>) -> Result<bool, Option<(Code, String)>> {
        if last_slot.is_some_and(|last| last > slot.nonce) {
            return Err(None);
        }
        *last_slot = Some(slot.nonce);
        Ok(false)
    }

    /// The first of its lane is sent only if the Safe would take it now.
    fn tried(&self, job: &Job) -> Result<(), Option<(Code, String)>> {
        let refused = job.held.as_ref().filter(|held| held.code == Code::ExecutionUnsent);
        let waits = |at| self.facts.basics.now.since(at).is_none_or(|past| past < self.rules.alarm_after_s);
        if let Some(held) = refused.filter(|held| waits(held.at)) {
            return Err(Some((held.code, held.detail.clone())));
        }
        match self.facts.trials.get(&job.key) {
            Some(Ok(())) => Ok(()),
            Some(Err(reason)) => Err(Some((Code::ExecutionReverts, reason.clone()))),
            None => Err(None),
        }
    }
}
