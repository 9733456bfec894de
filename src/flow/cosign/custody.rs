//! Key B where an outside custodian holds it (ADR 31): what was decided and booked is handed over, and what comes back is
//! judged like a signature of one's own. The first answer that holds and is durable is the one, for ever.

use std::sync::{Arc, Weak};

use data_encoding::HEXLOWER;
use futures_util::stream::{self, StreamExt};
use sha2::{Digest, Sha256};
use tracing::{error, info, warn};

use super::custody_answer::{Judged, judged};
pub use super::custody_notes::Custody;
use super::party::{Core, Party};
use crate::audit::EntryKind;
use crate::bitcoin::CheckedTransaction;
use crate::custodian::{Answer, Errand, Inbox};
use crate::desk::ItemVerdict;
use crate::evidence::CustodyOrder;
use crate::evidence::custody::render_custody_order;
use crate::flow::ledger::journal::JournalFault;
use crate::flow::ledger::rows::{self, CosignedRow};
use crate::freeze::Leaving;
use crate::keys::HotKey;
use crate::store::Table;
use crate::withdrawal::{Code, Finding, ReservationId};

/// How many transactions the custodian is asked about at the same time.
const AT_ONCE_MAX: usize = 8;

/// Where key B signs.
pub enum KeyB {
    /// In this process.
    Own(Arc<HotKey>),
    /// At an outside custodian.
    Custodian(Arc<Custody>),
}

impl KeyB {
    /// Where a custodian's own calls end, if there is one that calls.
    pub fn inbox(&self) -> Option<Arc<Inbox>> {
        match self {
            Self::Own(_) => None,
            Self::Custodian(custody) => custody.inbox(),
        }
    }
}

/// Hands over and asks, for as long as the party lives. A party that signs by itself has nothing to ask.
pub(super) async fn keep_asking(party: Weak<Party>) {
    while let Some(strong) = party.upgrade() {
        let KeyB::Custodian(custody) = &strong.key else { return };
        let custody = custody.clone();
        strong.ask_custodian(&custody).await;
        drop(strong);
        custody.pause().await;
    }
}

impl Party {
    /// What a question about a decided transaction is answered: its bytes, or that they are still to come.
    pub(super) fn custody_verdict(
        &self,
        id: ReservationId,
        row: &CosignedRow,
    ) -> Option<Result<ItemVerdict, Finding>> {
        let custody = row.custody.as_ref()?;
        Some(match &custody.psbt {
            None => Ok(ItemVerdict::Pending(self.pending_finding(id))),
            Some(hex) => self.free_to_give(row).and_then(|()| {
                let psbt = HEXLOWER.decode(hex.as_bytes());
                psbt.map(ItemVerdict::Signed).map_err(|_| Finding::new(Code::Internal, "stored PSBT"))
            }),
        })
    }

    /// A signature that somebody else made leaves under the brake as one of our own does.
    fn free_to_give(&self, row: &CosignedRow) -> Result<(), Finding> {
        self.context.brake.permit(leaving_of(row)).map(drop)
    }

    /// What is said of a transaction that was booked and has no signature yet.
    pub(super) fn pending_finding(&self, id: ReservationId) -> Finding {
        match &self.key {
            KeyB::Custodian(custody) => custody.finding(id),
            KeyB::Own(_) => {
                let detail = "it is with a custodian, and this co-signer has none now; set [custodian]";
                Finding::new(Code::CustodianUnreachable, detail)
            }
        }
    }

    /// Something was booked: it is handed over now and not at the next turn.
    pub(super) fn wake_custody(&self) {
        if let KeyB::Custodian(custody) = &self.key {
            custody.woken.notify_one();
        }
    }

    async fn ask_custodian(&self, custody: &Custody) {
        let (pending, is_stopped) = {
            let core = self.core.lock().await;
            (core.state.pending.clone(), core.state.stopped.is_some())
        };
        // Before anything is handed over, so that no answer comes for what is not waited for.
        custody.expect(&pending, !is_stopped).await;
        let ask = |(id, row): (ReservationId, Arc<CosignedRow>)| async move {
            self.ask_about(custody, (id, &row), is_stopped).await;
        };
        stream::iter(pending).map(ask).buffer_unordered(AT_ONCE_MAX).collect::<()>().await;
    }

    /// Hands one over, unless a freeze or a fork forbids it, and takes what came back, which nothing forbids.
    async fn ask_about(
        &self,
        custody: &Custody,
        (id, row): (ReservationId, &Arc<CosignedRow>),
        is_stopped: bool,
    ) {
        let mut unreached = None;
        if !is_stopped && self.context.brake.is_free(leaving_of(row)) {
            let handed = match self.errand(custody, id, row) {
                Ok(errand) => custody.custodian.hand_over(&errand).await,
                Err(finding) => return error!(code = %finding.code, reservation = %id, "{}", finding.detail),
            };
            unreached = handed.err();
        }
        if let Some(fault) = &unreached {
            custody.unreachable(id, fault);
        }
        match custody.custodian.answers(id).await {
            Err(fault) => custody.unreachable(id, &fault),
            Ok(answers) => {
                if unreached.is_none() && custody.finding(id).code == Code::CustodianUnreachable {
                    custody.note(id, None);
                }
                for answer in answers {
                    self.hear_custodian(custody, (id, row), answer).await;
                }
            }
        }
    }

