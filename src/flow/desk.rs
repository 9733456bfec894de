//! The counters of the signer: verify what is handed over, ask the writer, and show what came of it.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use zeroize::Zeroizing;

use super::audit::LogDesk;
use super::clear::{self, ClearAsk, Clearing};
use super::context::Context;
use super::handed_on;
use super::ledger::journal::{JournalFault, LogView};
use super::ledger::rows;
use super::withdraw::Found;
use super::writer::Question;
use super::{Allocated, Command, Reply, approve, brake, daily, view};
use crate::bitcoin::Destination;
use crate::desk::{
    AddressDesk, AddressOrder, AddressView, Answers, ApprovalDesk, ApprovalOrder, AttestationOrder,
    AuditDesk, AuditEntry, Caller, Cancellation, CheckpointView, CosignDesk, DailyStatement, DeskError, Page,
    PageOrder, PendingApproval, PositionDesk, PositionView, ProofView, RejectionOrder, Role, SignedText,
    StatementDesk, StatementReceipt, VoidOrder, Voided, WithdrawalDesk, WithdrawalFilter, WithdrawalOrder,
    WithdrawalPick, WithdrawalView,
};
use crate::enclave::{LookAsk, VerifyReply, Word};
use crate::evidence::NotProven;
use crate::evidence::rejection::{RejectionText, verify_rejection};
use crate::evidence::statement::{parse_statement, verify_statement};
use crate::evidence::{NameMatch, VerifiedRequest, verify_cancel, verify_request, verify_void};
use crate::freeze::Leaving;
use crate::store::{PAGE_ROWS_MAX, PageToken, Store, Table};
use crate::withdrawal::{Asset, Code, Finding, Outcome, Stage, WithdrawalId};

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

    /// Reads an order: form, signature, age, asset, destination, and, with one question to the enclave, the payload's fingerprint and the
    /// counterparty's answer, if there is one already.
    async fn admit(&self, caller: &Caller, order: &WithdrawalOrder) -> Result<Admitted, DeskError> {
        let SignedText { text, key_id, signature } = &order.request;
        let (trust, now) = (&self.context.trust, self.context.now());
        let age_s_max = self.context.settings.request_age_s_max;
        let (request, late) = match verify_request(text, key_id, signature, trust, now, age_s_max) {
            Ok(request) => (request, None),
            // Too old, or its key has ended since: new it is refused, repeated it is answered with its outcome.
            Err(NotProven::Refused(finding)) => {
                let request = VerifiedRequest::reverify(text, key_id, signature, trust).map_err(refused)?;
                (request, Some(finding))
            }
            Err(no) => return Err(refused(no)),
        };
        let asked = request.request();
        if caller.role == Role::Exchange && caller.name != asked.organisation.as_str() {
            let detail =
                format!("the certificate is `{}`'s, the request is `{}`'s", caller.name, asked.organisation);
            return Err(DeskError::Refused(Finding::new(Code::RequestKeyUnknown, detail)));
        }
        if asked.asset != self.context.asset {
            let cure = "send the asset of this wallet";
            let problem = format!("`{}` is not the asset of this wallet", asked.asset);
            return Err(crate::withdrawal::Invalid::new(Code::AssetUnknown, "asset", problem, cure).into());
        }
        if asked.amount > asked.asset.supply_max() {
            let cure = Code::AmountAboveSupply.cure();
            let problem = format!("{} is above the supply of {}", asked.amount, asked.asset.supply_max());
            return Err(
                crate::withdrawal::Invalid::new(Code::AmountAboveSupply, "amount", problem, cure).into()
            );
        }
        let destination = Destination::parse(&asked.destination, asked.asset.network())?;
        if destination.as_str() != asked.destination {
            let problem = format!("is not in its normal spelling `{}`", destination.as_str());
            let cure = "sign the address in lower case";
            return Err(crate::withdrawal::Invalid::new(
                Code::AddressMalformed,
                "destination",
                problem,
                cure,
            )
            .into());
        }
        let digest = data_encoding::HEXLOWER.encode(request.digest());
        let payload = (!order.ivms101.is_empty()).then(|| order.ivms101.as_bytes());
        let looked = self.clearing.look(LookAsk { request_digest: &digest, payload }).await;
        // Nothing was written yet, whatever the enclave has to say.
        let looked = looked.map_err(|fault| match clear::desk_error(fault) {
            DeskError::Fault { code, detail, .. } => DeskError::nothing_happened(code, detail),
            error => error,
        })?;
        let payload =
            looked.fingerprint.map_or_else(|| "-".to_owned(), |print| data_encoding::HEXLOWER.encode(&print));
        Ok(Admitted { request, payload, answer: looked.answer, late })
    }

    /// What is asked of the enclave ahead of time, valued at the price that stands.
    async fn clear_ask(
        &self,
        request: &VerifiedRequest,
        order: &WithdrawalOrder,
    ) -> Result<ClearAsk, DeskError> {
        let asked = request.request();
        let value = self.question(|to| Question::Value(asked.amount, to)).await?;
        Ok(ClearAsk {
            id: request.id(),
            text: request.signed().text().to_owned(),
            digest: data_encoding::HEXLOWER.encode(request.digest()),
            request: asked.clone(),
            value,
            named: !order.ivms101.is_empty(),
            payload: (!order.ivms101.is_empty()).then(|| Zeroizing::new(order.ivms101.as_bytes().to_vec())),
        })
    }

    /// What the counterparty says of a withdrawal ahead of time.
    async fn foreseen(
        &self,
        request: &VerifiedRequest,
        order: &WithdrawalOrder,
    ) -> Result<Outcome, DeskError> {
        let ask = self.clear_ask(request, order).await?;
        Ok(match self.clearing.verify(&ask).await {
            Ok(VerifyReply::Answered { answer_text, signature }) => {
                prepared(&self.context, request, &Word::Signed { text: answer_text, signature })
            }
            Ok(VerifyReply::Reported { report_text }) => {
                prepared(&self.context, request, &Word::Reported(report_text))
            }
            Ok(VerifyReply::Pending) => {
                held(Code::ClearancePending, "the beneficiary VASP has not answered yet")
            }
            Ok(VerifyReply::Expired) => {
                Outcome::Refused(vec![Finding::new(Code::TravelRuleTimeout, "nobody answered in time")])
            }
            Ok(VerifyReply::Listed) => Outcome::Refused(vec![clear::listed()]),
            Err(fault) => return Err(clear::desk_error(fault)),
        })
    }

    /// Takes a withdrawal back at the co-signer; its verified receipt, or none where it has signed.
    async fn void(&self, order: VoidOrder, id: WithdrawalId) -> Result<Option<SignedText>, DeskError> {
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

    async fn stored(&self, id: WithdrawalId) -> Result<Option<WithdrawalView>, DeskError> {
        let row = self.store.row(Table::Withdrawal, &id.to_string()).await;
        let row = row.map_err(|fault| JournalFault::from(fault).desk_error())?;
        Ok(row.and_then(|row| view_of_row(&row)))
    }

    /// The last thing before a view leaves.
    fn shown(&self, view: WithdrawalView) -> WithdrawalView {
        brake::shown(&self.context.brake, view)
    }

    async fn view(&self, id: WithdrawalId) -> Result<WithdrawalView, DeskError> {
        if let Some(view) = self.question(|to| Question::View(id, to)).await? {
            return Ok(self.shown(view));
        }
        let stored = self.stored(id).await?.ok_or_else(|| DeskError::not_found(id.to_string()))?;
        Ok(self.shown(stored))
    }
}

