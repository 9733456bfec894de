//! `WithdrawalService`: to and from the withdrawal desk.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::caller;
use crate::desk::{SignedText, WithdrawalDesk, WithdrawalView};
use crate::wire::field::{page, required};
use crate::wire::v1::withdrawal_service_server::WithdrawalService;
use crate::wire::{v1, withdrawals};

/// The service before a desk.
pub struct Withdrawals(pub Arc<dyn WithdrawalDesk>);

fn answer(view: WithdrawalView) -> Response<v1::Withdrawal> {
    Response::new(view.into())
}

#[tonic::async_trait]
impl WithdrawalService for Withdrawals {
    type WatchWithdrawalsStream = BoxStream<'static, Result<v1::WatchWithdrawalsResponse, Status>>;

    async fn create_withdrawal(
        &self,
        request: Request<v1::CreateWithdrawalRequest>,
    ) -> Result<Response<v1::Withdrawal>, Status> {
        let caller = caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(answer(self.0.create(&caller, order).await?))
    }

    async fn prepare_withdrawal(
        &self,
        request: Request<v1::PrepareWithdrawalRequest>,
    ) -> Result<Response<v1::Withdrawal>, Status> {
        let caller = caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(answer(self.0.prepare(&caller, order).await?))
    }

    async fn get_withdrawal(
        &self,
        request: Request<v1::GetWithdrawalRequest>,
    ) -> Result<Response<v1::Withdrawal>, Status> {
        let caller = caller(&request)?;
        let pick = request.into_inner().try_into()?;
        Ok(answer(self.0.find(&caller, pick).await?))
    }

    async fn list_withdrawals(
        &self,
        request: Request<v1::ListWithdrawalsRequest>,
    ) -> Result<Response<v1::ListWithdrawalsResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let filter = withdrawals::filter(asked.filter)?;
        let page = self.0.list(&caller, filter, page(asked.page_size, asked.page_token)?).await?;
        Ok(Response::new(v1::ListWithdrawalsResponse {
            withdrawals: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn watch_withdrawals(
        &self,
        request: Request<v1::WatchWithdrawalsRequest>,
    ) -> Result<Response<Self::WatchWithdrawalsStream>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let filter = withdrawals::filter(asked.filter)?;
        let views = self.0.watch(&caller, filter, asked.from_log_index).await?;
        let answers = views.map(|view| match view {
            Ok(view) => Ok(v1::WatchWithdrawalsResponse { withdrawal: Some(view.into()) }),
            Err(error) => Err(error.into()),
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn cancel_withdrawal(
        &self,
        request: Request<v1::CancelWithdrawalRequest>,
    ) -> Result<Response<v1::CancelWithdrawalResponse>, Status> {
        let caller = caller(&request)?;
        let signed: SignedText = required(request.into_inner().cancellation, "cancellation")?.try_into()?;
        Ok(Response::new(self.0.cancel(&caller, signed).await?.into()))
    }
}
