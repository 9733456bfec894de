//! How the co-signer is asked: statements first, then one checkpoint with many reservations under it (law L21).
//!
//! What is asked is asked again until it is answered: the same question gives the same bytes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::Command;
use super::context::Context;
use super::ledger::journal::{JournalFault, LogView};
use super::ledger::lane::safe_of;
use super::ledger::rows::{self, ReservationRow, StatementRow};
use super::policies;
use super::rail::{Body, Keys, finish};
use super::transactions::Finished;
use super::treasury::leaving;
use crate::audit::{Cosignature, VerifiedCheckpoint, WitnessKey};
use crate::desk::{
    CosignDesk, CosignItem, CosignOrder, CosignPayment, DeskError, HeadAnswer, ItemVerdict, SignedText,
};
use crate::freeze::Leaving;
use crate::store::{Store, Table};
use crate::withdrawal::{Code, Finding, ReservationId};

/// The most reservations one question carries.
pub const PARCELS_MAX: usize = 64;
/// The most payments one question carries, unless one reservation alone has more: a fraction of what the line takes.
const PAYMENTS_AT_ONCE: usize = 1_024;
/// How many bytes of statements one call carries, unless one statement alone is longer: well below what the line takes.
const STATEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many retries long the pause grows at most, before what is still to come is asked about again.
const PENDING_RETRIES_MAX: u32 = 16;
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
    /// What its chain needs to judge the answer by.
    pub body: Body,
    /// The withdrawals it pays, with their evidence.
    pub payments: Vec<CosignPayment>,
}

/// What the courier is given.
pub enum Work {
    /// A reservation to be co-signed.
    Cosign(Box<Parcel>),
    /// A statement to be delivered, by the key of its row; it is read when it is sent.
    Deliver(String),
}

/// The one who goes back and forth.
pub struct Courier {
    /// The signer's context.
    pub context: Arc<Context>,
    /// The signer's log.
    pub log: Arc<LogView>,
    /// Where the statements are read that are to be delivered.
    pub store: Arc<Store>,
    /// The other party.
    pub cosigner: Arc<dyn CosignDesk>,
    /// Key A.
    pub keys: Keys,
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
    /// Whether the last cosignature did not hold, and people were told.
    is_doubted: bool,
    /// How many reservations the next question carries.
    at_once: usize,
    /// Why the co-signer could not be asked the last time.
    silent: Option<Code>,
    parcels: VecDeque<Arc<Parcel>>,
    /// When those are asked about again whose signature is still to come, and how long was waited last.
    pending: HashMap<ReservationId, (Instant, Duration)>,
    /// The keys of the statements that are to be delivered; each observer's and kind's stand in the order of their numbers.
    statements: BTreeSet<String>,
}

impl Courier {
    /// A courier with nothing to carry yet.
    pub fn new(
        context: Arc<Context>,
        (log, store): (Arc<LogView>, Arc<Store>),
        (cosigner, witness): (Arc<dyn CosignDesk>, WitnessKey),
        keys: Keys,
        (commands, work): (mpsc::Sender<Command>, mpsc::UnboundedReceiver<Work>),
    ) -> Self {
        let log_size = log.head().size;
        Self {
            context,
            log,
            store,
            cosigner,
            keys,
            commands,
            witness,
            opened: log_size,
            work,
            known_size: 0,
            is_compared: false,
            cosigned_size: 0,
            is_doubted: false,
            at_once: PARCELS_MAX,
            silent: None,
            parcels: VecDeque::new(),
            pending: HashMap::new(),
            statements: BTreeSet::new(),
        }
    }

