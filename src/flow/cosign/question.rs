//! One question: witness the head, prove each item by itself, decide in order, ONE commit, then sign.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use tracing::error;

use super::custody::KeyB;
use super::judge;
use super::load::{self, WITNESSED};
use super::party::{Core, Party};
use super::prove::{self, Proven, no};
use super::route::{self, Heard};
use super::state::{Past, State};
use crate::audit::{
    Accepted, ConsistencyProof, Cosignature, EntryKind, Submission, VerifiedCheckpoint, Witness,
    witness::witness,
};
use crate::bitcoin::{CheckedTransaction, KeySlot};
use crate::desk::{CosignItem, CosignOrder, CosignOutcome, DeskError, HeadAnswer, ItemVerdict, Refusal};
use crate::flow::ledger::journal::{Draft, Journal, JournalFault};
use crate::flow::ledger::rows::{self, CosignedRow};
use crate::flow::policies::read_hashes;
use crate::flow::rail::bitcoin::order_items;
use crate::flow::rail::{self, Checked, safe};
use crate::freeze::Leaving;
use crate::keys::SigningOrder;
use crate::store::Table;
use crate::withdrawal::{Code, Finding, KeyRole, ReservationId, WithdrawalId};

impl Party {
    /// Signs a checked transaction with key B, or with this party's seat; what leaves carries that signature and no other.
    pub(super) fn sign(&self, reservation: ReservationId, checked: &Checked) -> Result<Vec<u8>, Finding> {
        let broken = |detail: String| Finding::new(Code::Internal, detail);
        let leaving = checked.kind().leaving();
        match checked {
            Checked::Bitcoin(_, tx) => self.sign_psbt(reservation, tx, leaving),
            Checked::Safe { tx, .. } => {
                let signed =
                    safe::sign(&self.context, &self.seat, (reservation, KeyRole::Cosigner, leaving), tx)?;
                tx.proposal_with(&signed).map_err(|e| broken(e.to_string()))
            }
        }
    }

    fn sign_psbt(
        &self,
        reservation: ReservationId,
        checked: &CheckedTransaction,
        leaving: Leaving,
    ) -> Result<Vec<u8>, Finding> {
        let broken = |detail: String| Finding::new(Code::Internal, detail);
        let KeyB::Own(key) = &self.key else { return Err(broken("key B is with a custodian".to_owned())) };
        let order = SigningOrder::danger_vouch_for(reservation, order_items(checked, KeySlot::B)?);
        // Held while the signature is made and no longer: a freeze waits for it.
        let permit = self.context.brake.permit(leaving)?;
        let signatures = key.sign(&order).map_err(|e| broken(e.to_string()))?;
        drop(permit);
        let signatures = signatures.iter().map(|s| *s.signature()).collect();
        let verified = checked.danger_vouch_own(KeySlot::B, signatures).map_err(|e| broken(e.to_string()))?;
        checked.psbt_with(&verified).map_err(|e| broken(e.to_string()))
    }

    /// Whether somebody else signs it: a custodian holds key B of the Bitcoin wallet, and no seat.
    pub(super) fn is_with_custodian(&self, checked: &Checked) -> bool {
        matches!((&self.key, checked), (KeyB::Custodian(_), Checked::Bitcoin(..)))
    }

    pub(super) fn witness(&self, core: &Core, order: &CosignOrder) -> Result<Witnessing, DeskError> {
        let invalid = |problem: String| {
            let cure = "send the newest checkpoint of the signer's own log";
            DeskError::Invalid(crate::withdrawal::Invalid::new(
                Code::FieldMalformed,
                "checkpoint",
                problem,
                cure,
            ))
        };
        let checkpoint = VerifiedCheckpoint::open(&order.checkpoint, &self.signer_log)
            .map_err(|e| invalid(e.to_string()))?;
        let proof = ConsistencyProof::from_wire(&order.consistency).map_err(|e| invalid(e.to_string()))?;
        let known = core.state.witness_of(self.signer_log.name(), None);
        let submission = Submission { checkpoint: &checkpoint, old_size: order.old_size, proof: &proof };
        Ok(match witness(&known, &submission) {
            Witness::Accept(accepted) => Witnessing::Accepted(accepted),
            Witness::Known { size } => Witnessing::Known(size),
            Witness::Fork(fork) => Witnessing::Fork(format!("{fork:?} at size {}", checkpoint.head().size)),
            Witness::OtherLog => return Err(invalid("is of another log".to_owned())),
            Witness::Malformed => return Err(invalid("its old size is above its size".to_owned())),
        })
    }

