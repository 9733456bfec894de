//! `StatementService` and `PositionService`: facts in, and what follows from them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller;
use crate::desk::{PositionDesk, SignedText, StatementDesk};
use crate::wire::field::required;
use crate::wire::v1;
use crate::wire::v1::position_service_server::PositionService;
use crate::wire::v1::statement_service_server::StatementService;
use crate::withdrawal::{Asset, ChainId, Code, Invalid};

/// The statement service before a desk.
pub struct Statements(pub Arc<dyn StatementDesk>);

#[tonic::async_trait]
impl StatementService for Statements {
    async fn submit_statement(
        &self,
        request: Request<v1::SubmitStatementRequest>,
    ) -> Result<Response<v1::SubmitStatementResponse>, Status> {
        let caller = caller(&request)?;
        let signed: SignedText = required(request.into_inner().statement, "statement")?.try_into()?;
        Ok(Response::new(self.0.submit(&caller, signed).await?.into()))
    }

    async fn count_deposit_addresses(
        &self,
        request: Request<v1::CountDepositAddressesRequest>,
    ) -> Result<Response<v1::CountDepositAddressesResponse>, Status> {
        let caller = caller(&request)?;
        let chain =
            ChainId::parse(&request.into_inner().network).map_err(|no| Invalid { field: "network", ..no })?;
        let count = self.0.deposit_addresses(&caller, chain).await?;
        Ok(Response::new(v1::CountDepositAddressesResponse { count }))
    }
}

/// The position service before a desk.
pub struct Positions(pub Arc<dyn PositionDesk>);

#[tonic::async_trait]
impl PositionService for Positions {
    async fn get_position(
        &self,
        request: Request<v1::GetPositionRequest>,
    ) -> Result<Response<v1::Position>, Status> {
        let caller = caller(&request)?;
        let asset = match request.into_inner().asset.as_str() {
            "" => None,
            text => Some(Asset::parse(text)?),
        };
        Ok(Response::new(self.0.position(&caller, asset).await?.into()))
    }

    async fn get_daily_statement(
        &self,
        request: Request<v1::GetDailyStatementRequest>,
    ) -> Result<Response<v1::DailyStatement>, Status> {
        let caller = caller(&request)?;
        let date = request.into_inner().date;
        let is_date = date.len() == 10 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if !is_date {
            let cure = "write a day such as 2026-11-21";
            return Err(Invalid::new(Code::FieldMalformed, "date", "is no day", cure).into());
        }
        Ok(Response::new(self.0.daily(&caller, &date).await?.into()))
    }
}
