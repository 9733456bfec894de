//! The deciding writer: one task takes whatever is waiting, decides it in order in memory, and commits once.
//!
//! What a caller is told is told after the commit. A commit that may or may not have happened is read back; until it
//! is known, nothing else is decided.

mod apply;
mod commit;
mod question;
mod turn;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ::bitcoin::OutPoint;
use tokio::sync::{broadcast, mpsc};
use tracing::warn;

pub use self::question::Question;
pub use self::turn::{Told, Turn};

use self::turn::Alarm;
use super::context::Context;
use super::courier::Work;
use super::ledger::Ledger;
use super::ledger::journal::{Journal, JournalFault};
use super::ledger::rows::{self, CoinRow};
use super::transactions::Transactions;
use super::{Command, Effect, Reply, brake, clear, daily, emptying, refill, refuel, report, treasury};
use super::{found, statement, withdraw};
use crate::desk::{DeskError, Payload, WithdrawalView};
use crate::freeze::Leaving;
use crate::store::Table;
use crate::withdrawal::WithdrawalId;

/// The most commands one commit takes.
pub const BATCH_MAX: usize = 128;
/// As many commands are not made to wait for more.
const GATHER_ENOUGH: usize = 32;
/// How long a busy writer waits for more commands before it commits.
const GATHER: std::time::Duration = std::time::Duration::from_millis(1);

/// Where effects go.
pub struct Hands {
    /// To the co-signer.
    pub courier: mpsc::UnboundedSender<Work>,
    /// To the enclave.
    pub clearing: clear::Clearing,
    /// To the task that tells counterparties what became of what they verified.
    pub reports: report::Bell,
    /// To readers; nothing at all where the store was read back and changes may have been missed.
    pub views: broadcast::Sender<Option<WithdrawalView>>,
}

/// The writer and all it alone may touch.
pub struct Writer {
    context: Arc<Context>,
    journal: Journal,
    ledger: Ledger,
    commands: mpsc::Receiver<Command>,
    hands: Hands,
    waiters: HashMap<WithdrawalId, Vec<Reply<WithdrawalView>>>,
    payloads: HashMap<WithdrawalId, Payload>,
    /// Asked about again when a price is stated.
    unvalued: Vec<WithdrawalId>,
    questions: mpsc::Receiver<Question>,
    was_busy: bool,
    /// Alarms that are not written yet: the store did not take them.
    alarms: VecDeque<Alarm>,
    /// Whether payments, and sweeps, were signed at the last turn.
    was_free: (bool, bool),
}

impl Writer {
    /// A writer over a loaded ledger.
    pub fn new(
        context: Arc<Context>,
        (journal, ledger): (Journal, Ledger),
        (commands, questions): (mpsc::Receiver<Command>, mpsc::Receiver<Question>),
        hands: Hands,
    ) -> Self {
        let (waiters, payloads) = (HashMap::new(), HashMap::new());
        let (was_busy, alarms, unvalued) = (false, VecDeque::new(), Vec::new());
        // As if it had been free: a start with the marker tells of it like a freeze that comes.
        let was_free = (true, true);
        Self {
            context,
            journal,
            ledger,
            commands,
            hands,
            waiters,
            payloads,
            unvalued,
            questions,
            was_busy,
            alarms,
            was_free,
        }
    }