    pub(super) async fn past(&self, journal: &Journal, order: &CosignOrder) -> Result<Past, JournalFault> {
        let mut past = Past::default();
        let keys: Vec<String> = order.items.iter().map(|i| i.reservation.to_string()).collect();
        for row in journal.rows(Table::SignedReservation, &keys).await? {
            let unreadable = || JournalFault::Unreadable(row.key().to_owned());
            let id = ReservationId::parse(row.key()).map_err(|_| unreadable())?;
            past.reservations.insert(id, rows::read(row.key(), row.content()).map_err(|_| unreadable())?);
        }
        let payments = || order.items.iter().flat_map(|i| &i.payments);
        let requests =
            payments().filter_map(|p| crate::evidence::request::parse_request(&p.request.text).ok());
        let keys: Vec<String> = requests.map(|r| r.id().to_string()).collect();
        for row in journal.rows(Table::SeenRequest, &keys).await? {
            let unreadable = || JournalFault::Unreadable(row.key().to_owned());
            let id = WithdrawalId::parse(row.key()).map_err(|_| unreadable())?;
            past.requests.insert(id, rows::read(row.key(), row.content()).map_err(|_| unreadable())?);
        }
        let keys: Vec<String> = payments().filter_map(route::uuid_of).map(|uuid| uuid.to_string()).collect();
        for row in journal.rows(Table::UsedVerification, &keys).await? {
            past.uuids.insert(row.key().to_owned(), row.content().to_owned());
        }
        Ok(past)
    }

    /// Proves every item that was not decided before, on every core.
    pub(super) fn prove_all(
        &self,
        state: &State,
        accepted: &Accepted,
        past: &Past,
        (order, heard): (&CosignOrder, &Heard),
    ) -> Vec<Option<Result<Proven, Refusal>>> {
        let now = self.context.now();
        let signer = read_hashes(std::iter::once(&order.policy).chain(&order.policies_kept));
        let policies = self.context.approvable_with(&signer);
        let prove = |item: &CosignItem| {
            let fresh = !past.reservations.contains_key(&item.reservation);
            fresh.then(|| prove::prove(&self.context, state, accepted, (&policies, heard), item, now))
        };
        order.items.par_iter().map(prove).collect()
    }

    pub(super) async fn decide_and_sign(
        &self,
        core: &mut Core,
        accepted: Accepted,
        (order, heard): (CosignOrder, Heard),
    ) -> Result<CosignOutcome, DeskError> {
        let mut past = self.past(&core.journal, &order).await.map_err(|f| f.desk_error())?;
        let prove = || self.prove_all(&core.state, &accepted, &past, (&order, &heard));
        let proofs = tokio::task::block_in_place(prove);
        let pays = |(item, proof): (&CosignItem, &Option<Result<Proven, Refusal>>)| match proof {
            Some(Ok(proven)) => proven.checked.kind().leaving() == Leaving::Payment,
            Some(Err(_)) => false,
            None => past.reservations.get(&item.reservation).is_some_and(|row| row.swept.is_none()),
        };
        let least = if order.items.iter().zip(&proofs).any(pays) { Leaving::Payment } else { Leaving::Sweep };
        if !self.context.brake.is_free(least) && !order.items.is_empty() {
            return Err(self.frozen());
        }
        let mut draft = core.journal.draft(self.context.now());
        // A head that was witnessed before is not written down again, however often a late custodian is asked after.
        if core.state.witnessed != Some(*accepted.head()) {
            self.enter_witnessed(&mut draft, &accepted);
        }
        let mut decided = Vec::with_capacity(order.items.len());
        for (item, proof) in order.items.iter().zip(proofs) {
            decided.push(self.decide_one(core, &mut draft, &mut past, item, proof));
        }
        if !draft.is_empty()
            && let Err(fault) = core.journal.commit(draft).await
        {
            self.reload(core).await;
            return Err(fault.desk_error());
        }
        core.state.witnessed = Some(*accepted.head());
        let head = self.cosign(&accepted)?;
        let state = &core.state;
        let sign =
            || decided.par_iter().map(|decided| self.answer(state, decided)).collect::<Result<Vec<_>, _>>();
        let verdicts = tokio::task::block_in_place(sign)?;
        // What was signed a moment before the freeze does not leave after it.
        if !order.items.is_empty() && !self.context.brake.is_free(least) {
            return Err(stopped_half_way(self.context.brake.finding()));
        }
        let verdicts = order.items.iter().map(|i| i.reservation).zip(verdicts).collect();
        Ok(CosignOutcome { head, verdicts })
    }

    pub(super) fn enter_witnessed(&self, draft: &mut Draft, accepted: &Accepted) {
        let head = accepted.head();
        draft.entry(
            EntryKind::Witnessed,
            &[
                ("origin", &accepted.origin()),
                ("size", &head.size),
                ("root", &data_encoding::HEXLOWER.encode(&head.root.0)),
                ("old_size", &accepted.from().size),
            ],
        );
        draft.row(
            Table::WitnessedLog,
            WITNESSED.to_owned(),
            "witnessed",
            draft.now(),
            load::write_head(head),
        );
    }