/// An order that can be read and was signed by the exchange.
struct Admitted {
    request: VerifiedRequest,
    /// The payload's fingerprint.
    payload: String,
    /// The counterparty's answer, if the enclave has it already.
    answer: Option<Word>,
    /// Why it is refused if it is new.
    late: Option<Finding>,
}

fn view_of_row(row: &crate::store::Row) -> Option<WithdrawalView> {
    let id = WithdrawalId::parse(row.key()).ok()?;
    let content = rows::read(row.key(), row.content()).ok()?;
    view::of_found(id, &Found { row: content, log_index: row.log_index(), updated_at: row.at() })
}

#[tonic::async_trait]
impl WithdrawalDesk for SignerDesk {
    async fn create(&self, caller: &Caller, order: WithdrawalOrder) -> Result<WithdrawalView, DeskError> {
        let Admitted { request, payload, answer, late } = self.admit(caller, &order).await?;
        let id = request.id();
        let request = Box::new(request);
        let personal = Some(order.ivms101);
        let asked = self.command(|reply| Command::Ask { request, payload, answer, personal, late, reply });
        match tokio::time::timeout(self.context.settings.create_wait, asked).await {
            Ok(told) => told.map(|view| self.shown(view)),
            // It goes on by itself; the caller sees how far it has come. What is not there yet may still be written.
            Err(_) => self.view(id).await.map_err(|error| match error.code() {
                Code::NotFound => DeskError::may_have_happened(
                    Code::StoreUnavailable,
                    "it still waits to be written; ask again with the same request id",
                ),
                _ => error,
            }),
        }
    }

