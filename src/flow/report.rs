//! Tells counterparties what became of the withdrawals they verified. Decides nothing; nothing waits for it and nothing fails by it.
//!
//! What has ended stands in the store, and is read on from where it was read last: nothing is queued that a crash could lose. At a
//! start the last day is read again, for the enclave takes a report twice as once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::bitcoin::{Transaction, consensus};
use tokio::sync::{Notify, mpsc};
use tracing::{debug, warn};

use super::context::Context;
use super::ledger::journal::{JournalFault, LogView};
use super::ledger::rows::{self, ExecutedRow, ReleasedRow, WithdrawalRow};
use super::transactions::Transactions;
use crate::bitcoin::Destination;
use crate::enclave::{Door, EnclaveFault, ErrorReason, TELL_MAX, Tell, TellAsk};
use crate::evidence::request::parse_request;
use crate::store::{PageToken, Row, Store, Table};
use crate::withdrawal::{Code, Outcome, Seconds, WithdrawalId, WithdrawalRequest};

/// What ended at most this long before a start is reported again, in seconds.
const AGAIN_S: u64 = 86_400;
/// How many rows are read at once.
const PAGE_ROWS: usize = 100;
/// With this many reports waiting the store is not read on: it keeps the others.
const WAITING_MAX: usize = 256;
/// How many withdrawals may wait that were verified after they had ended. One more is told at the next start.
const LATE_MAX: usize = 1_024;
/// What ends within this time is read and told together.
const GATHER: Duration = Duration::from_millis(100);
/// How often the store is read without being called.
const UNCALLED: Duration = Duration::from_secs(60);
/// The longest pause after nothing could be told.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// By which the writer calls the reporter.
pub struct Bell {
    rung: Arc<Notify>,
    late: mpsc::Sender<WithdrawalId>,
}

/// What the reporter listens to.
pub struct Rung {
    rung: Arc<Notify>,
    late: mpsc::Receiver<WithdrawalId>,
}

/// A bell and its listener.
pub fn bell() -> (Bell, Rung) {
    let rung = Arc::new(Notify::new());
    let (late, taken) = mpsc::channel(LATE_MAX);
    (Bell { rung: rung.clone(), late }, Rung { rung, late: taken })
}

impl Bell {
    /// Something has ended.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// This one had ended before its counterparty verified it.
    pub fn late(&self, id: WithdrawalId) {
        if self.late.try_send(id).is_err() {
            warn!(code = %Code::QueueFull, withdrawal = %id, "an error is not reported before the next start");
        }
    }
}

/// The task that reports.
pub struct Reporter {
    context: Arc<Context>,
    door: Arc<dyn Door>,
    log: Arc<LogView>,
    store: Arc<Store>,
    bell: Rung,
    late: Option<WithdrawalId>,
    /// Before what is not read yet; nothing until the last day was found.
    next: Option<PageToken>,
    all_read: bool,
    waiting: VecDeque<TellAsk>,
}

/// How a round went.
enum Round {
    /// There is nothing to tell.
    Idle,
    /// Something was told, or read.
    On,
    /// Something is to be told, and could not be.
    Stuck,
}

impl Reporter {
    /// Reads this store, and has this door tell.
    pub fn new(
        context: Arc<Context>,
        door: Arc<dyn Door>,
        (log, store): (Arc<LogView>, Arc<Store>),
        bell: Rung,
    ) -> Self {
        let (late, next, waiting) = (None, None, VecDeque::new());
        Self { context, door, log, store, bell, late, next, all_read: false, waiting }
    }

