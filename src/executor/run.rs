//! The loop: the one place with a clock. It takes its turn, asks, decides, writes down, signs, sends, and tells.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::ethereum::execution::FinishedExecution;
use crate::flow::ledger::journal::{Journal, JournalFault};
use crate::node::{Block, Nodes, NotAgreed};
use crate::store::{Lease, StoreFault};
use crate::withdrawal::{Code, Seconds};

use super::account::{Account, AccountFault};
use super::ask::Asking;
use super::change::Change;
use super::desk::{Command, Desk};
use super::facts::{Delivery, Facts};
use super::ledger::Ledger;
use super::open::{self, OpenFault, Parts, Wallets};
use super::record::record;
use super::rules::Rules;
use super::turn::{Decided, Troubles, decide};
use super::view::{Reader, Standing, Trouble};

/// What the turn among executors of one store is called.
const LEASE: &str = "executor";
/// Submissions that wait at once.
const COMMANDS_MAX: usize = 256;
/// Why a turn came to nothing. The next one begins anew.
#[derive(Debug, thiserror::Error)]
enum TurnFault {
    #[error(transparent)]
    NotAgreed(#[from] NotAgreed),
    #[error("the nodes are behind block {0}, which was final")]
    Behind(u64),
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Open(#[from] OpenFault),
    #[error(transparent)]
    Account(#[from] AccountFault),
    #[error("`{0}` works on this ledger")]
    StandsBy(String),
}

impl TurnFault {
    const fn code(&self) -> Option<Code> {
        Some(match self {
            Self::NotAgreed(no) => no.code(),
            Self::Behind(_) => Code::NodesNotAgreed,
            Self::Journal(fault) => fault.code(),
            Self::Store(fault) => fault.code(),
            Self::Open(fault) => fault.code(),
            Self::Account(_) => Code::Internal,
            Self::StandsBy(_) => Code::ExecutorStandby,
        })
    }
}

/// An executor. [`Executor::open`] makes it, [`Executor::run`] lets it work.
pub struct Executor {
    pub(super) journal: Journal,
    pub(super) ledger: Ledger,
    pub(super) wallets: Wallets,
    pub(super) rules: Rules,
    pub(super) account: Account,
    pub(super) nodes: Arc<Nodes>,
    name: String,
    commands: mpsc::Receiver<Command>,
    standing: watch::Sender<Standing>,
    pub(super) signed: BTreeMap<(u64, usize), FinishedExecution>,
    pub(super) deliveries: BTreeMap<u64, Delivery>,
    troubles: Troubles,
    /// The latest block that was worked on while everything seen was found to stand.
    anchor: Option<Block>,
    /// The height of the chain, once it was seen in a turn of one's own.
    pub(super) height: Option<u64>,
    final_height: u64,
    /// Whether memory may differ from the store.
    pub(super) stale: bool,
    pub(super) stands_by: Option<String>,
}

impl Executor {
    /// Opens the store of an executor and reads its ledger. Creates nothing, asks no node.
    pub async fn open(parts: Parts) -> Result<(Self, Desk), OpenFault> {
        parts.rules.check()?;
        let wallets = open::wallets(&parts)?;
        let (journal, ledger) = open::journal(&parts, &wallets).await?;
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (standing, told) = watch::channel(Standing::default());
        let desk = Desk { commands: sender, standing: told, reader: Reader(journal.store()) };
        let Parts { account, nodes, rules, name, .. } = parts;
        let executor = Self {
            journal,
            ledger,
            wallets,
            rules,
            account,
            nodes,
            name,
            commands,
            standing,
            signed: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            troubles: Troubles::new(),
            anchor: None,
            height: None,
            final_height: 0,
            // whoever had the turn before may have written since
            stale: true,
            stands_by: None,
        };
        Ok((executor, desk))
    }

    /// Works until it is told to stop, then gives its turn back. A crash at any point is taken up by the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        let pause = Duration::from_millis(self.rules.pause_ms);
        while !stop.is_cancelled() {
            if let Err(fault) = self.turn().await {
                self.tell_fault(&fault);
            }
            let waited = tokio::time::sleep(pause);
            let stopped = stop.clone();
            let either = async move {
                tokio::select! { () = waited => {}, () = stopped.cancelled() => {} }
            };
            self.attending(either).await;
        }
        if let Err(fault) = self.journal.store().lease_release(LEASE, &self.name).await {
            tracing::warn!(%fault, "the executor's turn was not given back; it ends by itself");
        }
    }

    /// Does something that waits, and answers commands meanwhile.
    pub(super) async fn attending<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(command) = self.commands.recv() => self.command(command).await,
            }
        }
    }

    async fn turn(&mut self) -> Result<(), TurnFault> {
        self.take_turn().await?;
        if self.stale {
            self.reload().await?;
        }
        self.sign()?;
        let asking = Asking {
            nodes: Arc::clone(&self.nodes),
            account: self.account.address(),
            ledger: self.ledger.clone(),
            anchor: self.anchor,
            deliveries: self.deliveries.clone(),
            now: now(),
        };
        let facts = self.attending(asking.facts()).await?;
        let (head, last) = (facts.basics.head, facts.basics.last.number);
        if head.number < self.final_height.max(last) {
            return Err(TurnFault::Behind(self.final_height.max(last)));
        }
        self.height = Some(head.number);
        self.final_height = self.final_height.max(last);
        let complete = facts.is_complete(&self.ledger);
        // a job that came while the nodes were asked is in the ledger and has no answers yet
        let decided = decide(&self.ledger, &facts, &self.rules, &self.troubles);
        self.commit(decided).await?;
        self.anchor = complete.then_some(head);
        self.sign()?;
        self.send(&facts).await;
        self.tell(&facts);
        Ok(())
    }

    /// One executor works at a time. The turn saves gas and work; what keeps the ledger whole is the swap of its head.
    async fn take_turn(&mut self) -> Result<(), TurnFault> {
        let taken = self.journal.store().lease_take(LEASE, &self.name, self.rules.lease_s, now()).await?;
        match taken {
            Lease::Taken { .. } => {
                self.stale |= self.stands_by.take().is_some();
                Ok(())
            }
            Lease::Held { holder, .. } => {
                self.stands_by = Some(holder.clone());
                self.height = None;
                Err(TurnFault::StandsBy(holder))
            }
        }
    }

    async fn reload(&mut self) -> Result<(), TurnFault> {
        self.ledger = open::again(&mut self.journal, &self.account, &self.wallets).await?;
        (self.signed, self.deliveries) = (BTreeMap::new(), BTreeMap::new());
        (self.anchor, self.stale) = (None, false);
        Ok(())
    }

    /// Makes the changes durable, and only then believes them.
    async fn commit(&mut self, decided: Decided) -> Result<(), TurnFault> {
        let Decided { ledger, changes, troubles } = decided;
        self.write(ledger, &changes).await?;
        self.troubles = troubles;
        self.ledger.sweep();
        let open = &self.ledger.slots;
        self.signed.retain(|(nonce, _), _| open.contains_key(nonce));
        self.deliveries.retain(|nonce, _| open.contains_key(nonce));
        Ok(())
    }

    pub(super) async fn write(&mut self, ledger: Ledger, changes: &[Change]) -> Result<(), JournalFault> {
        if changes.is_empty() {
            self.ledger = ledger;
            return Ok(());
        }
        let mut draft = self.journal.draft(now());
        record(&mut draft, &self.account, &ledger, changes);
        // if this is cut short, or ends in a fault, the store is read again before anything else
        self.stale = true;
        self.journal.commit(draft).await?;
        self.stale = false;
        self.ledger = ledger;
        for change in changes {
            if let Change::Alarm { code, subject, detail } = change {
                tracing::error!(%code, %subject, %detail, "alarm");
            }
        }
        Ok(())
    }

    fn tell(&self, facts: &Facts) {
        let trouble = |((subject, code), ailing): (&(super::turn::Subject, Code), &super::turn::Ailing)| {
            Trouble { subject: subject.to_string(), code: *code, detail: ailing.detail.clone() }
        };
        let (balance, rules) = (facts.basics.balance, &self.rules);
        let standing = Standing {
            stands_by: None,
            fault: None,
            block: Some(facts.height()),
            account: Some(self.account.address()),
            next_nonce: self.ledger.next,
            waiting_nonces: self.ledger.waiting(),
            open_nonces: self.ledger.slots.len(),
            open_jobs: self.ledger.jobs.len(),
            balance,
            refuel: (balance < rules.balance_low).then(|| rules.balance_target.saturating_sub(balance)),
            troubles: self.troubles.iter().map(trouble).collect(),
        };
        self.standing.send_replace(standing);
    }

    fn tell_fault(&self, fault: &TurnFault) {
        let (stands_by, text) = (self.stands_by.clone(), fault.to_string());
        if stands_by.is_none() {
            tracing::warn!(fault = %text, "the executor knows nothing, or writes nothing, for now");
        }
        self.standing.send_modify(|standing| {
            standing.stands_by = stands_by;
            standing.fault = Some((fault.code(), text));
        });
    }
}

/// The only clock of the room.
pub(super) fn now() -> Seconds {
    Seconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |past| past.as_secs()))
}
