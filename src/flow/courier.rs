//! How the co-signer is asked: statements first, then one checkpoint with many reservations under it (law L21).
//!
//! What is asked is asked again until it is answered: the same question gives the same bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{debug, error, info};

use super::Command;
use super::context::Context;
use super::finish::finish;
use super::ledger::journal::{JournalFault, LogView};
use super::ledger::rows::ReservationRow;
use super::treasury::leaving;
use crate::audit::{Cosignature, VerifiedCheckpoint, WitnessKey};
use crate::bitcoin::OwnScript;
use crate::bitcoin::build::Payee;
use crate::bitcoin::coin::OwnCoin;
use crate::desk::{
    CosignDesk, CosignItem, CosignOrder, CosignPayment, DeskError, HeadAnswer, ItemVerdict, SignedText,
};
use crate::freeze::Leaving;
use crate::keys::HotKey;
use crate::withdrawal::{Amount, Code, Finding, ReservationId};

/// The most reservations one question carries.
pub const PARCELS_MAX: usize = 64;
/// How many transactions are finished before the writer is told of them.
const FINISHED_AT_ONCE: usize = 8;

/// One reservation on its way, with everything to judge the answer by.
pub struct Parcel {
    /// The reservation.
    pub reservation: ReservationId,
    /// Its row.
    pub row: Arc<ReservationRow>,
    /// The PSBT for the co-signer.
    pub psbt: Vec<u8>,
    /// The log leaf that recorded it.
    pub leaf: Vec<u8>,
    /// What it spends.
    pub coins: Vec<OwnCoin>,
    /// Whom it pays.
    pub payees: Vec<Payee>,
    /// The index on the cold wallet's branch 0, for a sweep.
    pub cold_index: Option<u32>,
    /// The script of its change.
    pub change_script: Option<Arc<OwnScript>>,
    /// The sum of the requests' fee caps.
    pub fee_max: Option<Amount>,
    /// The withdrawals it pays, with their evidence.
    pub payments: Vec<CosignPayment>,
}

/// What the courier is given.
pub enum Work {
    /// A reservation to be co-signed.
    Cosign(Box<Parcel>),
    /// A statement to be delivered, by its key.
    Deliver(String, SignedText),
}

/// The one who goes back and forth.
pub struct Courier {
    /// The signer's context.
    pub context: Arc<Context>,
    /// The signer's log.
    pub log: Arc<LogView>,
    /// The other party.
    pub cosigner: Arc<dyn CosignDesk>,
    /// Key A.
    pub key: Arc<HotKey>,
    /// Where answers go.
    pub commands: mpsc::Sender<Command>,
    /// The verifier key of the co-signer's cosignatures, from the trust file.
    pub witness: WitnessKey,
    /// How many entries the log had when it was opened.
    pub opened: u64,
    /// What is to be done.
    pub work: mpsc::UnboundedReceiver<Work>,
    known_size: u64,
    /// Whether what the co-signer has witnessed was compared with the log as it was opened.
    is_compared: bool,
    cosigned_size: u64,
    silent: bool,
    parcels: VecDeque<Arc<Parcel>>,
    statements: VecDeque<(String, SignedText)>,
}

impl Courier {
    /// A courier with nothing to carry yet.
    pub fn new(
        context: Arc<Context>,
        log: Arc<LogView>,
        (cosigner, witness): (Arc<dyn CosignDesk>, WitnessKey),
        key: Arc<HotKey>,
        (commands, work): (mpsc::Sender<Command>, mpsc::UnboundedReceiver<Work>),
    ) -> Self {
        let log_size = log.head().size;
        Self {
            context,
            log,
            cosigner,
            key,
            commands,
            witness,
            opened: log_size,
            work,
            known_size: 0,
            is_compared: false,
            cosigned_size: 0,
            silent: false,
            parcels: VecDeque::new(),
            statements: VecDeque::new(),
        }
    }

