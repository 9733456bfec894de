//! Booking an answer: sums first, then everything that makes a second yes impossible; and what a no leaves behind.

use std::sync::Arc;

use super::judge::Yes;
use super::party::{Core, Party};
use super::prove::{Proven, ProvenPayment};
use super::state::{Past, State};
use crate::audit::EntryKind;
use crate::desk::{CosignItem, Refusal};
use crate::flow::ledger::journal::Draft;
use crate::flow::ledger::lane::Claim;
use crate::flow::ledger::rows::{self, CosignedRow, CustodyRow, SeenRequestRow};
use crate::flow::ledger::treasury::SweepInFlight;
use crate::flow::rail::Checked;
use crate::flow::treasury::{put_change, spend_inputs};
use crate::store::Table;
use crate::withdrawal::{Code, Finding, ReservationId};

impl Party {
    /// Books a yes: sums first, then everything that makes a second yes impossible.
    pub(super) fn book(
        &self,
        core: &mut Core,
        draft: &mut Draft,
        past: &mut Past,
        proven: &Proven,
        yes: Yes,
        psbt: &[u8],
    ) -> Result<(), Finding> {
        let now = draft.now();
        let state = &mut core.state;
        state
            .treasury
            .spend(proven.checked.asset(), now, yes.spend)
            .map_err(|e| Finding::new(Code::ClockWentBack, e.to_string()))?;
        let inputs = proven.checked.inputs();
        let withdrawals: Vec<String> = proven.payments.iter().map(|p| p.request.id().to_string()).collect();
        let row = CosignedRow {
            state: "signed".to_owned(),
            psbt: data_encoding::HEXLOWER.encode(psbt),
            txid: proven.checked.txid(),
            inputs: inputs.clone(),
            coins: proven.checked.coins(),
            withdrawals: withdrawals.clone(),
            kind: proven.checked.kind().as_str().to_owned(),
            asset: proven.checked.asset().to_string(),
            outgoing: yes.outgoing,
            leaving: yes.spend.leaving,
            fee: yes.spend.fee,
            unnamed_krw: yes.spend.unnamed.to_string(),
            unsigned: yes.spend.unsigned,
            change: yes.change.as_ref().map(|(row, _)| *row),
            swept: yes.swept,
            emptied: proven.checked.emptied().to_vec(),
            at: now.0,
            code: None,
            custody: self.is_with_custodian(&proven.checked).then(CustodyRow::default),
        };
        for payment in &proven.payments {
            enter_request(draft, payment, &proven.reservation);
        }
        draft.entry(
            EntryKind::Cosigned,
            &[
                ("reservation", &proven.reservation),
                ("purpose", &row.kind),
                ("asset", &row.asset),
                ("amount", &yes.outgoing.saturating_sub(proven.checked.fee().leaving)),
                ("fee", &yes.spend.fee),
                ("txid", &row.txid),
                ("withdrawals", &withdrawals.join(" ")),
                ("inputs", &inputs.join(" ")),
                ("policy", &self.context.policy_hash()),
            ],
        );
        let anchor = inputs.first().cloned();
        for payment in &proven.payments {
            let id = payment.request.id();
            let uuid = payment.clearance.uuid().map(|uuid| uuid.to_string());
            let known = past.requests.get(&id).and_then(|r| r.anchor.clone());
            let seen = SeenRequestRow {
                digest: data_encoding::HEXLOWER.encode(payment.request.digest()),
                anchor: known.or_else(|| anchor.clone()),
                reservation: Some(proven.reservation.to_string()),
                uuid: uuid.clone(),
                void: None,
            };
            draft.row(Table::SeenRequest, id.to_string(), "seen", now, rows::write(&seen));
            past.requests.insert(id, seen);
            if let Some(uuid) = uuid {
                draft.row(Table::UsedVerification, uuid.clone(), "used", now, id.to_string());
                past.uuids.insert(uuid, id.to_string());
            }
        }
        draft.row(Table::SignedReservation, proven.reservation.to_string(), "signed", now, rows::write(&row));
        past.reservations.insert(proven.reservation, row.clone());
        if row.custody.is_some() {
            state.pending.insert(proven.reservation, Arc::new(row.clone()));
        }
        self.spend_coins(state, draft, proven, &yes, &row.txid);
        for withdrawal in &withdrawals {
            for (id, refill) in state.treasury.refills.left(withdrawal) {
                draft.row(Table::Refill, id, "changed", now, rows::write(&refill));
            }
        }
        Ok(())
    }

    pub(super) fn spend_coins(
        &self,
        state: &mut State,
        draft: &mut Draft,
        proven: &Proven,
        yes: &Yes,
        txid: &str,
    ) {
        match &proven.checked {
            Checked::Bitcoin(_, tx) => {
                let coins = &mut state.treasury.coins;
                let inputs = tx.inputs().iter().map(|input| &input.coin().outpoint);
                let depth = spend_inputs(coins, draft, proven.reservation, inputs);
                if let Some((change, script)) = &yes.change {
                    put_change(coins, draft, tx.txid(), *change, depth);
                    state.scripts.put(script.clone());
                }
            }
            Checked::Safe { asset, anchor, .. } => {
                let claim = Claim {
                    reservation: proven.reservation,
                    hash: proven.checked.txid(),
                    asset: *asset,
                    amount: yes.outgoing,
                    withdrawals: Vec::new(),
                    errand: proven.checked.kind().errand(),
                };
                if let Some((lane, nonce)) = state.treasury.lanes.at_mut(anchor) {
                    lane.sign(nonce, claim);
                }
                if !proven.checked.emptied().is_empty() {
                    state.treasury.take_away(anchor, proven.checked.emptied());
                }
            }
        }
        if let Some((amount, index)) = yes.swept {
            state.cold_highest = state.cold_highest.max(index);
            let sweep = SweepInFlight { amount, since: draft.now(), tx_hex: None, is_told: false };
            if let Some(account) = state.treasury.of_mut(proven.checked.asset()) {
                account.sweeps.insert(txid.to_owned(), sweep);
            }
        }
    }

    /// Records a no: this very transaction will never be signed (law L20).
    pub(super) fn refuse(
        &self,
        draft: &mut Draft,
        past: &mut Past,
        item: &CosignItem,
        refusal: Refusal,
    ) -> Refusal {
        let withdrawal = refusal.withdrawal.map(|w| w.to_string()).unwrap_or_default();
        let detail = Draft::spelled(&refusal.finding.detail);
        draft.entry(
            EntryKind::CosignRefused,
            &[
                ("reservation", &item.reservation),
                ("code", &refusal.finding.code),
                ("withdrawal", &withdrawal),
                ("detail", &detail),
            ],
        );
        let row = CosignedRow::dead(refusal.finding.code, draft.now());
        draft.row(
            Table::SignedReservation,
            item.reservation.to_string(),
            "dead",
            draft.now(),
            rows::write(&row),
        );
        past.reservations.insert(item.reservation, row);
        refusal
    }
}

fn enter_request(draft: &mut Draft, payment: &ProvenPayment, reservation: &ReservationId) {
    let request = payment.request.request();
    draft.entry(
        EntryKind::RequestSeen,
        &[
            ("organisation", &request.organisation),
            ("request_id", &request.request_id),
            ("request_digest", &data_encoding::HEXLOWER.encode(payment.request.digest())),
            ("withdrawal", &payment.request.id()),
            ("reservation", reservation),
            ("amount", &request.amount),
            ("destination", &request.destination),
            ("evidence", &data_encoding::HEXLOWER.encode(&crate::evidence::digest(payment.clearance.text()))),
        ],
    );
}
