//! What a custodian's answer is worth: a signature that both implementations verify, a refusal that it signed, or nothing; and
//! what a refusal leaves behind.

use data_encoding::HEXLOWER;
use tracing::{error, warn};

use super::custody::{Custody, is_of, txid_bytes};
use super::party::{Core, Party};
use crate::audit::EntryKind;
use crate::bitcoin::{CheckedTransaction, KeySlot, VerifiedSignatures};
use crate::desk::SignedText;
use crate::evidence::custody::CUSTODY_REFUSAL;
use crate::evidence::{NotProven, VerifiedCustodyRefusal, verify_custody_refusal};
use crate::flow::context::Context;
use crate::flow::ledger::coins::CoinState;
use crate::flow::ledger::journal::{Draft, JournalFault};
use crate::flow::ledger::rows::{self, CoinRow, CosignedRow, SeenRequestRow, Signed};
use crate::flow::rail::bitcoin;
use crate::flow::treasury::write_coin;
use crate::keys::verify_with_k256;
use crate::store::Table;
use crate::withdrawal::{Code, Finding, ReservationId};

/// An answer that holds.
pub(super) enum Judged {
    /// The PSBT as it was handed over, with the custodian's signatures and nothing else of what came.
    Signed(Vec<u8>),
    /// The custodian never signs it.
    Refused(Box<Refused>),
}

/// A refusal with its evidence.
pub(super) struct Refused {
    verified: VerifiedCustodyRefusal,
    signed: Signed,
}

/// Judges one answer by the row alone, which was booked before it was handed over.
pub(super) fn judged(
    context: &Context,
    id: ReservationId,
    row: &CosignedRow,
    answer: &[u8],
) -> Result<Judged, Finding> {
    if answer.starts_with(CUSTODY_REFUSAL.heading.as_bytes()) {
        return refused(context, id, row, answer).map(Box::new).map(Judged::Refused);
    }
    let broken = || Finding::new(Code::Internal, "the booked PSBT cannot be read");
    let psbt = HEXLOWER.decode(row.psbt.as_bytes()).map_err(|_| broken())?;
    let checked = bitcoin::read_again(context, row, &psbt).filter(|checked| is_of(id, checked));
    let checked = checked.ok_or_else(broken)?;
    let signatures =
        checked.answered(KeySlot::B, answer).map_err(|no| Finding::new(no.code(), no.to_string()))?;
    second_opinion(&checked, &signatures)?;
    let signed = checked.psbt_with(&signatures).map_err(|no| Finding::new(Code::Internal, no.to_string()))?;
    Ok(Judged::Signed(signed))
}

/// libsecp256k1 has said yes; the other implementation has to as well, as with every signature of our own.
fn second_opinion(checked: &CheckedTransaction, signatures: &VerifiedSignatures) -> Result<(), Finding> {
    for (at, (input, signature)) in checked.inputs().iter().zip(signatures.signatures()).enumerate() {
        let key = input.coin().script.pubkey(KeySlot::B).serialize();
        if !verify_with_k256(&key, input.digest(), &signature.serialize_der()) {
            let detail = format!("the second implementation says no to the signature of input {at}");
            return Err(Finding::new(Code::CustodianAnswerSignatures, detail));
        }
    }
    Ok(())
}

/// A refusal: its canonical text, and one more line with the custodian's Ed25519 signature in hex.
fn refused(
    context: &Context,
    id: ReservationId,
    row: &CosignedRow,
    answer: &[u8],
) -> Result<Refused, Finding> {
    let malformed = |detail: &str| Finding::new(Code::CustodianAnswerMalformed, detail);
    let form = "a refusal is its text and a last line `signature: ` with 128 hex digits";
    let all = std::str::from_utf8(answer).map_err(|_| malformed(form))?;
    let (text, last) = all.trim_end().rsplit_once('\n').ok_or_else(|| malformed(form))?;
    let hex = last.strip_prefix("signature: ").ok_or_else(|| malformed(form))?;
    let signature: [u8; 64] = HEXLOWER
        .decode(hex.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| malformed(form))?;
    let text = format!("{text}\n");
    let txid = txid_bytes(row).ok_or_else(|| Finding::new(Code::Internal, "the booked txid"))?;
    let key = context.trust.custodian_key();
    let verified = verify_custody_refusal(&text, &signature, key, id, &txid).map_err(|no| match no {
        NotProven::Unreadable(invalid) => malformed(&invalid.to_string()),
        NotProven::Refused(finding) => finding,
    })?;
    let signed = Signed::of(&SignedText { text, key_id: "custodian".to_owned(), signature });
    Ok(Refused { verified, signed })
}

impl Party {
    /// The custodian never signs it: it is dead, its coins are free, its withdrawals can be taken back. The sums stay.
    pub(super) async fn keep_refusal(&self, custody: &Custody, id: ReservationId, refused: Refused) {
        let mut core = self.core.lock().await;
        let Some(row) = self.still_waiting(&mut core, id).await else { return };
        match self.end(&mut core, id, row, refused).await {
            Ok(()) => {
                drop(core);
                self.tidy(custody, id).await;
            }
            Err(fault) => {
                error!(code = %fault.code(), reservation = %id, "the custodian's refusal is not kept yet: {fault}");
                self.reload(&mut core).await;
            }
        }
    }

