//! The ledger: the account's nonces and the jobs that are not finished. It changes only by [`Change`]s.

use std::collections::BTreeMap;

use crate::ethereum::{Address, B256};

use super::change::Change;
use super::facts::Wei;
use super::job::{Job, JobKey};
use super::slot::Slot;

/// What is known, in memory. What has ended stands in the store only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The next nonce to be booked; `None` before the account was looked at.
    pub next: Option<u64>,
    /// Nonces that have not ended.
    pub slots: BTreeMap<u64, Slot>,
    /// Jobs that have not ended, or a nonce of which has not.
    pub jobs: BTreeMap<JobKey, Job>,
}

impl Ledger {
    /// The first nonce that has not ended; nothing below it is ever looked at again.
    pub fn first_open(&self) -> Option<u64> {
        self.slots.values().find(|slot| slot.end.is_none()).map(|slot| slot.nonce).or(self.next)
    }

    /// The job of a slot.
    pub fn job_of(&self, slot: &Slot) -> Option<&Job> {
        self.jobs.get(&slot.job)
    }

    /// Every Safe with a job that is not finished.
    pub fn safes(&self) -> Vec<Address> {
        let mut safes: Vec<Address> = self.jobs.keys().map(|key| key.safe).collect();
        safes.dedup();
        safes
    }

    /// How many nonces wait for a block.
    pub fn waiting(&self) -> usize {
        self.slots.values().filter(|slot| slot.is_waiting()).count()
    }

    /// What all that waits can cost at most.
    pub fn bound_wei(&self) -> Wei {
        self.slots.values().filter(|slot| slot.is_waiting()).map(Slot::fee_max).fold(0, Wei::saturating_add)
    }

    /// What a job has cost and can still cost.
    pub fn spent(&self, job: &Job) -> Wei {
        let open = job.slots.iter().filter_map(|nonce| self.slots.get(nonce)).filter(|s| s.end.is_none());
        let cost = |slot: &Slot| slot.mined.map_or_else(|| slot.fee_max(), |mined| mined.gas_paid);
        open.map(cost).fold(job.gas_paid, Wei::saturating_add)
    }

    /// The block of everything that was seen and is not final: number and hash.
    pub fn blocks(&self) -> Vec<(u64, B256)> {
        let slots = self.slots.values().filter(|slot| slot.end.is_none()).filter_map(|slot| slot.mined);
        let jobs = self.jobs.values().filter(|job| job.outcome.is_none()).filter_map(|job| job.seen);
        let mut all: Vec<(u64, B256)> = slots.map(|mined| (mined.block, mined.block_hash)).collect();
        all.extend(jobs.map(|seen| (seen.block, seen.block_hash)));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Takes a change. The only way it changes.
    pub fn apply(&mut self, change: &Change) {
        change.apply(self);
    }

    /// Forgets what has ended and is in the store.
    pub fn sweep(&mut self) {
        self.slots.retain(|_, slot| slot.end.is_none());
        let slots = &self.slots;
        self.jobs.retain(|_, job| {
            job.outcome.is_none() || job.slots.iter().any(|nonce| slots.contains_key(nonce))
        });
    }
}
