//! Owns telling: what is written down as a command is told to the own backend or the other VASP until it is heard, or a day is over.
//!
//! At least once, in order for one verification, over restarts. Who is told must be able to hear a thing twice.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::round;
use crate::enclave::EnclaveFault;
use crate::enclave::backend::CallbackKind;
use crate::enclave::database::{Command, NewCommand, Origin, Settled, Standing, Verification};
use crate::enclave::record::Outcome;
use crate::enclave::room::Room;
use crate::withdrawal::Seconds;

/// The command type of a report to the other VASP.
pub(in crate::enclave) const REPORT: &str = "REPORT";

const TICK: Duration = Duration::from_millis(500);
const AT_ONCE_MAX: usize = 16;
/// How long it is kept that something was told, in seconds.
const FINISHED_S_MAX: u64 = 30 * 86_400;

/// What the backend is to be told of a verification's result: it is told what it ordered, and nothing else.
pub(in crate::enclave) fn callback_of(
    v: &Verification,
    settled: &Settled,
    beneficiary: &str,
) -> Option<NewCommand> {
    let told = v.origin == Origin::Order && v.kind == "user";
    let uuid = v.uuid.as_ref().filter(|_| told)?;
    let mut data = json!({
        "verificationUuid": uuid,
        "verificationResult": settled.result.as_str(),
        "reason": settled.reason,
        "message": settled.message,
    })
    .to_string();
    let given = if settled.result == Outcome::Verified { beneficiary } else { "" };
    // Taken over as text: it is JSON, and no copy of it stays behind.
    data.truncate(data.len() - 1);
    let ivms = if given.is_empty() { "{}".to_owned() } else { format!("{{\"beneficiary\":{given}}}") };
    let ivms = Zeroizing::new(ivms);
    let mut body = Zeroizing::new(String::with_capacity(data.len() + ivms.len() + 16));
    body.push_str(&data);
    body.push_str(",\"ivms101\":");
    body.push_str(&ivms);
    body.push('}');
    let lane = format!("callback:{}:{}", v.role.as_str(), v.row_key);
    Some(NewCommand { kind: CallbackKind::VerificationResult.as_str(), lane, number: 0, body })
}

/// What the backend is to be told of a report of the other VASP.
pub(in crate::enclave) fn callback_about(
    kind: CallbackKind,
    standing: &Standing,
    number: u64,
    data: &Value,
) -> NewCommand {
    let lane = format!("callback:{}:{}", standing.role.as_str(), standing.row_key);
    NewCommand { kind: kind.as_str(), lane, number, body: Zeroizing::new(data.to_string()) }
}

/// Wakes the worker, if there is something for it.
pub(in crate::enclave) fn wake(room: &Room, something: bool) {
    if something {
        room.told.notify_one();
    }
}

/// Tells what is due, for ever.
pub(in crate::enclave) async fn work(room: Arc<Room>) {
    let since = Seconds((room.now)().0.saturating_sub(FINISHED_S_MAX));
    while let Err(fault) = room.db.commands_recover(since).await {
        tracing::error!(%fault, "the enclave's database does not answer");
        tokio::time::sleep(TICK).await;
    }
    let mut telling = JoinSet::new();
    loop {
        let places = AT_ONCE_MAX.saturating_sub(telling.len());
        match room.db.commands_fetch((room.now)(), places).await {
            Ok(due) => due.into_iter().for_each(|command| {
                let room = room.clone();
                telling.spawn(async move { tell(&room, command).await });
            }),
            Err(fault) => tracing::error!(%fault, "the enclave's database does not answer"),
        }
        let mut heard: Vec<i64> = Vec::new();
        tokio::select! {
            Some(ended) = telling.join_next() => {
                heard.extend(ended.ok().flatten());
                // What ended meanwhile is written down with it, and its places are filled together.
                while let Some(ended) = telling.try_join_next() {
                    heard.extend(ended.ok().flatten());
                }
            }
            () = room.told.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
        if !heard.is_empty()
            && let Err(fault) = room.db.commands_done(&heard, (room.now)()).await
        {
            // They are taken up again when they take too long, or at the next start.
            tracing::error!(commands = ?heard, %fault, "what was heard could not be written down");
        }
    }
}

/// Tells it once; gives its id if it was heard.
async fn tell(room: &Arc<Room>, command: Command) -> Option<i64> {
    try_to_tell(room, &command).await.unwrap_or_else(|fault| {
        // It is taken up again at the next start, or by the next try.
        tracing::error!(command = command.id, %fault, "a command could not be written down");
        None
    })
}

async fn try_to_tell(room: &Arc<Room>, command: &Command) -> Result<Option<i64>, EnclaveFault> {
    let heard = match CallbackKind::ALL.into_iter().find(|kind| kind.as_str() == command.kind) {
        Some(kind) => call_back(room, kind, command).await,
        None => round::deliver(room, &command.body).await,
    };
    if heard {
        return Ok(Some(command.id));
    }
    let now = (room.now)();
    // Judged after the try: what waited while this enclave was off is told once at least.
    if now.since(command.created_at).is_some_and(|age| age >= room.limits.tell_s_max) {
        tracing::error!(
            command = command.id,
            kind = command.kind,
            code = "COMMAND_GIVEN_UP",
            "nobody heard it in time"
        );
        room.db.command_failed(command.id, now).await?;
        return Ok(None);
    }
    let pause = 1u64.checked_shl(command.tries.min(16)).unwrap_or(u64::MAX);
    let until = now.plus(pause.min(room.limits.tell_pause_s_max.max(1)));
    room.db.command_put_off(command.id, command.tries.saturating_add(1), until).await?;
    Ok(None)
}

/// In a task of its own, so that a backend that panics takes nothing with it.
async fn call_back(room: &Arc<Room>, kind: CallbackKind, command: &Command) -> bool {
    let Ok(data) = std::str::from_utf8(&command.body) else { return false };
    let (backend, data, time) =
        (room.backend.clone(), Zeroizing::new(data.to_owned()), room.limits.account_time);
    let called = tokio::spawn(async move { tokio::time::timeout(time, backend.callback(kind, &data)).await });
    let heard = matches!(called.await, Ok(Ok(true)));
    if !heard {
        tracing::warn!(command = command.id, kind = command.kind, "the backend did not take a callback");
    }
    heard
}
