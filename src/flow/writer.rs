//! The deciding writer: one task takes whatever is waiting, decides it in order in memory, and commits once.
//!
//! What a caller is told is told after the commit. A commit that may or may not have happened is read back; until it
//! is known, nothing else is decided.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ::bitcoin::OutPoint;
use tokio::sync::{broadcast, mpsc, oneshot};
use tracing::{error, warn};

use super::context::Context;
use super::courier::Work;
use super::ledger::Ledger;
use super::ledger::journal::{Draft, Journal, JournalFault};
use super::ledger::rows::{self, CoinRow};
use super::statement::{self, OwnScripts, Taking};
use super::withdraw::{self, Found};
use super::{
    Allocated, Command, Effect, RefillStep, Reply, address, approve, clear, daily, position, refill, report,
    treasury, view, wallet,
};
use crate::audit::EntryKind;
use crate::desk::{DeskError, Payload, StatementReceipt, WalletView, WithdrawalView};
use crate::evidence::VerifiedRequest;
use crate::evidence::statement::VerifiedStatement;
use crate::store::Table;
use crate::withdrawal::{Amount, Krw, Organisation, Outcome, WithdrawalId};

/// The most commands one commit takes.
pub const BATCH_MAX: usize = 128;
/// As many commands are not made to wait for more.
const GATHER_ENOUGH: usize = 32;
/// How long a busy writer waits for more commands before it commits.
const GATHER: std::time::Duration = std::time::Duration::from_millis(1);

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
    pub changed: BTreeSet<WithdrawalId>,
    /// Final withdrawals, as the store has them or as they just became.
    pub found: HashMap<WithdrawalId, Found>,
    /// Who waits for which withdrawal.
    pub waiting: Vec<(WithdrawalId, Reply<WithdrawalView>, bool)>,
    /// Rows of coins that were spent before.
    pub spent: HashMap<OutPoint, CoinRow>,
}

impl Turn {
    fn new(draft: Draft, found: HashMap<WithdrawalId, Found>, spent: HashMap<OutPoint, CoinRow>) -> Self {
        Self {
            draft,
            effects: Vec::new(),
            told: Vec::new(),
            changed: BTreeSet::new(),
            found,
            waiting: Vec::new(),
            spent,
        }
    }

    /// Tells `value` to `to` once the batch is durable; a no is told as it is, after the commit that records it.
    pub fn tell<T: Send + 'static>(&mut self, to: Reply<T>, value: Result<T, DeskError>) {
        self.told.push(Box::new(move |done| {
            let _ = to.send(done.and(value));
        }));
    }
}

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
    questions: mpsc::Receiver<Question>,
    was_busy: bool,
}

