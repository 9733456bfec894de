//! Customers' own wallets: verifying a registration with its proof, as either party does, and what it means for the
//! signer's withdrawals (law L3).

use super::context::Context;
use super::ledger::Ledger;
use super::ledger::registrations::{Registered, evidence_of};
use super::withdraw;
use super::writer::Turn;
use crate::bitcoin;
use crate::desk::{SignedText, WalletEvidence, WalletView};
use crate::ethereum;
use crate::evidence::wallet_registration::parse_registration;
use crate::evidence::{
    NotProven, Passage, ProofKind, Trust, VerifiedChallenge, VerifiedRegistration, VerifiedRemoval,
    VerifiedRequest, WalletRegistration, verify_challenge, verify_registration, witnessed,
};
use crate::withdrawal::{
    Asset, Chain, ChainId, Code, Finding, Invalid, Organisation, Outcome, Seconds, WithdrawalId, evm_address,
};

/// The name of the key that signs challenges, as the co-signer says it.
pub const CHALLENGE_KEY_ID: &str = "attestation";

/// An address in the one spelling that a wallet is registered by, or one wallet could be registered twice.
pub fn spelled(asset: Asset, address: &str) -> Result<String, Invalid> {
    let read = match asset.chain() {
        Chain::Bitcoin(network) => {
            bitcoin::Destination::parse(address, network).map(|read| read.as_str().to_owned())
        }
        Chain::Evm(_) => ethereum::Destination::parse(address).map(|read| read.as_str().to_owned()),
    };
    read.map_err(|no| Invalid { field: "address", ..no })
}

/// Whether the proof in a registration shows that whoever holds its address signed this message.
fn owns(trust: &Trust, registration: &WalletRegistration, message: &str) -> Result<(), Finding> {
    let claim = &registration.claim;
    let no = |detail: String| Finding::new(Code::OwnershipNotProven, detail);
    let address = spelled(claim.asset, &claim.address).map_err(|invalid| no(invalid.to_string()))?;
    if address != claim.address {
        return Err(no(format!("the address is not in its normal spelling `{address}`")));
    }
    match (registration.proof_kind, claim.asset.chain()) {
        (ProofKind::Bip322Simple, Chain::Bitcoin(network)) => {
            let address = bitcoin::Destination::parse(&address, network);
            let address = address.map_err(|invalid| no(invalid.to_string()))?;
            bitcoin::verify_message(&address, message, &registration.proof)
                .map_err(|error| Finding::new(error.code(), error.to_string()))
        }
        (ProofKind::Eip191, Chain::Evm(_)) => {
            let account =
                ethereum::Destination::parse(&address).map_err(|invalid| no(invalid.to_string()))?;
            ethereum::verify_message(account.address(), message, &registration.proof)
                .map_err(|error| Finding::new(error.code(), error.to_string()))
        }
        (ProofKind::Eip1271, Chain::Evm(chain)) => {
            accepted(trust, (chain, &address), message, &registration.proof)
        }
        (ProofKind::Bip322Simple, Chain::Evm(_))
        | (ProofKind::Eip191 | ProofKind::Eip1271, Chain::Bitcoin(_)) => {
            Err(no("the proof is of another chain's kind".to_owned()))
        }
    }
}

/// Whether a contract accepts a proof is a fact of its chain, which nobody here may ask for: an observer stated it of this very
/// message, which names the challenge.
fn accepted(
    trust: &Trust,
    (chain, contract): (ChainId, &str),
    message: &str,
    proof: &str,
) -> Result<(), Finding> {
    let fact = witnessed(proof, trust).map_err(|no| match no {
        NotProven::Refused(finding) => finding,
        NotProven::Unreadable(invalid) => Finding::new(Code::EvidenceInvalid, invalid.to_string()),
    })?;
    let is_this = fact.chain == chain
        && evm_address::spell(fact.contract) == contract
        && fact.message_hash == ethereum::message_hash(message);
    if is_this {
        return Ok(());
    }
    let detail = "the observer's statement is of another contract, chain or message";
    Err(Finding::new(Code::OwnershipNotProven, detail))
}

fn challenge_of(trust: &Trust, given: &SignedText) -> Result<VerifiedChallenge, NotProven> {
    verify_challenge(&given.text, &given.signature, trust.attestation_key())
}

/// Verifies a registration that is seen for the first time.
pub fn verify(
    context: &Context,
    evidence: &WalletEvidence,
    now: Seconds,
) -> Result<VerifiedRegistration, NotProven> {
    let challenge = challenge_of(&context.trust, &evidence.challenge)?;
    let given = &evidence.registration;
    let when = (now, context.settings.request_age_s_max);
    let owns = |registration: &_, message: &_| owns(&context.trust, registration, message);
    let verified = verify_registration(parts(given), challenge, &context.trust, when, owns)?;
    let asset = verified.registration().claim.asset;
    if !context.pays(asset) {
        let detail = format!("`{asset}` is no asset of this party's wallets");
        return Err(NotProven::Refused(Finding::new(Code::AssetUnknown, detail)));
    }
    Ok(verified)
}

/// Verifies a registration that was taken before.
pub fn reverify(trust: &Trust, evidence: &WalletEvidence) -> Result<VerifiedRegistration, NotProven> {
    let challenge = challenge_of(trust, &evidence.challenge)?;
    let owns = |registration: &_, message: &_| owns(trust, registration, message);
    VerifiedRegistration::reverify(parts(&evidence.registration), challenge, trust, owns)
}

fn parts(given: &SignedText) -> (&str, &str, &[u8]) {
    (&given.text, &given.key_id, &given.signature)
}

