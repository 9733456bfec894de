//! Refills at the co-signer: it derives the hot address itself, judges the share by its own facts, and earmarks only what
//! the exchange has asked for (laws L9, L13, L16).

use std::collections::HashSet;
use std::sync::Arc;

use wallet_policy::Units;
use wallet_policy::ratio::Position;

use super::party::{Core, Party, refuse_if_stopped};
use super::state::CHANGE_AHEAD_MAX;
use crate::audit::EntryKind;
use crate::bitcoin::Branch;
use crate::bitcoin::refill::PARTS_MAX;
use crate::desk::refills::EARMARKS_MAX;
use crate::desk::{DeskError, RefillAttestOrder, RefillState, SignedText};
use crate::evidence::refill_attestation::{
    RefillAttestation, RefillTransactionLine, render_refill_attestation,
};
use crate::evidence::{NotProven, digest, verify_request};
use crate::flow::facts::{FeeSeen, Sight, permit};
use crate::flow::ledger::journal::{Draft, JournalFault};
use crate::flow::ledger::refills::{EarmarkRow, PartRow, RefillRow};
use crate::flow::ledger::rows::{self, SeenRequestRow, Signed};
use crate::freeze::Leaving;
use crate::store::Table;
use crate::withdrawal::{Amount, Code, Finding, Invalid, Seconds};

impl Party {
    /// Attests a refill, or says why not. The same one again is answered as before.
    pub(super) async fn attest_refill(&self, order: RefillAttestOrder) -> Result<SignedText, DeskError> {
        let earmarks = self.earmarks(&order);
        let mut core = self.core.lock().await;
        refuse_if_stopped(&core)?;
        if let Some(known) = core.state.treasury.refills.named(&order.refill) {
            return known_word(known, &order);
        }
        let earmarks = still_waiting(&core, earmarks?).await?;
        let mut draft = core.journal.draft(self.context.now());
        let before = core.state.treasury.refills.clone();
        match self.attest_one_refill(&mut core, &mut draft, &order, earmarks) {
            Ok(word) => match core.journal.commit(draft).await {
                Ok(()) => Ok(word),
                Err(fault) => {
                    self.reload(&mut core).await;
                    Err(fault.desk_error())
                }
            },
            Err(finding) => {
                // Nothing else was touched for a no: the store need not be read back.
                core.state.treasury.refills = before;
                Err(DeskError::Refused(finding))
            }
        }
    }

    /// The requests that the refill is said to be made for, each signed by the exchange. Nothing is locked meanwhile.
    fn earmarks(&self, order: &RefillAttestOrder) -> Result<Vec<EarmarkRow>, DeskError> {
        if order.requests.len() > EARMARKS_MAX {
            let problem = format!("has {} items, the limit is {EARMARKS_MAX}", order.requests.len());
            let cure = "make the refill for fewer withdrawals, and another one for the rest";
            return Err(Invalid::new(Code::FieldTooLong, "requests", problem, cure).into());
        }
        let (settings, now) = (&self.context.settings, self.context.now());
        let age_s_max = settings.request_age_s_max.saturating_add(settings.hold_s_max);
        let mut earmarks: Vec<EarmarkRow> = Vec::with_capacity(order.requests.len());
        let mut named = HashSet::with_capacity(order.requests.len());
        for SignedText { text, key_id, signature } in &order.requests {
            let request = verify_request(text, key_id, signature, &self.context.trust, now, age_s_max);
            let request = request.map_err(refused)?;
            let asked = request.request();
            let withdrawal = request.id().to_string();
            let is_twice = !named.insert(request.id());
            if asked.asset != self.context.asset || is_twice {
                let finding =
                    Finding::new(Code::EvidenceInvalid, "a request is of another asset, or named twice");
                return Err(DeskError::Refused(finding));
            }
            earmarks.push(EarmarkRow {
                withdrawal,
                amount_sat: asked.amount.sat().unwrap_or(u64::MAX),
                until: asked.asked_at.plus(age_s_max).0,
            });
        }
        Ok(earmarks)
    }

