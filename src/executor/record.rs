//! Writing down: each change as an entry of the log, and the rows that it touches, in one commit.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::audit::EntryKind;
use crate::ethereum::Address;
use crate::flow::ledger::journal::Draft;
use crate::store::Table;

use super::account::Account;
use super::change::Change;
use super::job::{Job, JobKey, Outcome, Seen};
use super::ledger::Ledger;
use super::rows::{ACCOUNT_KEY, AccountRow, FOLLOWED_KEY, JobRow, SlotRow};
use super::slot::{Attempt, Mined, Slot};
use super::view::word_of;

/// The longest detail of an entry, in characters.
const DETAIL_LEN_MAX: usize = 500;

/// Writes changes into a draft. `ledger` is the one that they lead to.
pub fn record(draft: &mut Draft, account: &Account, ledger: &Ledger, changes: &[Change]) {
    for change in changes {
        entry(draft, account, ledger, change);
        if let Some(key) = change.job().or_else(|| slot(ledger, change.nonce()).map(|slot| slot.job)) {
            job_row(draft, ledger, key);
        }
        if let Some(slot) = slot(ledger, change.nonce()) {
            slot_row(draft, slot);
        }
    }
}

fn slot(ledger: &Ledger, nonce: Option<u64>) -> Option<&Slot> {
    ledger.slots.get(&nonce?)
}

fn job_row(draft: &mut Draft, ledger: &Ledger, key: JobKey) {
    let Some(job) = ledger.jobs.get(&key) else { return };
    let row = JobRow::of(job, ledger);
    let content = serde_json::to_string(&row).unwrap_or_default();
    draft.row(Table::Execution, key.to_string(), word_of(&row), job.taken_at, content);
}

fn slot_row(draft: &mut Draft, slot: &Slot) {
    let content = serde_json::to_string(&SlotRow::of(slot)).unwrap_or_default();
    let state = match (slot.end, slot.mined) {
        (Some(end), _) => end.as_str(),
        (None, Some(_)) => "mined",
        (None, None) => "waiting",
    };
    draft.row(Table::AccountNonce, slot.nonce.to_string(), state, draft.now(), content);
}

