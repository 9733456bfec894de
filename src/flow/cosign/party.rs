//! The party behind the counter: what it holds, how it opens, how it is read back, and how it stops.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use tracing::{error, info};

use super::custody::KeyB;
use super::desk::CosignerParts;
use super::load::{self, STOPPED, Seen};
use super::question::Witnessing;
use super::state::State;
use crate::audit::{EntryKind, LogKey, WitnessKey};
use crate::desk::{
    AttestationOrder, CosignOrder, CosignOutcome, CosignStatus, DeskError, HeadAnswer, ItemVerdict, Recalled,
    SignedText, StatementReceipt,
};
use crate::enclave::verifyvasp::Route;
use crate::flow::brake;
use crate::flow::context::Context;
use crate::flow::ledger::journal::{Journal, JournalFault, LogView};
use crate::flow::ledger::rows::{self, CosignedRow};
use crate::freeze::Leaving;
use crate::keys::{IdentityKey, SeatKeys};
use crate::store::Table;
use crate::withdrawal::{Code, Finding, ReservationId};

pub(super) struct Core {
    pub(super) journal: Journal,
    pub(super) state: State,
}

pub(super) struct Party {
    pub(super) context: Arc<Context>,
    pub(super) signer_log: LogKey,
    pub(super) witness_key: WitnessKey,
    pub(super) witness_identity: Arc<IdentityKey>,
    pub(super) attestation: Arc<IdentityKey>,
    pub(super) key: KeyB,
    pub(super) seat: Arc<SeatKeys>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) log: Arc<LogView>,
    pub(super) core: Mutex<Core>,
}

impl Party {
    pub(super) async fn open(parts: CosignerParts) -> Result<Self, crate::flow::signer::StartFault> {
        let CosignerParts { context, store, secret, log_key, log_identity, .. } = parts;
        let mut seen = Seen::default();
        let mut journal =
            Journal::open(&store, &secret, log_key, log_identity, &mut |row| seen.visit(row)).await?;
        crate::flow::signer::enter_start(&context, &mut journal).await?;
        let state = load::load(&context, seen)?;
        state.noted.remind(&context.brake);
        let log = journal.view();
        let size = Arc::downgrade(&log);
        // Not held: a party that stopped lets go of its store, whoever still holds its brake.
        context.brake.know_log(move || size.upgrade().map_or(0, |log| log.head().size));
        let unreadable = |_| crate::flow::signer::StartFault::Trust("key of the signer's log cannot be read");
        let signer_log = LogKey::parse(context.trust.signer_log_key()).map_err(unreadable)?;
        info!(coins = state.treasury.coins.len(), "the co-signer's ledger is loaded");
        Ok(Self {
            log: journal.view(),
            core: Mutex::new(Core { journal, state }),
            context,
            signer_log,
            witness_key: parts.witness_key,
            witness_identity: parts.witness_identity,
            attestation: parts.attestation,
            key: parts.hot_key,
            seat: parts.seat,
            route: parts.route,
        })
    }

    pub(super) async fn reload(&self, core: &mut Core) {
        loop {
            let mut seen = Seen::default();
            let read = core.journal.catch_up(&mut |row| seen.visit(row)).await;
            match read.and_then(|()| load::load(&self.context, seen)) {
                Ok(state) => {
                    // What was seen is not unseen because its marker could not be written.
                    let stopped = core.state.stopped.take();
                    core.state = State { stopped: state.stopped.clone().or(stopped), ..state };
                    return;
                }
                Err(fault) => {
                    error!(code = %fault.code(), "the co-signer's ledger cannot be read back yet: {fault}");
                    tokio::time::sleep(self.context.settings.retry).await;
                }
            }
        }
    }

    /// The answer to whoever wants something signed in a freeze, before anything was decided.
    pub(super) fn frozen(&self) -> DeskError {
        let finding = self.context.brake.finding();
        DeskError::nothing_happened(finding.code, finding.detail)
    }

    /// Tells the log what it does not know of freezes yet, and lets a resume take effect.
    pub(super) async fn note_freezes(&self) {
        let mut core = self.core.lock().await;
        if !brake::has_news(&self.context, &core.state.noted) {
            return;
        }
        let mut draft = core.journal.draft(self.context.now());
        let now = draft.now();
        let after = brake::note(&self.context, &mut core.state.noted, &mut draft);
        let done = if draft.is_empty() { Ok(()) } else { core.journal.commit(draft).await };
        match done {
            Ok(()) => after.into_iter().for_each(|step| step.act(&self.context.brake, now)),
            Err(fault) => {
                error!(code = %fault.code(), "a freeze could not be noted yet: {fault}");
                self.reload(&mut core).await;
            }
        }
    }

    /// A fork was seen: writes the marker, and signs nothing any more.
    pub(super) async fn stop(&self, core: &mut Core, what: &str) -> DeskError {
        let finding = Finding::new(Code::LogForked, what);
        let mut draft = core.journal.draft(self.context.now());
        draft.entry(
            EntryKind::Alarm,
            &[("code", &Code::LogForked), ("origin", &self.signer_log.name()), ("detail", &what)],
        );
        let now = draft.now();
        draft.row(Table::Setting, STOPPED.to_owned(), "stopped", now, what.to_owned());
        core.state.stopped = Some(finding);
        if let Err(fault) = core.journal.commit(draft).await {
            error!(code = %fault.code(), "the stop could not be written down: {fault}");
        }
        error!(code = %Code::LogForked, "the signer's log is forked: {what}");
        DeskError::nothing_happened(Code::LogForked, what)
    }
}

