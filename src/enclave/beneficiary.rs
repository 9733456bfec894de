//! Owns the counterparty's side: opens a sealed request, asks its own backend, signs the answer, seals it back.
//!
//! Knows no customers: that is the [`Backend`](super::Backend)'s. Nothing here believes the relay: requests are signed inside the seal.

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::EnclaveFault;
use super::answer::{Decision, Kind, Reason, kind_of};
use super::backend::{Question, Verdict};
use super::database::{Role, Signed, State, Verification};
use super::ivms::{Payload, Text};
use super::letter::{
    Asked, SealedReply, SealedRequest, binding, check_signature, identifier, is_uuid, request_text,
};
use super::room::{Room, entropy};
use super::seal::{self, Direction, PublicKey, Suite, pad};
use super::wire::key::{KeyType, SignedKey};
use super::wire::{Fate, KeyAsked, Parcel};
use crate::evidence::answer::{VerificationAnswer, commitment, parse_answer, render_answer};
use crate::evidence::{ed25519, sign_answer};
use crate::withdrawal::{Amount, Asset, Invalid, Network, VaspId};

/// What the beneficiary keeps beside the answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    salt: String,
    ivms101: Text,
}

/// Gives a public key out, made now if need be. Errors are codes of `docs/relay.md`.
pub(super) async fn give_key(room: &Room, asked: &KeyAsked) -> Result<SignedKey, &'static str> {
    let from = VaspId::parse(&asked.from).map_err(|_| "vasp_unknown")?;
    if asked.to != room.vasp.to_string() || !room.peers.contains_key(&from) {
        return Err("vasp_unknown");
    }
    let key_type = KeyType::parse(&asked.key_type).ok_or("malformed")?;
    let shaped = match key_type {
        KeyType::PerVasp => asked.identifier == asked.to,
        KeyType::PerAddress => {
            asked.identifier.len() == 64 && HEXLOWER.decode(asked.identifier.as_bytes()).is_ok()
        }
        KeyType::PerVerification => is_uuid(&asked.identifier),
    };
    if !shaped {
        return Err("malformed");
    }
    let suite = Suite::best(&room.limits.suites, &asked.suites).ok_or("suite_unknown")?;
    let purpose = (key_type, asked.identifier.as_str());
    let key = room.own_key(suite, purpose, from).await.map_err(|fault| match fault {
        EnclaveFault::QueueFull(_) => "busy",
        _ => "unavailable",
    })?;
    Ok(room.signed_key(purpose, &key.public))
}

/// Takes a parcel from the relay. Delivered again, it gets the same answer.
pub(super) async fn receive(room: &Room, parcel: &Parcel) -> Fate {
    match take(room, parcel).await {
        Ok(fate) => fate,
        Err(Trouble::Refused(error)) => {
            let (uuid, from) = known(room, parcel);
            tracing::warn!(uuid, from, error, "a verification request was refused");
            Fate::Refused { error: error.to_owned() }
        }
        Err(Trouble::Fault(fault)) => {
            let (uuid, from) = known(room, parcel);
            tracing::error!(uuid, from, %fault, "a verification request could not be served");
            Fate::Waiting
        }
    }
}

/// What of a parcel may be logged whoever wrote it: its uuid if it is one, and its sender's id if that is a peer's.
fn known<'a>(room: &Room, parcel: &'a Parcel) -> (Option<&'a str>, Option<u64>) {
    let uuid = Some(parcel.uuid.as_str()).filter(|uuid| is_uuid(uuid));
    let from = VaspId::parse(&parcel.from).ok().filter(|from| room.peers.contains_key(from));
    (uuid, from.map(|from| from.0))
}

