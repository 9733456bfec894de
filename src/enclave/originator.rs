//! Owns our side of a verification: write it down, ask, keep what was signed, retry what is open, give up at its end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::EnclaveFault;
use super::answer::{Kind, Reason, answered_at, kind_of};
use super::ask::{VerifyAsk, VerifyReply};
use super::asking::{Given, Miss, exchange, forget, seal_at_hand};
use super::database::{Origin, Role, Settled, Signed, State, Verification};
use super::ivms::Payload;
use super::known::Known;
use super::outbox::{callback_of, wake};
use super::room::{CALL_TIME, Room};
use super::wire::Endpoint;
use crate::withdrawal::{Asset, Code, Invalid, Seconds};

const TICK: Duration = Duration::from_millis(500);
/// The shortest time between two questions about the same request, in seconds.
const RENEW_AGAIN_S: u64 = 10;
const REGISTER_AGAIN: Duration = Duration::from_secs(30);

/// See [`super::Enclave::verify`].
pub(super) async fn verify(room: &Arc<Room>, mut ask: VerifyAsk) -> Result<VerifyReply, EnclaveFault> {
    let given = ask.payload.take().map(Zeroizing::new);
    let asset = ask.check()?;
    if !room.peers.contains_key(&ask.beneficiary_vasp) {
        return Err(EnclaveFault::VaspUnknown(ask.beneficiary_vasp));
    }
    let now = (room.now)();
    let payload = given.map(|bytes| Payload::parse(&bytes, now)).transpose()?;
    let since = ask.fresh_since.map(|since| since.min(now));
    let kept = kept(room, &ask, asset, payload.as_ref(), now).await?;
    let kept = if is_old(&kept, since, now) { renew(room, kept, now).await? } else { kept };
    if let reply @ (VerifyReply::Answered { .. } | VerifyReply::Expired) = reply(&kept, since) {
        return Ok(reply);
    }
    if kept.next_try_at > now {
        return Ok(VerifyReply::Pending);
    }
    let mut done = try_now(room, &kept.row_key);
    let _ = tokio::time::timeout(room.limits.answer_wait, done.changed()).await;
    let kept = room.db.verification(Role::Originator, &kept.row_key).await?;
    Ok(kept.map_or(VerifyReply::Pending, |kept| reply(&kept, since)))
}

/// See [`super::Enclave::known_answer`].
pub(super) async fn known_answer(room: &Room, digest: &str) -> Option<(String, [u8; 64])> {
    match room.known.find(digest) {
        Known::Answer(text, signature) => Some((text, signature)),
        Known::Nothing => None,
        Known::Unknown => match room.db.answer(digest).await {
            Ok(answer) => answer.map(|Signed { text, signature }| (text, signature)),
            Err(fault) => {
                tracing::error!(%fault, "the enclave's database does not answer");
                None
            }
        },
    }
}

/// The verification of that digest: the one written down before if it was about the same, otherwise a new one.
async fn kept(
    room: &Room,
    ask: &VerifyAsk,
    asset: Asset,
    payload: Option<&Payload>,
    now: Seconds,
) -> Result<Verification, EnclaveFault> {
    let kept = room.db.verification(Role::Originator, &ask.request_digest).await?;
    let kept = match kept {
        // The digest binds everything but the persons; who names none means those of the first time.
        Some(kept) if payload.is_none() && covers(&kept, ask.kind) => return Ok(kept),
        kept => kept,
    };
    let fresh = prepare(room, ask, asset, payload, now)?;
    let fingerprint = fresh.fingerprint.clone();
    let kept = match kept {
        Some(kept) => kept,
        None => begin(room, fresh).await?,
    };
    if kept.fingerprint == fingerprint { Ok(kept) } else { Err(EnclaveFault::Conflict) }
}

/// Whether what was asked then says enough now: a person's verification speaks for the address too.
fn covers(kept: &Verification, kind: Kind) -> bool {
    kind_of(&kept.kind).is_some_and(|then| then == kind || then == Kind::User)
}

/// Whether a kept answer was given too long ago. One that was asked for just now is not asked for again: the counterparty's clock is
/// behind ours, and it would say the same.
fn is_old(kept: &Verification, since: Option<Seconds>, now: Seconds) -> bool {
    let settled = now.since(kept.asked_at).is_some_and(|age| age >= RENEW_AGAIN_S);
    kept.state == State::Answered && settled && !is_fresh(kept, since)
}

/// Whether there is an answer from that time or later.
fn is_fresh(kept: &Verification, since: Option<Seconds>) -> bool {
    let given_at = kept.answer.as_ref().map(|answer| answered_at(&answer.text));
    given_at.is_some_and(|at| since.is_none_or(|since| at >= since))
}

/// Lets an answered verification wait again, unless too many do; of two at the same moment one counts.
async fn renew(room: &Room, kept: Verification, now: Seconds) -> Result<Verification, EnclaveFault> {
    check_bound(room).await?;
    room.db.verification_renewed(&kept, now, now.plus(room.limits.expiry_s)).await?;
    Ok(room.db.verification(Role::Originator, &kept.row_key).await?.unwrap_or(kept))
}

fn reply(kept: &Verification, since: Option<Seconds>) -> VerifyReply {
    match (&kept.answer, kept.state) {
        (Some(Signed { text, signature }), state) if state == State::Answered || is_fresh(kept, since) => {
            VerifyReply::Answered { answer_text: text.clone(), signature: *signature }
        }
        (_, State::Expired) => VerifyReply::Expired,
        _ => VerifyReply::Pending,
    }
}

