//! Owns our side of a verification: write it down, ask, keep what was signed, retry what is open, give up at its end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::EnclaveFault;
use super::answer::Kind;
use super::ask::{VerifyAsk, VerifyReply};
use super::asking::{exchange, forget};
use super::database::{Role, Signed, State, Verification};
use super::ivms::Payload;
use super::room::{CALL_TIME, Room};
use super::wire::Endpoint;
use crate::withdrawal::{Code, Invalid, Seconds};

const TICK: Duration = Duration::from_millis(500);
const REGISTER_AGAIN: Duration = Duration::from_secs(30);

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
    let asset = ask.check()?;
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
        asset: asset.to_string(),
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