    /// Runs until every sender is gone; `effects` are those that a start takes up again.
    pub async fn run(mut self, effects: Vec<Effect>) {
        self.act(effects);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let more = !self.ledger.ripe.is_empty() || !self.alarms.is_empty();
            tokio::select! {
                biased;
                Some(question) = self.questions.recv() => self.answer(question),
                taken = self.commands.recv_many(&mut batch, BATCH_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    self.gather(&mut batch).await;
                    self.turn(&mut batch).await;
                }
                () = std::future::ready(()), if more => self.turn(&mut batch).await,
            }
        }
    }

    /// Under load, waits a moment for more: what is decided together costs one sync. A lone command does not wait.
    async fn gather(&mut self, batch: &mut Vec<Command>) {
        let busy = batch.len() > 1 || std::mem::replace(&mut self.was_busy, false);
        if busy && batch.len() < GATHER_ENOUGH {
            tokio::time::sleep(GATHER).await;
            while batch.len() < BATCH_MAX
                && let Ok(command) = self.commands.try_recv()
            {
                batch.push(command);
            }
        }
        self.was_busy = batch.len() > 1;
    }

    async fn turn(&mut self, batch: &mut Vec<Command>) {
        let stopped = match self.brake_moved().await {
            Ok(stopped) => stopped,
            Err(fault) => {
                refuse_callers(batch, &fault);
                return tokio::time::sleep(self.context.settings.retry).await;
            }
        };
        let read = async {
            let found = found::prefetch(&self.journal, &self.ledger, batch).await?;
            let mut transactions = Transactions::default();
            transactions.read(&self.journal.store(), found.values().map(|found| &found.row)).await?;
            let spent = prefetch_coins(&self.journal, &self.ledger, batch).await?;
            Ok::<_, JournalFault>(((found, transactions), spent))
        };
        let (found, spent) = match read.await {
            Ok(read) => read,
            Err(fault) => {
                refuse_callers(batch, &fault);
                return tokio::time::sleep(self.context.settings.retry).await;
            }
        };
        let mut turn = Turn::new(self.journal.draft(self.context.now()), found, spent);
        withdraw::refuse_disowned(&mut self.ledger, &mut turn);
        self.alarms.drain(..).for_each(|alarm| turn.enter_alarm(alarm));
        self.note_freezes(&mut turn);
        if stopped {
            treasury::frozen(&self.context, &mut self.ledger, &mut turn);
        }
        for command in batch.drain(..) {
            self.apply(command, &mut turn);
        }
        refill::expire(&self.context, &mut self.ledger, &mut turn);
        refill::tell_unseen(&self.context, &mut self.ledger, &mut turn);
        treasury::sweep_if_over(&self.context, &mut self.ledger, &mut turn);
        refuel::refuel_if_low(&self.context, &mut self.ledger, &mut turn);
        emptying::empty_if_due(&self.context, &mut self.ledger, &mut turn);
        withdraw::decide_ripe(&self.context, &mut self.ledger, &mut turn);
        daily::close_day(&self.context, &mut self.ledger, &mut turn);
        self.commit(turn).await;
    }

    /// Looks at the brake. When something may be signed again, what was under way is taken up as at a start; gives whether
    /// something may be signed no more.
    async fn brake_moved(&mut self) -> Result<bool, JournalFault> {
        let free = |leaving| self.context.brake.is_free(leaving);
        let is_free = (free(Leaving::Payment), free(Leaving::Sweep));
        let was_free = self.was_free;
        if (is_free.0 && !was_free.0) || (is_free.1 && !was_free.1) {
            let (ledger, effects) = super::recover::reload(&self.context, &mut self.journal).await?;
            self.ledger = ledger;
            self.act(effects);
        }
        self.was_free = is_free;
        Ok((was_free.0 && !is_free.0) || (was_free.1 && !is_free.1))
    }

    /// Writes down what the log does not know of freezes yet; the brake hears of it after the commit.
    fn note_freezes(&mut self, turn: &mut Turn) {
        let (context, now) = (self.context.clone(), turn.draft.now());
        let after = brake::note(&context, &mut self.ledger.noted, &mut turn.draft);
        if after.is_empty() {
            return;
        }
        turn.told.push(Box::new(move |done| {
            if done.is_ok() {
                after.into_iter().for_each(|step| step.act(&context.brake, now));
            }
        }));
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Cosign(parcel) => {
                    let _ = self.hands.courier.send(Work::Cosign(parcel));
                }
                Effect::Deliver(key) => {
                    let _ = self.hands.courier.send(Work::Deliver(key));
                }
                Effect::Clear(id) => self.clear(id),
                Effect::Report => self.hands.reports.ring(),
                Effect::ReportLate(id) => self.hands.reports.late(id),
            }
        }
    }

    fn clear(&mut self, id: WithdrawalId) {
        let Some(open) = self.ledger.open.get(&id) else { return };
        let request = open.request.request().clone();
        // Nobody holds a self-hosted wallet who could be asked.
        if request.beneficiary_vasp.is_self_hosted() {
            return;
        }
        self.hands.clearing.start(clear::ClearAsk {
            id,
            text: open.request.signed().text().to_owned(),
            digest: open.row.digest.clone(),
            value: self.ledger.treasury.of(request.asset).value(request.amount),
            named: open.row.payload != "-",
            request,
            payload: self.payloads.remove(&id).map(Payload::into_bytes),
        });
    }

    /// What became of the withdrawals others wait for may have changed unseen: they are told to ask, or watch, again.
    fn tell_of_reload(&mut self, fault: &JournalFault) {
        for reply in self.waiters.drain().flat_map(|(_, replies)| replies) {
            let _ = reply.send(Err(DeskError::may_have_happened(fault.code(), fault.to_string())));
        }
        let _ = self.hands.views.send(None);
    }

    /// After a failed commit memory is ahead of the store, or behind it: only the store is believed.
    async fn reload(&mut self, fault: &JournalFault) {
        loop {
            match super::recover::reload(&self.context, &mut self.journal).await {
                Ok((ledger, effects)) => {
                    self.ledger = ledger;
                    self.tell_of_reload(fault);
                    self.act(effects);
                    // What the failed commit may have ended all the same is in the store.
                    self.hands.reports.ring();
                    return;
                }
                Err(again) => {
                    warn!(code = %again.code(), "the ledger cannot be read back yet: {again}");
                    while let Ok(command) = self.commands.try_recv() {
                        match command {
                            Command::Alarm { about, finding } => self.keep_alarm((about, finding)),
                            command => command.refuse(nothing_written(fault)),
                        }
                    }
                    // Dropped, a question is answered: not now.
                    while self.questions.try_recv().is_ok() {}
                    tokio::time::sleep(self.context.settings.retry).await;
                }
            }
        }
    }
}