    async fn prepare(&self, caller: &Caller, order: WithdrawalOrder) -> Result<WithdrawalView, DeskError> {
        let Admitted { request, late, .. } = self.admit(caller, &order).await?;
        if let Some(finding) = late {
            return Err(DeskError::Refused(finding));
        }
        let (now, request) = (self.context.now(), Arc::new(request));
        let outcome = if request.request().beneficiary_vasp.is_self_hosted() {
            self.question(|to| Question::Exempt(request.clone(), to)).await?
        } else {
            self.foreseen(&request, &order).await?
        };
        Ok(WithdrawalView {
            id: request.id(),
            request: request.request().clone(),
            stage: if outcome == Outcome::Moving { Stage::Cleared } else { Stage::Asked },
            outcome,
            txid: None,
            raw_transaction: Vec::new(),
            prevouts: Vec::new(),
            fee: None,
            log_index: 0,
            created_at: now,
            updated_at: now,
            void_receipt: None,
        })
    }

    async fn find(&self, caller: &Caller, pick: WithdrawalPick) -> Result<WithdrawalView, DeskError> {
        let id = match pick {
            WithdrawalPick::Id(id) => id,
            WithdrawalPick::Request(organisation, request) => WithdrawalId::of(&organisation, &request),
        };
        let view = self.view(id).await?;
        if may_see(caller, &view) { Ok(view) } else { Err(DeskError::not_found(id.to_string())) }
    }

    async fn list(
        &self,
        caller: &Caller,
        filter: WithdrawalFilter,
        page: PageOrder,
    ) -> Result<Page<WithdrawalView>, DeskError> {
        let bad = || {
            let cure = "send the token of the last page, or none";
            crate::withdrawal::Invalid::new(
                Code::FieldMalformed,
                "page_token",
                "is no page token of this list",
                cure,
            )
        };
        let after = page.token.as_deref().map(|t| PageToken::parse(t).ok_or_else(bad)).transpose()?;
        let size = usize::try_from(page.size_max).unwrap_or(1).clamp(1, 1_000);
        let found = self.store.rows_page(Table::Withdrawal, after.as_ref(), size).await;
        let found = found.map_err(|fault| JournalFault::from(fault).desk_error())?;
        let items = found
            .rows
            .iter()
            .filter_map(view_of_row)
            .filter(|view| filter.shows(view) && may_see(caller, view))
            .map(|view| self.shown(view))
            .collect();
        Ok(Page { items, next: found.next.map(|token| token.to_string()) })
    }

    async fn watch(
        &self,
        caller: &Caller,
        filter: WithdrawalFilter,
        from: Option<u64>,
    ) -> Result<Answers<WithdrawalView>, DeskError> {
        let filter = match caller.role {
            Role::Exchange => WithdrawalFilter {
                organisation: Some(crate::withdrawal::Organisation::parse(&caller.name)?),
                ..filter
            },
            Role::Observer | Role::Operator | Role::Auditor | Role::Signer | Role::Cosigner => filter,
        };
        let live = BroadcastStream::new(self.views.subscribe());
        let mut past = Vec::new();
        if let Some(from) = from {
            let mut token = Some(PageToken::from(Table::Withdrawal, from));
            while token.is_some() {
                let found = self.store.rows_page(Table::Withdrawal, token.as_ref(), PAGE_ROWS_MAX).await;
                let found = found.map_err(|fault| JournalFault::from(fault).desk_error())?;
                past.extend(found.rows.iter().filter_map(view_of_row));
                token = found.next;
            }
        }
        let shown = filter.clone();
        let past = stream::iter(past.into_iter().filter(move |view| shown.shows(view)).map(Ok));
        let live = live.filter_map(move |next| {
            let next = match next {
                Ok(Some(view)) => filter.shows(&view).then_some(Ok(view)),
                Ok(None) => {
                    let detail = "the store was read back; watch again from the last log index";
                    Some(Err(DeskError::nothing_happened(Code::StoreUnavailable, detail)))
                }
                Err(BroadcastStreamRecvError::Lagged(missed)) => {
                    let detail = format!("{missed} changes were missed; watch again from the last log index");
                    Some(Err(DeskError::nothing_happened(Code::QueueFull, detail)))
                }
            };
            std::future::ready(next)
        });
        let held = self.context.brake.clone();
        Ok(past.chain(live).map(move |next| next.map(|view| brake::shown(&held, view))).boxed())
    }

