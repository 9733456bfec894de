//! Owns looking into deposits that fit nothing, or too much: possible senders are asked, again and again, until a time is over.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::matching::{Candidate, Found};
use super::words::DepositReason;
use crate::enclave::EnclaveFault;
use crate::enclave::backend::TransferStatus;
use crate::enclave::database::OpenDeposit;
use crate::enclave::room::Room;
use crate::enclave::telling::reports::inquire_for;
use crate::withdrawal::Seconds;

const TICK: Duration = Duration::from_secs(1);
/// How many deposits are looked into at once.
const AT_ONCE_MAX: u32 = 16;
/// How many senders are asked about one deposit in one go, the newest verifications first.
const ASKED_MAX: usize = 16;

/// Looks into what is due, for ever.
pub(in crate::enclave) async fn work(room: Arc<Room>) {
    loop {
        match room.db.deposits_due((room.now)(), AT_ONCE_MAX).await {
            Ok(due) => {
                join_all(due.iter().map(|deposit| look_into(&room, deposit))).await;
            }
            Err(fault) => tracing::error!(%fault, "the enclave's database does not answer"),
        }
        tokio::select! {
            () = room.arrived.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn look_into(room: &Room, deposit: &OpenDeposit) {
    if let Err(fault) = try_to_settle(room, deposit).await {
        tracing::error!(deposit = deposit.id, %fault, "a deposit could not be looked into");
    }
}

async fn try_to_settle(room: &Room, deposit: &OpenDeposit) -> Result<(), EnclaveFault> {
    let Some(open) = still_open(room, deposit).await? else { return Ok(()) };
    let said =
        join_all(open.iter().take(ASKED_MAX).map(|one| inquire_for(room, &one.uuid, deposit.id))).await;
    let now = (room.now)();
    let Some(found) = room.db.deposit_match(deposit.id, now).await? else { return Ok(()) };
    let (open, other_amount) = match found {
        Found::One(..) => return Ok(()),
        Found::Several(several) => (several, false),
        Found::None { open, other_amount } => (open, other_amount),
    };
    let is_over = now.since(deposit.created_at).is_some_and(|age| age >= room.limits.deposit_s_max);
    let canceled = |status: &Option<TransferStatus>| *status == Some(TransferStatus::Canceled);
    let reason = match () {
        () if open.is_empty() => Some(DepositReason::NoVerification),
        () if said.len() == open.len() && said.iter().all(canceled) => Some(DepositReason::Canceled),
        () if is_over && other_amount => Some(DepositReason::OtherAmount),
        () if is_over => Some(DepositReason::NotNamed),
        () => None,
    };
    match reason {
        Some(reason) => {
            let (deposit, reason_text) = (deposit.id, reason.as_str());
            tracing::warn!(deposit, reason = reason_text, "a deposit has no verification: people decide");
            Ok(room.db.deposit_left(deposit, reason, now).await?)
        }
        None => put_off(room, deposit, now).await,
    }
}

/// The verifications whose senders can be asked; nothing if it was settled.
async fn still_open(room: &Room, deposit: &OpenDeposit) -> Result<Option<Vec<Candidate>>, EnclaveFault> {
    Ok(match room.db.deposit_match(deposit.id, (room.now)()).await? {
        None | Some(Found::One(..)) => None,
        Some(Found::Several(several)) => Some(several),
        Some(Found::None { open, .. }) => Some(open),
    })
}

/// Doubles the pause each time, up to the bound.
async fn put_off(room: &Room, deposit: &OpenDeposit, now: Seconds) -> Result<(), EnclaveFault> {
    let first = room.limits.deposit_pause_s.max(1);
    let pause = first.checked_shl(deposit.tries.min(16)).unwrap_or(u64::MAX).min(first.saturating_mul(10));
    let tries = deposit.tries.saturating_add(1);
    Ok(room.db.deposit_put_off(deposit.id, tries, now.plus(pause)).await?)
}
