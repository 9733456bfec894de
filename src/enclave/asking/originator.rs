//! Owns our side of a withdrawal's verification: write it down, have it asked, give back what was signed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::enclave::EnclaveFault;
use crate::enclave::answer::{Kind, answered_at, kind_of};
use crate::enclave::ask::{VerifyAsk, VerifyReply};
use crate::enclave::asking::known::Known;
use crate::enclave::asking::peer::fetch_ahead;
use crate::enclave::asking::round::seal_at_hand;
use crate::enclave::asking::screening::{is_clear, is_listed, screened_answer};
use crate::enclave::asking::trying::try_written;
use crate::enclave::database::{Origin, Role, Settled, Signed, State, Verification};
use crate::enclave::ivms::Payload;
use crate::enclave::room::{CALL_TIME, Room};
use crate::enclave::screen::Screening;
use crate::enclave::wire::Endpoint;
use crate::withdrawal::{Asset, Code, Denomination, Invalid, Seconds, VaspId};

pub(in crate::enclave) const CURE: &str = "send the IVMS101 payload of exactly this transfer";
const TICK: Duration = Duration::from_millis(500);
/// The shortest time between two questions about the same request, in seconds.
const RENEW_AGAIN_S: u64 = 10;
const REGISTER_AGAIN: Duration = Duration::from_secs(30);

/// See [`crate::enclave::Enclave::verify`].
pub(in crate::enclave) async fn verify(
    room: &Arc<Room>,
    mut ask: VerifyAsk,
) -> Result<VerifyReply, EnclaveFault> {
    let given = ask.payload.take().map(Zeroizing::new);
    let asset = ask.check()?;
    if !room.peers.contains_key(&ask.beneficiary_vasp) {
        return Err(EnclaveFault::VaspUnknown(ask.beneficiary_vasp));
    }
    let now = (room.now)();
    let payload = given.map(|bytes| Payload::parse(&bytes, now)).transpose()?;
    let sender = payload.as_ref().map(Payload::originator_account).unwrap_or_default();
    match room.screened(&[&ask.destination, sender], payload.as_ref()).await {
        Screening::Clear => {}
        listed @ (Screening::AddressListed | Screening::NameListed) => {
            tracing::warn!(request = ask.request_digest, ?listed, "a withdrawal met a sanctions list");
            return Ok(VerifyReply::Listed);
        }
        Screening::Unknown => return Err(EnclaveFault::Unscreened),
    }
    let since = ask.fresh_since.map(|since| since.min(now));
    let (kept, is_new) = kept(room, &ask, asset, payload.as_ref(), now).await?;
    // Who is named in this very payload was screened above.
    let is_known = payload.is_none() || kept.reply.is_some();
    if is_known && is_stopped(room, &kept).await? {
        return Ok(VerifyReply::Listed);
    }
    let kept = if is_old(&kept, since, now) { renew(room, kept, now).await? } else { kept };
    if let reply @ (VerifyReply::Answered { .. } | VerifyReply::Expired) = reply(&kept, since) {
        return Ok(reply);
    }
    if kept.next_try_at > now {
        return Ok(VerifyReply::Pending);
    }
    let (key, counterparty) = (kept.row_key.clone(), kept.counterparty());
    let written = is_new.then_some(kept).filter(|kept| kept.envelope.is_some());
    let mut done = try_written(room, &key, counterparty, written);
    let _ = tokio::time::timeout(room.limits.answer_wait, done.changed()).await;
    // Whom the other VASP has named, nobody has looked for yet: where lists are kept, the whole row is read and screened.
    if let (Some(Signed { text, signature }), false) = (&*done.borrow(), room.screens()) {
        return Ok(VerifyReply::Answered { answer_text: text.clone(), signature: *signature });
    }
    let kept = room.db.verification(Role::Originator, &key).await?;
    let Some(kept) = kept else { return Ok(VerifyReply::Pending) };
    if kept.reply.is_some() && is_stopped(room, &kept).await? {
        return Ok(VerifyReply::Listed);
    }
    Ok(reply(&kept, since))
}

/// Whether a sanctions list stops what is kept, unless it was clear under these very lists.
async fn is_stopped(room: &Room, kept: &Verification) -> Result<bool, EnclaveFault> {
    let signature = kept.answer.as_ref().map(|answer| answer.signature);
    match room.known.find(&kept.row_key) {
        Known::Answer(_, known, cleared) if Some(known) == signature && is_clear(room, cleared) => Ok(false),
        Known::Answer(..) | Known::Nothing | Known::Unknown => is_listed(room, kept).await,
    }
}

