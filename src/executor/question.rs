//! What the ledger wants to know of the chain next, once the latest block is agreed on.

use std::collections::BTreeSet;

use crate::ethereum::B256;

use super::facts::Facts;
use super::job::{Effect, Job, JobKey};
use super::ledger::Ledger;
use super::slot::Slot;

/// A question to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Where a transaction stands.
    Receipt(B256),
    /// Who executed this job.
    Search(JobKey),
    /// What would happen if this job were sent now.
    Trial(JobKey),
    /// Why the payee's own call fails.
    Reason(JobKey),
}

/// Every question that may be answered at this block. None is put about what cannot have happened yet.
pub fn questions(ledger: &Ledger, facts: &Facts) -> BTreeSet<Question> {
    let mut all = BTreeSet::new();
    for slot in ledger.slots.values().filter(|slot| slot.end.is_none()) {
        all.extend(of_slot(slot, facts).into_iter().map(Question::Receipt));
    }
    for job in ledger.jobs.values().filter(|job| job.outcome.is_none()) {
        all.extend(of_job(ledger, job, facts));
    }
    all
}

/// The transactions of a nonce that the chain has used up.
fn of_slot(slot: &Slot, facts: &Facts) -> Vec<B256> {
    if slot.nonce >= facts.basics.nonce_head {
        return Vec::new();
    }
    let every = || slot.attempts.iter().filter_map(|attempt| attempt.txid).collect();
    match slot.mined {
        None => every(),
        Some(mined) => match facts.stands(mined.block, mined.block_hash) {
            Some(true) if mined.block <= facts.basics.last.number => vec![mined.txid],
            Some(false) => every(),
            Some(true) | None => Vec::new(),
        },
    }
}

fn of_job(ledger: &Ledger, job: &Job, facts: &Facts) -> Vec<Question> {
    let Some(safe) = facts.safe(&job.key) else { return Vec::new() };
    let stands = job.seen.map(|seen| (seen, facts.stands(seen.block, seen.block_hash)));
    match stands {
        Some((_, None)) => return Vec::new(),
        Some((seen, Some(true))) if seen.block <= facts.basics.last.number => {
            let mut both = vec![Question::Receipt(seen.txid)];
            both.extend((seen.effect == Effect::Reverted).then_some(Question::Reason(job.key)));
            return both;
        }
        Some((_, Some(true))) => return Vec::new(),
        Some((_, Some(false))) | None => {}
    }
    if safe.head > job.key.nonce {
        return if is_told_by_receipt(ledger, job, facts) {
            Vec::new()
        } else {
            vec![Question::Search(job.key)]
        };
    }
    let runs = job.slots.iter().filter_map(|nonce| ledger.slots.get(nonce)).any(Slot::is_running);
    if safe.head == job.key.nonce && !runs { vec![Question::Trial(job.key)] } else { Vec::new() }
}

/// Whether the receipt of an own transaction is asked for that may hold it.
fn is_told_by_receipt(ledger: &Ledger, job: &Job, facts: &Facts) -> bool {
    let slots = job.slots.iter().filter_map(|nonce| ledger.slots.get(nonce));
    let mut open = slots.filter(|slot| slot.end.is_none() && slot.nonce < facts.basics.nonce_head);
    open.any(|slot| match slot.mined {
        None => true,
        Some(mined) => facts.stands(mined.block, mined.block_hash) != Some(true),
    })
}
