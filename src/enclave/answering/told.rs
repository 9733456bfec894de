//! Owns hearing: reports and inquiries of other VASPs. Each is taken only from the VASP the verification is with, and in its role.

use data_encoding::BASE64;
use ed25519_dalek::Signer;
use serde_json::json;
use zeroize::Zeroizing;

use crate::enclave::answer::plain_message;
use crate::enclave::answering::parcel::{Letter, Trouble, known};
use crate::enclave::backend::{CallbackKind, Transfer, TransferStatus};
use crate::enclave::database::{Role, Standing, Written};
use crate::enclave::record::Outcome;
use crate::enclave::room::{Room, entropy};
use crate::enclave::telling::outbox::{callback_about, wake};
use crate::enclave::telling::reports::{backend_status, call_deposits, check_reason, check_word, or_null};
use crate::enclave::telling::round::{about, json_of};
use crate::enclave::wire::letter::{Inquired, Report, SealedWord, Status, Taken, Told, binding, word_text};
use crate::enclave::wire::seal::{self, Direction, pad};
use crate::enclave::wire::{Fate, Parcel};

/// Takes a report or an inquiry from the relay. A report that comes again changes nothing and gets a receipt again.
pub(in crate::enclave) async fn receive(room: &Room, parcel: &Parcel) -> Fate {
    let taken = match parcel.kind.as_str() {
        "report" => hear(room, parcel).await,
        "inquiry" => say(room, parcel).await,
        _ => Err(Trouble::Refused("malformed")),
    };
    match taken {
        Ok(fate) => fate,
        Err(Trouble::Refused(error)) => {
            let (uuid, from) = known(room, parcel);
            tracing::warn!(uuid, from, error, "a report was refused");
            Fate::Refused { error: error.to_owned() }
        }
        Err(Trouble::Fault(fault)) => {
            let (uuid, from) = known(room, parcel);
            tracing::error!(uuid, from, %fault, "a report could not be taken");
            Fate::Waiting
        }
    }
}

async fn hear(room: &Room, parcel: &Parcel) -> Result<Fate, Trouble> {
    let no = Trouble::Refused;
    let letter = Letter::open(room, parcel, Direction::Report).await?;
    let told: Told = serde_json::from_str(letter.asked.as_str()).map_err(|_| no("unreadable"))?;
    if told.uuid != parcel.uuid {
        return Err(no("mismatch"));
    }
    let row = format!("{}:{}", letter.from, told.uuid);
    for _ in 0..8 {
        let standing = room.db.standing_of(Role::Beneficiary, &row).await?;
        let standing = standing.ok_or(no("verification_unknown"))?;
        check_key_type(&letter, &standing)?;
        let number = match take(room, &standing, &told).await? {
            true => told.number,
            // What came before, or comes again.
            false if told.number <= standing.reported => standing.reported,
            false => continue,
        };
        let said = json_of(&Taken { number })?;
        return reply(room, &letter, &standing, Direction::Receipt, said);
    }
    Err(Trouble::Refused("busy"))
}

/// Writes a new report down, with what the backend is to be told; says whether it is new.
async fn take(room: &Room, standing: &Standing, told: &Told) -> Result<bool, Trouble> {
    let no = Trouble::Refused;
    if told.number <= standing.reported {
        return Ok(false);
    }
    if standing.result != Outcome::Verified {
        return Err(no("not_verified"));
    }
    let malformed = |_| no("malformed");
    let (written, kind, data) = match &told.report {
        Report::Tx { tx_hash, vout } => {
            check_word("txHash", tx_hash).map_err(malformed)?;
            vout.as_deref().map(|vout| check_word("vout", vout)).transpose().map_err(malformed)?;
            let data = json!({"txHash": tx_hash, "vout": or_null(vout.as_deref())});
            (Written::Tx { hash: tx_hash, vout: vout.as_deref() }, CallbackKind::TxReport, data)
        }
        Report::Error { result, reason, message } => {
            check_reason(reason).map_err(malformed)?;
            let known = Outcome::parse(result).is_some_and(|result| result != Outcome::Wait);
            let plain = message.as_ref().is_none_or(|text| plain_message(text.clone()).is_some());
            if !known || !plain {
                return Err(no("malformed"));
            }
            let message = message.as_deref();
            let data = json!({"result": result, "reason": reason, "message": or_null(message)});
            (Written::Error { result, reason, message }, CallbackKind::ErrorReport, data)
        }
    };
    let callback = callback_about(kind, standing, told.number, &about(&standing.uuid, data));
    let now = (room.now)();
    let done = room.db.report_insert(standing, told.number, &written, &callback, now).await?;
    wake(room, done);
    if let Report::Tx { tx_hash, .. } = &told.report {
        call_deposits(room, Some(tx_hash).filter(|_| done).map(String::as_str), now).await?;
    }
    Ok(done)
}

