//! Owns our side of a verification: ask once, keep what was signed, retry what is open. Believes neither relay nor answer unchecked.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::http::Method;
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::Signer;
use serde_json::Value;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::EnclaveFault;
use super::answer::{Answer, Kind, commitment};
use super::ask::{VerifyAsk, VerifyReply};
use super::beneficiary::{
    Asked, SealedReply, SealedRequest, binding, check_signature, identifier, is_uuid, request_text,
};
use super::database::{Role, Signed, State, Verification};
use super::ivms::{Beneficiary, Payload, Text};
use super::room::{Room, entropy};
use super::seal::{self, Direction, Envelope, pad};
use super::wire::client::CallFault;
use super::wire::key::{KeyType, SKEW_MAX_S, SignedKey};
use super::wire::{Endpoint, Fate, KeyAsked, Parcel, UuidsAsked, UuidsGiven};
use crate::withdrawal::{Code, Invalid, Seconds, VaspId};

const CALL_TIME: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(500);
const REGISTER_AGAIN: Duration = Duration::from_secs(30);
const UUIDS_AHEAD: usize = 32;

/// Why a try brought no answer. Holds codes only.
#[derive(Debug, thiserror::Error)]
enum Miss {
    /// The relay or the counterparty cannot be had now.
    #[error("{0}")]
    Call(#[from] CallFault),
    /// The counterparty will not take the envelope.
    #[error("the counterparty refused the request: `{0}`")]
    Refused(String),
    /// The counterparty's key is not believed.
    #[error("{0}")]
    Key(#[from] super::wire::key::KeyRefused),
    /// What came back is not an answer to what was asked.
    #[error("the reply is refused: {0}")]
    Reply(&'static str),
    /// The enclave itself.
    #[error("{0}")]
    Fault(#[from] EnclaveFault),
}

impl From<super::database::DatabaseFault> for Miss {
    fn from(fault: super::database::DatabaseFault) -> Self {
        Self::Fault(fault.into())
    }
}

/// See [`super::Enclave::verify`].
pub(super) async fn verify(room: &Arc<Room>, ask: VerifyAsk) -> Result<VerifyReply, EnclaveFault> {
    let fresh = prepare(room, ask)?;
    let (key, fingerprint) = (fresh.row_key.clone(), fresh.fingerprint.clone());
    let kept = match room.db.verification(Role::Originator, &key).await? {
        Some(kept) => kept,
        None => begin(room, fresh).await?,
    };
    if kept.fingerprint != fingerprint {
        return Err(EnclaveFault::Conflict);
    }
    if kept.state == State::Waiting && kept.next_try_at <= (room.now)() {
        let mut done = try_now(room, &key);
        let _ = tokio::time::timeout(room.limits.answer_wait, done.changed()).await;
        let kept = room.db.verification(Role::Originator, &key).await?;
        return Ok(kept.map_or(VerifyReply::Pending, reply));
    }
    Ok(reply(kept))
}

fn reply(kept: Verification) -> VerifyReply {
    match (kept.state, kept.answer) {
        (State::Answered, Some(Signed { text, signature })) => {
            VerifyReply::Answered { answer_text: text, signature }
        }
        (State::Expired, _) => VerifyReply::Expired,
        _ => VerifyReply::Pending,
    }
}

/// Checks what is asked and lays it out as a row. An account verification sends and keeps nobody's name.
fn prepare(room: &Room, mut ask: VerifyAsk) -> Result<Verification, EnclaveFault> {
    let given = ask.payload.take().map(Zeroizing::new);
    ask.check()?;
    if !room.peers.contains_key(&ask.beneficiary_vasp) {
        return Err(EnclaveFault::VaspUnknown(ask.beneficiary_vasp));
    }
    let now = (room.now)();
    let payload = given.map(|bytes| Payload::parse(&bytes, now)).transpose()?;
    let canonical = check_payload(&ask, payload.as_ref())?;
    let asked = Zeroizing::new(format!("{}\n{}\n{}", ask.kind.as_str(), ask.request_digest, *canonical));
    let send = ask.kind == Kind::User;
    Ok(Verification {
        role: Role::Originator,
        row_key: ask.request_digest.clone(),
        uuid: None,
        state: State::Waiting,
        kind: ask.kind.as_str().to_owned(),
        counterparty: ask.beneficiary_vasp.to_string(),
        symbol: ask.symbol,
        network: ask.network,
        destination: ask.destination,
        amount: ask.amount.to_string(),
        request_digest: ask.request_digest,
        fingerprint: room.db.vault().fingerprint(&asked).to_vec(),
        ivms: send.then(|| Zeroizing::new(canonical.as_bytes().to_vec())),
        reply: None,
        envelope: None,
        answer: None,
        created_at: now,
        expires_at: now.plus(room.limits.expiry_s),
        next_try_at: now,
        tries: 0,
    })
}

fn check_payload(ask: &VerifyAsk, payload: Option<&Payload>) -> Result<Zeroizing<String>, Invalid> {
    let no = |code, problem: &str| {
        Err(Invalid::new(code, "payload", problem, "send the IVMS101 payload of exactly this transfer"))
    };
    let Some(payload) = payload else {
        return match ask.kind {
            Kind::User => no(Code::FieldMissing, "is needed to verify a person"),
            Kind::Account => Ok(Zeroizing::default()),
        };
    };
    if ask.kind == Kind::User {
        payload.demand_persons()?;
    }
    if payload.account() != ask.destination {
        return no(Code::IvmsMalformed, "`beneficiary.accountNumber[0]` is not the destination");
    }
    Ok(payload.canonical())
}

/// Writes a new verification down, unless too many wait.
async fn begin(room: &Room, fresh: Verification) -> Result<Verification, EnclaveFault> {
    let waiting = room.db.verifications_waiting().await?;
    if waiting >= room.limits.waiting_max {
        return Err(EnclaveFault::QueueFull(waiting));
    }
    if room.db.verification_insert(&fresh).await? {
        return Ok(fresh);
    }
    // Asked twice at the same moment: the first one written counts.
    Ok(room.db.verification(Role::Originator, &fresh.row_key).await?.unwrap_or(fresh))
}

/// Starts a try, or joins the one under way; the receiver learns when it is over. It goes on when nobody listens any more.
fn try_now(room: &Arc<Room>, key: &str) -> watch::Receiver<()> {
    let mut trying = room.trying.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(done) = trying.get(key).filter(|done| done.has_changed().is_ok()) {
        return done.clone();
    }
    let (over, done) = watch::channel(());
    trying.insert(key.to_owned(), done.clone());
    let (room, key) = (room.clone(), key.to_owned());
    tokio::spawn(async move {
        let place = room.places.clone().acquire_owned().await;
        if let Err(fault) = attempt(&room, &key).await {
            tracing::error!(request = key, %fault, "a verification could not be tried");
        }
        room.trying.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let _ = over.send(());
        drop(place);
    });
    done
}

/// One try: ends with an answer kept, the verification put off, or expired.
async fn attempt(room: &Room, key: &str) -> Result<(), EnclaveFault> {
    let Some(mut v) = room.db.verification(Role::Originator, key).await? else { return Ok(()) };
    let now = (room.now)();
    if v.state != State::Waiting {
        return Ok(());
    }
    if now >= v.expires_at {
        return Ok(room.db.verification_expired(key).await?);
    }
    match exchange(room, &mut v).await {
        Ok(Some((answer, reply))) => {
            room.db.verification_answered(&v, &answer, &reply).await?;
            forget(room, &v).await;
            Ok(())
        }
        Ok(None) => put_off(room, &v, now).await,
        Err(miss) => {
            tracing::warn!(request = key, %miss, "a verification brought no answer");
            put_off(room, &v, now).await
        }
    }
}

/// Doubles the pause each time, up to the bound.
async fn put_off(room: &Room, v: &Verification, now: Seconds) -> Result<(), EnclaveFault> {
    let tries = v.tries.saturating_add(1);
    let pause = 1u64.checked_shl(v.tries.min(16)).unwrap_or(u64::MAX).min(room.limits.retry_s_max.max(1));
    Ok(room.db.verification_put_off(&v.row_key, tries, now.plus(pause)).await?)
}

/// Sends the envelope (again) and reads what has become of it. A refused envelope is sealed anew, once in a try.
async fn exchange(room: &Room, v: &mut Verification) -> Result<Option<(Signed, Zeroizing<Vec<u8>>)>, Miss> {
    let mut left = 2;
    loop {
        left -= 1;
        let parcel = parcel(room, v).await?;
        let time = CALL_TIME + room.limits.answer_wait;
        let path = format!("/v1/verifications?wait_ms={}", room.limits.answer_wait.as_millis());
        let again = match room.relay::<_, Fate>(Method::POST, &path, time, &parcel).await {
            Ok(Fate::Waiting) => return Ok(None),
            Ok(Fate::Answered { envelope }) => return opened(room, v, &parcel, &envelope).await.map(Some),
            Ok(Fate::Refused { error }) => Miss::Refused(error),
            Err(fault) if fault.is("uuid_unknown") => {
                // The relay has started anew: none of the uuids it gave is good any more.
                room.uuids.lock().unwrap_or_else(PoisonError::into_inner).clear();
                fault.into()
            }
            Err(fault) => return Err(fault.into()),
        };
        renew(room, v).await?;
        if left == 0 {
            return Err(again);
        }
    }
}

/// Lets go of uuid, envelope and the counterparty's cached keys: one of them is not good any more.
async fn renew(room: &Room, v: &mut Verification) -> Result<(), Miss> {
    room.db.verification_sent(&v.row_key, None).await?;
    room.db.peer_keys_forget(vasp(v)?).await?;
    (v.uuid, v.envelope) = (None, None);
    Ok(())
}

fn vasp(v: &Verification) -> Result<VaspId, EnclaveFault> {
    Ok(VaspId::parse(&v.counterparty)?)
}

/// The parcel of a verification: the one sent before, or a new one, kept before it leaves.
async fn parcel(room: &Room, v: &mut Verification) -> Result<Parcel, Miss> {
    let key_type = room.limits.key_type;
    let sealed = v.envelope.as_deref().and_then(|text| serde_json::from_str::<(String, Envelope)>(text).ok());
    let (key_type, uuid, envelope) = match v.uuid.clone().zip(sealed) {
        Some((uuid, (spelling, envelope))) => (KeyType::parse(&spelling).unwrap_or(key_type), uuid, envelope),
        None => {
            let uuid = fresh_uuid(room).await?;
            let envelope = sealed_request(room, v, &uuid).await?;
            let text =
                serde_json::to_string(&(key_type.as_str(), &envelope)).map_err(|_| CallFault::Unreadable)?;
            room.db.verification_sent(&v.row_key, Some((&uuid, &text))).await?;
            (v.uuid, v.envelope) = (Some(uuid.clone()), Some(text));
            (key_type, uuid, envelope)
        }
    };
    Ok(Parcel {
        from: room.vasp.to_string(),
        to: v.counterparty.clone(),
        uuid,
        kind: v.kind.clone(),
        key_type: key_type.as_str().to_owned(),
        envelope,
    })
}

async fn sealed_request(room: &Room, v: &Verification, uuid: &str) -> Result<Envelope, Miss> {
    let (to, key_type) = (vasp(v)?, room.limits.key_type);
    let theirs = identifier(key_type, to, &v.destination, uuid);
    let public = peer_key(room, to, (key_type, &theirs)).await?;
    let ours = identifier(key_type, room.vasp, &v.destination, uuid);
    let reply_key = room.own_key((key_type, &ours)).await?;
    let reply_key = room.signed_key((key_type, &ours), &reply_key.public);
    let asked = asked(v, uuid)?;
    let binding = binding(Direction::Request, uuid, room.vasp, to, key_type);
    let signature = room.identity.sign(&request_text(binding, asked.as_str(), &reply_key)).to_bytes();
    let request = SealedRequest { asked, reply_key, signature: BASE64.encode(&signature) };
    let plain = Zeroizing::new(serde_json::to_string(&request).map_err(|_| CallFault::Unreadable)?);
    seal::seal(&public, binding, pad(plain).as_bytes(), entropy()?)
        .map_err(|_| Miss::Reply("the key seals nothing"))
}

/// What is asked, as JSON. The same for the same verification and uuid: the counterparty knows a repetition by it.
fn asked(v: &Verification, uuid: &str) -> Result<Text, Miss> {
    let ivms101 =
        v.ivms.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    let asked = Asked {
        uuid: uuid.to_owned(),
        kind: v.kind.clone(),
        asset: v.symbol.clone(),
        network: v.network.clone(),
        destination: v.destination.clone(),
        amount: v.amount.clone(),
        request_digest: v.request_digest.clone(),
        ivms101,
    };
    Ok(Text::new(serde_json::to_string(&asked).map_err(|_| CallFault::Unreadable)?))
}

/// The counterparty's key: from the cache while it is young, otherwise asked for. Its signature is checked either way.
async fn peer_key(room: &Room, vasp: VaspId, purpose: (KeyType, &str)) -> Result<[u8; 32], Miss> {
    let identity = room.peers.get(&vasp).ok_or(EnclaveFault::VaspUnknown(vasp))?;
    let now = (room.now)();
    if let Some((key, at)) = room.db.peer_key(vasp, purpose).await?
        && now.since(at).is_some_and(|age| age < room.limits.key_ttl_s)
        && let Ok(public) = key.verify(identity, vasp, purpose, now)
    {
        return Ok(public);
    }
    let asked = KeyAsked {
        from: room.vasp.to_string(),
        to: vasp.to_string(),
        key_type: purpose.0.as_str().to_owned(),
        identifier: purpose.1.to_owned(),
    };
    let key: SignedKey = room.relay(Method::POST, "/v1/keys", CALL_TIME, &asked).await?;
    let public = key.verify(identity, vasp, purpose, now)?;
    if purpose.0 != KeyType::PerVerification
        && let Ok(text) = serde_json::to_string(&key)
    {
        room.db.peer_key_put(vasp, purpose, &text, now).await?;
    }
    Ok(public)
}

async fn fresh_uuid(room: &Room) -> Result<String, Miss> {
    let one = || room.uuids.lock().unwrap_or_else(PoisonError::into_inner).pop();
    if let Some(uuid) = one() {
        return Ok(uuid);
    }
    let given: UuidsGiven =
        room.relay(Method::POST, "/v1/uuids", CALL_TIME, &UuidsAsked { count: UUIDS_AHEAD }).await?;
    let good = given.uuids.into_iter().filter(|uuid| is_uuid(uuid)).take(UUIDS_AHEAD);
    room.uuids.lock().unwrap_or_else(PoisonError::into_inner).extend(good);
    one().ok_or(Miss::Reply("the relay gave no uuid"))
}

/// Opens a reply and believes it only if every field is what was asked, under the pinned signature.
async fn opened(
    room: &Room,
    v: &mut Verification,
    parcel: &Parcel,
    envelope: &Envelope,
) -> Result<(Signed, Zeroizing<Vec<u8>>), Miss> {
    let result = open_reply(room, v, parcel, envelope).await;
    if let Err(Miss::Reply(_)) = &result {
        // The relay would give the same bytes again: ask anew under another uuid.
        forget(room, v).await;
        renew(room, v).await?;
    }
    result
}

async fn open_reply(
    room: &Room,
    v: &Verification,
    parcel: &Parcel,
    envelope: &Envelope,
) -> Result<(Signed, Zeroizing<Vec<u8>>), Miss> {
    let (from, key_type) = (vasp(v)?, KeyType::parse(&parcel.key_type).ok_or(Miss::Reply("no key type"))?);
    let own =
        room.db.own_key_named(&envelope.key_id).await?.ok_or(Miss::Reply("sealed to no key of ours"))?;
    let binding = binding(Direction::Reply, &parcel.uuid, from, room.vasp, key_type);
    let plain =
        seal::open(&own.private, binding, envelope).map_err(|_| Miss::Reply("the envelope does not open"))?;
    let reply: SealedReply = serde_json::from_slice(&plain).map_err(|_| Miss::Reply("not a reply"))?;
    let identity = room.peers.get(&from).ok_or(EnclaveFault::VaspUnknown(from))?;
    let signature = check_signature(identity, reply.answer.as_bytes(), &reply.signature);
    let signature = signature.ok_or(Miss::Reply("the answer's signature does not hold"))?;
    check_answer(room, v, &parcel.uuid, &reply).map_err(Miss::Reply)?;
    Ok((Signed { text: reply.answer, signature }, plain))
}

/// Every field against what was asked; the persons given back must be for the same address.
fn check_answer(room: &Room, v: &Verification, uuid: &str, reply: &SealedReply) -> Result<(), &'static str> {
    let answer = Answer::parse(&reply.answer).ok_or("the answer is not in canonical form")?;
    let now = (room.now)();
    let same = [
        (answer.uuid == uuid, "the answer is for another uuid"),
        (answer.kind.as_str() == v.kind, "the answer is of another kind"),
        (answer.originating_vasp == room.vasp, "the answer is for another VASP"),
        (answer.beneficiary_vasp.to_string() == v.counterparty, "the answer is from another VASP"),
        (answer.asset == v.symbol && answer.network == v.network, "the answer is for another asset"),
        (answer.destination == v.destination, "the answer is for another address"),
        (answer.amount == v.amount, "the answer is for another amount"),
        (answer.request_digest == v.request_digest, "the answer is for another request"),
        (answer.answered_at.plus(SKEW_MAX_S) >= v.created_at, "the answer is older than the request"),
        (answer.answered_at <= now.plus(SKEW_MAX_S), "the answer is from the future"),
        (is_committed(v, &answer, &reply.salt, now), "the answer is about another person"),
    ];
    if let Some((_, problem)) = same.into_iter().find(|(same, _)| !same) {
        return Err(problem);
    }
    let given = reply.ivms101.as_str();
    if given.is_empty() {
        return Ok(());
    }
    let beneficiary =
        Beneficiary::parse(given.as_bytes(), now).map_err(|_| "the beneficiary given back is malformed")?;
    if beneficiary.account() == v.destination {
        Ok(())
    } else {
        Err("the beneficiary given back has another address")
    }
}

/// Whether the commitment in the answer is to the very beneficiary that was asked about.
fn is_committed(v: &Verification, answer: &Answer, salt: &str, now: Seconds) -> bool {
    let Some(payload) = v.ivms.as_ref() else { return answer.commitment == "-" };
    let salt = HEXLOWER.decode(salt.as_bytes()).ok().and_then(|s| <[u8; 32]>::try_from(s).ok());
    let person = Payload::parse(payload, now).ok().map(|p| p.beneficiary_canonical());
    salt.zip(person).is_some_and(|(salt, person)| answer.commitment == commitment(&salt, &person))
}

/// Tells the relay that it need not keep the parcel; if that gets lost, the parcel expires there.
async fn forget(room: &Room, v: &Verification) {
    if let Some(uuid) = &v.uuid {
        let path = format!("/v1/verifications/{uuid}");
        let _ = room.relay::<_, Value>(Method::DELETE, &path, CALL_TIME, &Value::Null).await;
    }
}

/// Takes up what is due, for ever.
pub(super) async fn work(room: Arc<Room>) {
    loop {
        let most = u32::try_from(room.limits.at_once_max).unwrap_or(u32::MAX);
        match room.db.verifications_due((room.now)(), most).await {
            Ok(due) => due.iter().for_each(|key| drop(try_now(&room, key))),
            Err(fault) => tracing::error!(%fault, "the enclave's database does not answer"),
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Tells the relay where this enclave is, and again now and then: the relay remembers nothing over a restart.
pub(super) async fn register(room: Arc<Room>) {
    let mut pause = TICK;
    loop {
        let endpoint = Endpoint { endpoint: room.endpoint.clone() };
        let done = room.relay::<_, Value>(Method::PUT, "/v1/endpoint", CALL_TIME, &endpoint).await;
        room.registered.store(done.is_ok(), Ordering::Relaxed);
        pause = match done {
            Ok(_) => REGISTER_AGAIN,
            Err(fault) => {
                tracing::warn!(%fault, "the relay did not take this enclave's endpoint");
                (pause * 2).min(REGISTER_AGAIN)
            }
        };
        tokio::time::sleep(pause).await;
    }
}
