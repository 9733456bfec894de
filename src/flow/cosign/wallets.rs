//! Customers' own wallets at the co-signer: it issues the challenge, and the delay runs from its own first sight (law L3).

use data_encoding::HEXLOWER;

use super::party::{Core, Party, refuse_if_stopped};
use super::state::State;
use crate::desk::{ChallengeOrder, DeskError, SignedText, WalletEvidence, WalletReceipt};
use crate::evidence::wallet_challenge::{CHALLENGE_S, render_challenge};
use crate::evidence::wallet_registration::parse_registration;
use crate::evidence::{Exemption, NotProven, VerifiedRequest, WalletChallenge, WalletClaim, verify_removal};
use crate::flow::context::Context;
use crate::flow::ledger::journal::Draft;
use crate::flow::wallet::{self, CHALLENGE_KEY_ID, delay_s};
use crate::store::Table;
use crate::withdrawal::{Code, Invalid, Seconds};

impl Party {
    /// Issues a challenge. Nothing is kept: the signature says later that it was issued, for whom and when.
    pub(super) async fn challenge(&self, order: ChallengeOrder) -> Result<SignedText, DeskError> {
        let ChallengeOrder { organisation, customer_ref, asset, address } = order;
        if !self.context.pays(asset) {
            let problem = format!("`{asset}` is no asset of this party's wallets");
            let cure = "send the asset of one of its wallets";
            return Err(Invalid::new(Code::AssetUnknown, "asset", problem, cure).into());
        }
        let spelled = wallet::spelled(asset, &address)?;
        if spelled != address {
            let problem = format!("is not in its normal spelling `{spelled}`");
            let cure = "send the address in lower case";
            return Err(Invalid::new(Code::AddressMalformed, "address", problem, cure).into());
        }
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|no| DeskError::nothing_happened(Code::Internal, no.to_string()))?;
        let issued_at = self.context.now();
        let claim = WalletClaim { organisation, customer_ref, asset, address };
        let expires_at = issued_at.plus(CHALLENGE_S);
        let text = render_challenge(&WalletChallenge { claim, nonce, issued_at, expires_at });
        let signature = self.attestation.sign_text(&text);
        let signature =
            signature.map_err(|no| DeskError::nothing_happened(Code::Internal, no.to_string()))?;
        Ok(SignedText { text, key_id: CHALLENGE_KEY_ID.to_owned(), signature })
    }

    /// Takes a registration, or answers as before if it has it.
    pub(super) async fn register(&self, evidence: WalletEvidence) -> Result<WalletReceipt, DeskError> {
        let mut core = self.core.lock().await;
        refuse_if_stopped(&core)?;
        let said = parse_registration(&evidence.registration.text)?;
        let name = HEXLOWER.encode(&said.challenge);
        let known = core.state.registrations.known(&name, &evidence.registration.text);
        let known =
            known.map_err(DeskError::Refused)?.map(|known| known.row.effective_at(delay_s(&self.context)));
        if let Some(effective_at) = known {
            let row = core.journal.rows(Table::Registration, std::slice::from_ref(&name)).await;
            let log_index = row.map_err(|fault| fault.desk_error())?.first().map_or(0, |row| row.log_index());
            return Ok(WalletReceipt { effective_at, log_index });
        }
        let now = self.context.now();
        let check = || wallet::verify(&self.context, &evidence, now);
        let verified = tokio::task::block_in_place(check).map_err(refused)?;
        let mut draft = core.journal.draft(now);
        let times = (delay_s(&self.context), None);
        let taken = core.state.registrations.register(&mut draft, verified, times);
        let effective_at = taken.map_err(DeskError::Refused)?;
        let log_index = draft.last_index();
        self.keep(&mut core, draft).await?;
        Ok(WalletReceipt { effective_at, log_index })
    }

    /// Takes a removal. It counts from now on, also for what is on its way here.
    pub(super) async fn remove(&self, removal: SignedText) -> Result<(), DeskError> {
        let mut core = self.core.lock().await;
        let SignedText { text, key_id, signature } = &removal;
        let now = self.context.now();
        let removal = verify_removal(text, key_id, signature, &self.context.trust, now).map_err(refused)?;
        let mut draft = core.journal.draft(now);
        core.state.registrations.remove(&mut draft, &removal).map_err(DeskError::Refused)?;
        self.keep(&mut core, draft).await
    }

    async fn keep(&self, core: &mut Core, draft: Draft) -> Result<(), DeskError> {
        if !draft.is_empty()
            && let Err(fault) = core.journal.commit(draft).await
        {
            self.reload(core).await;
            return Err(fault.desk_error());
        }
        Ok(())
    }
}

/// Whether the registration that was handed over exempts this withdrawal, by what the co-signer has of it itself.
pub(super) fn exempt(
    context: &Context,
    state: &State,
    given: &SignedText,
    request: &VerifiedRequest,
    now: Seconds,
) -> Result<Exemption, NotProven> {
    let name = HEXLOWER.encode(&parse_registration(&given.text)?.challenge);
    state.registrations.known(&name, &given.text).map_err(NotProven::Refused)?;
    state.registrations.exemption_by(&name, request, delay_s(context), now)
}

fn refused(no: NotProven) -> DeskError {
    match no {
        NotProven::Unreadable(invalid) => DeskError::Invalid(invalid),
        NotProven::Refused(finding) => DeskError::Refused(finding),
    }
}