    fn errand(&self, custody: &Custody, id: ReservationId, row: &CosignedRow) -> Result<Errand, Finding> {
        let broken =
            |what: &str| Finding::new(Code::Internal, format!("{id}: {what} of a booked transaction"));
        let psbt = HEXLOWER.decode(row.psbt.as_bytes()).map_err(|_| broken("the PSBT"))?;
        let order = render_custody_order(&CustodyOrder {
            reservation: id,
            txid: txid_bytes(row).ok_or_else(|| broken("the txid"))?,
            wallet: self.context.wallet.fingerprint(),
            psbt_digest: Sha256::digest(&psbt).into(),
        });
        let signature = custody.identity.sign_text(&order).map_err(|_| broken("the order"))?;
        Ok(Errand { reservation: id, txid: row.txid.clone(), psbt, order, signature })
    }

    async fn hear_custodian(
        &self,
        custody: &Custody,
        (id, row): (ReservationId, &Arc<CosignedRow>),
        answer: Answer,
    ) {
        let digest: [u8; 32] = Sha256::digest(&answer.bytes).into();
        if custody.was_refused(id, &digest) {
            return custody.drop_refused(id, answer).await;
        }
        let (context, booked, bytes) = (self.context.clone(), row.clone(), answer.bytes.clone());
        // Where the process ends, the answer is judged after the next start.
        let Some(judged) = apart(move || judged(&context, id, &booked, &bytes)).await else { return };
        match judged {
            Ok(Judged::Signed(psbt)) => self.keep_signature(custody, id, &psbt).await,
            Ok(Judged::Refused(refusal)) => self.keep_refusal(custody, id, *refusal).await,
            Err(finding) => {
                if self.keep_alarm(custody, (id, digest), finding, &answer.from).await {
                    custody.drop_refused(id, answer).await;
                }
            }
        }
    }

    /// Makes the custodian's signature the one of this transaction.
    async fn keep_signature(&self, custody: &Custody, id: ReservationId, psbt: &[u8]) {
        let mut core = self.core.lock().await;
        let Some(mut row) = self.still_waiting(&mut core, id).await else { return };
        let mut draft = core.journal.draft(self.context.now());
        draft.entry(
            EntryKind::CustodianSigned,
            &[
                ("reservation", &id),
                ("txid", &row.txid),
                ("withdrawals", &row.withdrawals.join(" ")),
                ("signature", &HEXLOWER.encode(&Sha256::digest(psbt))),
            ],
        );
        row.custody.get_or_insert_default().psbt = Some(HEXLOWER.encode(psbt));
        let now = draft.now();
        draft.row(Table::SignedReservation, id.to_string(), "signed", now, rows::write(&row));
        if let Err(fault) = core.journal.commit(draft).await {
            error!(code = %fault.code(), reservation = %id, "the custodian's signature is not kept yet: {fault}");
            return self.reload(&mut core).await;
        }
        core.state.pending.remove(&id);
        drop(core);
        info!(reservation = %id, "the custodian's signature holds and is kept");
        self.tidy(custody, id).await;
    }

    /// What stands in the store now, if no answer to it is durable yet.
    pub(super) async fn still_waiting(&self, core: &mut Core, id: ReservationId) -> Option<CosignedRow> {
        let waits = |row: &CosignedRow| {
            row.state == "signed" && row.custody.as_ref().is_some_and(|custody| custody.psbt.is_none())
        };
        let found = core.journal.rows(Table::SignedReservation, &[id.to_string()]).await;
        let read = found.and_then(|rows| {
            let read = |row: &crate::store::Row| rows::read::<CosignedRow>(row.key(), row.content());
            let unreadable = |_| JournalFault::Unreadable(id.to_string());
            rows.first().map(read).transpose().map_err(unreadable)
        });
        match read {
            Ok(row) => {
                let row = row.filter(waits);
                if row.is_none() {
                    core.state.pending.remove(&id);
                }
                row
            }
            Err(fault) => {
                error!(code = %fault.code(), reservation = %id, "what is waited for cannot be read: {fault}");
                None
            }
        }
    }

    pub(super) async fn tidy(&self, custody: &Custody, id: ReservationId) {
        if let Err(fault) = custody.custodian.done(id).await {
            warn!(reservation = %id, "what is done still lies with the custodian's things to do: {fault}");
        }
    }
}

/// Judges apart from the task that asks, which goes on whatever came: an answer that breaks its judgement is none. Nothing,
/// where the judgement did not come to its end.
async fn apart<T: Send + 'static>(
    judge: impl FnOnce() -> Result<T, Finding> + Send + 'static,
) -> Option<Result<T, Finding>> {
    match tokio::task::spawn_blocking(judge).await {
        Ok(judged) => Some(judged),
        Err(broken) if broken.is_panic() => {
            Some(Err(Finding::new(Code::CustodianAnswerMalformed, "its judgement broke off")))
        }
        Err(_) => None,
    }
}

/// What leaves with the transaction of a row.
pub(super) const fn leaving_of(row: &CosignedRow) -> Leaving {
    if row.swept.is_some() { Leaving::Sweep } else { Leaving::Payment }
}

/// The transaction id as nodes print it, in bytes.
pub(super) fn txid_bytes(row: &CosignedRow) -> Option<[u8; 32]> {
    HEXLOWER.decode(row.txid.as_bytes()).ok()?.try_into().ok()
}

/// Whether a checked transaction is that of the reservation.
pub(super) fn is_of(id: ReservationId, checked: &CheckedTransaction) -> bool {
    ReservationId::of_txid(&crate::flow::rail::bitcoin::txid_bytes(&checked.txid())) == id
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn an_answer_that_breaks_its_judgement_is_no_answer() {
        assert_eq!(apart(|| Ok(7)).await, Some(Ok(7)));
        let broken = apart::<()>(|| panic!("whatever came")).await;
        let code = broken.map(|judged| judged.map_err(|finding| finding.code));
        assert_eq!(code, Some(Err(Code::CustodianAnswerMalformed)));
    }
}