/// How long a wallet must be known to this party.
pub fn delay_s(context: &Context) -> u64 {
    context.policy.settings().self_hosted_delay_s
}

/// Clears a withdrawal to the customer's own wallet, or says why it is not. One that names a VASP is none of this.
///
/// It is asked at each decision: a registration may have been removed since.
pub fn exempt(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    id: WithdrawalId,
) -> Result<(), Outcome> {
    let Some(open) = ledger.open.get_mut(&id) else { return Ok(()) };
    let is_other = !open.request.request().beneficiary_vasp.is_self_hosted();
    if is_other || open.row.reservation.is_some() || open.row.is_final() {
        return Ok(());
    }
    let now = turn.draft.now();
    match ledger.registrations.exemption(&open.request, delay_s(context), now) {
        Ok(exemption) if open.clearance.is_none() => {
            withdraw::clear(open, turn, Passage::Exempt(exemption));
        }
        Ok(_) => {}
        Err(no) => {
            let effective = ledger.registrations.effective_at(&open.request, delay_s(context));
            let kept_until = Seconds(open.row.asked_at).plus(context.settings.hold_s_max);
            let outcome = foreseen(outcome_of(no), effective, kept_until);
            let age = now.since(Seconds(open.row.asked_at));
            let is_over = age.is_some_and(|age| age > context.settings.hold_s_max);
            if let (Outcome::Held(_), true) = (&outcome, is_over) {
                let detail = match effective {
                    Some(at) => format!(
                        "waited for {}, and the wallet takes effect at {at}",
                        Code::WalletNotEffective
                    ),
                    None => format!("waited for {}", Code::WalletNotEffective),
                };
                return Err(Outcome::Refused(vec![Finding::new(Code::HoldExpired, detail)]));
            }
            return Err(outcome);
        }
    }
    Ok(())
}

/// Takes a registration that both parties verified; the co-signer's own time for it counts as well.
pub fn register(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    (verified, cosigner_effective_at): (VerifiedRegistration, Seconds),
) -> Result<WalletView, Finding> {
    let name = verified.challenge().name().to_owned();
    if ledger.registrations.known(&name, verified.signed().text())?.is_none() {
        let times = (delay_s(context), Some(cosigner_effective_at));
        ledger.registrations.register(&mut turn.draft, verified, times)?;
        ledger.ripen_all();
    }
    view_named(context, ledger, &name)
}

/// Takes a removal: withdrawals that stood on the registration are decided again.
pub fn remove(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    removal: &VerifiedRemoval,
) -> Result<WalletView, Finding> {
    ledger.registrations.remove(&mut turn.draft, removal)?;
    ledger.ripen_all();
    view_named(context, ledger, &removal.name())
}

/// What would be said now of a withdrawal to the customer's own wallet, as far as the travel rule goes.
pub fn foretell(context: &Context, ledger: &Ledger, request: &VerifiedRequest) -> Outcome {
    match ledger.registrations.exemption(request, delay_s(context), context.now()) {
        Ok(_) => Outcome::Moving,
        Err(no) => {
            let effective = ledger.registrations.effective_at(request, delay_s(context));
            foreseen(outcome_of(no), effective, context.now().plus(context.settings.hold_s_max))
        }
    }
}

/// A hold that will be over before its wallet takes effect says so from the first moment on.
fn foreseen(outcome: Outcome, effective: Option<Seconds>, kept_until: Seconds) -> Outcome {
    match (outcome, effective) {
        (Outcome::Held(mut findings), Some(at)) if at > kept_until => {
            for finding in findings.iter_mut().filter(|finding| finding.code == Code::WalletNotEffective) {
                finding.detail.push_str(&format!(
                    ", and this request is held until {kept_until} only: ask again under another id from then on"
                ));
            }
            Outcome::Held(findings)
        }
        (outcome, _) => outcome,
    }
}

fn outcome_of(no: NotProven) -> Outcome {
    let finding = match no {
        NotProven::Refused(finding) => finding,
        NotProven::Unreadable(invalid) => Finding::new(Code::EvidenceInvalid, invalid.to_string()),
    };
    match finding.code {
        Code::WalletNotEffective => Outcome::Held(vec![finding]),
        _ => Outcome::Refused(vec![finding]),
    }
}

/// The registrations as readers are shown them, by name.
pub fn views(context: &Context, ledger: &Ledger, organisation: Option<&Organisation>) -> Vec<WalletView> {
    let all = ledger.registrations.all().filter_map(|(name, found)| view(context, name, found).ok());
    all.filter(|view| organisation.is_none_or(|organisation| view.organisation == *organisation)).collect()
}

fn view_named(context: &Context, ledger: &Ledger, name: &str) -> Result<WalletView, Finding> {
    let registered = ledger.registrations.named(name);
    let view = registered.and_then(|registered| view(context, name, registered).ok());
    view.ok_or_else(|| Finding::new(Code::Internal, "a registration cannot be shown"))
}

/// A registration as readers are shown it.
pub fn view(context: &Context, name: &str, registered: &Registered) -> Result<WalletView, Invalid> {
    let row = &registered.row;
    let said = parse_registration(&row.registration.text)?;
    let unreadable = || Invalid::new(Code::SignatureMalformed, "signature", "cannot be read", "");
    Ok(WalletView {
        name: name.to_owned(),
        organisation: said.claim.organisation,
        customer_ref: said.claim.customer_ref,
        asset: said.claim.asset,
        address: said.claim.address,
        effective_at: row.effective_at(delay_s(context)),
        removed_at: row.removed_at.map(Seconds),
        evidence: evidence_of(row).ok_or_else(unreadable)?,
    })
}

#[cfg(test)]
mod tests;
