//! The deciding writer: one task takes whatever is waiting, decides it in order in memory, and commits once.
//!
//! What a caller is told is told after the commit. A commit that may or may not have happened is read back; until it
//! is known, nothing else is decided.

use std::collections::{BTreeSet, HashMap, VecDeque};
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
    Allocated, Command, Effect, RefillStep, Reply, address, approve, brake, clear, daily, position, refill,
    report, treasury, view, void, wallet,
};
use crate::audit::EntryKind;
use crate::desk::{DeskError, Payload, StatementReceipt, WalletView, WithdrawalView};
use crate::evidence::VerifiedRequest;
use crate::evidence::statement::VerifiedStatement;
use crate::freeze::Leaving;
use crate::store::Table;
use crate::withdrawal::{Amount, Finding, Krw, Organisation, Outcome, WithdrawalId};

/// The most commands one commit takes.
pub const BATCH_MAX: usize = 128;
/// How many statements may wait for the co-signer, of which memory holds the keys: two months of an observer who states
/// every kind each three minutes.
const UNDELIVERED_MAX: usize = 100_000;
/// How many alarms wait for a store that does not take them.
const ALARMS_MAX: usize = 1_024;
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
    /// What people must look at: it is said once, so it is kept until it is written.
    alarms: Vec<Alarm>,
}

/// Something that people must look at: about what, by the name of the log entry's field, and what is wrong.
type Alarm = ((&'static str, String), Finding);

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
            alarms: Vec::new(),
        }
    }

    /// Writes an alarm down with this batch; one that the store does not take is kept for the next.
    pub fn enter_alarm(&mut self, ((field, name), finding): Alarm) {
        // What the log cannot spell would fail this commit, and with the alarm kept every one after it.
        let spelled = |text: &str| text.chars().filter(|c| !c.is_control()).take(1_000).collect::<String>();
        let (about, detail) = (spelled(&name), spelled(&finding.detail));
        self.draft.entry(EntryKind::Alarm, &[("code", &finding.code), (field, &about), ("detail", &detail)]);
        self.alarms.push(((field, name), finding));
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
    /// Asked about again when a price is stated.
    unvalued: Vec<WithdrawalId>,
    questions: mpsc::Receiver<Question>,
    was_busy: bool,
    /// Alarms that are not written yet: the store did not take them.
    alarms: VecDeque<Alarm>,
    /// Whether payments, and sweeps, were signed at the last turn.
    was_free: (bool, bool),
}

/// The texts of a withdrawal that may be approved, and who asked for it.
pub type Approvable = (Vec<crate::evidence::ApprovalText>, Arc<crate::evidence::VerifiedRequest>);

/// What readers ask of the ledger in memory.
pub enum Question {
    /// How a withdrawal stands, if it is open.
    View(WithdrawalId, oneshot::Sender<Option<WithdrawalView>>),
    /// What waits for operators.
    Pending(oneshot::Sender<Vec<crate::desk::PendingApproval>>),
    /// The request and texts of an open withdrawal, for an operator's signature to be verified.
    Approvable(WithdrawalId, oneshot::Sender<Option<Approvable>>),
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

    /// Whether a transaction was finished too late: it is dropped, and made again, the same bytes, when the freeze ends.
    fn is_too_late(&self, reservation: &crate::withdrawal::ReservationId) -> bool {
        let found = self.ledger.reservations.get(reservation);
        found.is_some_and(|found| !self.context.brake.is_free(treasury::leaving(&found.row)))
    }

    fn apply(&mut self, command: Command, turn: &mut Turn) {
        if let Command::Finished { reservation, .. } = &command
            && self.is_too_late(reservation)
        {
            return;
        }
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
            Command::Answered { id, word } => withdraw::answered(context, ledger, turn, id, &word),
            Command::Unanswered { id, finding } => withdraw::unanswered(ledger, turn, id, finding),
            Command::Unvalued { id, personal } => {
                if ledger.open.contains_key(&id) {
                    self.payloads.extend(personal.map(|personal| (id, personal)));
                    self.unvalued.push(id);
                }
            }
            Command::Approve { id, approval, reply } => match approve::approve(ledger, turn, id, approval) {
                Ok(()) => turn.waiting.push((id, reply, false)),
                Err(error) => turn.tell(reply, Err(error)),
            },
            Command::Reject { rejection, receipt, reply } => {
                match void::rejected(ledger, turn, &rejection, &receipt) {
                    Ok(id) => turn.waiting.push((id, reply, false)),
                    Err(error) => turn.tell(reply, Err(error)),
                }
            }
            Command::Cancel { cancel, receipt, reply } => {
                match void::cancelled(ledger, turn, &cancel, &receipt) {
                    Ok(id) => turn.waiting.push((id, reply, false)),
                    Err(error) => turn.tell(reply, Err(error)),
                }
            }
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
            Command::Delivered { keys } => {
                ledger.undelivered = ledger.undelivered.saturating_sub(keys.len());
                ledger.delivered.extend(keys);
            }
            Command::Finished { reservation, released } => {
                if void::may_be_released(ledger, turn, reservation) {
                    treasury::finished(context, ledger, turn, reservation, released);
                }
            }
            Command::CosignerRefused { reservation, finding, is_hold } => {
                treasury::cosigner_refused(ledger, turn, reservation, &finding, is_hold);
            }
            Command::Alarm { about, finding } => {
                error!(code = %finding.code, about = about.1, "{}", finding.detail);
                turn.enter_alarm((about, finding));
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
            let finding = Finding::new(
                crate::withdrawal::Code::StatementOutOfOrder,
                format!("number {} after {}", said.number, last.unwrap_or(0)),
            );
            return Err(DeskError::Refused(finding));
        }
        if self.ledger.undelivered >= UNDELIVERED_MAX {
            let detail = format!("{UNDELIVERED_MAX} statements wait for the co-signer, which is the bound");
            return Err(DeskError::nothing_happened(crate::withdrawal::Code::QueueFull, detail));
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
        self.ledger.undelivered = self.ledger.undelivered.saturating_add(1);
        turn.effects.push(Effect::Deliver(statement::key(said)));
        self.ledger.ripen_all();
        turn.effects.extend(std::mem::take(&mut self.unvalued).into_iter().map(Effect::Clear));
        Ok(StatementReceipt { number: said.number, log_index })
    }

    async fn commit(&mut self, mut turn: Turn) {
        if !turn.draft.is_empty() {
            self.flush_delivered(&mut turn);
        }
        let Turn { draft, effects, told, changed, found, waiting, alarms, .. } = turn;
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
                alarms.into_iter().for_each(|alarm| self.keep_alarm(alarm));
                self.reload(&fault).await;
            }
        }
    }

    /// Keeps an alarm for the next commit. Beyond the bound only the service's own log has it.
    fn keep_alarm(&mut self, alarm: Alarm) {
        if self.alarms.len() < ALARMS_MAX {
            return self.alarms.push_back(alarm);
        }
        let ((_, about), finding) = alarm;
        error!(code = %finding.code, about, "{ALARMS_MAX} alarms wait to be written, which is the bound: {}", finding.detail);
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
            value: self.ledger.treasury.value(request.amount, self.context.asset),
            named: open.row.payload != "-",
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
                let open = self.ledger.open.get(&id);
                let found = open
                    .and_then(|open| Some((approve::texts_of(&self.context, open)?, open.request.clone())));
                let _ = to.send(found);
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
