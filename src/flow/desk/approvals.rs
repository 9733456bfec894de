//! The operators' counter for approvals.

use super::{SignerDesk, half_way, refused};

use crate::desk::{
    ApprovalDesk, ApprovalOrder, Caller, DeskError, Page, PageOrder, PendingApproval, RejectionOrder,
    VoidOrder, WithdrawalView,
};
use crate::evidence::rejection::{RejectionText, verify_rejection};
use crate::flow::handed_on;
use crate::flow::writer::Question;
use crate::flow::{Command, approve};
use crate::withdrawal::{Code, Finding};

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