    async fn cancel(&self, caller: &Caller, cancellation: SignedText) -> Result<Cancellation, DeskError> {
        let SignedText { text, key_id, signature } = &cancellation;
        let (now, age) = (self.context.now(), self.context.settings.request_age_s_max);
        let cancel =
            verify_cancel(text, key_id, signature, &self.context.trust, now, age).map_err(refused)?;
        if caller.role == Role::Exchange && caller.name != cancel.cancel().organisation.as_str() {
            let detail = "the certificate is of another organisation";
            return Err(DeskError::Refused(Finding::new(Code::RequestKeyUnknown, detail)));
        }
        let id = cancel.withdrawal();
        let Some(receipt) = self.void(VoidOrder::Cancellation(cancellation), id).await? else {
            return Ok(Cancellation { withdrawal: Some(self.view(id).await?), receipt: None });
        };
        let told = receipt.clone();
        let written = self.command(|reply| Command::Cancel { cancel, receipt: told, reply }).await;
        match written {
            Ok(view) => Ok(Cancellation { withdrawal: Some(self.shown(view)), receipt: Some(receipt) }),
            // It was never asked here; asked later, the co-signer says no to it.
            Err(error) if error.code() == Code::NotFound => {
                Ok(Cancellation { withdrawal: None, receipt: Some(receipt) })
            }
            Err(error) => Err(half_way(&error)),
        }
    }
}

/// The co-signer has it; the same again is answered with the same receipt.
fn half_way(error: &DeskError) -> DeskError {
    let detail =
        format!("the co-signer never signs it, and it is not written down here yet; ask again: {error}");
    DeskError::may_have_happened(error.code(), detail)
}

/// An exchange sees its own withdrawals and nobody else's.
fn may_see(caller: &Caller, view: &WithdrawalView) -> bool {
    caller.role != Role::Exchange || caller.name == view.request.organisation.as_str()
}

/// What an answer that came ahead of its request says.
fn prepared(context: &Context, request: &VerifiedRequest, word: &Word) -> Outcome {
    match clear::prove(context, word, request, NameMatch::NotRequired) {
        Ok(_) => Outcome::Moving,
        Err(NotProven::Refused(finding)) => Outcome::Refused(vec![finding]),
        Err(NotProven::Unreadable(no)) => {
            Outcome::Refused(vec![Finding::new(Code::EvidenceInvalid, no.to_string())])
        }
    }
}

fn held(code: Code, detail: &str) -> Outcome {
    Outcome::Held(vec![Finding::new(code, detail)])
}