    fn attest_one_refill(
        &self,
        core: &mut Core,
        draft: &mut Draft,
        order: &RefillAttestOrder,
        earmarks: Vec<EarmarkRow>,
    ) -> Result<SignedText, Finding> {
        let now = draft.now();
        let refills = &mut core.state.treasury.refills;
        let mut changed: Vec<(String, RefillRow)> =
            order.ended.iter().filter_map(|id| refills.end(id)).collect();
        // A request belongs to the newest refill that names it.
        changed.extend(earmarks.iter().flat_map(|earmark| refills.left(&earmark.withdrawal)));
        let bound = core.state.scripts.highest[1].saturating_add(CHANGE_AHEAD_MAX);
        if order.index > bound || order.parts.is_empty() || order.parts.len() > PARTS_MAX {
            let detail = format!("index {} is too far ahead, or it has no or too many parts", order.index);
            return Err(Finding::new(Code::ChangeNotOwn, detail));
        }
        let script = self.context.wallet.script(Branch::Change, order.index);
        let script = Arc::new(script.map_err(|e| Finding::new(Code::Internal, e.to_string()))?);
        let address = script.address(self.context.wallet.network());
        self.allow_refill(core, order, &earmarks, (&address, now))?;
        let row =
            row_of(order, address.clone(), earmarks, now, self.context.policy.settings().refill.expires_s);
        let attestation = RefillAttestation {
            refill: order.refill.clone(),
            wallet: self.context.wallet.fingerprint(),
            network: self.context.wallet.network(),
            index: order.index,
            address,
            transactions: row.parts.iter().map(line_of).collect(),
            attested_at: now,
        };
        let word = self.write_refill(core, draft, &order.refill, (row, &attestation))?;
        // Only now: the highest index is what the next may be ahead of.
        core.state.scripts.put(script);
        for (id, _) in &changed {
            if let Some(row) = core.state.treasury.refills.named(id) {
                write(draft, id, row);
            }
        }
        Ok(word)
    }

    fn write_refill(
        &self,
        core: &mut Core,
        draft: &mut Draft,
        id: &str,
        (row, attestation): (RefillRow, &RefillAttestation),
    ) -> Result<SignedText, Finding> {
        let text = render_refill_attestation(attestation);
        crate::evidence::refill_attestation::parse_refill_attestation(&text)
            .map_err(|no| Finding::new(Code::EvidenceInvalid, no.to_string()))?;
        let signature =
            self.attestation.sign_text(&text).map_err(|e| Finding::new(Code::Internal, e.to_string()))?;
        let word = SignedText { text, key_id: "attestation".to_owned(), signature };
        let row = RefillRow { attestation: Some(Signed::of(&word)), ..row };
        let withdrawals: Vec<&str> = row.earmarks.iter().map(|e| e.withdrawal.as_str()).collect();
        let txids: Vec<&str> = row.parts.iter().map(|part| part.txid.as_str()).collect();
        draft.entry(
            EntryKind::Refill,
            &[
                ("refill", &id),
                ("state", &"attested"),
                ("asset", &self.context.asset),
                ("amount", &row.amount_sat()),
                ("destination", &row.address),
                ("index", &row.index),
                ("txids", &txids.join(" ")),
                ("withdrawals", &withdrawals.join(" ")),
                ("attestation", &data_encoding::HEXLOWER.encode(&digest(&word.text))),
                ("policy", &self.context.policy_hash()),
            ],
        );
        write(draft, id, &row);
        core.state.treasury.refills.put(id.to_owned(), row);
        Ok(word)
    }

