//! A change of the ledger: applied in memory and written down, the same one.

use crate::withdrawal::Code;

use super::job::{Held, Job, JobKey, Outcome, Seen};
use super::ledger::Ledger;
use super::slot::{Attempt, End, Mined, Slot};

/// What happened, or was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The account is followed from this nonce on.
    Started {
        /// The next nonce to be booked.
        nonce: u64,
    },
    /// A job was taken.
    Taken(Box<Job>),
    /// An attempt was bound to a nonce: a new one, or one that replaces.
    Booked {
        /// The nonce.
        nonce: u64,
        /// For which job.
        job: JobKey,
        /// The attempt.
        attempt: Attempt,
    },
    /// A job is not sent now.
    Held {
        /// Which.
        job: JobKey,
        /// Why.
        held: Held,
    },
    /// An attempt is in a block.
    Mined {
        /// The nonce.
        nonce: u64,
        /// Where.
        mined: Mined,
    },
    /// Its block was undone.
    Unmined {
        /// The nonce.
        nonce: u64,
        /// Where it was.
        was: Mined,
        /// The height of the chain then.
        height: u64,
    },
    /// A nonce has ended for good.
    Ended {
        /// The nonce.
        nonce: u64,
        /// How.
        end: End,
    },
    /// A job was executed in a block.
    Seen {
        /// Which.
        job: JobKey,
        /// Where.
        seen: Seen,
    },
    /// That block was undone.
    Undone {
        /// Which.
        job: JobKey,
        /// Where it was.
        was: Seen,
    },
    /// What became of a job is final.
    Settled {
        /// Which.
        job: JobKey,
        /// What.
        outcome: Outcome,
    },
    /// Where in the signer's list to go on after a start.
    Followed(String),
    /// People must look at something.
    Alarm {
        /// The stable code.
        code: Code,
        /// Of what.
        subject: String,
        /// More.
        detail: String,
    },
}

impl Change {
    pub(super) fn apply(&self, ledger: &mut Ledger) {
        match self {
            Self::Started { nonce } => ledger.next = Some(*nonce),
            Self::Taken(job) => drop(ledger.jobs.insert(job.key, (**job).clone())),
            Self::Booked { nonce, job, attempt } => book(ledger, *nonce, *job, *attempt),
            Self::Mined { nonce, mined } => on_slot(ledger, *nonce, |slot| slot.mined = Some(*mined)),
            Self::Unmined { nonce, height, .. } => on_slot(ledger, *nonce, |slot| {
                (slot.mined, slot.since) = (None, *height);
            }),
            Self::Ended { nonce, end } => ended(ledger, *nonce, *end),
            Self::Held { job, held } => on_job(ledger, job, |job| job.held = Some(held.clone())),
            Self::Seen { job, seen } => on_job(ledger, job, |job| {
                job.seen = Some(*seen);
                job.held = None;
            }),
            Self::Undone { job, .. } => on_job(ledger, job, |job| job.seen = None),
            Self::Settled { job, outcome } => on_job(ledger, job, |job| {
                job.outcome = Some(outcome.clone());
                job.held = None;
            }),
            Self::Followed(_) | Self::Alarm { .. } => {}
        }
    }

    /// The job it is about.
    pub const fn job(&self) -> Option<JobKey> {
        match self {
            Self::Taken(job) => Some(job.key),
            Self::Booked { job, .. }
            | Self::Held { job, .. }
            | Self::Seen { job, .. }
            | Self::Undone { job, .. }
            | Self::Settled { job, .. } => Some(*job),
            Self::Started { .. }
            | Self::Mined { .. }
            | Self::Unmined { .. }
            | Self::Ended { .. }
            | Self::Followed(_)
            | Self::Alarm { .. } => None,
        }
    }

    /// The nonce it is about.
    pub const fn nonce(&self) -> Option<u64> {
        match self {
            Self::Booked { nonce, .. }
            | Self::Mined { nonce, .. }
            | Self::Unmined { nonce, .. }
            | Self::Ended { nonce, .. } => Some(*nonce),
            Self::Started { .. }
            | Self::Taken(_)
            | Self::Held { .. }
            | Self::Seen { .. }
            | Self::Undone { .. }
            | Self::Settled { .. }
            | Self::Followed(_)
            | Self::Alarm { .. } => None,
        }
    }
}

fn on_slot(ledger: &mut Ledger, nonce: u64, change: impl FnOnce(&mut Slot)) {
    if let Some(slot) = ledger.slots.get_mut(&nonce) {
        change(slot);
    }
}

fn on_job(ledger: &mut Ledger, key: &JobKey, change: impl FnOnce(&mut Job)) {
    if let Some(job) = ledger.jobs.get_mut(key) {
        change(job);
    }
}

fn book(ledger: &mut Ledger, nonce: u64, key: JobKey, attempt: Attempt) {
    let empty = || Slot { nonce, job: key, attempts: Vec::new(), since: 0, mined: None, end: None };
    let slot = ledger.slots.entry(nonce).or_insert_with(empty);
    slot.attempts.push(attempt);
    slot.since = attempt.block;
    let after = nonce.saturating_add(1);
    ledger.next = Some(ledger.next.map_or(after, |next| next.max(after)));
    on_job(ledger, &key, |job| {
        if !job.slots.contains(&nonce) {
            job.slots.push(nonce);
        }
        if attempt.runs {
            job.held = None;
        }
    });
}

fn ended(ledger: &mut Ledger, nonce: u64, end: End) {
    let Some(slot) = ledger.slots.get_mut(&nonce) else { return };
    slot.end = Some(end);
    let (key, paid) = (slot.job, slot.mined.map_or(0, |mined| mined.gas_paid));
    on_job(ledger, &key, |job| job.gas_paid = job.gas_paid.saturating_add(paid));
}
