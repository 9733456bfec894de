//! The deciding writer: one task takes whatever is waiting, decides it in order in memory, and commits once.
//!
//! What a caller is told is told after the commit. A commit that may or may not have happened is read back; until it
//! is known, nothing else is decided.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::context::Context;
use super::ledger::journal::{CommitFault, Draft, Journal};
use super::ledger::Ledger;
use super::withdraw::Found;
use super::{Command, Effect, Pulse};
use crate::desk::{DeskError, WithdrawalView};
use crate::withdrawal::{Code, WithdrawalId};

/// The most commands one commit takes.
pub const BATCH_MAX: usize = 128;

/// What is told after the commit, or instead of it.
pub type Told = Box<dyn FnOnce(Result<(), DeskError>) + Send>;

/// Everything one batch does.
pub struct Turn {
    /// What will be committed.
    pub draft: Draft,
    /// What is done once it is durable.
    pub effects: Vec<Effect>,
    /// Who is told.
    pub told: Vec<Told>,
    /// Which withdrawals changed.
    pub changed: Vec<WithdrawalId>,
    /// Final withdrawals that were asked for again, as the store has them.
    pub found: HashMap<WithdrawalId, Found>,
}

impl Turn {
    /// Tells `value` to `to` once the batch is durable.
    pub fn tell<T: Send + 'static>(&mut self, to: oneshot::Sender<Result<T, DeskError>>, value: T) {
        self.told.push(Box::new(move |done| {
            let _ = to.send(done.map(|()| value));
        }));
    }

    /// Tells a no at once; nothing about it is written.
    pub fn deny<T>(to: oneshot::Sender<Result<T, DeskError>>, error: DeskError) {
        let _ = to.send(Err(error));
    }
}

/// The writer and all it alone may touch.
pub struct Writer {
    /// What never changes while the process runs.
    pub context: Arc<Context>,
    /// The durable side.
    pub journal: Journal,
    /// The ledger in memory.
    pub ledger: Ledger,
    /// What is waiting to be decided.
    pub commands: mpsc::Receiver<Command>,
    /// Where effects go.
    pub effects: mpsc::UnboundedSender<Effect>,
    /// Where readers hear of changes.
    pub pulse: Arc<Pulse>,
    waiters: HashMap<WithdrawalId, Vec<oneshot::Sender<Result<WithdrawalView, DeskError>>>>,
}

impl Writer {
    /// A writer over a loaded ledger.
    pub fn new(
        context: Arc<Context>,
        journal: Journal,
        ledger: Ledger,
        commands: mpsc::Receiver<Command>,
        effects: mpsc::UnboundedSender<Effect>,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self { context, journal, ledger, commands, effects, pulse, waiters: HashMap::new() }
    }

    /// Runs until every sender is gone.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.commands.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.turn(&mut batch).await;
        }
    }

    async fn turn(&mut self, batch: &mut Vec<Command>) {
        let now = self.context.now();
        let found = match super::withdraw::prefetch(&self.journal, &self.ledger, batch).await {
            Ok(found) => found,
            Err(fault) => return self.refuse_batch(batch, &fault),
        };
        let mut turn = Turn {
            draft: self.journal.draft(now),
            effects: Vec::new(),
            told: Vec::new(),
            changed: Vec::new(),
            found,
        };
        for command in batch.drain(..) {
            self.apply(command, &mut turn, now);
        }
        super::treasury::sweep_if_over(&self.context, &mut self.ledger, &mut turn, now);
        super::withdraw::decide_ripe(&self.context, &mut self.ledger, &mut turn, now);
        self.commit(turn).await;
    }

    async fn commit(&mut self, turn: Turn) {
        let Turn { draft, effects, told, changed, .. } = turn;
        let done = if draft.is_empty() { Ok(()) } else { self.journal.commit(draft).await };
        match done {
            Ok(()) => {
                told.into_iter().for_each(|tell| tell(Ok(())));
                effects.into_iter().for_each(|effect| {
                    let _ = self.effects.send(effect);
                });
                self.publish(&changed);
            }
            Err(fault) => {
                error!(code = %fault.code(), "commit failed: {fault}");
                told.into_iter().for_each(|tell| tell(Err(fault.desk_error())));
                self.reload(fault).await;
            }
        }
    }

    /// After a failed commit memory is ahead of the store, or behind it: only the store is believed.
    async fn reload(&mut self, fault: CommitFault) {
        loop {
            match super::recover::reload(&self.context, &mut self.journal).await {
                Ok((ledger, effects)) => {
                    self.ledger = ledger;
                    effects.into_iter().for_each(|effect| {
                        let _ = self.effects.send(effect);
                    });
                    return;
                }
                Err(again) => {
                    warn!(code = %fault.code(), "the ledger cannot be read back yet: {again}");
                    self.refuse_waiting(&fault);
                    tokio::time::sleep(self.context.settings.retry).await;
                }
            }
        }
    }

    fn refuse_waiting(&mut self, fault: &CommitFault) {
        while let Ok(command) = self.commands.try_recv() {
            command.refuse(DeskError::nothing_happened(fault.code(), "the store does not answer; nothing was written"));
        }
    }

    fn refuse_batch(&mut self, batch: &mut Vec<Command>, fault: &CommitFault) {
        let detail = "the store does not answer; nothing was written";
        warn!(code = %Code::StoreUnavailable, "{fault}");
        batch.drain(..).for_each(|c| c.refuse(DeskError::nothing_happened(Code::StoreUnavailable, detail)));
    }
}
