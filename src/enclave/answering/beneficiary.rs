//! Owns the counterparty's side: opens a sealed request, asks its own backend, signs the answer, seals it back.
//!
//! Knows no customers: that is the [`Backend`](crate::enclave::Backend)'s. Nothing here believes the relay: requests are signed inside the seal.

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::enclave::EnclaveFault;
use crate::enclave::answer::{Decision, Kind, plain_message};
use crate::enclave::answering::draft::{draft, is_sound};
use crate::enclave::answering::judging::verdict;
use crate::enclave::answering::parcel::{Letter, Trouble, known};
use crate::enclave::asking::screening::screen_kept;
use crate::enclave::backend::Verdict;
use crate::enclave::database::{Origin, Role, Settled, Signed, State, Verification};
use crate::enclave::ivms::{Payload, Text};
use crate::enclave::record::Outcome;
use crate::enclave::room::{Room, entropy};
use crate::enclave::screen::Screening;
use crate::enclave::wire::key::{KeyType, SignedKey};
use crate::enclave::wire::letter::{Asked, SealedReply, binding, is_uuid};
use crate::enclave::wire::seal::{self, Direction, PublicKey, Suite, pad};
use crate::enclave::wire::{Fate, KeyAsked, Parcel};
use crate::evidence::answer::{NamedAnswer, commitment, sign_named_answer};
use crate::evidence::ed25519;
use crate::withdrawal::VaspId;

/// What the beneficiary keeps beside the answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    salt: String,
    ivms101: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Gives a public key out, made now if need be. Errors are codes of `docs/relay.md`.