    /// An answer that does not hold is an alarm, once; the reservation waits on. Says whether it need not be looked at again.
    pub(super) async fn keep_alarm(
        &self,
        custody: &Custody,
        (id, digest): (ReservationId, [u8; 32]),
        finding: Finding,
        from: &str,
    ) -> bool {
        error!(code = %finding.code, reservation = %id, from, "the custodian's answer is refused: {}", finding.detail);
        if custody.still_alarms(id) {
            let mut core = self.core.lock().await;
            let mut draft = core.journal.draft(self.context.now());
            let detail = Draft::spelled(&finding.detail);
            draft.entry(
                EntryKind::Alarm,
                &[("code", &finding.code), ("reservation", &id), ("detail", &detail)],
            );
            if let Err(fault) = core.journal.commit(draft).await {
                error!(code = %fault.code(), "an alarm could not be written down: {fault}");
                // It is told again at the next turn.
                self.reload(&mut core).await;
                return false;
            }
        }
        let waits = Finding::new(
            Code::CustodianPending,
            format!("booked; the last answer is refused: {}: {}", finding.code, finding.detail),
        );
        custody.refuse(id, digest, waits);
        true
    }

    async fn end(
        &self,
        core: &mut Core,
        id: ReservationId,
        mut row: CosignedRow,
        refused: Refused,
    ) -> Result<(), JournalFault> {
        let mut draft = core.journal.draft(self.context.now());
        let reason = &refused.verified.refusal().reason;
        draft.entry(
            EntryKind::CustodianRefused,
            &[
                ("reservation", &id),
                ("txid", &row.txid),
                ("evidence", &HEXLOWER.encode(refused.verified.digest())),
                ("code", &Code::CustodianRefused),
                ("withdrawals", &row.withdrawals.join(" ")),
                ("inputs", &row.inputs.join(" ")),
                ("detail", reason),
            ],
        );
        free_inputs(core, &mut draft, id, &row).await?;
        drop_change(core, &mut draft, id, &row);
        unbind_requests(core, &mut draft, id, &row).await?;
        if let Some(account) = core.state.treasury.of_mut(self.context.asset) {
            account.sweeps.remove(&row.txid);
        }
        warn!(code = %Code::CustodianRefused, reservation = %id, "the custodian never signs it: {reason}");
        row.state = "dead".to_owned();
        row.code = Some(Code::CustodianRefused.to_string());
        row.custody.get_or_insert_default().refusal = Some(refused.signed);
        let now = draft.now();
        draft.row(Table::SignedReservation, id.to_string(), "dead", now, rows::write(&row));
        core.journal.commit(draft).await?;
        core.state.pending.remove(&id);
        Ok(())
    }
}

/// The coins it would have spent are there again, as they were last seen.
async fn free_inputs(
    core: &mut Core,
    draft: &mut Draft,
    id: ReservationId,
    row: &CosignedRow,
) -> Result<(), JournalFault> {
    for found in core.journal.rows(Table::Coin, &row.inputs).await? {
        let unreadable = |_| JournalFault::Unreadable(found.key().to_owned());
        let mut coin: CoinRow = rows::read(found.key(), found.content()).map_err(unreadable)?;
        if coin.spent_by.take_if(|by| *by == id.to_string()).is_some() {
            let coin = coin.coin(found.key()).map_err(unreadable)?;
            write_coin(draft, &coin);
            core.state.treasury.coins.put(coin);
        }
    }
    Ok(())
}

/// Its change will never exist.
fn drop_change(core: &mut Core, draft: &mut Draft, id: ReservationId, row: &CosignedRow) {
    let outpoint = row.change.and_then(|change| format!("{}:{}", row.txid, change.vout).parse().ok());
    let spent = CoinState::Spent(id);
    if let Some(coin) = outpoint.and_then(|at| core.state.treasury.coins.set_state(&at, spent)) {
        write_coin(draft, &coin);
    }
}

/// Nothing is signed for its withdrawals any more. The anchor stays: whatever is signed for one of them spends it.
async fn unbind_requests(
    core: &mut Core,
    draft: &mut Draft,
    id: ReservationId,
    row: &CosignedRow,
) -> Result<(), JournalFault> {
    for found in core.journal.rows(Table::SeenRequest, &row.withdrawals).await? {
        let unreadable = |_| JournalFault::Unreadable(found.key().to_owned());
        let mut seen: SeenRequestRow = rows::read(found.key(), found.content()).map_err(unreadable)?;
        if seen.reservation.take_if(|by| *by == id.to_string()).is_some() {
            let now = draft.now();
            draft.row(Table::SeenRequest, found.key().to_owned(), "seen", now, rows::write(&seen));
        }
    }
    Ok(())
}