    pub(super) fn cosign(&self, accepted: &Accepted) -> Result<HeadAnswer, DeskError> {
        let sign = |message: &[u8]| self.witness_identity.sign_note(message).unwrap_or([0; 64]);
        let line =
            Cosignature::sign(accepted, &self.witness_key, self.context.now(), &sign).and_then(|c| c.line());
        let broken =
            |e: crate::audit::CosignatureInvalid| DeskError::may_have_happened(Code::Internal, e.to_string());
        Ok(HeadAnswer::Cosigned(line.map_err(broken)?))
    }

    pub(super) fn decide_one(
        &self,
        core: &mut Core,
        draft: &mut Draft,
        past: &mut Past,
        item: &CosignItem,
        proof: Option<Result<Proven, Refusal>>,
    ) -> Decided {
        // Decided before, be it a moment ago in this very order.
        let proof = match (past.reservations.get(&item.reservation), proof) {
            (Some(row), _) if row.state == "signed" => {
                return Decided::Again(item.reservation, Box::new(row.clone()));
            }
            (Some(row), _) if row.custody.is_some() => {
                let finding =
                    Finding::new(Code::CustodianRefused, "the custodian signed that it never signs this");
                return Decided::No(no(None, finding));
            }
            (None, Some(proof)) => proof,
            (Some(_), _) | (None, None) => {
                let finding =
                    Finding::new(Code::ReservationDead, "this reservation was refused before, for ever");
                return Decided::No(Refusal { is_hold: true, ..no(None, finding) });
            }
        };
        let judged = proof.and_then(|proven| {
            let yes = judge::decide(&self.context, &core.state, past, &proven, draft.now())?;
            Ok((proven, yes))
        });
        match judged {
            Ok((proven, yes)) => match self.book(core, draft, past, &proven, yes, &item.psbt) {
                Ok(()) => Decided::Yes(Box::new(proven)),
                Err(finding) => Decided::No(self.refuse(draft, past, item, no(None, finding))),
            },
            Err(refusal) => Decided::No(self.refuse(draft, past, item, refusal)),
        }
    }

    /// A no is a word that a reservation is dead. One that is booked as signed and cannot be signed now is neither yes nor
    /// no: it is a fault, and the question is asked again.
    pub(super) fn answer(&self, state: &State, decided: &Decided) -> Result<ItemVerdict, DeskError> {
        let (reservation, signed) = match decided {
            Decided::No(refusal) => return Ok(ItemVerdict::Refused(refusal.clone())),
            Decided::Yes(proven) => (proven.reservation, self.first(proven)),
            Decided::Again(reservation, row) => (*reservation, self.again(state, *reservation, row)),
        };
        signed.map_err(|finding| {
            if finding.code == Code::Frozen {
                return stopped_half_way(finding);
            }
            error!(code = %finding.code, %reservation, "signing failed: {}", finding.detail);
            DeskError::may_have_happened(finding.code, format!("{reservation}: {}", finding.detail))
        })
    }

    /// What was booked just now is signed here, or handed over to whoever holds the key.
    fn first(&self, proven: &Proven) -> Result<ItemVerdict, Finding> {
        if self.is_with_custodian(&proven.checked) {
            self.wake_custody();
            return Ok(ItemVerdict::Pending(self.pending_finding(proven.reservation)));
        }
        self.sign(proven.reservation, &proven.checked).map(ItemVerdict::Signed)
    }

    /// What was booked before is given again: kept, where a custodian signed it, and otherwise made anew.
    pub(super) fn again(
        &self,
        state: &State,
        id: ReservationId,
        row: &CosignedRow,
    ) -> Result<ItemVerdict, Finding> {
        let kept = self.custody_verdict(id, row);
        kept.unwrap_or_else(|| self.sign_again(state, id, row).map(ItemVerdict::Signed))
    }

    /// Signs the stored transaction again. It was judged once; its own bytes are read anew and give the same signatures.
    pub(super) fn sign_again(
        &self,
        state: &State,
        reservation: ReservationId,
        row: &CosignedRow,
    ) -> Result<Vec<u8>, Finding> {
        let broken = |detail: &str| Finding::new(Code::Internal, detail);
        let psbt = data_encoding::HEXLOWER.decode(row.psbt.as_bytes()).map_err(|_| broken("stored PSBT"))?;
        let checked = rail::read_again(&self.context, &state.treasury, row, &psbt)
            .ok_or_else(|| broken("the stored PSBT cannot be read"))?;
        if checked.reservation() == reservation {
            self.sign(reservation, &checked)
        } else {
            Err(broken("the stored PSBT is of another transaction"))
        }
    }
}

/// Decided and booked, and not signed or not handed out: asked again after the freeze it gives the same bytes.
fn stopped_half_way(finding: Finding) -> DeskError {
    DeskError::may_have_happened(finding.code, finding.detail)
}

pub(super) enum Witnessing {
    Accepted(Accepted),
    Known(u64),
    Fork(String),
}

pub(super) enum Decided {
    Yes(Box<Proven>),
    Again(ReservationId, Box<CosignedRow>),
    No(Refusal),
}