pub(in crate::enclave) async fn give_key(room: &Room, asked: &KeyAsked) -> Result<SignedKey, &'static str> {
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
pub(in crate::enclave) async fn receive(room: &Room, parcel: &Parcel) -> Fate {
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

/// A request that was opened, with the originating VASP's signature verified.
struct Opened {
    letter: Letter,
    asked: Asked,
    /// The answer as it stands before anybody was asked: it could be signed.
    draft: NamedAnswer,
    digest: Vec<u8>,
    reply_to: PublicKey,
}

async fn take(room: &Room, parcel: &Parcel) -> Result<Fate, Trouble> {
    let opened = open(room, parcel).await?;
    let row = format!("{}:{}", opened.letter.from, parcel.uuid);
    let kept = match room.db.verification(Role::Beneficiary, &row).await? {
        // What a list names by now is said to nobody again; the yes of before was given under the lists of before.
        Some(kept) if is_yes(&kept) && screen_kept(room, &kept).await != Screening::Clear => {
            tracing::warn!(uuid = parcel.uuid, "a yes is not given again: a list stops it");
            return Ok(Fate::Waiting);
        }
        Some(kept) => kept,
        None => {
            // A uuid is the one verification's that was here first, whoever else names it.
            if room.db.uuid_is_known(&parcel.uuid).await? {
                return Err(Trouble::Refused("uuid_reused"));
            }
            let Some(judged) = judge(room, &opened, row.clone()).await? else { return Ok(Fate::Waiting) };
            // Of two deliveries at once the first one written counts.
            match room.db.verification_insert(&judged, None).await? {
                true => judged,
                false => room.db.verification(Role::Beneficiary, &row).await?.unwrap_or(judged),
            }
        }
    };
    if kept.fingerprint != opened.digest {
        return Err(Trouble::Refused("uuid_reused"));
    }
    seal_reply(room, &opened, &kept)
}

fn is_yes(kept: &Verification) -> bool {
    kept.settled.result == Outcome::Verified
}

async fn open(room: &Room, parcel: &Parcel) -> Result<Opened, Trouble> {
    let no = Trouble::Refused;
    let letter = Letter::open(room, parcel, Direction::Request).await?;
    let asked: Asked = serde_json::from_str(letter.asked.as_str()).map_err(|_| no("unreadable"))?;
    if asked.uuid != parcel.uuid || asked.kind != parcel.kind {
        return Err(no("mismatch"));
    }
    Ok(Opened {
        draft: draft(room, letter.from, &asked)
            .filter(|draft| is_sound(room, &asked, draft))
            .ok_or(no("malformed"))?,
        digest: Sha256::digest(letter.asked.as_str().as_bytes()).to_vec(),
        reply_to: letter.reply_to(room, &asked.destination, &asked.uuid)?,
        asked,
        letter,
    })
}

/// Asks the backend and signs; `None` if it takes longer than it may.
async fn judge(room: &Room, opened: &Opened, row: String) -> Result<Option<Verification>, EnclaveFault> {
    let (asked, kind) = (&opened.asked, opened.draft.kind);
    let payload = match asked.ivms101.as_str() {
        "" => Ok(None),
        text => Payload::parse(text.as_bytes(), (room.now)()).map(Some),
    };
    let persons = payload.as_ref().ok().and_then(Option::as_ref).map(Persons::of).unwrap_or_default();
    let Some(verdict) = verdict(room, (asked, &opened.draft), payload).await else { return Ok(None) };
    // Who could not be read is committed to as nobody.
    let salt = entropy()?;
    let answer = NamedAnswer {
        commitment: (kind == Kind::User).then(|| commitment(&salt, persons.beneficiary.as_bytes())),
        result: verdict.decision,
        reason: verdict.reason.as_str().to_owned(),
        answered_at: (room.now)(),
        ..opened.draft.clone()
    };
    let salt = if kind == Kind::User { HEXLOWER.encode(&*salt) } else { String::new() };
    Ok(Some(written(room, opened, (row, persons), verdict, &answer, salt)?))
}

/// The persons of a request as they are kept.
#[derive(Default)]
struct Persons {
    originator: Zeroizing<String>,
    originator_account: String,
    beneficiary: Zeroizing<String>,
}

impl Persons {
    fn of(payload: &Payload) -> Self {
        Self {
            originator: payload.originator_canonical(),
            originator_account: payload.originator_account().to_owned(),
            beneficiary: payload.beneficiary_canonical(),
        }
    }
}

fn written(
    room: &Room,
    opened: &Opened,
    (row_key, persons): (String, Persons),
    verdict: Verdict,
    answer: &NamedAnswer,
    salt: String,
) -> Result<Verification, EnclaveFault> {
    let (asked, now) = (&opened.asked, answer.answered_at);
    let signed = sign_named_answer(answer, ed25519(&room.identity))?;
    let given = verdict.beneficiary.as_ref().filter(|_| verdict.decision == Decision::Verified);
    let ivms101 = Text::new(given.map(|b| b.canonical().to_string()).unwrap_or_default());
    let message = verdict.message.and_then(plain_message);
    let kept = Kept { salt, ivms101, message: message.clone() };
    let kept =
        serde_json::to_vec(&kept).map(Zeroizing::new).map_err(|e| EnclaveFault::Config(e.to_string()))?;
    let some = |text: Zeroizing<String>| Some(text).filter(|text| !text.is_empty());
    let coin = room.limits.assets.iter().find(|coin| coin.asset() == answer.asset);
    Ok(Verification {
        role: Role::Beneficiary,
        row_key,
        origin: Origin::Inbound,
        uuid: Some(asked.uuid.clone()),
        state: State::Answered,
        kind: asked.kind.clone(),
        key_type: opened.letter.key_type,
        originating_vasp: opened.letter.from,
        beneficiary_vasp: room.vasp,
        symbol: match (coin, &asked.asset_info) {
            (Some(coin), _) => coin.symbol().to_owned(),
            (None, Some(info)) => info.symbol.clone(),
            (None, None) => String::new(),
        },
        asset: asked.asset.clone(),
        network: asked.network.clone(),
        destination: asked.destination.clone(),
        amount: asked.amount.clone(),
        coins: match &asked.asset_info {
            Some(info) => info.amount.clone(),
            None => coin.map(|coin| answer.amount.in_coin(coin.decimals())).unwrap_or_default(),
        },
        asset_info: asked.asset_info.clone(),
        required: asked.required.clone(),
        originator_account: persons.originator_account,
        request_digest: asked.request_digest.clone(),
        fingerprint: opened.digest.clone(),
        originator: some(persons.originator),
        beneficiary: some(persons.beneficiary),
        reply: Some(kept),
        envelope: None,
        answer: Some(Signed { text: signed.text, signature: signed.signature }),
        settled: Settled {
            result: verdict.decision.into(),
            reason: Some(verdict.reason.as_str().to_owned()),
            message,
        },
        asked_at: now,
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
        message: own.message,
    };
    let plain = pad(Zeroizing::new(serde_json::to_string(&reply).map_err(|_| broken())?));
    let binding =
        binding(Direction::Reply, &opened.asked.uuid, room.vasp, opened.letter.from, opened.letter.key_type);
    let envelope = seal::seal(&opened.reply_to, binding, plain.as_bytes(), entropy()?);
    Ok(Fate::Answered { envelope: envelope.map_err(|_| Trouble::Refused("reply_key_invalid"))? })
}
