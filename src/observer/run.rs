//! One turn: look at every chain, state what was seen, note what was taken. And the schedule of turns.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::deposits::{PAGES_AT_ONCE, deposits_fact, mark};
use super::look::{LookFault, chain_fact, safe_fact};
use super::speak::{SpeakFault, Speaker};
use super::state::{State, StateFault, Told};
use super::watch::Watch;
use crate::ethereum::{Address, ChainId};
use crate::evidence::statement_deposits::{PAGE_LEN, PAGE_MAX};
use crate::evidence::{Body, StatementKind};
use crate::withdrawal::{Code, Seconds};

/// An observer at work.
pub struct Observer {
    watches: Vec<Watch>,
    speaker: Speaker,
    state: State,
    /// The page of each chain that is looked at next.
    next_pages: BTreeMap<ChainId, u32>,
}

/// What was to be stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Heights and fee rates.
    Chain,
    /// A Safe.
    Safe(ChainId, Address),
    /// Deposit addresses.
    Deposits(ChainId),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Chain => f.write_str("the chains"),
            Self::Safe(chain, safe) => write!(f, "the Safe {safe} on {chain}"),
            Self::Deposits(chain) => write!(f, "the deposit addresses on {chain}"),
        }
    }
}

/// Why something was not stated.
#[derive(Debug, thiserror::Error)]
pub enum Missed {
    /// There is no cursor for a Safe: nobody said from where it is told of.
    #[error("nothing says from where this Safe is told of; `--begin` does")]
    NotBegun,
    /// There was nothing to state.
    #[error(transparent)]
    Look(#[from] LookFault),
    /// It was not taken.
    #[error(transparent)]
    Speak(#[from] SpeakFault),
    /// It was taken, and could not be noted.
    #[error(transparent)]
    State(#[from] StateFault),
}

impl Missed {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::NotBegun => Code::ConfigInvalid,
            Self::Look(fault) => fault.code(),
            Self::Speak(fault) => fault.code(),
            Self::State(_) => Code::Internal,
        }
    }

    /// Whether the next turn would meet the same: somebody must change something first.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::NotBegun | Self::State(_) => true,
            Self::Look(_) => false,
            Self::Speak(fault) => fault.is_lasting(),
        }
    }
}

/// What came of one turn.
#[derive(Debug, Default)]
pub struct Turn {
    /// What was stated, under which number.
    pub stated: Vec<(Subject, u64)>,
    /// What was not, and why.
    pub missed: Vec<(Subject, Missed)>,
}

impl Turn {
    fn add(&mut self, subject: Subject, came: Result<u64, Missed>) {
        match came {
            Ok(number) => self.stated.push((subject, number)),
            Err(missed) => self.missed.push((subject, missed)),
        }
    }
}

impl Observer {
    /// An observer of these chains.
    pub const fn new(watches: Vec<Watch>, speaker: Speaker, state: State) -> Self {
        Self { watches, speaker, state, next_pages: BTreeMap::new() }
    }

    /// Looks at every chain and states what was seen; what one chain or Safe lacks keeps no other from being stated. `clock`
    /// gives the time in unix milliseconds.
    pub async fn turn(&mut self, clock: &(impl Fn() -> u64 + Sync)) -> Turn {
        let mut turn = Turn::default();
        let now = Seconds(clock() / 1_000);
        let (mut facts, mut failed) = (Vec::new(), None);
        for seen in join_all(self.watches.iter().map(|watch| chain_fact(watch, now))).await {
            match seen {
                Ok(fact) => facts.push(fact),
                Err(fault) => failed = Some(fault),
            }
        }
        facts.sort_unstable_by_key(|fact| fact.chain);
        if !facts.is_empty() {
            let came = self.say(Body::Chain(facts), now, clock, Told::Nothing).await;
            turn.add(Subject::Chain, came);
        }
        if let Some(fault) = failed {
            turn.add(Subject::Chain, Err(fault.into()));
        }
        let safes: Vec<_> = (0..self.watches.len()).flat_map(|at| self.subjects(at)).collect();
        for (at, nth, subject) in safes {
            let came = self.safe(at, nth, clock).await;
            turn.add(subject, came);
        }
        for at in 0..self.watches.len() {
            self.deposits(at, clock, &mut turn).await;
        }
        turn
    }

