//! Owns the verdict: what the own backend says of a request, and what of that may be signed.

use crate::enclave::answer::{Decision, Kind, Reason};
use crate::enclave::backend::{Question, Verdict};
use crate::enclave::ivms::{Beneficiary, Payload};
use crate::enclave::room::Room;
use crate::enclave::screen::Screening;
use crate::enclave::wire::letter::Asked;
use crate::evidence::answer::VerificationAnswer;
use crate::withdrawal::Invalid;

/// The verdict that may be signed; `None` if the backend takes longer than it may.
pub(in crate::enclave) async fn verdict(
    room: &Room,
    (asked, draft): (&Asked, &VerificationAnswer),
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
        Ok(Some(payload)) if payload.account() != asked.destination => {
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

/// In a task of its own, so that a backend that panics takes nothing with it: the answer is then ERROR.
async fn ask_backend(
    room: &Room,
    (asked, draft): (&Asked, &VerificationAnswer),
    payload: Option<Payload>,
) -> Option<Verdict> {
    let (backend, draft, symbol) = (room.backend.clone(), draft.clone(), draft.asset.symbol());
    let (asset_info, required) = (asked.asset_info.clone(), asked.required.clone());
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