    /// Runs until every sender is gone.
    pub async fn run(mut self) {
        loop {
            let mut idle = false;
            if self.sendable().next().is_none() && self.statements.is_empty() {
                let wait = self.next_due().min(self.context.settings.witness_every);
                match tokio::time::timeout(wait, self.work.recv()).await {
                    Ok(Some(work)) => self.take(work),
                    Ok(None) => return,
                    // Nothing to carry: what was written since is witnessed all the same.
                    Err(_) => idle = self.sendable().next().is_none(),
                }
            }
            while let Ok(work) = self.work.try_recv() {
                self.take(work);
            }
            let went = self.go(idle).await;
            self.tell_change(&went);
            self.single_out(&went);
            if let Err(fault) = went {
                for parcel in &self.parcels {
                    let silent =
                        Command::CosignerSilent { reservation: parcel.reservation, code: fault.code() };
                    let _ = self.commands.send(silent).await;
                }
                tokio::time::sleep(self.context.settings.retry).await;
            }
        }
    }

    /// Says why the co-signer cannot be asked whenever the reason is another than before.
    fn tell_change(&mut self, went: &Result<(), DeskError>) {
        let code = went.as_ref().err().map(DeskError::code);
        if code == self.silent {
            return;
        }
        self.silent = code;
        let (statements, reservations) = (self.statements.len(), self.parcels.len());
        match went {
            Ok(()) => info!("the co-signer can be asked again"),
            Err(fault) => {
                warn!(code = %fault.code(), statements, reservations, "the co-signer cannot be asked: {fault}");
            }
        }
    }