    /// States the next pages of a chain's deposit addresses, as far as anything changed there.
    async fn deposits(&mut self, at: usize, clock: &(impl Fn() -> u64 + Sync), turn: &mut Turn) {
        let Some(watch) = self.watches.get(at).filter(|watch| watch.deposits.is_some()) else { return };
        let chain = watch.chain();
        let subject = Subject::Deposits(chain);
        let count = match self.speaker.deposit_addresses(chain).await {
            Ok(count) => count,
            Err(fault) => return turn.add(subject, Err(fault.into())),
        };
        let pages = count.div_ceil(PAGE_LEN).min(PAGE_MAX.saturating_add(1));
        for _ in 0..pages.min(PAGES_AT_ONCE) {
            let page = self.next_pages.get(&chain).copied().filter(|page| *page < pages).unwrap_or_default();
            self.next_pages.insert(chain, page.saturating_add(1));
            match self.page(at, page, clock).await {
                Ok(Some(number)) => turn.add(subject, Ok(number)),
                Ok(None) => {}
                // whatever is missing now is missing on the pages behind it too
                Err(missed) => return turn.add(subject, Err(missed)),
            }
        }
    }

    async fn page(
        &mut self,
        at: usize,
        page: u32,
        clock: &(impl Fn() -> u64 + Sync),
    ) -> Result<Option<u64>, Missed> {
        let found = self.watches.get(at).and_then(|watch| Some((watch, watch.deposits.as_ref()?)));
        let Some((watch, deposits)) = found else { return Ok(None) };
        let (chain, treasury) = (watch.chain(), deposits.treasury());
        let now = Seconds(clock() / 1_000);
        let fact = deposits_fact(watch, deposits, page, now).await?;
        let mark = mark(&fact, now);
        if self.state.page(chain, treasury, page) == Some(mark.as_str()) {
            return Ok(None);
        }
        let told = Told::Page(chain, treasury, page, mark);
        self.say(Body::Deposits(Box::new(fact)), now, clock, told).await.map(Some)
    }

    fn subjects(&self, at: usize) -> Vec<(usize, usize, Subject)> {
        let Some(watch) = self.watches.get(at) else { return Vec::new() };
        let subject = |(nth, safe)| (at, nth, Subject::Safe(watch.chain(), safe));
        watch.safes().enumerate().map(subject).collect()
    }

    async fn safe(
        &mut self,
        at: usize,
        nth: usize,
        clock: &(impl Fn() -> u64 + Sync),
    ) -> Result<u64, Missed> {
        let found = self.watches.get(at).and_then(|watch| Some((watch, watch.safes.get(nth)?)));
        let Some((watch, wallet)) = found else { return Err(Missed::NotBegun) };
        let (chain, safe) = (watch.chain(), wallet.address());
        let cursor = self.state.cursor(chain, safe).ok_or(Missed::NotBegun)?;
        let now = Seconds(clock() / 1_000);
        let (fact, behind) = safe_fact(watch, wallet, cursor, now).await?;
        self.say(Body::Safe(Box::new(fact)), now, clock, Told::Safe(chain, safe, behind)).await
    }

    /// States it under the next number, and notes it once it was taken. Without a receipt nothing is noted: the next statement
    /// then names the same one before it, and tells again what this one told.
    async fn say(
        &mut self,
        body: Body,
        at: Seconds,
        clock: &(impl Fn() -> u64 + Sync),
        told: Told,
    ) -> Result<u64, Missed> {
        let kind: StatementKind = body.kind();
        let after = self.state.last(kind);
        // By the clock, so that a state that was lost or is old never brings a number back.
        let number = clock().max(after.saturating_add(1));
        self.speaker.state(body, (number, after), at).await?;
        self.state.note(kind, number, told)?;
        Ok(number)
    }

    /// Turn after turn until told to stop, or until something is missed for good.
    pub async fn run(
        &mut self,
        every: Duration,
        clock: &(impl Fn() -> u64 + Sync),
        stop: CancellationToken,
    ) -> Result<(), (Subject, Missed)> {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            // Cut anywhere, it is as if a receipt was lost: what was sent is told again.
            let turn = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                turn = self.turn(clock) => turn,
            };
            log(&turn);
            if let Some(last) = turn.missed.into_iter().find(|(_, missed)| missed.is_lasting()) {
                return Err(last);
            }
        }
    }
}

/// Says what came of a turn.
fn log(turn: &Turn) {
    for (subject, number) in &turn.stated {
        info!(%subject, number, "stated");
    }
    for (subject, missed) in &turn.missed {
        let code = missed.code();
        if missed.is_lasting() {
            error!(%subject, %code, "not stated, and will not be: {missed}");
        } else {
            warn!(%subject, %code, "not stated: {missed}");
        }
    }
}
