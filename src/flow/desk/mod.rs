//! The counters of the signer: verify what is handed over, ask the writer, and show what came of it.

mod addresses;
mod admit;
mod approvals;
mod refills;
mod releases;
mod wallets;
mod withdrawals;

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::desk::{
    Answers, AuditDesk, AuditEntry, Caller, CheckpointView, CosignDesk, DailyStatement, DeskError,
    PositionDesk, PositionView, ProofView, SignedText, StatementDesk, StatementReceipt, VoidOrder, Voided,
    WithdrawalView,
};
use crate::evidence::NotProven;
use crate::evidence::statement::{parse_statement, verify_statement};
use crate::evidence::verify_void;
use crate::flow::audit::LogDesk;
use crate::flow::clear::Clearing;
use crate::flow::context::Context;
use crate::flow::found::Found;
use crate::flow::ledger::journal::{JournalFault, LogView};
use crate::flow::ledger::rows;
use crate::flow::transactions::Transactions;
use crate::flow::writer::Question;
use crate::flow::{Command, Reply, brake, daily, view};
use crate::freeze::Leaving;
use crate::store::{Row, Store, Table};
use crate::withdrawal::{Asset, ChainId, Code, WithdrawalId};

/// The signer's counters.
pub struct SignerDesk {
    pub(super) context: Arc<Context>,
    commands: mpsc::Sender<Command>,
    questions: mpsc::Sender<Question>,
    log: LogDesk,
    log_view: Arc<LogView>,
    pub(super) store: Arc<Store>,
    clearing: Clearing,
    pub(super) cosigner: Arc<dyn CosignDesk>,
    views: broadcast::Sender<Option<WithdrawalView>>,
}

pub(super) fn refused(no: NotProven) -> DeskError {
    match no {
        NotProven::Unreadable(invalid) => DeskError::Invalid(invalid),
        NotProven::Refused(finding) => DeskError::Refused(finding),
    }
}

impl SignerDesk {
    /// Counters in front of a writer.
    pub fn new(
        context: Arc<Context>,
        (commands, questions): (mpsc::Sender<Command>, mpsc::Sender<Question>),
        (log, store): (Arc<LogView>, Arc<Store>),
        clearing: Clearing,
        (cosigner, views): (Arc<dyn CosignDesk>, broadcast::Sender<Option<WithdrawalView>>),
    ) -> Self {
        let log_view = log.clone();
        let log = LogDesk::new(log);
        Self { context, commands, questions, log, log_view, store, clearing, cosigner, views }
    }

    /// Hands a command to the writer, or says that too much is waiting.
    pub(super) async fn command<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, DeskError> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(command(reply)).map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => {
                let detail =
                    format!("{} commands are waiting, which is the bound", self.context.settings.queue_max);
                DeskError::nothing_happened(Code::QueueFull, detail)
            }
            mpsc::error::TrySendError::Closed(_) => {
                DeskError::nothing_happened(Code::ShuttingDown, "draining")
            }
        })?;
        let gone =
            |_| DeskError::may_have_happened(Code::ShuttingDown, "the service stopped before it answered");
        answer.await.map_err(gone)?
    }

    pub(super) async fn question<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, DeskError> {
        let (to, answer) = oneshot::channel();
        let sent = self.questions.send(question(to)).await;
        sent.map_err(|_| DeskError::nothing_happened(Code::ShuttingDown, "draining"))?;
        let unread = "the ledger cannot be read now; ask again";
        answer.await.map_err(|_| DeskError::nothing_happened(Code::StoreUnavailable, unread))
    }

    /// Takes a withdrawal back at the co-signer; its verified receipt, or none where it has signed.
    pub(super) async fn void(
        &self,
        order: VoidOrder,
        id: WithdrawalId,
    ) -> Result<Option<SignedText>, DeskError> {
        let answer = self.cosigner.void(order).await.map_err(|error| match error {
            DeskError::Fault { code, detail, may_have_happened } => {
                let detail = format!("it is not taken back until the co-signer has it; ask again: {detail}");
                DeskError::Fault { code, detail, may_have_happened }
            }
            no => no,
        })?;
        let Voided::Receipt(receipt) = answer else { return Ok(None) };
        let key = self.context.trust.attestation_key();
        verify_void(&receipt.text, &receipt.signature, key, id).map_err(refused)?;
        Ok(Some(receipt))
    }

    pub(super) async fn stored(&self, id: WithdrawalId) -> Result<Option<WithdrawalView>, DeskError> {
        let row = self.store.row(Table::Withdrawal, &id.to_string()).await;
        let row = row.map_err(|fault| JournalFault::from(fault).desk_error())?;
        Ok(self.views_of(row.as_slice()).await?.pop())
    }

    /// The views of rows of withdrawals, with the transactions of those that are released.
    pub(super) async fn views_of(&self, rows: &[Row]) -> Result<Vec<WithdrawalView>, DeskError> {
        let found: Vec<_> = rows.iter().filter_map(found_of_row).collect();
        let mut transactions = Transactions::default();
        let read = transactions.read(&self.store, found.iter().map(|(_, found)| &found.row)).await;
        read.map_err(|fault| fault.desk_error())?;
        Ok(found.iter().filter_map(|(id, found)| view::of_found(*id, found, &transactions)).collect())
    }

    /// The last thing before a view leaves.
    pub(super) fn shown(&self, view: WithdrawalView) -> WithdrawalView {
        brake::shown(&self.context.brake, view)
    }

    pub(super) async fn view(&self, id: WithdrawalId) -> Result<WithdrawalView, DeskError> {
        if let Some(view) = self.question(|to| Question::View(id, to)).await? {
            return Ok(self.shown(view));
        }
        let stored = self.stored(id).await?.ok_or_else(|| DeskError::not_found(id.to_string()))?;
        Ok(self.shown(stored))
    }
}