/// What readers ask of the ledger in memory.
pub enum Question {
    /// How a withdrawal stands, if it is open.
    View(WithdrawalId, oneshot::Sender<Option<WithdrawalView>>),
    /// What waits for operators.
    Pending(oneshot::Sender<Vec<crate::desk::PendingApproval>>),
    /// The request and text of an open withdrawal, for an operator's signature to be verified.
    Approvable(WithdrawalId, oneshot::Sender<Option<crate::evidence::ApprovalText>>),
    /// The verified request of an open withdrawal.
    Request(WithdrawalId, oneshot::Sender<Option<Arc<crate::evidence::VerifiedRequest>>>),
    /// The last number of an observer and kind.
    LastNumber(String, crate::evidence::statement::StatementKind, oneshot::Sender<Option<u64>>),
    /// What an amount is worth at the price that stands.
    Value(Amount, oneshot::Sender<Option<Krw>>),
    /// A registration of a customer's own wallet, by its name.
    Wallet(String, oneshot::Sender<Option<WalletView>>),
    /// The registrations, all or those of one organisation.
    Wallets(Option<Organisation>, oneshot::Sender<Vec<WalletView>>),
    /// Whether a withdrawal to the customer's own wallet would be exempt now.
    Exempt(Arc<VerifiedRequest>, oneshot::Sender<Outcome>),
    /// A refill, by its id.
    Refill(String, oneshot::Sender<Option<crate::desk::RefillView>>),
    /// Every refill.
    Refills(oneshot::Sender<Vec<crate::desk::RefillView>>),
    /// What the co-signer is told of a refill.
    RefillOrder(String, oneshot::Sender<Option<crate::desk::RefillAttestOrder>>),
    /// Where everything stands.
    Position(oneshot::Sender<crate::desk::PositionView>),
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
        Self { context, journal, ledger, commands, hands, waiters, payloads, questions, was_busy: false }
    }

    /// Runs until every sender is gone; `effects` are those that a start takes up again.
    pub async fn run(mut self, effects: Vec<Effect>) {
        self.act(effects);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let more = !self.ledger.ripe.is_empty();
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
        let read = async {
            let found = withdraw::prefetch(&self.journal, &self.ledger, batch).await?;
            let spent = prefetch_coins(&self.journal, &self.ledger, batch).await?;
            Ok::<_, JournalFault>((found, spent))
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
        for command in batch.drain(..) {
            self.apply(command, &mut turn);
        }
        refill::expire(&self.context, &mut self.ledger, &mut turn);
        treasury::sweep_if_over(&self.context, &mut self.ledger, &mut turn);
        withdraw::decide_ripe(&self.context, &mut self.ledger, &mut turn);
        daily::close_day(&self.context, &mut self.ledger, &mut turn);
        self.commit(turn).await;
    }

    fn apply(&mut self, command: Command, turn: &mut Turn) {
        let (context, ledger) = (&self.context, &mut self.ledger);
        match command {
            Command::Ask { request, payload, answer, personal, late, reply } => {
                let asked = withdraw::ask(context, ledger, turn, (*request, late), (payload, answer));
                match asked {
                    Ok(id) => {
                        let asks = ledger.open.get(&id).is_some_and(|open| {
                            open.clearance.is_none()
                                && !open.request.request().beneficiary_vasp.is_self_hosted()
                        });
                        if let Some(personal) = personal.filter(|p| asks && !p.is_empty()) {
                            self.payloads.insert(id, personal);
                        }
                        turn.waiting.push((id, reply, true));
                    }
                    Err(error) => turn.tell(reply, Err(error)),
                }
            }
            Command::Answered { id, answer } => withdraw::answered(context, ledger, turn, id, answer),
            Command::Unanswered { id, finding } => withdraw::unanswered(ledger, turn, id, finding),
            Command::Approve { id, approval, reply } => match approve::approve(ledger, turn, id, approval) {
                Ok(()) => turn.waiting.push((id, reply, false)),
                Err(error) => turn.tell(reply, Err(error)),
            },
            Command::Reject { rejection, reply } => match approve::reject(ledger, turn, &rejection) {
                Ok(id) => turn.waiting.push((id, reply, false)),
                Err(error) => turn.tell(reply, Err(error)),
            },
            Command::Cancel { cancel, reply } => match withdraw::cancel(ledger, turn, &cancel) {
                Ok(id) => turn.waiting.push((id, reply, false)),
                Err(error) => turn.tell(reply, Err(error)),
            },
            Command::State { statement, reply } => {
                let taken = self.take_statement(&statement, turn);
                turn.tell(reply, taken);
            }
            Command::Allocate { orders, reply } => {
                let allocated = address::allocate(context, ledger, turn, &orders);
                turn.tell::<Vec<Allocated>>(reply, allocated);
            }
            Command::Register { registration, effective_at, reply } => {
                let taken = wallet::register(context, ledger, turn, (*registration, effective_at));
                turn.tell(reply, taken.map_err(DeskError::Refused));
            }
            Command::Remove { removal, reply } => {
                let removed = wallet::remove(context, ledger, turn, &removal);
                turn.tell(reply, removed.map_err(DeskError::Refused));
            }
            Command::RequestRefill { by, amount, coins, reply } => {
                let booked = refill::request(context, ledger, turn, &by, (amount, coins));
                let shown = booked.and_then(|id| show_refill(context, ledger, &id));
                turn.tell(reply, shown);
            }
            Command::Refill { id, step, reply } => {
                let done = match step {
                    RefillStep::Attested(word) => refill::attested(context, ledger, turn, (&id, &word)),
                    RefillStep::Exported => refill::exported(context, ledger, turn, &id),
                    RefillStep::Import(psbt) => refill::import(context, ledger, turn, (&id, &psbt)),
                    RefillStep::Cancel(reason) => refill::cancel(context, ledger, turn, (&id, &reason)),
                };
                let shown = done.and_then(|()| show_refill(context, ledger, &id));
                turn.tell(reply, shown);
            }
            Command::Attested { attested, reply } => {
                address::attested(ledger, turn, attested);
                turn.tell(reply, Ok(()));
            }
            Command::Delivered { keys } => ledger.delivered.extend(keys),
            Command::Finished { reservation, released } => {
                treasury::finished(context, ledger, turn, reservation, released)
            }
            Command::CosignerRefused { reservation, finding, is_hold } => {
                treasury::cosigner_refused(ledger, turn, reservation, &finding, is_hold);
            }
            Command::Alarm { about: (field, name), finding } => {
                error!(code = %finding.code, about = name, "{}", finding.detail);
                turn.draft.entry(
                    EntryKind::Alarm,
                    &[("code", &finding.code), (field, &name), ("detail", &finding.detail)],
                );
            }
            Command::CosignerSilent { reservation, code } => {
                treasury::cosigner_silent(ledger, turn, reservation, code);
            }
            Command::Tick => ledger.ripen_due(turn.draft.now()),
        }
    }

    fn take_statement(
        &mut self,
        verified: &VerifiedStatement,
        turn: &mut Turn,
    ) -> Result<StatementReceipt, DeskError> {
        let said = verified.statement();
        let last = self.ledger.treasury.facts.last_number(&said.observer, said.body.kind());
        if last.is_some_and(|last| said.number <= last) {
            let finding = crate::withdrawal::Finding::new(
                crate::withdrawal::Code::StatementOutOfOrder,
                format!("number {} after {}", said.number, last.unwrap_or(0)),
            );
            return Err(DeskError::Refused(finding));
        }
        let taking = Taking {
            asset: self.context.asset,
            band: self.context.band(),
            scripts: &self.ledger.addresses,
            stored: &turn.spent,
            state: "undelivered",
        };
        let log_index = statement::take(&mut self.ledger.treasury, &mut turn.draft, &taking, verified)
            .map_err(DeskError::Refused)?;
        let signed = crate::desk::SignedText {
            text: verified.text().to_owned(),
            key_id: said.observer.clone(),
            signature: *verified.signature(),
        };
        turn.effects.push(Effect::Deliver(statement::key(said), signed));
        self.ledger.ripen_all();
        Ok(StatementReceipt { number: said.number, log_index })
    }

    async fn commit(&mut self, mut turn: Turn) {
        if !turn.draft.is_empty() {
            self.flush_delivered(&mut turn);
        }
        let Turn { draft, effects, told, changed, found, waiting, .. } = turn;
        let done = if draft.is_empty() { Ok(()) } else { self.journal.commit(draft).await };
        match done {
            Ok(()) => {
                told.into_iter().for_each(|tell| tell(Ok(())));
                self.publish(&changed, &found, waiting);
                self.act(effects);
            }
            Err(fault) => {
                error!(code = %fault.code(), "commit failed: {fault}");
                told.into_iter().for_each(|tell| tell(Err(fault.desk_error())));
                waiting.into_iter().for_each(|(_, reply, _)| {
                    let _ = reply.send(Err(fault.desk_error()));
                });
                self.reload(&fault).await;
            }
        }
    }

    /// Marks delivered statements with the next commit: a commit for them alone is not worth its sync, and a statement
    /// delivered twice is answered as known.
    fn flush_delivered(&mut self, turn: &mut Turn) {
        for key in std::mem::take(&mut self.ledger.delivered) {
            turn.draft.row(Table::Statement, key, "delivered", turn.draft.now(), "{}".to_owned());
        }
    }

    /// Tells readers and those who wait how the changed withdrawals stand.
    fn publish(
        &mut self,
        changed: &BTreeSet<WithdrawalId>,
        found: &HashMap<WithdrawalId, Found>,
        waiting: Vec<(WithdrawalId, Reply<WithdrawalView>, bool)>,
    ) {
        let is_watched = self.hands.views.receiver_count() > 0;
        for id in changed {
            // Nobody is told of a withdrawal that only moves, unless somebody watches.
            if !is_watched && self.is_moving(id) {
                continue;
            }
            let Some(view) = self.view(*id, found) else { continue };
            if is_settled(&view) {
                if view.stage != crate::withdrawal::Stage::Asked {
                    self.payloads.remove(id);
                }
                for waiter in self.waiters.remove(id).into_iter().flatten() {
                    let _ = waiter.send(Ok(view.clone()));
                }
            }
            let _ = self.hands.views.send(Some(view));
        }
        for (id, reply, until_settled) in waiting {
            if until_settled && self.is_moving(&id) {
                self.waiters.entry(id).or_default().push(reply);
                continue;
            }
            match self.view(id, found) {
                Some(view) if !until_settled || is_settled(&view) => {
                    let _ = reply.send(Ok(view));
                }
                Some(_) => self.waiters.entry(id).or_default().push(reply),
                None => {
                    let _ = reply.send(Err(DeskError::not_found(id.to_string())));
                }
            }
        }
        self.waiters.retain(|_, replies| {
            replies.retain(|reply| !reply.is_closed());
            !replies.is_empty()
        });
    }

    fn is_moving(&self, id: &WithdrawalId) -> bool {
        self.ledger.open.get(id).is_some_and(|open| open.row.outcome() == Outcome::Moving)
    }

    fn view(&self, id: WithdrawalId, found: &HashMap<WithdrawalId, Found>) -> Option<WithdrawalView> {
        match self.ledger.open.get(&id) {
            Some(open) => view::of_open(open, &self.ledger),
            None => view::of_found(id, found.get(&id)?),
        }
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Cosign(parcel) => {
                    let _ = self.hands.courier.send(Work::Cosign(parcel));
                }
                Effect::Deliver(key, statement) => {
                    let _ = self.hands.courier.send(Work::Deliver(key, statement));
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
            text: open.request.text().to_owned(),
            digest: open.row.digest.clone(),
            value: self.ledger.treasury.value(request.amount, self.context.asset),
            request,
            payload: self.payloads.remove(&id).map(Payload::into_bytes),
        });
    }

    fn answer(&self, question: Question) {
        match question {
            Question::View(id, to) => {
                let _ = to.send(self.view(id, &HashMap::new()));
            }
            Question::Pending(to) => {
                let _ = to.send(approve::pending(&self.context, &self.ledger));
            }
            Question::Approvable(id, to) => {
                let text = self.ledger.open.get(&id).and_then(|open| approve::text_of(&self.context, open));
                let _ = to.send(text);
            }
            Question::Request(id, to) => {
                let _ = to.send(self.ledger.open.get(&id).map(|open| open.request.clone()));
            }
            Question::LastNumber(observer, kind, to) => {
                let _ = to.send(self.ledger.treasury.facts.last_number(&observer, kind));
            }
            Question::Value(amount, to) => {
                let _ = to.send(self.ledger.treasury.value(amount, self.context.asset));
            }
            Question::Wallet(name, to) => {
                let found = self.ledger.registrations.named(&name);
                let _ = to.send(found.and_then(|found| wallet::view(&self.context, &name, found).ok()));
            }
            Question::Wallets(organisation, to) => {
                let _ = to.send(wallet::views(&self.context, &self.ledger, organisation.as_ref()));
            }
            Question::Exempt(request, to) => {
                let _ = to.send(wallet::foretell(&self.context, &self.ledger, &request));
            }
            Question::Refill(id, to) => {
                let _ = to.send(refill::view(&self.context, &self.ledger, &id));
            }
            Question::Refills(to) => {
                let ids = self.ledger.treasury.refills.iter().map(|(id, _)| id);
                let views = ids.filter_map(|id| refill::view(&self.context, &self.ledger, id));
                let _ = to.send(views.collect());
            }
            Question::RefillOrder(id, to) => {
                let _ = to.send(refill::attest_order(&self.ledger, &id));
            }
            Question::Position(to) => {
                let _ = to.send(position::view(&self.context, &self.ledger, self.context.now()));
            }
        }
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
                        command.refuse(nothing_written(fault));
                    }
                    // Dropped, a question is answered: not now.
                    while self.questions.try_recv().is_ok() {}
                    tokio::time::sleep(self.context.settings.retry).await;
                }
            }
        }
    }
}

