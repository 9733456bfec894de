//! Saying on the log how each job goes, and how the executor stands.

use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::view::{JobView, Standing, State};

/// Jobs looked at, at once.
const AT_ONCE: usize = 100;

/// Says what changes until it is told to stop, or the executor is gone.
pub async fn tell(mut desk: Desk, stop: CancellationToken) {
    let mut cursor = desk.newest();
    let mut before = Standing::default();
    loop {
        let standing = desk.standing();
        of_standing(&before, &standing);
        before = standing;
        match desk.changes(&cursor, AT_ONCE).await {
            Ok(changes) => {
                changes.jobs.iter().for_each(of_job);
                cursor = changes.cursor;
            }
            Err(fault) => tracing::warn!(%fault, "the ledger cannot be read"),
        }
        tokio::select! {
            is_there = desk.changed() => if !is_there { return },
            () = stop.cancelled() => return,
        }
    }
}

fn of_job(job: &JobView) {
    let (safe, nonce, hash) = (job.key.safe, job.key.nonce, job.hash);
    match &job.state {
        State::Waiting(None) => tracing::info!(%safe, nonce, %hash, "waits"),
        State::Waiting(Some((code, detail))) => tracing::warn!(%safe, nonce, %hash, %code, detail, "held"),
        State::InFlight => tracing::info!(%safe, nonce, %hash, "sent"),
        State::Included { txid, block, effect } => {
            tracing::info!(%safe, nonce, %hash, %txid, block, effect = effect.as_str(), "in a block");
        }
        State::Final(outcome) => match outcome.code() {
            None => tracing::info!(%safe, nonce, %hash, gas_paid = %job.gas_paid, "final: {outcome:?}"),
            Some(code) => tracing::error!(%safe, nonce, %hash, %code, "final: {outcome:?}"),
        },
    }
}

fn of_standing(before: &Standing, now: &Standing) {
    if now.stands_by != before.stands_by {
        match &now.stands_by {
            Some(other) => tracing::info!(other, "stands by: another one works on this ledger"),
            None => tracing::info!("works"),
        }
    }
    if let (Some(refuel), None) = (now.refuel, before.refuel) {
        let account = now.account.map(|account| account.to_string()).unwrap_or_default();
        tracing::warn!(account, balance = %now.balance, %refuel, "the account wants fuel");
    }
    for trouble in now.troubles.iter().filter(|trouble| !before.troubles.contains(trouble)) {
        tracing::warn!(code = %trouble.code, subject = trouble.subject, "{}", trouble.detail);
    }
}
