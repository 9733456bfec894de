//! Owns the verdict: what the own backend says of a request, and what of that may be signed.

use crate::enclave::answer::{Decision, Kind, Reason};
use crate::enclave::backend::{Question, Verdict};
use crate::enclave::coin::{Coin, is_same_address};
use crate::enclave::ivms::{Beneficiary, Payload};
use crate::enclave::room::Room;
use crate::enclave::screen::Screening;
use crate::enclave::wire::letter::Asked;
use crate::evidence::answer::NamedAnswer;
use crate::withdrawal::Denomination;
use crate::withdrawal::{Asset, Invalid};

/// The verdict that may be signed; `None` if the backend takes longer than it may.
pub(in crate::enclave) async fn verdict(
    room: &Room,
    (asked, draft): (&Asked, &NamedAnswer),
    payload: Result<Option<Payload>, Invalid>,
) -> Option<Verdict> {
    let kind = draft.kind;
    let named = match &payload {
        Ok(Some(payload)) => payload.beneficiaries(),
        _ => Vec::new(),
    };
    // A signer says no worth: who asks for a person's confirmation names the person.
    let exceeding = asked.asset_info.as_ref().map_or(kind == Kind::User, |info| info.is_exceeding_threshold);
    let lack = || Verdict::denied(Reason::LackOfInformation);
    match payload {
        Err(_) => Some(lack()),
        Ok(None) if kind == Kind::User => Some(lack()),
        Ok(Some(payload)) if !is_same_address(&asked.asset, payload.account(), &asked.destination) => {
            Some(Verdict::denied(Reason::UnknownAddress).with_message(&asked.destination))
        }
        Ok(Some(_)) if exceeding && named.is_empty() => Some(lack().with_message("NATURAL_PERSON_NAME")),
        Ok(payload) => {
            let accounts = [asked.destination.as_str(), originator_account(payload.as_ref())];
            match room.screened(&accounts, payload.as_ref()).await {
                Screening::Clear => {}
                Screening::Unknown => return None,
                Screening::AddressListed => {
                    return Some(Verdict::denied(Reason::Blacklisted).with_message(&asked.destination));
                }
                Screening::NameListed => return Some(Verdict::denied(Reason::Blacklisted).with_message("-")),
            }
            let is_legal = named.first().is_some_and(|person| person.is_legal);
            Some(supplied(ask_backend(room, (asked, draft), payload).await?, asked, is_legal))
        }
    }
}

fn originator_account(payload: Option<&Payload>) -> &str {
    payload.map(Payload::originator_account).unwrap_or_default()
}

/// A yes stays one only if everything that was required comes with it; nothing else does.
fn supplied(verdict: Verdict, asked: &Asked, is_legal: bool) -> Verdict {
    if verdict.decision != Decision::Verified || asked.required.is_empty() {
        return verdict;
    }
    let beneficiary = verdict.beneficiary.unwrap_or_else(|| Beneficiary::of_account(&asked.destination));
    let missing = beneficiary.missing(&asked.required, is_legal);
    if missing.is_empty() {
        Verdict { beneficiary: Some(beneficiary.cut_to(&asked.required)), ..Verdict::verified(None) }
    } else {
        Verdict::denied(Reason::UnavailableInformation).with_message(missing.join(","))
    }
}

/// The asset that is asked about, or the no to one that is not known here.
fn coin_of<'a>(room: &'a Room, asked: &Asked) -> Result<&'a Coin, Verdict> {
    let of_asset: Vec<&Coin> = room.limits.assets.iter().filter(|coin| coin.asset() == asked.asset).collect();
    if let Some(coin) = of_asset.iter().find(|coin| coin.network() == asked.network) {
        return Ok(coin);
    }
    let own = Asset::parse(&asked.asset).ok().and_then(Asset::denomination);
    let own = own.as_ref().map_or(asked.asset.as_str(), Denomination::symbol);
    let symbol = asked.asset_info.as_ref().map_or(own, |info| &info.symbol);
    Err(match room.limits.assets.iter().any(|coin| coin.symbol() == symbol) {
        true => Verdict::denied(Reason::UnknownNetwork).with_message(&asked.network),
        false => Verdict::denied(Reason::UnknownSymbol).with_message(symbol),
    })
}

/// In a task of its own, so that a backend that panics takes nothing with it: the answer is then ERROR.
async fn ask_backend(
    room: &Room,
    (asked, draft): (&Asked, &NamedAnswer),
    payload: Option<Payload>,
) -> Option<Verdict> {
    let coin = match coin_of(room, asked) {
        Ok(coin) => coin.clone(),
        Err(unknown) => return Some(unknown),
    };
    let (backend, draft) = (room.backend.clone(), draft.clone());
    let (asset_info, required) = (asked.asset_info.clone(), asked.required.clone());
    let time = match draft.kind {
        Kind::User => room.limits.user_time,
        Kind::Account => room.limits.account_time,
    };
    let judging = async move {
        let question = Question {
            uuid: &draft.uuid.hyphenated().to_string(),
            originating_vasp: draft.originating_vasp,
            symbol: coin.symbol(),
            network: coin.network(),
            destination: &draft.destination,
            amount: draft.amount,
            payload: payload.as_ref(),
            asset_info: asset_info.as_ref(),
            required: &required,
        };
        match draft.kind {
            Kind::User => backend.verify_user(&question).await,
            Kind::Account => backend.verify_account(&question).await,
        }
    };
    match tokio::spawn(tokio::time::timeout(time, judging)).await {
        Ok(verdict) => verdict.ok().map(Verdict::sound),
        Err(broken) if broken.is_panic() => {
            tracing::error!(uuid = asked.uuid, "the backend broke over a verification");
            Some(Verdict::error())
        }
        Err(_) => None,
    }
}