fn show_refill(context: &Context, ledger: &Ledger, id: &str) -> Result<crate::desk::RefillView, DeskError> {
    refill::view(context, ledger, id).ok_or_else(|| DeskError::not_found(id))
}

/// Whether a caller who waits for an outcome should be told now.
fn is_settled(view: &WithdrawalView) -> bool {
    use crate::withdrawal::Code;
    match &view.outcome {
        Outcome::Moving => false,
        Outcome::Held(findings) => !findings.iter().any(|f| f.code == Code::ClearancePending),
        Outcome::Refused(_) | Outcome::Released => true,
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

impl OwnScripts for super::ledger::Addresses {
    fn find(&self, script: &::bitcoin::Script) -> Option<(u32, u32)> {
        Self::find(self, script)
    }
}

/// Reads the rows of stated coins that memory does not have: spent ones must never be taken for new.
async fn prefetch_coins(
    journal: &Journal,
    ledger: &Ledger,
    batch: &[Command],
) -> Result<HashMap<OutPoint, CoinRow>, JournalFault> {
    let stated = batch.iter().filter_map(|command| match command {
        Command::State { statement, .. } => Some(statement::outpoints(statement.statement())),
        _ => None,
    });
    let unknown = stated.flatten().filter(|outpoint| ledger.treasury.coins.coin(outpoint).is_none());
    read_coins(journal, unknown.collect()).await
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