/// Checks what is asked and lays it out as a row. An account verification sends and keeps nobody's name.
fn prepare(
    room: &Room,
    ask: &VerifyAsk,
    asset: Asset,
    payload: Option<&Payload>,
    now: Seconds,
) -> Result<Verification, EnclaveFault> {
    let canonical = check_payload(ask, payload)?;
    let asked = Zeroizing::new(format!("{}\n{}\n{}", ask.kind.as_str(), ask.request_digest, *canonical));
    let named = payload.filter(|_| ask.kind == Kind::User);
    Ok(Verification {
        role: Role::Originator,
        row_key: ask.request_digest.clone(),
        origin: Origin::Withdrawal,
        uuid: None,
        state: State::Waiting,
        kind: ask.kind.as_str().to_owned(),
        key_type: room.limits.key_type,
        originating_vasp: room.vasp,
        beneficiary_vasp: ask.beneficiary_vasp,
        symbol: asset.symbol().to_owned(),
        asset: asset.to_string(),
        network: ask.network.clone(),
        destination: ask.destination.clone(),
        amount: ask.amount.to_string(),
        coins: ask.amount.in_coin(asset.decimals()),
        asset_info: None,
        required: Vec::new(),
        originator_account: named.map(|p| p.originator_account().to_owned()).unwrap_or_default(),
        request_digest: ask.request_digest.clone(),
        fingerprint: room.db.vault().fingerprint(&asked).to_vec(),
        originator: named.map(Payload::originator_canonical).filter(|text| !text.is_empty()),
        beneficiary: named.map(Payload::beneficiary_canonical),
        reply: None,
        envelope: None,
        answer: None,
        settled: Settled::waiting(),
        asked_at: now,
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

/// Writes a new verification down, sealed already if that takes nobody's help, unless too many wait.
async fn begin(room: &Room, mut fresh: Verification) -> Result<Verification, EnclaveFault> {
    check_bound(room).await?;
    seal_at_hand(room, &mut fresh).await;
    if room.db.verification_insert(&fresh, None).await? {
        return Ok(fresh);
    }
    // Asked twice at the same moment: the first one written counts.
    Ok(room.db.verification(Role::Originator, &fresh.row_key).await?.unwrap_or(fresh))
}

pub(super) async fn check_bound(room: &Room) -> Result<(), EnclaveFault> {
    let waiting = room.db.verifications_waiting().await?;
    if waiting >= room.limits.waiting_max { Err(EnclaveFault::QueueFull(waiting)) } else { Ok(()) }
}

/// Starts a try, or joins the one under way; the receiver learns when it is over. It goes on when nobody listens any more.
pub(super) fn try_now(room: &Arc<Room>, key: &str) -> watch::Receiver<()> {
    let mut trying = room.trying.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(done) = trying.get(key).filter(|done| done.has_changed().is_ok()) {
        return done.clone();
    }
    let (over, done) = watch::channel(());
    trying.insert(key.to_owned(), done.clone());
    let (room, key) = (room.clone(), key.to_owned());
    tokio::spawn(async move {
        let place = room.places.clone().acquire_owned().await;
        let answered = attempt(&room, &key).await.unwrap_or_else(|fault| {
            tracing::error!(request = key, %fault, "a verification could not be tried");
            None
        });
        room.trying.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let _ = over.send(());
        // After those who wait were told: it is no business of theirs.
        if let Some(v) = answered {
            forget(&room, v.uuid.as_deref()).await;
        }
        drop(place);
    });
    done
}

/// One try: ends with an answer kept (and the verification given back), the verification put off, or expired.
async fn attempt(room: &Room, key: &str) -> Result<Option<Verification>, EnclaveFault> {
    let kept = room.db.verification(Role::Originator, key).await?;
    let Some(mut v) = kept.filter(|v| v.state == State::Waiting) else { return Ok(None) };
    let now = (room.now)();
    if now >= v.expires_at {
        end(room, &v, &Settled::denied(Reason::RequestTimeout), now).await?;
        return Ok(None);
    }
    match exchange(room, &mut v).await {
        Ok(Some(given)) => return keep(room, v, &given).await.map(Some),
        Ok(None) => {}
        // An order is told that its answer cannot be read; a withdrawal is asked about again.
        Err(Miss::Reply(problem)) if v.origin == Origin::Order => {
            tracing::warn!(request = key, problem, "a verification was answered unreadably");
            end(room, &v, &Settled::error(), now).await?;
            return Ok(None);
        }
        Err(miss) => tracing::warn!(request = key, %miss, "a verification brought no answer"),
    }
    put_off(room, &v, now).await?;
    Ok(None)
}

/// Keeps a believed answer, and writes down that the backend is to be told if it ordered the verification.
async fn keep(room: &Room, v: Verification, given: &Given) -> Result<Verification, EnclaveFault> {
    let now = (room.now)();
    if !given.matched {
        end(room, &v, &Settled::denied(Reason::BeneficiaryAccountNotMatched), now).await?;
        return Ok(v);
    }
    let settled = Settled {
        result: given.decision.into(),
        reason: Some(given.reason.clone()),
        message: given.message.clone(),
    };
    let callback = callback_of(&v, &settled, given.beneficiary.as_str());
    let kept = (&given.answer, &given.plain);
    let first = room.db.verification_answered(&v, kept, &settled, callback.as_ref(), now).await?;
    if first && v.origin == Origin::Withdrawal {
        room.known.keep(&v.row_key, &given.answer);
    }
    wake(room, callback.is_some());
    Ok(v)
}

/// Ends a verification that will not be answered.
async fn end(room: &Room, v: &Verification, settled: &Settled, now: Seconds) -> Result<(), EnclaveFault> {
    let callback = callback_of(v, settled, "");
    room.db.verification_ended(&v.row_key, settled, callback.as_ref(), now).await?;
    wake(room, callback.is_some());
    Ok(())
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