/// See [`crate::enclave::Enclave::known_answer`].
pub(in crate::enclave) async fn known_answer(room: &Room, digest: &str) -> Option<(String, [u8; 64])> {
    match room.known.find(digest) {
        Known::Answer(text, signature, cleared) if is_clear(room, cleared) => return Some((text, signature)),
        Known::Nothing => return None,
        Known::Answer(..) | Known::Unknown => {}
    }
    match screened_answer(room, digest).await {
        Ok(answer) => answer.map(|Signed { text, signature }| (text, signature)),
        Err(fault) => {
            tracing::error!(%fault, "an answer that is known cannot be given");
            None
        }
    }
}

/// The verification of that digest: the one written down before if it was about the same, otherwise a new one; and whether it is.
async fn kept(
    room: &Arc<Room>,
    ask: &VerifyAsk,
    asset: Asset,
    payload: Option<&Payload>,
    now: Seconds,
) -> Result<(Verification, bool), EnclaveFault> {
    let kept = room.db.verification(Role::Originator, &ask.request_digest).await?;
    let kept = match kept {
        // The digest binds everything but the persons; who names none means those of the first time.
        Some(kept) if payload.is_none() && covers(&kept, ask.kind) => return Ok((kept, false)),
        kept => kept,
    };
    let fresh = prepare(room, ask, asset, payload, now)?;
    let fingerprint = fresh.fingerprint.clone();
    let (kept, is_new) = match kept {
        Some(kept) => (kept, false),
        None => begin(room, fresh).await?,
    };
    if kept.fingerprint == fingerprint { Ok((kept, is_new)) } else { Err(EnclaveFault::Conflict) }
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
    check_bound(room, kept.counterparty()).await?;
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

/// How the asset is called and cut: by itself, or, of a token, as the enclave's own configuration names it.
fn coin_of(room: &Room, asset: Asset) -> Result<Denomination, EnclaveFault> {
    let named = || {
        let name = asset.to_string();
        let coin = room.limits.assets.iter().find(|coin| coin.asset() == name)?;
        Some(coin.denomination().clone())
    };
    asset.denomination().or_else(named).ok_or_else(|| {
        let problem = format!("`{asset}` is named by no `enclave.assets` here");
        Invalid::new(Code::AssetUnknown, "asset", problem, "name it with its ticker and its decimals").into()
    })
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
    let coin = coin_of(room, asset)?;
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
        symbol: coin.symbol().to_owned(),
        asset: asset.to_string(),
        network: ask.network.clone(),
        destination: ask.destination.clone(),
        amount: ask.amount.to_string(),
        coins: ask.amount.in_coin(coin.decimals()),
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
    let no = |code, problem: &str| Err(Invalid::new(code, "payload", problem, CURE));
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
async fn begin(room: &Arc<Room>, mut fresh: Verification) -> Result<(Verification, bool), EnclaveFault> {
    check_bound(room, fresh.counterparty()).await?;
    seal_at_hand(room, &mut fresh).await;
    fetch_ahead(room);
    if room.db.verification_insert(&fresh, None).await? {
        return Ok((fresh, true));
    }
    // Asked twice at the same moment: the first one written counts.
    Ok((room.db.verification(Role::Originator, &fresh.row_key).await?.unwrap_or(fresh), false))
}

/// Whether one more may wait for that counterparty: at most half of all that may wait wait for one, so that a silent one leaves room.
pub(in crate::enclave) async fn check_bound(room: &Room, vasp: VaspId) -> Result<(), EnclaveFault> {
    let most = room.limits.waiting_max;
    let share = (most / 2).max(1);
    let waiting = room.db.verifications_waiting().await?;
    if waiting >= most {
        return Err(EnclaveFault::QueueFull(waiting));
    }
    // As long as all together are fewer than the share, so are one's.
    if waiting < share {
        return Ok(());
    }
    let own = room.db.verifications_waiting_for(vasp).await?;
    if own >= share { Err(EnclaveFault::QueueFull(own)) } else { Ok(()) }
}

/// Tells the relay where this enclave is, and again now and then: the relay remembers nothing over a restart.
pub(in crate::enclave) async fn register(room: Arc<Room>) {
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