async fn say(room: &Room, parcel: &Parcel) -> Result<Fate, Trouble> {
    let no = Trouble::Refused;
    let letter = Letter::open(room, parcel, Direction::Inquiry).await?;
    let inquired: Inquired = serde_json::from_str(letter.asked.as_str()).map_err(|_| no("unreadable"))?;
    if inquired.uuid != parcel.uuid {
        return Err(no("mismatch"));
    }
    let standing = room.db.standing(Role::Originator, &inquired.uuid).await?;
    let standing = standing.filter(|standing| standing.beneficiary_vasp == letter.from);
    let standing = standing.ok_or(no("verification_unknown"))?;
    check_key_type(&letter, &standing)?;
    let heard = backend_status(room, &standing.uuid).await;
    if let Some(transfer) = &heard {
        room.db.transfer_noted(&standing, transfer).await?;
    }
    let transfer = heard.unwrap_or_else(|| own_word(&standing));
    let said = json_of(&Status {
        status: transfer.status.as_str().to_owned(),
        vout: transfer.vout.or_else(|| standing.vout.clone().filter(|_| transfer.tx_hash.is_none())),
        tx_hash: transfer.tx_hash.or_else(|| standing.tx_hash.clone()),
    })?;
    // Bound to the uuid it was asked by, which may be one from before a renewal.
    let standing = Standing { uuid: inquired.uuid, ..standing };
    reply(room, &letter, &standing, Direction::Status, said)
}

/// What the own record says where the backend does not.
fn own_word(standing: &Standing) -> Transfer {
    let status = match (standing.result, &standing.tx_hash) {
        (Outcome::Verified, Some(_)) => standing.status.unwrap_or(TransferStatus::Processing),
        (Outcome::Verified | Outcome::Wait, _) => TransferStatus::Pending,
        (Outcome::Denied | Outcome::Error, _) => TransferStatus::Canceled,
    };
    Transfer { status, tx_hash: standing.tx_hash.clone(), vout: standing.vout.clone() }
}

/// Both sides keep to the key type that the verification was asked with.
fn check_key_type(letter: &Letter, standing: &Standing) -> Result<(), Trouble> {
    if letter.key_type == standing.key_type { Ok(()) } else { Err(Trouble::Refused("mismatch")) }
}

fn reply(
    room: &Room,
    letter: &Letter,
    standing: &Standing,
    back: Direction,
    said: String,
) -> Result<Fate, Trouble> {
    let to = letter.reply_to(room, &standing.destination, &standing.uuid)?;
    let binding = binding(back, &standing.uuid, room.vasp, letter.from, letter.key_type);
    let signature =
        room.identity.sign(&word_text(binding, to.suite(), letter.asked.as_str(), &said)).to_bytes();
    let word = json_of(&SealedWord { said, signature: BASE64.encode(&signature) })?;
    let plain = pad(Zeroizing::new(word));
    let envelope = seal::seal(&to, binding, plain.as_bytes(), entropy()?);
    Ok(Fate::Answered { envelope: envelope.map_err(|_| Trouble::Refused("reply_key_invalid"))? })
}
