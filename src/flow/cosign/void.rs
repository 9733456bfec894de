//! What the co-signer never signs: an exchange's cancellation or an operator's rejection, written down once and for ever,
//! and answered with a signed receipt (law L2).

use data_encoding::HEXLOWER;

use super::party::{Core, Party};
use crate::audit::EntryKind;
use crate::desk::{DeskError, SignedText, VoidOrder, Voided};
use crate::evidence::cancel::parse_cancel;
use crate::evidence::rejection::{Rejection, RejectionText, verify_rejection};
use crate::evidence::void::{VoidCause, WithdrawalVoid, render_void};
use crate::evidence::{NotProven, VerifiedCancel, VerifiedRequest, digest, verify_cancel};
use crate::flow::ledger::journal::{Draft, JournalFault};
use crate::flow::ledger::rows::{self, SeenRequestRow, Signed, VoidRow};
use crate::store::Table;
use crate::withdrawal::{Code, Finding, Seconds, WithdrawalId};

/// A word whose signature the co-signer has verified by its own trust file.
enum Word {
    Cancel(VerifiedCancel),
    Reject(Box<Rejection>),
}

impl Party {
    /// Takes a withdrawal back, unless it is signed. This and the signing of it take turns: one of the two is for ever.
    pub(super) async fn void(&self, order: VoidOrder) -> Result<Voided, DeskError> {
        let mut core = self.core.lock().await;
        let id = named(&order).map_err(refused)?;
        let seen = seen(&core, id).await.map_err(|fault| fault.desk_error())?;
        if let Some(void) = seen.as_ref().and_then(|seen| seen.void.as_ref()) {
            let receipt = void.receipt.signed_text();
            let unreadable = || JournalFault::Unreadable(id.to_string()).desk_error();
            return receipt.map(Voided::Receipt).ok_or_else(unreadable);
        }
        let now = self.context.now();
        let word = self.prove_word(&order, now).map_err(refused)?;
        if seen.is_some_and(|seen| seen.reservation.is_some()) {
            return Ok(Voided::Signed);
        }
        let receipt = self.receipt(&word, now).map_err(DeskError::Refused)?;
        let mut draft = core.journal.draft(now);
        enter(&mut draft, id, &word, &receipt);
        let void =
            VoidRow { cause: word.cause().to_string(), receipt: Signed::of(&receipt), ..proof(&order) };
        let row = SeenRequestRow::void(void);
        draft.row(Table::SeenRequest, id.to_string(), "void", now, rows::write(&row));
        for (refill, row) in core.state.treasury.refills.left(&id.to_string()) {
            draft.row(Table::Refill, refill, "changed", now, rows::write(&row));
        }
        if let Err(fault) = core.journal.commit(draft).await {
            self.reload(&mut core).await;
            return Err(fault.desk_error());
        }
        Ok(Voided::Receipt(receipt))
    }

    fn prove_word(&self, order: &VoidOrder, now: Seconds) -> Result<Word, NotProven> {
        let trust = &self.context.trust;
        match order {
            VoidOrder::Cancellation(SignedText { text, key_id, signature }) => {
                let age_s_max = self.context.settings.request_age_s_max;
                verify_cancel(text, key_id, signature, trust, now, age_s_max).map(Word::Cancel)
            }
            VoidOrder::Rejection { request, text, signature } => {
                let SignedText { text: asked, key_id, signature: by } = request;
                let request = VerifiedRequest::reverify(asked, key_id, by, trust)?;
                verify_rejection(text, signature, trust, &request).map(Box::new).map(Word::Reject)
            }
        }
    }

    fn receipt(&self, word: &Word, now: Seconds) -> Result<SignedText, Finding> {
        let (organisation, request_id, evidence) = match word {
            Word::Cancel(cancel) => {
                (&cancel.cancel().organisation, &cancel.cancel().request_id, digest(cancel.signed().text()))
            }
            Word::Reject(rejection) => {
                let subject = &rejection.text().subject;
                (&subject.organisation, &subject.request_id, *rejection.digest())
            }
        };
        let void = WithdrawalVoid {
            organisation: organisation.clone(),
            request_id: request_id.clone(),
            cause: word.cause(),
            evidence,
            voided_at: now,
        };
        let text = render_void(&void);
        let signature = self.attestation.sign_text(&text);
        let signature = signature.map_err(|no| Finding::new(Code::Internal, no.to_string()))?;
        Ok(SignedText { text, key_id: "attestation".to_owned(), signature })
    }
}

impl Word {
    const fn cause(&self) -> VoidCause {
        match self {
            Self::Cancel(_) => VoidCause::Cancelled,
            Self::Reject(_) => VoidCause::Rejected,
        }
    }
}

/// The withdrawal that the word names. Nothing is verified yet.
fn named(order: &VoidOrder) -> Result<WithdrawalId, NotProven> {
    match order {
        VoidOrder::Cancellation(cancellation) => {
            let said = parse_cancel(&cancellation.text)?;
            Ok(WithdrawalId::of(&said.organisation, &said.request_id))
        }
        VoidOrder::Rejection { text, .. } => Ok(RejectionText::parse(text)?.withdrawal()),
    }
}

async fn seen(core: &Core, id: WithdrawalId) -> Result<Option<SeenRequestRow>, JournalFault> {
    let found = core.journal.rows(Table::SeenRequest, &[id.to_string()]).await?;
    let read = |row: &crate::store::Row| {
        rows::read(row.key(), row.content()).map_err(|_| JournalFault::Unreadable(row.key().to_owned()))
    };
    found.first().map(read).transpose()
}

/// The word as it came, so that it can be verified again from the row.
fn proof(order: &VoidOrder) -> VoidRow {
    let (evidence, key_id, signature) = match order {
        VoidOrder::Cancellation(given) => {
            (given.text.clone(), given.key_id.clone(), HEXLOWER.encode(&given.signature))
        }
        VoidOrder::Rejection { text, signature, .. } => (text.clone(), String::new(), signature.clone()),
    };
    let receipt = Signed { text: String::new(), key_id: String::new(), signature: String::new() };
    VoidRow { cause: String::new(), evidence, key_id, signature, receipt }
}

fn enter(draft: &mut Draft, id: WithdrawalId, word: &Word, receipt: &SignedText) {
    let receipt_digest = HEXLOWER.encode(&digest(&receipt.text));
    match word {
        Word::Cancel(cancel) => draft.entry(
            EntryKind::Cancelled,
            &[
                ("withdrawal", &id),
                ("organisation", &cancel.cancel().organisation),
                ("request_id", &cancel.cancel().request_id),
                ("key", &cancel.signed().key_id()),
                ("receipt_digest", &receipt_digest),
            ],
        ),
        Word::Reject(rejection) => draft.entry(
            EntryKind::Rejected,
            &[
                ("withdrawal", &id),
                ("operator", &rejection.person()),
                ("approval", &HEXLOWER.encode(rejection.digest())),
                ("reason", &rejection.text().reason),
                ("receipt_digest", &receipt_digest),
            ],
        ),
    };
}

fn refused(no: NotProven) -> DeskError {
    match no {
        NotProven::Unreadable(invalid) => DeskError::Invalid(invalid),
        NotProven::Refused(finding) => DeskError::Refused(finding),
    }
}
