//! The exchange's counter for withdrawals.

use super::admit::Admitted;
use super::{SignerDesk, half_way, refused};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::desk::{
    Answers, Caller, Cancellation, DeskError, Page, PageOrder, Role, SignedText, VoidOrder, WithdrawalDesk,
    WithdrawalFilter, WithdrawalOrder, WithdrawalPick, WithdrawalView,
};
use crate::evidence::verify_cancel;
use crate::flow::ledger::journal::JournalFault;
use crate::flow::writer::Question;
use crate::flow::{Command, brake};
use crate::store::{PAGE_ROWS_MAX, PageToken, Table};
use crate::withdrawal::{Code, Finding, Outcome, Stage, WithdrawalId};

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
            safe: None,
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
        let items = self
            .views_of(&found.rows)
            .await?
            .into_iter()
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
            Role::Observer
            | Role::Operator
            | Role::Auditor
            | Role::Executor
            | Role::Signer
            | Role::Cosigner => filter,
        };
        let live = BroadcastStream::new(self.views.subscribe());
        let mut past = Vec::new();
        if let Some(from) = from {
            let mut token = Some(PageToken::from(Table::Withdrawal, from));
            while token.is_some() {
                let found = self.store.rows_page(Table::Withdrawal, token.as_ref(), PAGE_ROWS_MAX).await;
                let found = found.map_err(|fault| JournalFault::from(fault).desk_error())?;
                past.extend(self.views_of(&found.rows).await?);
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
        let receipt = self.void(VoidOrder::Cancellation(cancellation), id).await?;
        let told = receipt.clone();
        let written = self.command(|reply| Command::Cancel { cancel, receipt: told, reply }).await;
        match written {
            Ok(view) => Ok(Cancellation { withdrawal: Some(self.shown(view)), receipt }),
            // It was never asked here; asked later, the co-signer says no to it.
            Err(error) if error.code() == Code::NotFound && receipt.is_some() => {
                Ok(Cancellation { withdrawal: None, receipt })
            }
            Err(error) if receipt.is_none() => Err(error),
            Err(error) => Err(half_way(&error)),
        }
    }
}

/// An exchange sees its own withdrawals and nobody else's.
fn may_see(caller: &Caller, view: &WithdrawalView) -> bool {
    caller.role != Role::Exchange || caller.name == view.request.organisation.as_str()
}