fn entry(draft: &mut Draft, account: &Account, ledger: &Ledger, change: &Change) {
    match change {
        Change::Started { nonce } => started(draft, account, *nonce),
        Change::Taken(job) => taken(draft, job),
        Change::Booked { nonce, job, attempt } => booked(draft, account, ledger, (*nonce, *job), attempt),
        Change::Held { job, held } => {
            let Some(job) = ledger.jobs.get(job) else { return };
            let (safe, nonce) = (job.key.safe, job.key.nonce);
            let (hash, detail) = (job.hash(), shown(&held.detail));
            let fields: [(&str, &dyn std::fmt::Display); 5] = [
                ("safe", &safe),
                ("safe_nonce", &nonce),
                ("hash", &hash),
                ("code", &held.code),
                ("detail", &detail),
            ];
            draft.entry(EntryKind::ExecutionHeld, &fields);
        }
        Change::Mined { nonce, mined } => mined_entry(draft, ledger, *nonce, mined),
        Change::Unmined { nonce, was, .. } => {
            let (key, hash) = job_words(ledger, *nonce);
            let (safe, safe_nonce) = key;
            let fields: [(&str, &dyn std::fmt::Display); 7] = [
                ("nonce", nonce),
                ("txid", &was.txid),
                ("block", &was.block),
                ("block_hash", &was.block_hash),
                ("safe", &safe),
                ("safe_nonce", &safe_nonce),
                ("hash", &hash),
            ];
            draft.entry(EntryKind::ExecutionUnmined, &fields);
        }
        Change::Ended { nonce, end } => {
            let mined = ledger.slots.get(nonce).and_then(|slot| slot.mined);
            let text = |pick: fn(&Mined) -> String| mined.as_ref().map(pick).unwrap_or_default();
            let (txid, block) = (text(|m| m.txid.to_string()), text(|m| m.block.to_string()));
            let (paid, end) = (text(|m| m.gas_paid.to_string()), end.as_str());
            let ((safe, safe_nonce), hash) = job_words(ledger, *nonce);
            let fields: [(&str, &dyn std::fmt::Display); 8] = [
                ("nonce", nonce),
                ("end", &end),
                ("txid", &txid),
                ("block", &block),
                ("gas_paid", &paid),
                ("safe", &safe),
                ("safe_nonce", &safe_nonce),
                ("hash", &hash),
            ];
            draft.entry(EntryKind::NonceSettled, &fields);
        }
        Change::Seen { job, seen } => seen_entry(draft, ledger, *job, seen),
        Change::Undone { job, was } => {
            let hash = ledger.jobs.get(job).map(|job| job.hash().to_string()).unwrap_or_default();
            let fields: [(&str, &dyn std::fmt::Display); 6] = [
                ("safe", &job.safe),
                ("safe_nonce", &job.nonce),
                ("hash", &hash),
                ("txid", &was.txid),
                ("block", &was.block),
                ("block_hash", &was.block_hash),
            ];
            draft.entry(EntryKind::ExecutionUndone, &fields);
        }
        Change::Settled { job, outcome } => settled(draft, ledger, *job, outcome),
        // A row beside the entry of the job that was taken: what was read before that stands in the ledger.
        Change::Followed(cursor) => {
            draft.row(Table::Setting, FOLLOWED_KEY.to_owned(), "followed", draft.now(), cursor.clone());
        }
        Change::Alarm { code, subject, detail } => {
            let detail = shown(detail);
            draft.entry(EntryKind::Alarm, &[("code", code), ("subject", subject), ("detail", &detail)]);
        }
    }
}

fn started(draft: &mut Draft, account: &Account, nonce: u64) {
    let (address, chain) = (account.address(), account.chain());
    draft.entry(EntryKind::ExecutorStarted, &[("account", &address), ("chain", &chain), ("nonce", &nonce)]);
    let row = AccountRow { account: address, chain: chain.number(), next: nonce };
    let content = serde_json::to_string(&row).unwrap_or_default();
    draft.row(Table::Setting, ACCOUNT_KEY.to_owned(), "account", draft.now(), content);
}

fn taken(draft: &mut Draft, job: &Job) {
    let digest = HEXLOWER.encode(&Sha256::digest(job.tx.data()));
    let fields: [(&str, &dyn std::fmt::Display); 6] = [
        ("safe", &job.key.safe),
        ("safe_nonce", &job.key.nonce),
        ("hash", &job.hash()),
        ("data_digest", &digest),
        ("gas_limit", &job.gas_limit),
        ("since", &job.since),
    ];
    draft.entry(EntryKind::ExecutionTaken, &fields);
    let content = HEXLOWER.encode(job.tx.data());
    draft.row(Table::ExecutionCall, job.key.to_string(), "taken", job.taken_at, content);
}

fn booked(
    draft: &mut Draft,
    account: &Account,
    ledger: &Ledger,
    (nonce, key): (u64, JobKey),
    attempt: &Attempt,
) {
    let job = ledger.jobs.get(&key);
    // what cannot be built is not written, and a draft with an entry that misses a field is not committed
    let digest =
        job.and_then(|job| account.digest(nonce, job, attempt)).map(|it| it.to_string()).unwrap_or_default();
    let purpose = if attempt.runs { "run" } else { "cancel" };
    let attempts = ledger.slots.get(&nonce).map_or(1, |slot| slot.attempts.len());
    let replaces = if attempts > 1 { attempts.saturating_sub(1).to_string() } else { String::new() };
    let hash = job.map(|job| job.hash().to_string()).unwrap_or_default();
    let fields: [(&str, &dyn std::fmt::Display); 11] = [
        ("nonce", &nonce),
        ("purpose", &purpose),
        ("gas_limit", &attempt.gas.gas_limit),
        ("fee_per_gas_max", &attempt.gas.fee_per_gas_max),
        ("tip_per_gas_max", &attempt.gas.tip_per_gas_max),
        ("digest", &digest),
        ("safe", &key.safe),
        ("safe_nonce", &key.nonce),
        ("hash", &hash),
        ("replaces", &replaces),
        ("block", &attempt.block),
    ];
    draft.entry(EntryKind::ExecutionBooked, &fields);
}