    /// Judges by its own position: nothing earmarked deducted, and what is on its way counted as come.
    fn allow_refill(
        &self,
        core: &Core,
        order: &RefillAttestOrder,
        earmarks: &[EarmarkRow],
        (address, now): (&str, Seconds),
    ) -> Result<(), Finding> {
        let (treasury, context) = (&core.state.treasury, &self.context);
        if !context.brake.is_free(Leaving::Payment) {
            return Err(context.brake.finding());
        }
        let waiting: Vec<&RefillRow> =
            treasury.refills.open().map(|(_, row)| row).filter(|row| now.0 <= row.expires_at).collect();
        let open_max = context.policy.settings().refill.open_max;
        if u32::try_from(waiting.len()).unwrap_or(u32::MAX) >= open_max {
            let detail = format!("{} refills are open, which is the co-signer's bound", waiting.len());
            return Err(Finding::new(Code::RefillsOpen, detail));
        }
        let hot = |asset| treasury.credited(asset);
        let sight = Sight::new(context, treasury, context.asset, &hot, now);
        let coming: u128 = waiting.iter().map(|row| u128::from(row.coming_sat())).sum();
        let seen = sight.position();
        let position = Position {
            hot: Units(seen.hot.0.saturating_add(coming)),
            cold: Units(seen.cold.0.saturating_sub(coming)),
        };
        let promised: u64 = treasury.refills.promised_sat(now, &|_| true);
        let asked: u64 = earmarks.iter().map(|e| e.amount_sat).fold(promised, u64::saturating_add);
        let amount: u64 = order.parts.iter().map(|p| p.amount_sat).fold(0, u64::saturating_add);
        let paid_sat = order.parts.iter().map(|p| p.fee_sat).max().unwrap_or_default();
        let paid = u128::from(paid_sat);
        let fee = FeeSeen { rate: 0, paid, leaving: paid, lineage: paid, share: paid };
        let facts =
            sight.of_refill((Amount::from_sat(amount), address.to_owned()), fee, (position, asked))?;
        permit(&context.policy, &facts)
    }
}

/// Without what was signed for, or taken back, already: it needs nothing more. Fewer earmarks only make the share stricter.
async fn still_waiting(core: &Core, mut earmarks: Vec<EarmarkRow>) -> Result<Vec<EarmarkRow>, DeskError> {
    let keys: Vec<String> = earmarks.iter().map(|e| e.withdrawal.clone()).collect();
    let found = core.journal.rows(Table::SeenRequest, &keys).await.map_err(|f| f.desk_error())?;
    for row in found {
        let seen: Result<SeenRequestRow, _> = rows::read(row.key(), row.content());
        let seen = seen.map_err(|_| JournalFault::Unreadable(row.key().to_owned()).desk_error())?;
        if seen.reservation.is_some() || seen.void.is_some() {
            earmarks.retain(|earmark| earmark.withdrawal != row.key());
        }
    }
    Ok(earmarks)
}

fn refused(no: NotProven) -> DeskError {
    match no {
        NotProven::Unreadable(invalid) => {
            DeskError::Refused(Finding::new(Code::EvidenceInvalid, invalid.to_string()))
        }
        NotProven::Refused(finding) => DeskError::Refused(finding),
    }
}

fn known_word(known: &RefillRow, order: &RefillAttestOrder) -> Result<SignedText, DeskError> {
    let same = known.index == order.index
        && known.parts.len() == order.parts.len()
        && known.parts.iter().zip(&order.parts).all(|(a, b)| {
            a.txid == b.txid && (a.vout, a.amount_sat, a.fee_sat) == (b.vout, b.amount_sat, b.fee_sat)
        });
    let word = known.attestation.as_ref().and_then(Signed::signed_text).filter(|_| same);
    let detail = "another refill was attested under this id";
    word.ok_or_else(|| DeskError::Refused(Finding::new(Code::EvidenceInvalid, detail)))
}

fn write(draft: &mut Draft, id: &str, row: &RefillRow) {
    let state = if row.state().is_open() { "open" } else { "ended" };
    draft.row(Table::Refill, id.to_owned(), state, draft.now(), rows::write(row));
}

fn row_of(
    order: &RefillAttestOrder,
    address: String,
    earmarks: Vec<EarmarkRow>,
    now: Seconds,
    expires_s: u64,
) -> RefillRow {
    let part = |part: &crate::desk::RefillAttestPart| PartRow {
        txid: part.txid.clone(),
        vout: part.vout,
        amount_sat: part.amount_sat,
        fee_sat: part.fee_sat,
        inputs: Vec::new(),
        change: None,
        psbt: String::new(),
        tx_hex: None,
        seen: false,
        counted: false,
    };
    RefillRow {
        index: order.index,
        address,
        parts: order.parts.iter().map(part).collect(),
        earmarks,
        state: RefillState::Requested.as_str().to_owned(),
        requested_by: String::new(),
        requested_at: now.0,
        expires_at: now.plus(expires_s).0,
        signed_at: None,
        attestation: None,
    }
}

fn line_of(part: &PartRow) -> RefillTransactionLine {
    RefillTransactionLine { txid: part.txid.clone(), vout: part.vout, amount_sat: part.amount_sat }
}