#[tonic::async_trait]
impl StatementDesk for SignerDesk {
    async fn submit(&self, _caller: &Caller, statement: SignedText) -> Result<StatementReceipt, DeskError> {
        let said = parse_statement(&statement.text)?;
        let (observer, kind) = (said.observer, said.body.kind());
        let last = self.question(|to| Question::LastNumber(observer, kind, to)).await?;
        let (now, age) = (self.context.now(), self.context.settings.statement_age_s_max);
        let SignedText { text, signature, .. } = &statement;
        let statement = verify_statement(text, signature, &self.context.trust, now, Some(age), |_, _| last)
            .map_err(refused)?;
        self.command(|reply| Command::State { statement, reply }).await
    }

    async fn deposit_addresses(&self, _caller: &Caller, chain: ChainId) -> Result<u32, DeskError> {
        self.question(|to| Question::DepositAddresses(chain, to)).await
    }
}

#[tonic::async_trait]
impl PositionDesk for SignerDesk {
    async fn position(&self, _caller: &Caller, asset: Option<Asset>) -> Result<PositionView, DeskError> {
        let mut view = self.question(Question::Position).await?;
        view.assets.retain(|position| asset.is_none_or(|asset| asset == position.asset));
        if !self.context.brake.is_free(Leaving::Sweep) {
            let sweeps = view.assets.iter_mut().flat_map(|position| &mut position.sweeps);
            sweeps.for_each(|sweep| sweep.raw_transaction.clear());
        }
        view.frozen = !self.context.brake.is_free(Leaving::Payment);
        Ok(view)
    }

    async fn daily(&self, _caller: &Caller, date: &str) -> Result<DailyStatement, DeskError> {
        daily::statement(self, &self.log_view, date).await
    }
}

#[tonic::async_trait]
impl AuditDesk for SignerDesk {
    async fn entries(
        &self,
        caller: &Caller,
        from: u64,
        until: Option<u64>,
    ) -> Result<Answers<AuditEntry>, DeskError> {
        self.log.entries(caller, from, until).await
    }

    async fn checkpoint(&self, caller: &Caller) -> Result<CheckpointView, DeskError> {
        self.log.checkpoint(caller).await
    }

    async fn inclusion(&self, caller: &Caller, index: u64, tree_size: u64) -> Result<ProofView, DeskError> {
        self.log.inclusion(caller, index, tree_size).await
    }

    async fn consistency(&self, caller: &Caller, old: u64, tree_size: u64) -> Result<ProofView, DeskError> {
        self.log.consistency(caller, old, tree_size).await
    }
}

/// The co-signer has it; the same again is answered with the same receipt.
fn half_way(error: &DeskError) -> DeskError {
    let detail =
        format!("the co-signer never signs it, and it is not written down here yet; ask again: {error}");
    DeskError::may_have_happened(error.code(), detail)
}

fn found_of_row(row: &Row) -> Option<(WithdrawalId, Found)> {
    let id = WithdrawalId::parse(row.key()).ok()?;
    let content = rows::read(row.key(), row.content()).ok()?;
    Some((id, Found { row: content, log_index: row.log_index(), updated_at: row.at() }))
}