    /// Runs until every sender is gone.
    pub async fn run(mut self) {
        loop {
            let mut idle = false;
            if self.sendable().next().is_none() && self.statements.is_empty() {
                match tokio::time::timeout(self.context.settings.witness_every, self.work.recv()).await {
                    Ok(Some(work)) => self.take(work),
                    Ok(None) => return,
                    // Nothing to carry: what was written since is witnessed all the same.
                    Err(_) => idle = true,
                }
            }
            while let Ok(work) = self.work.try_recv() {
                self.take(work);
            }
            let went = self.go(idle).await;
            if went.is_err() != self.silent {
                self.silent = went.is_err();
                info!(reachable = !self.silent, "the co-signer's line has changed");
            }
            if let Err(fault) = went {
                debug!(code = %fault.code(), "the co-signer cannot be asked: {fault}");
                for parcel in &self.parcels {
                    let silent =
                        Command::CosignerSilent { reservation: parcel.reservation, code: fault.code() };
                    let _ = self.commands.send(silent).await;
                }
                tokio::time::sleep(self.context.settings.retry).await;
            }
        }
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Cosign(parcel) => {
                if !self.parcels.iter().any(|p| p.reservation == parcel.reservation) {
                    self.parcels.push_back(Arc::from(parcel));
                }
            }
            Work::Deliver(key, statement) => self.statements.push_back((key, statement)),
        }
    }

    /// Delivers, then asks about what is reserved; `idle` asks for the head alone.
    async fn go(&mut self, idle: bool) -> Result<(), DeskError> {
        self.deliver().await?;
        let news = idle && self.log.head().size != self.cosigned_size;
        if self.sendable().next().is_none() && !news {
            return Ok(());
        }
        self.compare().await?;
        let (order, taken) = self.order().await.map_err(|fault| fault.desk_error())?;
        let outcome = self.cosigner.countersign(order).await?;
        match outcome.head {
            HeadAnswer::KnownSize(size) if size > taken.size => return Err(behind(size, taken.size)),
            HeadAnswer::KnownSize(size) => {
                self.known_size = size;
                return Ok(());
            }
            HeadAnswer::Cosigned(line) => self.keep(&taken.note, &line, taken.size),
        }
        self.settle(outcome.verdicts).await;
        Ok(())
    }

    /// Before the first question: all that the co-signer has witnessed was in the log when it was opened, or an older
    /// database was put back. Then it is never asked: the entries written since would be a fork, and stop it for good.
    async fn compare(&mut self) -> Result<(), DeskError> {
        if self.is_compared {
            return Ok(());
        }
        let witnessed = self.cosigner.status().await?.known_size;
        if witnessed > self.opened {
            return Err(behind(witnessed, self.opened));
        }
        self.known_size = witnessed;
        self.is_compared = true;
        Ok(())
    }

    async fn deliver(&mut self) -> Result<(), DeskError> {
        while !self.statements.is_empty() {
            let batch: Vec<_> = self.statements.iter().take(PARCELS_MAX).cloned().collect();
            let texts = batch.iter().map(|(_, s)| s.clone()).collect();
            let answers = self.cosigner.submit_statements(texts).await?;
            let mut keys = Vec::with_capacity(batch.len());
            for ((key, _), answer) in batch.into_iter().zip(answers) {
                self.statements.pop_front();
                // One out of order is one it has.
                if let Some(finding) = answer.err().filter(|no| no.code != Code::StatementOutOfOrder) {
                    let detail = format!("the co-signer refused a statement: {}", finding.detail);
                    let finding = Finding::new(finding.code, detail);
                    let about = ("subject", key.clone());
                    let _ = self.commands.send(Command::Alarm { about, finding }).await;
                }
                keys.push(key);
            }
            let _ = self.commands.send(Command::Delivered { keys }).await;
        }
        Ok(())
    }

    /// What may be asked about now: sweeps by themselves and first, since they may go on in a freeze that stops the rest.
    fn sendable(&self) -> impl Iterator<Item = &Arc<Parcel>> {
        let brake = &self.context.brake;
        let (pays, sweeps) = (brake.is_free(Leaving::Payment), brake.is_free(Leaving::Sweep));
        let is = |wanted: Leaving| move |parcel: &&Arc<Parcel>| leaving(&parcel.row) == wanted;
        let swept = sweeps && self.parcels.iter().any(|parcel| leaving(&parcel.row) == Leaving::Sweep);
        let wanted = if swept { Leaving::Sweep } else { Leaving::Payment };
        self.parcels.iter().filter(is(wanted)).filter(move |_| swept || pays)
    }

    async fn order(&self) -> Result<(CosignOrder, Taken), JournalFault> {
        let (head, note) = self.log.signed_head();
        let old_size = self.known_size.min(head.size);
        let consistency = self.log.consistency(old_size, head.size).await?;
        let mut items = Vec::new();
        for parcel in self.sendable().take(PARCELS_MAX) {
            let inclusion = self.log.inclusion(parcel.row.log_index, head.size).await?;
            items.push(CosignItem {
                reservation: parcel.reservation,
                psbt: parcel.psbt.clone(),
                leaf: parcel.leaf.clone(),
                leaf_index: parcel.row.log_index,
                inclusion: inclusion.hashes().iter().map(|h| h.0).collect(),
                payments: parcel.payments.clone(),
            });
        }
        let order = CosignOrder {
            checkpoint: note.clone(),
            old_size,
            consistency: consistency.hashes().iter().map(|h| h.0).collect(),
            policy: self.context.policy_hash(),
            items,
        };
        Ok((order, Taken { note, size: head.size }))
    }

    /// Keeps the cosignature, if it is one.
    fn keep(&mut self, note: &str, line: &str, size: u64) {
        let merged = VerifiedCheckpoint::open(note, self.log.key()).map_err(|e| e.to_string()).and_then(
            |checkpoint| {
                let cosignature =
                    Cosignature::open_line(&checkpoint, line, &self.witness).map_err(|e| e.to_string())?;
                cosignature.merge_into(&checkpoint).map_err(|e| e.to_string())
            },
        );
        match merged {
            Ok(note) => {
                self.cosigned_size = size;
                self.log.put_cosigned(size, note);
            }
            Err(problem) => error!(code = %Code::EvidenceInvalid, "the cosignature does not hold: {problem}"),
        }
        self.known_size = size;
        self.cosigned_size = size;
    }

    async fn settle(&mut self, verdicts: Vec<(ReservationId, ItemVerdict)>) {
        let mut signed = Vec::new();
        for (id, verdict) in verdicts {
            let Some(at) = self.parcels.iter().position(|p| p.reservation == id) else { continue };
            let Some(parcel) = self.parcels.remove(at) else { continue };
            match verdict {
                ItemVerdict::Signed(psbt) => signed.push((parcel, psbt)),
                ItemVerdict::Refused(refusal) => {
                    info!(code = %refusal.finding.code, reservation = %id, "the co-signer said no");
                    let refused = Command::CosignerRefused {
                        reservation: id,
                        finding: refusal.finding,
                        is_hold: refusal.is_hold,
                    };
                    let _ = self.commands.send(refused).await;
                }
            }
        }
        self.finish_all(signed);
    }

    /// Finishes what was signed, on every core, while the next question is already on its way.
    fn finish_all(&self, signed: Vec<(Arc<Parcel>, Vec<u8>)>) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = signed.len().div_ceil(cores).clamp(1, FINISHED_AT_ONCE);
        let mut signed = signed.into_iter().peekable();
        while signed.peek().is_some() {
            let part: Vec<_> = signed.by_ref().take(share).collect();
            let (context, key, commands) = (self.context.clone(), self.key.clone(), self.commands.clone());
            let work = tokio::task::spawn_blocking(move || {
                let done = part
                    .iter()
                    .filter_map(|(parcel, psbt)| finished(parcel, finish(&context, &key, parcel, psbt)));
                // All at once, so that one commit takes them together.
                for command in done.collect::<Vec<_>>() {
                    let _ = commands.blocking_send(command);
                }
            });
            tokio::spawn(async move {
                if work.await.is_err() {
                    error!(code = %Code::Internal, "finishing a transaction panicked; it is asked again at the next start");
                }
            });
        }
    }
}

/// The co-signer has witnessed more of this log than there is: an older database was put back (law L22).
fn behind(witnessed: u64, here: u64) -> DeskError {
    let detail = format!("the co-signer has witnessed {witnessed} entries of this log, and here are {here}");
    error!(code = %Code::LogBehindWitness, "{detail}");
    DeskError::nothing_happened(Code::LogBehindWitness, detail)
}

struct Taken {
    note: String,
    size: u64,
}

/// What the writer is told. Of what a freeze stopped it hears nothing: it is taken up when the freeze ends.
fn finished(parcel: &Parcel, done: Result<super::ledger::rows::ReleasedRow, Finding>) -> Option<Command> {
    Some(match done {
        Ok(released) => Command::Finished { reservation: parcel.reservation, released },
        Err(finding) if finding.code == Code::Frozen => return None,
        // What the co-signer gave back is not what was reserved: nothing is finished.
        Err(finding) => Command::Alarm { about: ("reservation", parcel.reservation.to_string()), finding },
    })
}