/// After a fork only people go on.
pub(super) fn refuse_if_stopped(core: &Core) -> Result<(), DeskError> {
    match &core.state.stopped {
        Some(stopped) => Err(DeskError::nothing_happened(Code::LogForked, stopped.detail.clone())),
        None => Ok(()),
    }
}

impl Party {
    pub(super) async fn status(&self) -> Result<CosignStatus, DeskError> {
        let core = self.core.lock().await;
        Ok(CosignStatus {
            known_size: core.state.witnessed.map_or(0, |head| head.size),
            wallet: self.context.wallet.fingerprint(),
            policy_hash: self.context.policy_hash(),
            policies_kept: self.context.policies_kept(),
            trust_version: self.context.trust.version(),
            attestation_key_id: "attestation".to_owned(),
            attestation_key: self.attestation.public_key(),
            witness_key: self.witness_key.to_string(),
        })
    }

    pub(super) async fn submit_statements(
        &self,
        statements: Vec<SignedText>,
    ) -> Result<Vec<Result<StatementReceipt, Finding>>, DeskError> {
        let mut core = self.core.lock().await;
        let mut answers = Vec::with_capacity(statements.len());
        for given in &statements {
            // A fault ends the call: a later number that is taken would make this one come too late for ever.
            answers.push(self.take_statement(&mut core, given).await.map_err(|fault| fault.desk_error())?);
        }
        Ok(answers)
    }

    pub(super) async fn attest_addresses(
        &self,
        orders: Vec<AttestationOrder>,
    ) -> Result<Vec<SignedText>, DeskError> {
        let mut core = self.core.lock().await;
        refuse_if_stopped(&core)?;
        let mut draft = core.journal.draft(self.context.now());
        let mut words = Vec::with_capacity(orders.len());
        for order in &orders {
            match self.attest_one(&mut core, &mut draft, order) {
                Ok(word) => words.push(word),
                Err(finding) => {
                    self.reload(&mut core).await;
                    return Err(DeskError::Refused(finding));
                }
            }
        }
        if !draft.is_empty()
            && let Err(fault) = core.journal.commit(draft).await
        {
            self.reload(&mut core).await;
            return Err(fault.desk_error());
        }
        Ok(words)
    }

    pub(super) async fn countersign(&self, order: CosignOrder) -> Result<CosignOutcome, DeskError> {
        // Heads are witnessed in a freeze too; and no reservation dies of one, since nothing is decided.
        if !order.items.is_empty() && !self.context.brake.is_free(Leaving::Sweep) {
            return Err(self.frozen());
        }
        let heard = self.ask_route(&order).await;
        let mut core = self.core.lock().await;
        refuse_if_stopped(&core)?;
        match self.witness(&core, &order)? {
            Witnessing::Known(size) => {
                Ok(CosignOutcome { head: HeadAnswer::KnownSize(size), verdicts: Vec::new() })
            }
            Witnessing::Fork(what) => Err(self.stop(&mut core, &what).await),
            Witnessing::Accepted(accepted) => self.decide_and_sign(&mut core, accepted, (order, heard)).await,
        }
    }

    pub(super) async fn recall(&self, reservations: Vec<ReservationId>) -> Result<Vec<Recalled>, DeskError> {
        let mut core = self.core.lock().await;
        refuse_if_stopped(&core)?;
        let keys: Vec<String> = reservations.iter().map(ToString::to_string).collect();
        let found = core.journal.rows(Table::SignedReservation, &keys).await.map_err(|f| f.desk_error())?;
        let mut known = HashMap::new();
        for row in found {
            let read: Result<CosignedRow, _> = rows::read(row.key(), row.content());
            let read = read.map_err(|_| JournalFault::Unreadable(row.key().to_owned()).desk_error())?;
            known.insert(row.key().to_owned(), read);
        }
        let mut draft = core.journal.draft(self.context.now());
        let mut answers = Vec::with_capacity(reservations.len());
        for id in reservations {
            match known.get(&id.to_string()) {
                Some(row) if row.state == "signed" => {
                    let broken = |f: Finding| DeskError::may_have_happened(f.code, f.detail);
                    answers.push(self.recalled(&core.state, id, row).map_err(broken)?);
                }
                Some(_) => answers.push(Recalled::Dead),
                None => {
                    draft.entry(
                        EntryKind::CosignRefused,
                        &[("reservation", &id), ("code", &Code::ReservationDead)],
                    );
                    let row = CosignedRow::dead(Code::ReservationDead, draft.now());
                    draft.row(
                        Table::SignedReservation,
                        id.to_string(),
                        "dead",
                        draft.now(),
                        rows::write(&row),
                    );
                    answers.push(Recalled::Dead);
                }
            }
        }
        if !draft.is_empty()
            && let Err(fault) = core.journal.commit(draft).await
        {
            self.reload(&mut core).await;
            return Err(fault.desk_error());
        }
        Ok(answers)
    }

    /// What it has of a decided transaction. One that a custodian was given can be signed any time: it is never said dead.
    fn recalled(&self, state: &State, id: ReservationId, row: &CosignedRow) -> Result<Recalled, Finding> {
        Ok(match self.again(state, id, row)? {
            ItemVerdict::Signed(psbt) => Recalled::Signed(psbt),
            ItemVerdict::Pending(finding) => Recalled::Pending(finding),
            ItemVerdict::Refused(_) => Recalled::Dead,
        })
    }
}