    /// A reservation that breaks the co-signer must not stop all others: after a fault of its own it is asked about one by
    /// one, the next one first, and then again about more and more at once.
    fn single_out(&mut self, went: &Result<(), DeskError>) {
        match went {
            Ok(()) => self.at_once = self.at_once.saturating_mul(2).min(PARCELS_MAX),
            Err(fault) if fault.code() == Code::Internal => {
                self.at_once = 1;
                if let Some(first) = self.parcels.pop_front() {
                    self.parcels.push_back(first);
                }
            }
            Err(_) => {}
        }
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Cosign(parcel) => {
                if !self.parcels.iter().any(|p| p.reservation == parcel.reservation) {
                    self.parcels.push_back(Arc::from(parcel));
                }
            }
            Work::Deliver(key) => {
                self.statements.insert(key);
            }
        }
    }

    /// Delivers, then asks about what is reserved; `idle` asks for the head alone.
    async fn go(&mut self, idle: bool) -> Result<(), DeskError> {
        let news = idle && self.log.head().size != self.cosigned_size;
        if self.sendable().next().is_none() && self.statements.is_empty() && !news {
            return Ok(());
        }
        // An older database that was put back is found out before anything else, however much is to be delivered.
        self.compare().await?;
        self.deliver().await?;
        if self.sendable().next().is_none() && !news {
            return Ok(());
        }
        let (order, taken) = self.order().await.map_err(|fault| fault.desk_error())?;
        let outcome = self.cosigner.countersign(order).await?;
        match outcome.head {
            HeadAnswer::KnownSize(size) if size > taken.size => return Err(behind(size, taken.size)),
            HeadAnswer::KnownSize(size) => {
                self.known_size = size;
                return Ok(());
            }
            HeadAnswer::Cosigned(line) => self.keep(&taken.note, &line, taken.size).await?,
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
        let mut most = PARCELS_MAX;
        while !self.statements.is_empty() {
            let (batch, texts) = self.next_statements(most).await?;
            let answers = match self.cosigner.submit_statements(texts).await {
                Ok(answers) => answers,
                // Something in it cannot be read over there: it is found by asking one by one, and holds up no other.
                Err(DeskError::Invalid(_) | DeskError::Refused(_)) if batch.len() > 1 => {
                    most = 1;
                    continue;
                }
                Err(DeskError::Invalid(no)) => vec![Err(Finding::new(no.code, no.to_string()))],
                Err(DeskError::Refused(no)) => vec![Err(no)],
                Err(fault) => return Err(fault),
            };
            let mut keys = Vec::with_capacity(batch.len());
            for (key, answer) in batch.into_iter().zip(answers) {
                self.statements.remove(&key);
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

    /// The next statements to be delivered, by their keys: not more than one call should carry.
    async fn next_statements(&mut self, most: usize) -> Result<(Vec<String>, Vec<SignedText>), DeskError> {
        let (mut batch, mut texts, mut bytes) = (Vec::new(), Vec::new(), 0usize);
        let next: Vec<String> = self.statements.iter().take(most).cloned().collect();
        for key in next {
            let row = self.store.row(Table::Statement, &key).await.map_err(JournalFault::from);
            let row = row.map_err(|fault| fault.desk_error())?.filter(|row| row.state() == "undelivered");
            let Some(row) = row else {
                self.statements.remove(&key);
                continue;
            };
            let unreadable = || JournalFault::Unreadable(key.clone()).desk_error();
            let stored: StatementRow = rows::read(row.key(), row.content()).map_err(|_| unreadable())?;
            let signed = stored.signed.signed_text().ok_or_else(unreadable)?;
            bytes = bytes.saturating_add(signed.text.len());
            if bytes > STATEMENT_BYTES_MAX && !batch.is_empty() {
                break;
            }
            batch.push(key);
            texts.push(signed);
        }
        Ok((batch, texts))
    }

    /// What may be asked about now: sweeps by themselves and first, since they may go on in a freeze that stops the rest.
    fn sendable(&self) -> impl Iterator<Item = &Arc<Parcel>> {
        let (brake, now) = (&self.context.brake, Instant::now());
        let (pays, sweeps) = (brake.is_free(Leaving::Payment), brake.is_free(Leaving::Sweep));
        let is_due = move |parcel: &&Arc<Parcel>| {
            self.pending.get(&parcel.reservation).is_none_or(|(due, _)| *due <= now)
        };
        let is = |wanted: Leaving| move |parcel: &&Arc<Parcel>| leaving(&parcel.row) == wanted;
        let in_turn = |parcel: &&Arc<Parcel>| self.is_in_turn(parcel);
        let mut due = self.parcels.iter().filter(is_due).filter(in_turn);
        let swept = sweeps && due.any(|parcel| leaving(&parcel.row) == Leaving::Sweep);
        let wanted = if swept { Leaving::Sweep } else { Leaving::Payment };
        let parcels = self.parcels.iter().filter(is_due).filter(is(wanted));
        parcels.filter(move |parcel| self.is_in_turn(parcel)).filter(move |_| swept || pays)
    }

    /// Whether nothing of the other kind comes before it on its Safe: the co-signer signs the next nonce only.
    fn is_in_turn(&self, parcel: &Arc<Parcel>) -> bool {
        let Some(lane) = safe_of(&parcel.row) else { return true };
        let before = self.parcels.iter().take_while(|other| other.reservation != parcel.reservation);
        let mut on_lane = before.filter(|other| safe_of(&other.row) == Some(lane));
        on_lane.all(|other| leaving(&other.row) == leaving(&parcel.row))
    }

    /// How long until something is asked about again whose signature was still to come.
    fn next_due(&self) -> Duration {
        let now = Instant::now();
        let waits = self.pending.values().map(|(due, _)| due.saturating_duration_since(now));
        // One that a freeze holds back is due and not sent: that must not spin.
        waits.min().unwrap_or(Duration::MAX).max(self.context.settings.retry)
    }

    /// Keeps a parcel whose signature is still to come, and asks again: soon, and then less and less often.
    fn put_off(&mut self, reservation: ReservationId) {
        let retry = self.context.settings.retry;
        let last = self.pending.get(&reservation).map(|(_, pause)| *pause);
        let pause = last.map_or(retry, |pause| pause.saturating_mul(2)).min(retry * PENDING_RETRIES_MAX);
        self.pending.insert(reservation, (Instant::now() + pause, pause));
    }

    async fn order(&self) -> Result<(CosignOrder, Taken), JournalFault> {
        let (head, note) = self.log.signed_head();
        let old_size = self.known_size.min(head.size);
        let consistency = self.log.consistency(old_size, head.size).await?;
        let mut items = Vec::new();
        let mut payments = 0usize;
        for parcel in self.sendable().take(self.at_once) {
            payments = payments.saturating_add(parcel.payments.len());
            if payments > PAYMENTS_AT_ONCE && !items.is_empty() {
                break;
            }
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
            policies_kept: self.context.policies_kept(),
            items,
        };
        Ok((order, Taken { note, size: head.size }))
    }

    /// Keeps the cosignature. One that does not hold is none: it is an alarm, what came with it counts for nothing, and the
    /// question is asked again.
    async fn keep(&mut self, note: &str, line: &str, size: u64) -> Result<(), DeskError> {
        let merged = VerifiedCheckpoint::open(note, self.log.key()).map_err(|e| e.to_string()).and_then(
            |checkpoint| {
                let cosignature =
                    Cosignature::open_line(&checkpoint, line, &self.witness).map_err(|e| e.to_string())?;
                cosignature.merge_into(&checkpoint).map_err(|e| e.to_string())
            },
        );
        match merged {
            Ok(note) => {
                self.log.put_cosigned(size, note);
                (self.known_size, self.cosigned_size) = (size, size);
                self.is_doubted = false;
                Ok(())
            }
            Err(problem) => Err(self.doubt(size, &problem).await),
        }
    }

    /// Tells people, once for a row of them, of a cosignature that does not hold.
    async fn doubt(&mut self, size: u64, problem: &str) -> DeskError {
        let detail = format!("the co-signer's cosignature of {size} entries does not hold: {problem}");
        if !std::mem::replace(&mut self.is_doubted, true) {
            let finding = Finding::new(Code::EvidenceInvalid, detail.clone());
            let about = ("origin", self.log.key().name().to_owned());
            let _ = self.commands.send(Command::Alarm { about, finding }).await;
        }
        DeskError::may_have_happened(Code::EvidenceInvalid, detail)
    }

    async fn settle(&mut self, verdicts: Vec<(ReservationId, ItemVerdict)>) {
        let wants_approval = |(_, verdict): &(ReservationId, ItemVerdict)| matches!(verdict, ItemVerdict::Refused(no) if no.finding.code == Code::ApprovalRequired);
        if verdicts.iter().any(wants_approval) {
            // Its policy may be another by now, and then operators are to see the text that names it.
            policies::ask(&self.context, self.cosigner.as_ref()).await;
        }
        let mut signed = Vec::new();
        for (id, verdict) in verdicts {
            let Some(at) = self.parcels.iter().position(|p| p.reservation == id) else { continue };
            if let ItemVerdict::Pending(finding) = verdict {
                self.put_off(id);
                let silent = Command::CosignerSilent { reservation: id, code: finding.code };
                let _ = self.commands.send(silent).await;
                continue;
            }
            self.pending.remove(&id);
            let Some(parcel) = self.parcels.remove(at) else { continue };
            match verdict {
                ItemVerdict::Pending(_) => {}
                ItemVerdict::Signed(psbt) => signed.push((parcel, psbt)),
                ItemVerdict::Refused(refusal) => {
                    info!(code = %refusal.finding.code, reservation = %id, "the co-signer said no");
                    let _ = self.commands.send(Command::CosignerRefused { reservation: id, refusal }).await;
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
            let (context, keys, commands) = (self.context.clone(), self.keys.clone(), self.commands.clone());
            let work = tokio::task::spawn_blocking(move || {
                let done = part
                    .iter()
                    .filter_map(|(parcel, psbt)| finished(parcel, finish(&context, &keys, parcel, psbt)));
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
fn finished(parcel: &Parcel, done: Result<Finished, Finding>) -> Option<Command> {
    Some(match done {
        Ok(finished) => Command::Finished { reservation: parcel.reservation, finished },
        Err(finding) if finding.code == Code::Frozen => return None,
        // What the co-signer gave back is not what was reserved: nothing is finished.
        Err(finding) => Command::Alarm { about: ("reservation", parcel.reservation.to_string()), finding },
    })
}
