//! Owns one round with the counterparty: seal, send, open, and believe an answer only if every field is what was asked.

use std::sync::PoisonError;

use axum::http::Method;
use data_encoding::HEXLOWER;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::enclave::EnclaveFault;
use crate::enclave::answer::{Decision, plain_message};
use crate::enclave::answering::parcel::sealed_letter;
use crate::enclave::asking::peer::{cached_key, fresh_uuid, peer_key, uuid_at_hand};
use crate::enclave::coin::is_same_address;
use crate::enclave::database::{Origin, Signed, Verification};
use crate::enclave::ivms::{Beneficiary, Text};
use crate::enclave::room::{CALL_TIME, Room};
use crate::enclave::wire::client::CallFault;
use crate::enclave::wire::key::{KeyType, SKEW_MAX_S};
use crate::enclave::wire::letter::{Asked, SealedReply, binding, check_signature, identifier};
use crate::enclave::wire::seal::{Direction, Envelope, PublicKey};
use crate::enclave::wire::{Fate, Parcel, plain_code};
use crate::evidence::answer::{NamedAnswer, commitment, parse_named_answer};

/// Why a try brought no answer. Holds codes only.
#[derive(Debug, thiserror::Error)]
pub(in crate::enclave) enum Miss {
    /// The relay or the counterparty cannot be had now.
    #[error("{0}")]
    Call(#[from] CallFault),
    /// The counterparty will not take the envelope.
    #[error("the counterparty refused the request: `{0}`")]
    Refused(String),
    /// The counterparty's key is not believed.
    #[error("{0}")]
    Key(#[from] crate::enclave::wire::key::KeyRefused),
    /// What came back is not an answer to what was asked.
    #[error("the reply is refused: {0}")]
    Reply(&'static str),
    /// The enclave itself.
    #[error("{0}")]
    Fault(#[from] EnclaveFault),
}

impl From<crate::enclave::database::DatabaseFault> for Miss {
    fn from(fault: crate::enclave::database::DatabaseFault) -> Self {
        Self::Fault(fault.into())
    }
}

/// A reply that is believed.
pub(in crate::enclave) struct Given {
    pub(in crate::enclave) answer: Signed,
    /// The whole reply, as it is kept.
    pub(in crate::enclave) plain: Zeroizing<Vec<u8>>,
    pub(in crate::enclave) decision: Decision,
    pub(in crate::enclave) reason: String,
    pub(in crate::enclave) message: Option<String>,
    /// The beneficiary as its VASP knows it; empty if it was not given.
    pub(in crate::enclave) beneficiary: Text,
    /// Whether that one has the address that was asked about.
    pub(in crate::enclave) matched: bool,
}

/// Sends the envelope (again) and reads what has become of it. What is refused, or an order's unreadable reply, is sealed anew, once
/// in a try.
pub(in crate::enclave) async fn exchange(room: &Room, v: &mut Verification) -> Result<Option<Given>, Miss> {
    let mut left = 2;
    loop {
        left -= 1;
        let parcel = parcel(room, v).await?;
        let time = CALL_TIME + room.limits.answer_wait;
        let path = format!("/v1/verifications?wait_ms={}", room.limits.answer_wait.as_millis());
        let again = match room.relay::<_, Fate>(Method::POST, &path, time, &parcel).await {
            Ok(Fate::Waiting) => return Ok(None),
            Ok(Fate::Answered { envelope }) => match opened(room, v, &parcel, &envelope).await {
                Ok(given) => return Ok(Some(given)),
                Err(miss @ Miss::Reply(_)) => {
                    // The relay would give the same bytes again.
                    forget(room, v.uuid.as_deref()).await;
                    renew(room, v).await?;
                    if left == 0 || v.origin != Origin::Order {
                        return Err(miss);
                    }
                    continue;
                }
                Err(miss) => return Err(miss),
            },
            Ok(Fate::Refused { error }) => Miss::Refused(plain_code(error)),
            Err(fault) if fault.is("uuid_unknown") => {
                // Another relay: none of the uuids the other one gave is good any more.
                room.uuids.lock().unwrap_or_else(PoisonError::into_inner).clear();
                fault.into()
            }
            // It still carries what was sealed before.
            Err(fault) if fault.is("uuid_reused") && v.origin == Origin::Order => fault.into(),
            Err(fault) => return Err(fault.into()),
        };
        if v.origin == Origin::Order {
            forget(room, v.uuid.as_deref()).await;
        }
        renew(room, v).await?;
        if left == 0 {
            return Err(again);
        }
    }
}

/// Lets go of envelope, the counterparty's cached keys, and the uuid unless it was promised: one of them is not good any more.
async fn renew(room: &Room, v: &mut Verification) -> Result<(), Miss> {
    let uuid = v.uuid.take().filter(|_| v.origin == Origin::Order);
    room.db.verification_sent(&v.row_key, uuid.as_deref(), None).await?;
    room.db.peer_keys_forget(v.counterparty()).await?;
    (v.uuid, v.envelope) = (uuid, None);
    Ok(())
}

/// The parcel of a verification: the one sent before, or a new one, kept before it leaves.
async fn parcel(room: &Room, v: &mut Verification) -> Result<Parcel, Miss> {
    let sealed = v.envelope.as_deref().and_then(|text| serde_json::from_str::<(String, Envelope)>(text).ok());
    let (key_type, uuid, envelope) = match v.uuid.clone().zip(sealed) {
        Some((uuid, (key_type, envelope))) => (key_type, uuid, envelope),
        None => {
            let uuid = match v.uuid.clone() {
                Some(uuid) => uuid,
                None => fresh_uuid(room).await?,
            };
            let (to, key_type) = (v.counterparty(), v.key_type);
            let key =
                peer_key(room, to, (key_type, &identifier(key_type, to, &v.destination, &uuid))).await?;
            let envelope = sealed_request(room, v, &uuid, &key).await?;
            let text = envelope_text(&envelope, key_type)?;
            room.db.verification_sent(&v.row_key, Some(&uuid), Some(&text)).await?;
            (v.uuid, v.envelope) = (Some(uuid.clone()), Some(text));
            (key_type.as_str().to_owned(), uuid, envelope)
        }
    };
    Ok(Parcel {
        from: room.vasp.to_string(),
        to: v.counterparty().to_string(),
        uuid,
        kind: v.kind.clone(),
        key_type,
        envelope,
    })
}

fn envelope_text(envelope: &Envelope, key_type: KeyType) -> Result<String, Miss> {
    Ok(serde_json::to_string(&(key_type.as_str(), envelope)).map_err(|_| CallFault::Unreadable)?)
}

/// Seals a verification that is not written down yet, if uuid and key are here: it is then written once instead of twice.
/// Whatever is missing is fetched later, by [`exchange`].
pub(in crate::enclave) async fn seal_at_hand(room: &Room, v: &mut Verification) {
    let (to, key_type) = (v.counterparty(), v.key_type);
    // A key for one verification is never here before its uuid was chosen.
    let purpose = identifier(key_type, to, &v.destination, "");
    let Ok(Some(key)) = cached_key(room, to, (key_type, &purpose)).await else { return };
    let Some(uuid) = uuid_at_hand(room) else { return };
    let sealed = sealed_request(room, v, &uuid, &key).await;
    if let Ok(text) = sealed.and_then(|envelope| envelope_text(&envelope, key_type)) {
        (v.uuid, v.envelope) = (Some(uuid), Some(text));
    }
}

async fn sealed_request(
    room: &Room,
    v: &Verification,
    uuid: &str,
    key: &PublicKey,
) -> Result<Envelope, Miss> {
    let way = (Direction::Request, v.key_type);
    let sealed = sealed_letter(room, (v.counterparty(), key), way, (uuid, &v.destination), asked(v, uuid)?);
    sealed.await?.map_err(|_| Miss::Reply("the key seals nothing"))
}

/// What is asked, as JSON. The same for the same verification and uuid: the counterparty knows a repetition by it.
fn asked(v: &Verification, uuid: &str) -> Result<Text, Miss> {
    let asked = Asked {
        uuid: uuid.to_owned(),
        kind: v.kind.clone(),
        asset: v.asset.clone(),
        network: v.network.clone(),
        destination: v.destination.clone(),
        amount: v.amount.clone(),
        request_digest: v.request_digest.clone(),
        ivms101: payload_text(v),
        asset_info: v.asset_info.clone(),
        required: v.required.clone(),
    };
    Ok(Text::new(serde_json::to_string(&asked).map_err(|_| CallFault::Unreadable)?))
}

/// The canonical payload of originator and beneficiary; empty if nobody is named.
pub(in crate::enclave) fn payload_text(v: &Verification) -> String {
    match (&v.originator, &v.beneficiary) {
        (Some(o), Some(b)) => format!("{{\"beneficiary\":{},\"originator\":{}}}", b.as_str(), o.as_str()),
        (None, Some(b)) => format!("{{\"beneficiary\":{}}}", b.as_str()),
        (_, None) => String::new(),
    }
}

/// Opens a reply and believes it only if every field is what was asked, under the pinned signature.
async fn opened(room: &Room, v: &Verification, parcel: &Parcel, envelope: &Envelope) -> Result<Given, Miss> {
    let (from, key_type) =
        (v.counterparty(), KeyType::parse(&parcel.key_type).ok_or(Miss::Reply("no key type"))?);
    let own =
        room.db.own_key_named(&envelope.key_id).await?.ok_or(Miss::Reply("sealed to no key of ours"))?;
    let binding = binding(Direction::Reply, &parcel.uuid, from, room.vasp, key_type);
    let plain = own.open(binding, envelope).map_err(|_| Miss::Reply("the envelope does not open"))?;
    let reply: SealedReply = serde_json::from_slice(&plain).map_err(|_| Miss::Reply("not a reply"))?;
    let identity = room.peers.get(&from).ok_or(EnclaveFault::VaspUnknown(from))?;
    let signature = check_signature(identity, reply.answer.as_bytes(), &reply.signature);
    let signature = signature.ok_or(Miss::Reply("the answer's signature does not hold"))?;
    let answer = check_answer(room, v, &parcel.uuid, &reply).map_err(Miss::Reply)?;
    let matched = is_matched(room, v, reply.ivms101.as_str()).map_err(Miss::Reply)?;
    if !matched && v.origin != Origin::Order {
        return Err(Miss::Reply("the beneficiary given back has another address"));
    }
    Ok(Given {
        answer: Signed { text: reply.answer, signature },
        plain,
        decision: answer.result,
        reason: answer.reason,
        message: reply.message.and_then(plain_message),
        beneficiary: reply.ivms101,
        matched,
    })
}

/// Every field against what was asked.
fn check_answer(
    room: &Room,
    v: &Verification,
    uuid: &str,
    reply: &SealedReply,
) -> Result<NamedAnswer, &'static str> {
    let answer = parse_named_answer(&reply.answer).map_err(|_| "the answer is not in canonical form")?;
    let now = (room.now)();
    let same = [
        (answer.uuid.hyphenated().to_string() == uuid, "the answer is for another uuid"),
        (answer.kind.as_str() == v.kind, "the answer is of another kind"),
        (answer.originating_vasp == room.vasp, "the answer is for another VASP"),
        (answer.beneficiary_vasp == v.counterparty(), "the answer is from another VASP"),
        (answer.asset == v.asset, "the answer is for another asset"),
        (answer.network == v.network, "the answer is for another network"),
        (answer.destination == v.destination, "the answer is for another address"),
        (answer.amount.to_string() == v.amount, "the answer is for another amount"),
        (HEXLOWER.encode(&answer.request_digest) == v.request_digest, "the answer is for another request"),
        (answer.answered_at.plus(SKEW_MAX_S) >= v.asked_at, "the answer is older than the request"),
        (answer.answered_at <= now.plus(SKEW_MAX_S), "the answer is from the future"),
        (is_committed(v, &answer, &reply.salt), "the answer is about another person"),
    ];
    if let Some((_, problem)) = same.into_iter().find(|(same, _)| !same) {
        return Err(problem);
    }
    Ok(answer)
}

/// Whether the beneficiary that came back, if one did, has the address that was asked about.
fn is_matched(room: &Room, v: &Verification, given: &str) -> Result<bool, &'static str> {
    if given.is_empty() {
        return Ok(true);
    }
    let given = Beneficiary::parse(given.as_bytes(), (room.now)());
    let given = given.map_err(|_| "the beneficiary given back is malformed")?;
    Ok(is_same_address(&v.asset, given.account(), &v.destination))
}

/// Whether the commitment in the answer is to the very beneficiary that was asked about.
fn is_committed(v: &Verification, answer: &NamedAnswer, salt: &str) -> bool {
    let (Some(person), Some(committed)) = (v.beneficiary.as_ref(), answer.commitment) else {
        return v.beneficiary.is_none() && answer.commitment.is_none();
    };
    let salt = HEXLOWER.decode(salt.as_bytes()).ok().and_then(|s| <[u8; 32]>::try_from(s).ok());
    salt.is_some_and(|salt| {
        // A VASP that could not read the payload says no about nobody; a yes about a person names the person.
        committed == commitment(&salt, person.as_bytes())
            || (answer.result != Decision::Verified && committed == commitment(&salt, b""))
    })
}

/// Tells the relay that it need not keep the parcel; if that gets lost, the parcel expires there.
pub(in crate::enclave) async fn forget(room: &Room, uuid: Option<&str>) {
    if let Some(uuid) = uuid {
        let path = format!("/v1/verifications/{uuid}");
        let _ = room.relay::<_, Value>(Method::DELETE, &path, CALL_TIME, &Value::Null).await;
    }
}
