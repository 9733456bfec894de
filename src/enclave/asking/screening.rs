//! Owns screening again: what was clear once is looked for on the lists as they are now, before anything about it leaves.

use serde::Deserialize;

use crate::enclave::EnclaveFault;
use crate::enclave::answer::Reason;
use crate::enclave::asking::round::payload_text;
use crate::enclave::database::{Origin, Role, Settled, Signed, Verification};
use crate::enclave::ivms::{Beneficiary, Payload, Person, Text};
use crate::enclave::room::Room;
use crate::enclave::screen::Screening;

/// The one part of a kept reply that names somebody.
#[derive(Deserialize)]
struct Given {
    ivms101: Text,
}

/// Looks for both accounts of a verification and for all its persons, the one that was given back among them. What cannot be read
/// cannot be screened.
pub(in crate::enclave) async fn screen_kept(room: &Room, v: &Verification) -> Screening {
    if !room.screens() {
        return Screening::Clear;
    }
    match persons(room, v) {
        Some(persons) => room.screened_as(&[&v.destination, &v.originator_account], &persons).await,
        None => {
            tracing::error!(request = v.row_key, "the persons of a verification cannot be read again");
            Screening::Unknown
        }
    }
}

fn persons(room: &Room, v: &Verification) -> Option<Vec<Person>> {
    let (now, asked) = ((room.now)(), payload_text(v));
    let mut persons = Vec::new();
    if !asked.is_empty() {
        persons.extend(Payload::parse(asked.as_bytes(), now).ok()?.persons());
    }
    if let Some(reply) = &v.reply {
        let given: Given = serde_json::from_slice(reply).ok()?;
        if !given.ivms101.as_str().is_empty() {
            persons.extend(Beneficiary::parse(given.ivms101.as_str().as_bytes(), now).ok()?.persons());
        }
    }
    Some(persons)
}

/// Whether a list names somebody of a kept withdrawal; where that cannot be found out, nothing is given out.
///
/// Under the lists of the last time it is known without looking.
pub(in crate::enclave) async fn is_listed(room: &Room, v: &Verification) -> Result<bool, EnclaveFault> {
    let version = room.lists_version();
    match screen_kept(room, v).await {
        Screening::Clear => {
            if let Some(answer) = &v.answer {
                room.known.cleared(&v.row_key, &answer.signature, version);
            }
            Ok(false)
        }
        listed @ (Screening::AddressListed | Screening::NameListed) => {
            tracing::warn!(request = v.row_key, ?listed, "a withdrawal met a sanctions list");
            Ok(true)
        }
        Screening::Unknown => Err(EnclaveFault::Unscreened),
    }
}

/// Whether an answer in memory was screened under the lists that stand now.
pub(in crate::enclave) fn is_clear(room: &Room, cleared: Option<u64>) -> bool {
    !room.screens() || room.lists_version().is_some_and(|version| cleared == Some(version))
}

/// The answer kept for a withdrawal, read with its persons and screened with them; none where a list stops it.
pub(in crate::enclave) async fn screened_answer(
    room: &Room,
    digest: &str,
) -> Result<Option<Signed>, EnclaveFault> {
    if !room.screens() {
        return Ok(room.db.answer(digest).await?);
    }
    let kept = room.db.verification(Role::Originator, digest).await?;
    let Some(kept) = kept.filter(|kept| kept.origin == Origin::Withdrawal) else {
        return Ok(None);
    };
    if kept.answer.is_none() || is_listed(room, &kept).await? { Ok(None) } else { Ok(kept.answer) }
}

/// What the record of an order says that meets a list; nothing if it meets none.
pub(in crate::enclave) fn denied(screening: Screening, account: &str) -> Option<Settled> {
    let message = match screening {
        Screening::Clear | Screening::Unknown => return None,
        Screening::AddressListed => account.to_owned(),
        Screening::NameListed => "-".to_owned(),
    };
    Some(Settled { message: Some(message), ..Settled::denied(Reason::Blacklisted) })
}
