//! Owns one round of telling the other VASP: seal a report or an inquiry, send it, and believe only a signed word about exactly it.

use axum::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::enclave::EnclaveFault;
use crate::enclave::answering::parcel::sealed_letter;
use crate::enclave::asking::peer::peer_key;
use crate::enclave::asking::round::Miss;
use crate::enclave::database::Standing;
use crate::enclave::ivms::Text;
use crate::enclave::room::{CALL_TIME, Room};
use crate::enclave::wire::client::CallFault;
use crate::enclave::wire::key::KeyType;
use crate::enclave::wire::letter::{
    SealedWord, Taken, Told, binding, check_signature, identifier, word_text,
};
use crate::enclave::wire::seal::{Direction, Envelope, Suite};
use crate::enclave::wire::{Fate, Parcel, plain_code};
use crate::withdrawal::VaspId;

/// Whom to tell about which verification.
#[derive(Clone)]
pub(in crate::enclave) struct Way {
    pub(in crate::enclave) to: VaspId,
    pub(in crate::enclave) uuid: String,
    pub(in crate::enclave) key_type: KeyType,
    pub(in crate::enclave) destination: String,
}

impl Way {
    /// To the other side of a verification.
    pub(in crate::enclave) fn of(standing: &Standing, to: VaspId) -> Self {
        let (uuid, destination) = (standing.uuid.clone(), standing.destination.clone());
        Self { to, uuid, key_type: standing.key_type, destination }
    }
}

/// A report as it waits in the outbox.
#[derive(Serialize, Deserialize)]
pub(in crate::enclave) struct Outgoing {
    to: String,
    key_type: String,
    destination: String,
    told: Told,
}

impl Outgoing {
    /// A report on its way.
    pub(in crate::enclave) fn new(way: &Way, told: Told) -> Self {
        let key_type = way.key_type.as_str().to_owned();
        Self { to: way.to.to_string(), key_type, destination: way.destination.clone(), told }
    }
}

/// Delivers a report once; whether the other VASP has it, by its own signed word.
pub(in crate::enclave) async fn deliver(room: &Room, body: &[u8]) -> bool {
    let read = || {
        let outgoing: Outgoing = serde_json::from_slice(body).ok()?;
        let (to, key_type) = (VaspId::parse(&outgoing.to).ok()?, KeyType::parse(&outgoing.key_type)?);
        let uuid = outgoing.told.uuid.clone();
        let asked = serde_json::to_string(&outgoing.told).ok()?;
        let way = Way { to, uuid, key_type, destination: outgoing.destination };
        Some((way, outgoing.told.number, asked))
    };
    let Some((way, number, asked)) = read() else { return false };
    let said = match tell(room, &way, (Direction::Report, Direction::Receipt), &asked).await {
        Ok(said) => said,
        Err(miss) => {
            tracing::warn!(uuid = way.uuid, to = %way.to, %miss, "a report was not taken");
            return false;
        }
    };
    serde_json::from_str::<Taken>(&said).is_ok_and(|taken| taken.number >= number)
}

/// Sends it and opens what comes back. An envelope that the other side cannot open is sealed anew, once.
pub(in crate::enclave) async fn tell(
    room: &Room,
    way: &Way,
    (there, back): (Direction, Direction),
    asked: &str,
) -> Result<String, Miss> {
    let mut left = 2;
    loop {
        left -= 1;
        let parcel = parcel(room, way, there, asked).await?;
        let fate: Fate = room.relay(Method::POST, "/v1/reports", CALL_TIME, &parcel).await?;
        let error = match fate {
            Fate::Answered { envelope } => return opened(room, way, back, asked, &envelope).await,
            Fate::Waiting => return Err(CallFault::Unreachable(way.to.to_string()).into()),
            Fate::Refused { error } => plain_code(error),
        };
        if !["key_unknown", "unreadable"].contains(&&*error) {
            return Err(Miss::Refused(error));
        }
        room.db.peer_keys_forget(way.to).await?;
        if left == 0 {
            return Err(Miss::Refused(error));
        }
    }
}

async fn parcel(room: &Room, way: &Way, there: Direction, asked: &str) -> Result<Parcel, Miss> {
    let purpose = identifier(way.key_type, way.to, &way.destination, &way.uuid);
    let key = peer_key(room, way.to, (way.key_type, &purpose)).await?;
    let asked = Text::new(asked.to_owned());
    let about = (way.uuid.as_str(), way.destination.as_str());
    let sealed = sealed_letter(room, (way.to, &key), (there, way.key_type), about, asked).await?;
    Ok(Parcel {
        from: room.vasp.to_string(),
        to: way.to.to_string(),
        uuid: way.uuid.clone(),
        kind: if there == Direction::Inquiry { "inquiry" } else { "report" }.to_owned(),
        key_type: way.key_type.as_str().to_owned(),
        envelope: sealed.map_err(|_| Miss::Reply("the key seals nothing"))?,
    })
}

async fn opened(
    room: &Room,
    way: &Way,
    back: Direction,
    asked: &str,
    envelope: &Envelope,
) -> Result<String, Miss> {
    let own =
        room.db.own_key_named(&envelope.key_id).await?.ok_or(Miss::Reply("sealed to no key of ours"))?;
    let binding = binding(back, &way.uuid, way.to, room.vasp, way.key_type);
    let plain = own.open(binding, envelope).map_err(|_| Miss::Reply("the envelope does not open"))?;
    let word: SealedWord = serde_json::from_slice(&plain).map_err(|_| Miss::Reply("not a reply"))?;
    let identity = room.peers.get(&way.to).ok_or(EnclaveFault::VaspUnknown(way.to))?;
    let suite = Suite::parse(&envelope.suite).ok_or(Miss::Reply("of no known suite"))?;
    let signed = check_signature(identity, &word_text(binding, suite, asked, &word.said), &word.signature);
    signed.ok_or(Miss::Reply("the reply's signature does not hold"))?;
    Ok(word.said)
}

/// Whether the relay says that a VASP is there.
pub(in crate::enclave) async fn is_up(room: &Room) -> Vec<(String, bool)> {
    let list: Result<Vec<crate::enclave::wire::Vasp>, _> = room.relay_ask("/v1/vasps").await;
    list.unwrap_or_default().into_iter().map(|line| (line.vasp, line.health == "UP")).collect()
}

/// The JSON of a message of ours.
pub(in crate::enclave) fn json_of<T: Serialize>(message: &T) -> Result<String, EnclaveFault> {
    serde_json::to_string(message).map_err(|e| EnclaveFault::Config(e.to_string()))
}

/// Data of a callback about a verification.
pub(in crate::enclave) fn about(uuid: &str, mut data: Value) -> Value {
    if let Some(members) = data.as_object_mut() {
        members.insert("verificationUuid".to_owned(), Value::String(uuid.to_owned()));
    }
    data
}