/// Why a parcel gets no answer now.
enum Trouble {
    /// Never will.
    Refused(&'static str),
    /// Something broke here; the relay brings it again.
    Fault(EnclaveFault),
}

impl<E: Into<EnclaveFault>> From<E> for Trouble {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

/// A request that was opened, with the originating VASP's signature verified.
struct Opened {
    from: VaspId,
    key_type: KeyType,
    asked: Asked,
    /// The answer as it stands before anybody was asked: it could be signed.
    draft: VerificationAnswer,
    digest: Vec<u8>,
    reply_to: PublicKey,
}

async fn take(room: &Room, parcel: &Parcel) -> Result<Fate, Trouble> {
    let opened = open(room, parcel).await?;
    let row = format!("{}:{}", opened.from, parcel.uuid);
    let kept = match room.db.verification(Role::Beneficiary, &row).await? {
        Some(kept) => kept,
        None => {
            let Some(judged) = judge(room, &opened, row.clone()).await? else { return Ok(Fate::Waiting) };
            room.db.verification_insert(&judged).await?;
            // Of two deliveries at once the first one written counts.
            room.db.verification(Role::Beneficiary, &row).await?.unwrap_or(judged)
        }
    };
    if kept.fingerprint != opened.digest {
        return Err(Trouble::Refused("uuid_reused"));
    }
    seal_reply(room, &opened, &kept)
}

async fn open(room: &Room, parcel: &Parcel) -> Result<Opened, Trouble> {
    let no = Trouble::Refused;
    let from = VaspId::parse(&parcel.from).map_err(|_| no("vasp_unknown"))?;
    let identity = room.peers.get(&from).ok_or(no("vasp_unknown"))?;
    let key_type = KeyType::parse(&parcel.key_type).ok_or(no("malformed"))?;
    if parcel.to != room.vasp.to_string() || !is_uuid(&parcel.uuid) {
        return Err(no("malformed"));
    }
    let own = room.db.own_key_named(&parcel.envelope.key_id).await?.ok_or(no("key_unknown"))?;
    let binding = binding(Direction::Request, &parcel.uuid, from, room.vasp, key_type);
    let plain = seal::open(&own.private, binding, &parcel.envelope).map_err(|_| no("unreadable"))?;
    let request: SealedRequest = serde_json::from_slice(&plain).map_err(|_| no("unreadable"))?;
    let suite = Suite::parse(&parcel.envelope.suite).ok_or(no("unreadable"))?;
    let text = request_text(binding, suite, request.asked.as_str(), &request.reply_key);
    check_signature(identity, &text, &request.signature).ok_or(no("signature_invalid"))?;
    let asked: Asked = serde_json::from_str(request.asked.as_str()).map_err(|_| no("unreadable"))?;
    if asked.uuid != parcel.uuid || asked.kind != parcel.kind {
        return Err(no("mismatch"));
    }
    let purpose = identifier(key_type, from, &asked.destination, &asked.uuid);
    let reply_to =
        request.reply_key.verify(identity, from, (key_type, &purpose), &room.limits.suites, (room.now)());
    Ok(Opened {
        from,
        key_type,
        draft: draft(room, from, &asked).ok_or(no("malformed"))?,
        digest: Sha256::digest(request.asked.as_str().as_bytes()).to_vec(),
        reply_to: reply_to.map_err(|_| no("reply_key_invalid"))?,
        asked,
    })
}

/// The answer without a verdict, if everything that was asked may stand in one.
fn draft(room: &Room, from: VaspId, asked: &Asked) -> Option<VerificationAnswer> {
    let kind = kind_of(&asked.kind)?;
    let draft = VerificationAnswer {
        uuid: Uuid::try_parse(&asked.uuid).ok()?,
        kind,
        originating_vasp: from,
        beneficiary_vasp: room.vasp,
        asset: Asset::parse(&asked.asset).ok()?,
        network: Network::parse(&asked.network).ok()?,
        destination: asked.destination.clone(),
        amount: Amount::parse("amount", &asked.amount).ok()?,
        commitment: (kind == Kind::User).then_some([0; 32]),
        result: Decision::Error,
        reason: Reason::UndefinedError.as_str().to_owned(),
        answered_at: (room.now)(),
        request_digest: HEXLOWER.decode(asked.request_digest.as_bytes()).ok()?.try_into().ok()?,
    };
    let good = draft.asset.network() == draft.network && parse_answer(&render_answer(&draft)).is_ok();
    good.then_some(draft)
}

/// Asks the backend and signs; `None` if it takes longer than it may.
async fn judge(room: &Room, opened: &Opened, row: String) -> Result<Option<Verification>, EnclaveFault> {
    let (asked, kind) = (&opened.asked, opened.draft.kind);
    let payload = match asked.ivms101.as_str() {
        "" => Ok(None),
        text => Payload::parse(text.as_bytes(), (room.now)()).map(Some),
    };
    let person = person_of(&payload);
    let verdict = match payload {
        Err(_) => Verdict::denied(Reason::LackOfInformation),
        Ok(None) if kind == Kind::User => Verdict::denied(Reason::LackOfInformation),
        Ok(Some(payload)) if payload.account() != asked.destination => {
            Verdict::denied(Reason::UnknownAddress)
        }
        Ok(payload) => match ask_backend(room, opened, payload).await {
            Some(verdict) => verdict,
            None => return Ok(None),
        },
    };
    // Who could not be read is committed to as nobody.
    let salt = entropy()?;
    let answer = VerificationAnswer {
        commitment: (kind == Kind::User).then(|| commitment(&salt, person.as_bytes())),
        result: verdict.decision,
        reason: verdict.reason.as_str().to_owned(),
        answered_at: (room.now)(),
        ..opened.draft.clone()
    };
    let salt = if kind == Kind::User { HEXLOWER.encode(&*salt) } else { String::new() };
    Ok(Some(written(room, opened, row, &verdict, &answer, salt)?))
}

fn person_of(payload: &Result<Option<Payload>, Invalid>) -> Zeroizing<String> {
    let payload = payload.as_ref().ok().and_then(Option::as_ref);
    payload.map(Payload::beneficiary_canonical).unwrap_or_default()
}

/// In a task of its own, so that a backend that panics takes nothing with it: the answer is then ERROR.
async fn ask_backend(room: &Room, opened: &Opened, payload: Option<Payload>) -> Option<Verdict> {
    let (backend, draft, symbol) = (room.backend.clone(), opened.draft.clone(), opened.draft.asset.symbol());
    let time = match draft.kind {
        Kind::User => room.limits.user_time,
        Kind::Account => room.limits.account_time,
    };
    let judging = async move {
        let question = Question {
            uuid: &draft.uuid.hyphenated().to_string(),
            originating_vasp: draft.originating_vasp,
            symbol,
            network: draft.network.as_str(),
            destination: &draft.destination,
            amount: draft.amount,
            payload: payload.as_ref(),
            asset_info: None,
            required: &[],
        };
        match draft.kind {
            Kind::User => backend.verify_user(&question).await,
            Kind::Account => backend.verify_account(&question).await,
        }
    };
    match tokio::spawn(tokio::time::timeout(time, judging)).await {
        Ok(verdict) => verdict.ok().map(Verdict::sound),
        Err(broken) if broken.is_panic() => {
            tracing::error!(uuid = opened.asked.uuid, "the backend broke over a verification");
            Some(Verdict::error())
        }
        Err(_) => None,
    }
}

fn written(
    room: &Room,
    opened: &Opened,
    row_key: String,
    verdict: &Verdict,
    answer: &VerificationAnswer,
    salt: String,
) -> Result<Verification, EnclaveFault> {
    let (asked, now) = (&opened.asked, answer.answered_at);
    let signed = sign_answer(answer, ed25519(&room.identity))?;
    let given = verdict.beneficiary.as_ref().filter(|_| verdict.decision == Decision::Verified);
    let kept =
        Kept { salt, ivms101: Text::new(given.map(|b| b.canonical().to_string()).unwrap_or_default()) };
    let kept =
        serde_json::to_vec(&kept).map(Zeroizing::new).map_err(|e| EnclaveFault::Config(e.to_string()))?;
    Ok(Verification {
        role: Role::Beneficiary,
        row_key,
        uuid: Some(asked.uuid.clone()),
        state: State::Answered,
        kind: asked.kind.clone(),
        counterparty: opened.from.to_string(),
        asset: asked.asset.clone(),
        network: asked.network.clone(),
        destination: asked.destination.clone(),
        amount: asked.amount.clone(),
        request_digest: asked.request_digest.clone(),
        fingerprint: opened.digest.clone(),
        ivms: (!asked.ivms101.is_empty()).then(|| Zeroizing::new(asked.ivms101.clone().into_bytes())),
        reply: Some(kept),
        envelope: None,
        answer: Some(Signed { text: signed.text, signature: signed.signature }),
        created_at: now,
        expires_at: now,
        next_try_at: now,
        tries: 0,
    })
}

fn seal_reply(room: &Room, opened: &Opened, kept: &Verification) -> Result<Fate, Trouble> {
    let broken = || Trouble::Fault(EnclaveFault::Config("a kept answer cannot be read".into()));
    let answer = kept.answer.as_ref().ok_or_else(broken)?;
    let own: Kept = serde_json::from_slice(kept.reply.as_ref().ok_or_else(broken)?).map_err(|_| broken())?;
    let reply = SealedReply {
        answer: answer.text.clone(),
        signature: BASE64.encode(&answer.signature),
        salt: own.salt,
        ivms101: own.ivms101,
    };
    let plain = pad(Zeroizing::new(serde_json::to_string(&reply).map_err(|_| broken())?));
    let binding = binding(Direction::Reply, &opened.asked.uuid, room.vasp, opened.from, opened.key_type);
    let envelope = seal::seal(&opened.reply_to, binding, plain.as_bytes(), entropy()?);
    Ok(Fate::Answered { envelope: envelope.map_err(|_| Trouble::Refused("reply_key_invalid"))? })
}