    /// Runs until the writer is gone.
    pub async fn run(mut self) {
        let shortest = self.context.settings.retry;
        let mut pause = shortest;
        loop {
            match self.round().await {
                Round::On => pause = shortest,
                Round::Stuck => {
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSE_MAX.max(shortest));
                    self.all_read = false;
                }
                Round::Idle => {
                    pause = shortest;
                    if !self.called().await {
                        return;
                    }
                    self.all_read = false;
                }
            }
        }
    }

    /// Waits until something may have ended; says whether there is still a writer.
    async fn called(&mut self) -> bool {
        tokio::select! {
            () = self.bell.rung.notified() => {}
            () = tokio::time::sleep(UNCALLED) => {}
            late = self.bell.late.recv() => {
                self.late = late;
                return late.is_some();
            }
        }
        tokio::time::sleep(GATHER).await;
        true
    }

    async fn round(&mut self) -> Round {
        if let Err(fault) = self.read().await {
            warn!(code = %fault.code(), "what has ended cannot be read yet: {fault}");
            return Round::Stuck;
        }
        match (self.waiting.is_empty(), self.all_read) {
            (true, true) => Round::Idle,
            (true, false) => Round::On,
            (false, _) => self.tell().await,
        }
    }

    /// Reads what has ended until enough waits.
    async fn read(&mut self) -> Result<(), JournalFault> {
        while self.waiting.len() < WAITING_MAX {
            self.late = self.late.or_else(|| self.bell.late.try_recv().ok());
            let Some(id) = self.late else { break };
            let row = self.store.row(Table::Withdrawal, &id.to_string()).await?;
            let told = self.of_rows(row.as_slice()).await?;
            self.waiting.extend(told);
            self.late = None;
        }
        while !self.all_read && self.waiting.len() < WAITING_MAX {
            let from = match self.next.take() {
                Some(next) => next,
                None => self.last_day().await?,
            };
            let page = self.store.rows_page(Table::Withdrawal, Some(&from), PAGE_ROWS).await;
            let page = page.inspect_err(|_| self.next = Some(from.clone()))?;
            let ended = self.of_rows(&page.rows).await.inspect_err(|_| self.next = Some(from.clone()))?;
            self.waiting.extend(ended);
            self.all_read = page.next.is_none();
            // INVARIANT: what ends has a log entry in its commit, so it never stands at an index that was read before.
            let behind = |row: &Row| PageToken::from(Table::Withdrawal, row.log_index().saturating_add(1));
            self.next = Some(page.next.or_else(|| page.rows.last().map(behind)).unwrap_or(from));
        }
        Ok(())
    }

    /// Where the last day begins: the log is in the order of time, but for a clock that was set.
    async fn last_day(&self) -> Result<PageToken, JournalFault> {
        let since = Seconds(self.context.now().0.saturating_sub(AGAIN_S));
        let (mut low, mut high) = (0, self.log.head().size);
        while low < high {
            let middle = low.midpoint(high);
            let from = PageToken::from(Table::Withdrawal, middle);
            let page = self.store.rows_page(Table::Withdrawal, Some(&from), 1).await?;
            match page.rows.first() {
                Some(row) if row.at() < since => low = row.log_index().saturating_add(1),
                _ => high = middle,
            }
        }
        Ok(PageToken::from(Table::Withdrawal, low))
    }

    async fn of_rows(&self, rows: &[Row]) -> Result<Vec<TellAsk>, JournalFault> {
        let ended = rows.iter().filter(|row| matches!(row.state(), "refused" | "released"));
        let read: Vec<(&str, Result<WithdrawalRow, _>)> =
            ended.map(|row| (row.key(), rows::read(row.key(), row.content()))).collect();
        let mut transactions = Transactions::default();
        let known = read.iter().filter_map(|(_, read)| read.as_ref().ok());
        match transactions.read(&self.store, known.filter(|row| is_told_by_output(row))).await {
            Ok(()) | Err(JournalFault::Unreadable(_)) => {}
            Err(fault) => return Err(fault),
        }
        let told = read.iter().filter_map(|(key, read)| {
            let report = read.as_ref().map_err(|_| Unreadable);
            match report.and_then(|read| report_of(&self.context, read, &transactions)) {
                Ok(report) => report,
                Err(Unreadable) => {
                    warn!(code = %Code::Internal, withdrawal = key, "nothing is reported: its row cannot be read");
                    None
                }
            }
        });
        Ok(told.collect())
    }

    /// Tells once what waits longest; what could not be told waits again.
    async fn tell(&mut self) -> Round {
        let asks: Vec<TellAsk> = self.waiting.drain(..self.waiting.len().min(TELL_MAX)).collect();
        let count = asks.len();
        let again: Vec<TellAsk> = match self.door.tell(asks.clone()).await {
            Ok(each) => {
                let told = asks.into_iter().zip(each);
                let again = told.filter(|(ask, told)| told.as_ref().is_err_and(|fault| may_pass(ask, fault)));
                again.map(|(ask, _)| ask).collect()
            }
            Err(fault) => asks.into_iter().filter(|ask| may_pass(ask, &fault)).collect(),
        };
        let is_stuck = again.len() == count;
        self.waiting.extend(again);
        if is_stuck {
            warn!(waiting = self.waiting.len(), "the enclave takes no report yet");
            return Round::Stuck;
        }
        Round::On
    }
}