fn mined_entry(draft: &mut Draft, ledger: &Ledger, nonce: u64, mined: &Mined) {
    let slot = ledger.slots.get(&nonce);
    let runs = slot.and_then(|slot| slot.attempts.get(mined.attempt)).is_some_and(|attempt| attempt.runs);
    let (purpose, effect) =
        (if runs { "run" } else { "cancel" }, mined.effect.map_or("", |effect| effect.as_str()));
    let ((safe, safe_nonce), hash) = job_words(ledger, nonce);
    let fields: [(&str, &dyn std::fmt::Display); 10] = [
        ("nonce", &nonce),
        ("txid", &mined.txid),
        ("block", &mined.block),
        ("block_hash", &mined.block_hash),
        ("gas_paid", &mined.gas_paid),
        ("purpose", &purpose),
        ("safe", &safe),
        ("safe_nonce", &safe_nonce),
        ("hash", &hash),
        ("effect", &effect),
    ];
    draft.entry(EntryKind::ExecutionMined, &fields);
}

fn seen_entry(draft: &mut Draft, ledger: &Ledger, key: JobKey, seen: &Seen) {
    let hash = ledger.jobs.get(&key).map(|job| job.hash().to_string()).unwrap_or_default();
    let nonce = seen.nonce.map(|nonce| nonce.to_string()).unwrap_or_default();
    let effect = seen.effect.as_str();
    let fields: [(&str, &dyn std::fmt::Display); 8] = [
        ("safe", &key.safe),
        ("safe_nonce", &key.nonce),
        ("hash", &hash),
        ("txid", &seen.txid),
        ("block", &seen.block),
        ("block_hash", &seen.block_hash),
        ("effect", &effect),
        ("nonce", &nonce),
    ];
    draft.entry(EntryKind::ExecutionSeen, &fields);
}

fn settled(draft: &mut Draft, ledger: &Ledger, key: JobKey, outcome: &Outcome) {
    let hash = ledger.jobs.get(&key).map(|job| job.hash().to_string()).unwrap_or_default();
    let (word, txid, block, detail) = match outcome {
        Outcome::Executed { effect, txid, block, detail } => {
            (effect.as_str(), txid.to_string(), *block, shown(detail))
        }
        Outcome::NotFound { since } => ("not_found", String::new(), *since, String::new()),
    };
    let code = outcome.code().map(|code| code.to_string()).unwrap_or_default();
    let fields: [(&str, &dyn std::fmt::Display); 8] = [
        ("safe", &key.safe),
        ("safe_nonce", &key.nonce),
        ("hash", &hash),
        ("outcome", &word),
        ("txid", &txid),
        ("block", &block),
        ("code", &code),
        ("detail", &detail),
    ];
    draft.entry(EntryKind::ExecutionSettled, &fields);
}

fn job_words(ledger: &Ledger, nonce: u64) -> ((Address, u64), String) {
    let Some(slot) = ledger.slots.get(&nonce) else { return ((Address::ZERO, 0), String::new()) };
    let hash = ledger.job_of(slot).map(|job| job.hash().to_string()).unwrap_or_default();
    ((slot.job.safe, slot.job.nonce), hash)
}

/// A detail on one line and shortened: nodes' own words are in it.
fn shown(detail: &str) -> String {
    detail.chars().take(DETAIL_LEN_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
