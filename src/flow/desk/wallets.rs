//! The signer's counter for customers' own wallets: verified here, taken to the co-signer, then written down.

use super::{SignerDesk, refused};
use crate::desk::{
    Caller, ChallengeOrder, ChallengeView, DeskError, Page, PageOrder, Role, SignedText, WalletDesk,
    WalletEvidence, WalletView,
};
use crate::evidence::{NotProven, WalletClaim, verify_challenge, verify_removal};
use crate::flow::Command;
use crate::flow::wallet::{self, CHALLENGE_KEY_ID};
use crate::flow::writer::Question;
use crate::withdrawal::{Code, Finding, Invalid, Organisation};

/// An exchange speaks of its own customers and of nobody else's.
fn check_own(caller: &Caller, organisation: &Organisation) -> Result<(), DeskError> {
    if caller.role == Role::Exchange && caller.name != organisation.as_str() {
        let detail = "the certificate is of another organisation";
        return Err(DeskError::nothing_happened(Code::RoleNotAllowed, detail));
    }
    Ok(())
}

#[tonic::async_trait]
impl WalletDesk for SignerDesk {
    async fn challenge(&self, caller: &Caller, order: ChallengeOrder) -> Result<ChallengeView, DeskError> {
        check_own(caller, &order.organisation)?;
        let given = self.cosigner.challenge(order.clone()).await?;
        let key = self.context.trust.attestation_key();
        let verified = verify_challenge(&given.text, &given.signature, key).map_err(refused)?;
        let ChallengeOrder { organisation, customer_ref, asset, address } = order;
        let said = verified.challenge();
        if said.claim != (WalletClaim { organisation, customer_ref, asset, address }) {
            let finding =
                Finding::new(Code::EvidenceInvalid, "the co-signer's challenge is for another wallet");
            return Err(DeskError::Refused(finding));
        }
        verified.check_current(self.context.now()).map_err(refused)?;
        Ok(ChallengeView {
            name: verified.name().to_owned(),
            message: verified.message(),
            expires_at: said.expires_at,
            challenge: SignedText { key_id: CHALLENGE_KEY_ID.to_owned(), ..given },
        })
    }

    async fn register(&self, caller: &Caller, evidence: WalletEvidence) -> Result<WalletView, DeskError> {
        let verified = self.verify_wallet(&evidence).await?;
        check_own(caller, &verified.registration().claim.organisation)?;
        // First to the co-signer: what stands here, both have. Asked again, it answers as it did.
        let receipt = self.cosigner.register(evidence).await?;
        let registration = Box::new(verified);
        let effective_at = receipt.effective_at;
        self.command(|reply| Command::Register { registration, effective_at, reply }).await
    }

    async fn registered(&self, caller: &Caller, name: &str) -> Result<WalletView, DeskError> {
        let view = self.question(|to| Question::Wallet(name.to_owned(), to)).await?;
        let own = |view: &WalletView| check_own(caller, &view.organisation).is_ok();
        view.filter(own).ok_or_else(|| DeskError::not_found(name))
    }

    async fn registrations(
        &self,
        caller: &Caller,
        organisation: Option<Organisation>,
        page: PageOrder,
    ) -> Result<Page<WalletView>, DeskError> {
        let organisation = match caller.role {
            Role::Exchange => Some(Organisation::parse(&caller.name)?),
            Role::Observer
            | Role::Operator
            | Role::Auditor
            | Role::Executor
            | Role::Signer
            | Role::Cosigner => organisation,
        };
        let bad = || {
            let cure = "send the token of the last page, or none";
            Invalid::new(Code::FieldMalformed, "page_token", "is no page token of this list", cure)
        };
        let after = page.token.filter(|token| !token.is_empty());
        if after.as_ref().is_some_and(|token| token.len() != 64) {
            return Err(bad().into());
        }
        let size = usize::try_from(page.size_max).unwrap_or(1).clamp(1, 1_000);
        let all = self.question(|to| Question::Wallets(organisation, to)).await?;
        // Names are in order, and nothing is ever taken out.
        let rest = all.into_iter().filter(|view| after.as_ref().is_none_or(|after| view.name > *after));
        let mut items: Vec<WalletView> = rest.take(size.saturating_add(1)).collect();
        let is_more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| is_more).map(|last| last.name.clone());
        Ok(Page { items, next })
    }

    async fn remove(&self, caller: &Caller, removal: SignedText) -> Result<WalletView, DeskError> {
        let SignedText { text, key_id, signature } = &removal;
        let now = self.context.now();
        let verified = verify_removal(text, key_id, signature, &self.context.trust, now).map_err(refused)?;
        check_own(caller, &verified.removal().organisation)?;
        // First here: a no counts at once. Then it must reach the co-signer, or the caller is told to ask again.
        let view = self.command(|reply| Command::Remove { removal: verified, reply }).await;
        let there = self.cosigner.remove(removal).await;
        let view = view.map_err(|no| match (&there, no) {
            // The co-signer had it alone: a registration that broke off between the two.
            (Ok(()), DeskError::Refused(no)) if no.code == Code::WalletNotRegistered => {
                let detail = format!("{}; the co-signer had it and has removed it", no.detail);
                DeskError::Refused(Finding::new(no.code, detail))
            }
            (_, no) => no,
        })?;
        match there {
            Ok(()) => Ok(view),
            Err(fault) => Err(DeskError::may_have_happened(
                fault.code(),
                format!("removed here, and the co-signer has not heard of it; ask again: {fault}"),
            )),
        }
    }
}

impl SignerDesk {
    /// One that stands already is verified without its times: it was in time when it came. Whether one that is late here was
    /// in time there, the co-signer says next: it may have it since a call that broke off between the two, and takes no
    /// late one itself. The delay here begins now.
    async fn verify_wallet(
        &self,
        evidence: &WalletEvidence,
    ) -> Result<crate::evidence::VerifiedRegistration, DeskError> {
        let again = wallet::reverify(&self.context.trust, evidence).map_err(refused)?;
        let name = again.challenge().name().to_owned();
        let known = self.question(|to| Question::Wallet(name, to)).await?;
        if known.is_some_and(|view| view.evidence.registration.text == evidence.registration.text) {
            return Ok(again);
        }
        match wallet::verify(&self.context, evidence, self.context.now()) {
            Err(no) if is_late(&no) && self.context.pays(again.registration().claim.asset) => Ok(again),
            verified => verified.map_err(refused),
        }
    }
}

fn is_late(no: &NotProven) -> bool {
    matches!(no.code(), Code::RequestTimeOutOfRange | Code::ChallengeExpired)
}