/// Whether telling it again may help; where it does not, nothing more is to be done.
fn may_pass(ask: &TellAsk, fault: &EnclaveFault) -> bool {
    let (code, request) = (fault.code(), &ask.request_digest);
    match code {
        Code::EnclaveUnavailable | Code::StoreUnavailable | Code::QueueFull | Code::DeadlineExceeded => {
            debug!(%code, request, "a report waits");
            true
        }
        // Nobody verified it, or there is nothing new to say: the enclave knows.
        Code::NotFound | Code::VerificationState => {
            debug!(%code, request, "nobody is to be told");
            false
        }
        _ => {
            warn!(%code, request, "the enclave does not take a report");
            false
        }
    }
}

/// Whether its counterparty is told which output of the transaction pays it. A Safe's has none.
fn is_told_by_output(row: &WithdrawalRow) -> bool {
    row.released.as_ref().is_some_and(|released| released.safe.is_none())
}

/// A row that says less than it must.
#[derive(Debug)]
struct Unreadable;

/// What the counterparty is to be told of a withdrawal; nothing while it is open, and where nobody was asked or verified it.
fn report_of(
    context: &Context,
    row: &WithdrawalRow,
    transactions: &Transactions,
) -> Result<Option<TellAsk>, Unreadable> {
    let request = parse_request(&row.request.text).map_err(|_| Unreadable)?;
    if request.beneficiary_vasp.is_self_hosted() {
        return Ok(None);
    }
    let tell = match row.outcome() {
        // A Safe's transaction has no id of its chain before somebody submits it.
        Outcome::Released if request.asset.chain().bitcoin().is_none() => {
            let tx = |done: &ExecutedRow| Tell::Tx {
                tx_hash: done.transaction.clone(),
                vout: 0,
                replaces: Vec::new(),
            };
            row.executed.as_ref().map(tx)
        }
        Outcome::Released => {
            let released = row.released.as_ref().ok_or(Unreadable)?;
            let transaction = transactions.of(row).ok_or(Unreadable)?;
            Some(tx(context, &request, (released, transaction)).ok_or(Unreadable)?)
        }
        Outcome::Refused(findings) => {
            findings.first().and_then(|finding| error_reason(finding.code)).map(Tell::Error)
        }
        Outcome::Held(_) | Outcome::Moving => None,
    };
    Ok(tell.map(|tell| TellAsk { request_digest: row.digest.clone(), tell }))
}

/// A released transaction, with the output that pays the request.
fn tx(
    context: &Context,
    request: &WithdrawalRequest,
    (released, transaction): (&ReleasedRow, &[u8]),
) -> Option<Tell> {
    let transaction: Transaction = consensus::encode::deserialize(transaction).ok()?;
    let destination = Destination::parse(&request.destination, context.wallet.network()).ok()?;
    let paid = request.amount.sat()?;
    let vout = transaction.output.iter().position(|output| {
        output.script_pubkey.as_script() == destination.script_pubkey() && output.value.to_sat() == paid
    })?;
    Some(Tell::Tx { tx_hash: released.txid.clone(), vout: u32::try_from(vout).ok()?, replaces: Vec::new() })
}

/// In the network's codes; nothing where the counterparty itself said no, or is not there.
const fn error_reason(code: Code) -> Option<ErrorReason> {
    match code {
        Code::TravelRuleDenied | Code::TravelRuleVaspUnknown => None,
        Code::Cancelled => Some(ErrorReason::UserCanceled),
        Code::HoldExpired | Code::TravelRuleTimeout | Code::Internal => Some(ErrorReason::UndefinedError),
        _ => Some(ErrorReason::NotAllowed),
    }
}
