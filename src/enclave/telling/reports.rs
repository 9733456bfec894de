//! Owns reporting: what follows a verified transfer is written down here, and told the VASP that verified it until it has heard.

use serde_json::Value;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::enclave::EnclaveFault;
use crate::enclave::answer::{Decision, plain_message};
use crate::enclave::asking::order::ErrorReport;
use crate::enclave::asking::round::Miss;
use crate::enclave::backend::{Transfer, TransferStatus};
use crate::enclave::database::{NewCommand, Origin, Role, Standing, Written};
use crate::enclave::door::{Tell, TellAsk};
use crate::enclave::record::Outcome;
use crate::enclave::room::Room;
use crate::enclave::telling::outbox::{REPORT, wake};
use crate::enclave::telling::round::{Outgoing, Way, json_of, tell};
use crate::enclave::wire::letter::{Inquired, Report, Status, Told, is_uuid};
use crate::enclave::wire::seal::Direction;
use crate::withdrawal::{Code, Invalid, Seconds};

/// Longest transaction hash and output index, in characters.
const HASH_LEN_MAX: usize = 128;

/// A verification by its uuid or by the digest of its withdrawal's request.
pub(in crate::enclave) enum Of<'a> {
    Uuid(&'a str),
    Digest(&'a str),
}

/// See [`crate::enclave::Enclave::report_tx`].
pub(in crate::enclave) async fn report_tx(
    room: &Room,
    of: Of<'_>,
    hash: &str,
    vout: Option<&str>,
) -> Result<(), EnclaveFault> {
    let vout = vout.filter(|vout| !vout.is_empty());
    check_word("txHash", hash)?;
    vout.map(|vout| check_word("vout", vout)).transpose()?;
    // Somebody else may report at the same moment: then it is looked at again.
    for _ in 0..8 {
        let standing = ours(room, &of).await?;
        if standing.tx_hash.as_deref() == Some(hash) && standing.vout.as_deref() == vout {
            return Ok(());
        }
        if standing.result != Outcome::Verified {
            return Err(EnclaveFault::State("it is not verified"));
        }
        if standing.tx_hash.is_some() && status_of(room, &standing).await == Some(TransferStatus::Confirmed) {
            return Err(EnclaveFault::State("its transaction is final"));
        }
        let report = Report::Tx { tx_hash: hash.to_owned(), vout: vout.map(str::to_owned) };
        if write(room, &standing, report, &Written::Tx { hash, vout }).await? {
            return Ok(());
        }
    }
    Err(EnclaveFault::State("it is being reported about by others"))
}

/// See [`crate::enclave::Enclave::report_error`].
pub(in crate::enclave) async fn report_error(
    room: &Room,
    of: Of<'_>,
    error: &ErrorReport,
) -> Result<(), EnclaveFault> {
    check_reason(&error.reason)?;
    let message = error.message.clone().filter(|message| !message.is_empty());
    let message = match message.map(|message| plain_message(message).ok_or_else(message_refused)) {
        Some(message) => Some(message?),
        None => None,
    };
    for _ in 0..8 {
        let standing = ours(room, &of).await?;
        // Its answer is evidence by which the signer pays: what is told here would not stop it.
        if matches!(of, Of::Uuid(_)) && standing.origin == Origin::Withdrawal {
            return Err(EnclaveFault::State("the signer pays it: cancel the withdrawal there"));
        }
        if standing.result == Outcome::Error && standing.reason.as_deref() == Some(&*error.reason) {
            return Ok(());
        }
        if standing.result != Outcome::Verified {
            return Err(EnclaveFault::State("it is not verified"));
        }
        if status_of(room, &standing).await == Some(TransferStatus::Confirmed) {
            return Err(EnclaveFault::State("its transaction is final"));
        }
        let (result, reason) = (error.result.as_str(), error.reason.as_str());
        let report =
            Report::Error { result: result.to_owned(), reason: reason.to_owned(), message: message.clone() };
        let written = Written::Error { result, reason, message: message.as_deref() };
        if write(room, &standing, report, &written).await? {
            return Ok(());
        }
    }
    Err(EnclaveFault::State("it is being reported about by others"))
}

/// What the signer says of a withdrawal, by the digest of its request. It replaces the transactions it made before and no other: one
/// that somebody reported in their place stays.
pub(in crate::enclave) async fn tell_of(room: &Room, ask: &TellAsk) -> Result<(), EnclaveFault> {
    let of = Of::Digest(&ask.request_digest);
    match &ask.tell {
        Tell::Tx { tx_hash, vout, replaces } => {
            let standing = ours(room, &of).await?;
            if standing.tx_hash.is_some_and(|reported| reported != *tx_hash && !replaces.contains(&reported))
            {
                return Err(EnclaveFault::State("another transaction was reported"));
            }
            report_tx(room, of, tx_hash, Some(&vout.to_string())).await
        }
        Tell::Error(reason) => {
            let reason = reason.as_str().to_owned();
            report_error(room, of, &ErrorReport { result: Decision::Error, reason, message: None }).await
        }
    }
}

/// See [`crate::enclave::Enclave::inquire`]. The transaction that the sender names is the record's from now on.
pub(in crate::enclave) async fn inquire(room: &Room, uuid: &str) -> Result<Transfer, EnclaveFault> {
    let standing = room.db.standing(Role::Beneficiary, uuid).await?.ok_or(EnclaveFault::Unknown)?;
    let transfer = inquired(room, &standing).await?;
    let now = (room.now)();
    room.db.inquiry_heard(&standing, None, Some(&transfer), now).await?;
    call_deposits(room, transfer.tx_hash.as_deref(), now).await?;
    Ok(transfer)
}

/// The same for a deposit that might be this transfer; that nobody answers is written down as well.
pub(in crate::enclave) async fn inquire_for(room: &Room, uuid: &str, deposit: i64) -> Option<TransferStatus> {
    let heard = async {
        let standing = room.db.standing(Role::Beneficiary, uuid).await?.ok_or(EnclaveFault::Unknown)?;
        let said = inquired(room, &standing).await.ok();
        room.db.inquiry_heard(&standing, Some(deposit), said.as_ref(), (room.now)()).await?;
        Ok::<_, EnclaveFault>(said.map(|said| said.status))
    };
    heard.await.unwrap_or_else(|fault| {
        tracing::error!(uuid, %fault, "an inquiry could not be written down");
        None
    })
}

/// Has the deposits looked into that are this transaction's.
pub(in crate::enclave) async fn call_deposits(
    room: &Room,
    tx_hash: Option<&str>,
    now: Seconds,
) -> Result<(), EnclaveFault> {
    if let Some(hash) = tx_hash.filter(|hash| !hash.is_empty())
        && room.db.deposits_called(hash, now).await?
    {
        room.arrived.notify_one();
    }
    Ok(())
}

async fn inquired(room: &Room, standing: &Standing) -> Result<Transfer, EnclaveFault> {
    let inquired = Inquired { uuid: standing.uuid.clone(), asked_at: (room.now)().0 };
    let asked = json_of(&inquired)?;
    let way = Way::of(standing, standing.originating_vasp);
    let telling = tell(room, &way, (Direction::Inquiry, Direction::Status), &asked);
    let said = match timeout(room.limits.order_time, telling).await {
        Ok(Ok(said)) => said,
        Ok(Err(Miss::Fault(fault))) => return Err(fault),
        Ok(Err(Miss::Refused(code))) if code == "verification_unknown" => return Err(EnclaveFault::Unknown),
        Ok(Err(miss)) => {
            tracing::warn!(uuid = standing.uuid, %miss, "an inquiry brought no answer");
            return Err(EnclaveFault::NoAnswer);
        }
        Err(_) => return Err(EnclaveFault::NoAnswer),
    };
    let transfer = read_status(&said).ok_or(EnclaveFault::NoAnswer)?;
    room.db.transfer_noted(standing, &transfer).await?;
    Ok(transfer)
}

fn read_status(said: &str) -> Option<Transfer> {
    let status: Status = serde_json::from_str(said).ok()?;
    let word = |text: &Option<String>| text.as_deref().is_none_or(|text| check_word("txHash", text).is_ok());
    let good = word(&status.tx_hash) && word(&status.vout);
    let transfer = Transfer {
        status: TransferStatus::parse(&status.status)?,
        tx_hash: status.tx_hash,
        vout: status.vout,
    };
    good.then_some(transfer)
}

async fn ours(room: &Room, of: &Of<'_>) -> Result<Standing, EnclaveFault> {
    let standing = match of {
        Of::Uuid(uuid) if !is_uuid(uuid) => None,
        Of::Uuid(uuid) => room.db.standing(Role::Originator, uuid).await?,
        Of::Digest(digest) => room.db.standing_of(Role::Originator, digest).await?,
    };
    standing.ok_or(EnclaveFault::Unknown)
}

/// The last status heard of, after asking the backend for a newer one.
async fn status_of(room: &Room, standing: &Standing) -> Option<TransferStatus> {
    let heard = backend_status(room, &standing.uuid).await;
    if let Some(transfer) = &heard
        && let Err(fault) = room.db.transfer_noted(standing, transfer).await
    {
        tracing::error!(%fault, "the enclave's database does not answer");
    }
    heard.map(|transfer| transfer.status).or(standing.status)
}

/// What the own backend says of a transfer, within its time. In a task of its own, so that one that panics takes nothing with it.
pub(in crate::enclave) async fn backend_status(room: &Room, uuid: &str) -> Option<Transfer> {
    let (backend, time, uuid) = (room.backend.clone(), room.limits.account_time, uuid.to_owned());
    let asked = tokio::spawn(async move { timeout(time, backend.transaction_status(&uuid)).await });
    asked.await.ok()?.ok().flatten()
}

/// Writes a report down with the command that tells it; says whether the verification still stood so.
async fn write(
    room: &Room,
    standing: &Standing,
    report: Report,
    written: &Written<'_>,
) -> Result<bool, EnclaveFault> {
    let number = standing.reported.saturating_add(1);
    let told = Told { uuid: standing.uuid.clone(), number, report };
    let body = json_of(&Outgoing::new(&Way::of(standing, standing.beneficiary_vasp), told))?;
    let lane = format!("report:{}:{}", standing.role.as_str(), standing.row_key);
    let command = NewCommand { kind: REPORT, lane, number, body: Zeroizing::new(body) };
    let done = room.db.report_insert(standing, number, written, &command, (room.now)()).await?;
    wake(room, done);
    Ok(done)
}

/// A transaction hash or an output's index: exactly as the node prints it, so only its shape is looked at.
pub(in crate::enclave) fn check_word(field: &'static str, text: &str) -> Result<(), Invalid> {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
    if text.is_empty() || text.len() > HASH_LEN_MAX || !text.bytes().all(plain) {
        let problem = format!("is not 1 to {HASH_LEN_MAX} printable characters");
        return Err(Invalid::new(
            Code::FieldMalformed,
            field,
            problem,
            "send it exactly as the node prints it",
        ));
    }
    Ok(())
}

/// A reason is a code, as it is in an answer.
pub(in crate::enclave) fn check_reason(reason: &str) -> Result<(), Invalid> {
    let code = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let good = reason.len() <= 64
        && reason.bytes().all(code)
        && reason.starts_with(|c: char| c.is_ascii_uppercase());
    if good {
        return Ok(());
    }
    let problem = "is not a code of 1 to 64 of A-Z 0-9 - _ that starts with a letter";
    Err(Invalid::new(Code::FieldMalformed, "reason", problem, "send a code such as USER-CANCELED"))
}

fn message_refused() -> Invalid {
    let problem = "is longer than 1,024 bytes, or holds a control character";
    Invalid::new(Code::FieldMalformed, "message", problem, "send one line of plain text")
}

/// A JSON `null` for what is not there.
pub(in crate::enclave) fn or_null(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::String(text.to_owned()))
}