fn nothing_written(fault: &JournalFault) -> DeskError {
    DeskError::nothing_happened(fault.code(), "the store does not answer; nothing was written")
}

/// Whoever called is told that nothing was written; what nobody would say again waits for the next turn.
fn refuse_callers(batch: &mut Vec<Command>, fault: &JournalFault) {
    warn!(code = %fault.code(), "{fault}");
    let (news, called): (Vec<_>, Vec<_>) = batch.drain(..).partition(Command::is_news);
    *batch = news;
    called.into_iter().for_each(|command| command.refuse(nothing_written(fault)));
}

/// Reads the rows of stated coins that are spent already, or may be by a command of this very batch: they must never be
/// taken for new.
async fn prefetch_coins(
    journal: &Journal,
    ledger: &Ledger,
    batch: &[Command],
) -> Result<HashMap<OutPoint, CoinRow>, JournalFault> {
    let stated = batch.iter().filter_map(|command| match command {
        Command::State { statement, .. } => {
            Some(statement::unsure(&ledger.treasury.coins, statement.statement()))
        }
        _ => None,
    });
    read_coins(journal, stated.flatten().collect()).await
}

/// The rows of these coins, as many as there are.
pub async fn read_coins(
    journal: &Journal,
    outpoints: Vec<OutPoint>,
) -> Result<HashMap<OutPoint, CoinRow>, JournalFault> {
    if outpoints.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<String> = outpoints.iter().map(ToString::to_string).collect();
    let found = journal.rows(Table::Coin, &keys).await?;
    found
        .into_iter()
        .map(|row| {
            let unreadable = || JournalFault::Unreadable(row.key().to_owned());
            let outpoint = row.key().parse().map_err(|_| unreadable())?;
            let coin = rows::read(row.key(), row.content()).map_err(|_| unreadable())?;
            Ok((outpoint, coin))
        })
        .collect()
}

/// When the writer last knew the time; a tick decides again what only time can change.
pub async fn tick(commands: mpsc::Sender<Command>, every: std::time::Duration) {
    let mut clock = tokio::time::interval(every);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        if commands.send(Command::Tick).await.is_err() {
            return;
        }
    }
}