#[tonic::async_trait]
impl AddressDesk for SignerDesk {
    async fn create_batch(
        &self,
        caller: &Caller,
        orders: Vec<AddressOrder>,
    ) -> Result<Vec<AddressView>, DeskError> {
        for order in &orders {
            if caller.role == Role::Exchange && caller.name != order.organisation.as_str() {
                let detail = "the certificate is of another organisation";
                return Err(DeskError::nothing_happened(Code::RoleNotAllowed, detail));
            }
            if order.asset != self.context.asset {
                let problem = format!("`{}` is not the asset of this wallet", order.asset);
                let cure = "send the asset of this wallet";
                return Err(
                    crate::withdrawal::Invalid::new(Code::AssetUnknown, "asset", problem, cure).into()
                );
            }
        }
        let mut allocated = self.command(|reply| Command::Allocate { orders, reply }).await?;
        let unattested: Vec<&mut Allocated> =
            allocated.iter_mut().filter(|a| a.attestation.is_none()).collect();
        if !unattested.is_empty() {
            let asked = unattested.iter().map(|a| attestation_order(a)).collect();
            let words = self.cosigner.attest_addresses(asked).await?;
            let mut attested = Vec::with_capacity(words.len());
            for (address, word) in unattested.into_iter().zip(words) {
                check_attestation(&self.context, address, &word)?;
                address.attestation = Some(word.clone());
                attested.push((address.order.clone(), word));
            }
            self.command(|reply| Command::Attested { attested, reply }).await?;
        }
        let missing =
            || DeskError::may_have_happened(Code::CosignerUnreachable, "an address was not attested");
        allocated.into_iter().map(|a| a.view().ok_or_else(missing)).collect()
    }
}

fn attestation_order(allocated: &Allocated) -> AttestationOrder {
    AttestationOrder {
        organisation: allocated.order.organisation.clone(),
        customer_ref: allocated.order.customer_ref.clone(),
        branch: 0,
        index: allocated.index,
    }
}

/// The co-signer must have derived the very same address; otherwise none leaves (law L19).
fn check_attestation(context: &Context, allocated: &Allocated, word: &SignedText) -> Result<(), DeskError> {
    let key = context.trust.attestation_key();
    let verified = crate::evidence::attestation::verify_attestation(&word.text, &word.signature, key)
        .map_err(refused)?;
    let said = verified.attestation();
    let same = said.address == allocated.address
        && said.index == allocated.index
        && said.branch == 0
        && said.customer_ref == allocated.order.customer_ref
        && said.organisation == allocated.order.organisation;
    if same {
        return Ok(());
    }
    let finding =
        Finding::new(Code::EvidenceInvalid, "the co-signer attested another address than was derived here");
    Err(DeskError::Refused(finding))
}

#[tonic::async_trait]
impl ApprovalDesk for SignerDesk {
    async fn pending(&self, _caller: &Caller, page: PageOrder) -> Result<Page<PendingApproval>, DeskError> {
        let all = self.question(Question::Pending).await?;
        let from = page.token.as_deref().and_then(|t| t.parse::<usize>().ok()).unwrap_or(0);
        let size = usize::try_from(page.size_max).unwrap_or(1);
        let next = (all.len() > from.saturating_add(size)).then(|| from.saturating_add(size).to_string());
        Ok(Page { items: all.into_iter().skip(from).take(size).collect(), next })
    }

    async fn approve(&self, _caller: &Caller, order: ApprovalOrder) -> Result<WithdrawalView, DeskError> {
        let id = order.withdrawal;
        let found = self.question(|to| Question::Approvable(id, to)).await?;
        let none = || DeskError::not_found(format!("{id} does not wait for approval"));
        let (texts, request) = found.ok_or_else(none)?;
        let by = (self.context.trust.as_ref(), request.as_ref());
        let approval = approve::verify(&texts, &order.signature, by, self.context.now()).map_err(refused)?;
        self.command(|reply| Command::Approve { id, approval, reply }).await
    }

    async fn reject(&self, _caller: &Caller, order: RejectionOrder) -> Result<WithdrawalView, DeskError> {
        let request = self.question(|to| Question::Request(order.withdrawal, to)).await?;
        let request =
            request.ok_or_else(|| DeskError::not_found(format!("{} is not open", order.withdrawal)))?;
        let text = RejectionText::of(&request, &order.reason).render();
        let rejection =
            verify_rejection(&text, &order.signature, &self.context.trust, &request).map_err(refused)?;
        let request = handed_on(request.signed());
        let word = VoidOrder::Rejection { request, text, signature: order.signature };
        let receipt = self.void(word, order.withdrawal).await?;
        let receipt = receipt.ok_or_else(|| {
            let detail = "the co-signer has signed its transaction; it is too late to reject";
            DeskError::Refused(Finding::new(Code::ApprovalInvalid, detail))
        })?;
        let written = self.command(|reply| Command::Reject { rejection, receipt, reply }).await;
        written.map_err(|error| half_way(&error))
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
