//! `ApprovalService`: to and from the approval desk.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller;
use crate::desk::ApprovalDesk;
use crate::wire::field::page;
use crate::wire::v1;
use crate::wire::v1::approval_service_server::ApprovalService;

/// The service before a desk.
pub struct Approvals(pub Arc<dyn ApprovalDesk>);

#[tonic::async_trait]
impl ApprovalService for Approvals {
    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let page = self.0.pending(&caller, page(asked.page_size, asked.page_token)?).await?;
        Ok(Response::new(v1::ListApprovalsResponse {
            approvals: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn approve_withdrawal(
        &self,
        request: Request<v1::ApproveWithdrawalRequest>,
    ) -> Result<Response<v1::Withdrawal>, Status> {
        let caller = caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(Response::new(self.0.approve(&caller, order).await?.into()))
    }

    async fn reject_withdrawal(
        &self,
        request: Request<v1::RejectWithdrawalRequest>,
    ) -> Result<Response<v1::Withdrawal>, Status> {
        let caller = caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(Response::new(self.0.reject(&caller, order).await?.into()))
    }
}
