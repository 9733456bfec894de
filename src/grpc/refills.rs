//! `RefillService`: to and from the desk of refills.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller;
use crate::desk::RefillDesk;
use crate::wire::v1;
use crate::wire::v1::refill_service_server::RefillService;
use crate::withdrawal::{Code, Invalid};

/// The longest reason for taking a refill back, in bytes.
const REASON_LEN_MAX: usize = 200;

/// The service before a desk.
pub struct Refills(pub Arc<dyn RefillDesk>);

#[tonic::async_trait]
impl RefillService for Refills {
    async fn create_refill(
        &self,
        request: Request<v1::CreateRefillRequest>,
    ) -> Result<Response<v1::Refill>, Status> {
        let caller = caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(Response::new(self.0.request(&caller, order).await?.into()))
    }

    async fn list_refills(
        &self,
        request: Request<v1::ListRefillsRequest>,
    ) -> Result<Response<v1::ListRefillsResponse>, Status> {
        let caller = caller(&request)?;
        let refills = self.0.refills(&caller).await?.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListRefillsResponse { refills }))
    }

    async fn get_refill(
        &self,
        request: Request<v1::GetRefillRequest>,
    ) -> Result<Response<v1::Refill>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().refill;
        Ok(Response::new(self.0.refill(&caller, &id).await?.into()))
    }

    async fn export_refill(
        &self,
        request: Request<v1::ExportRefillRequest>,
    ) -> Result<Response<v1::Refill>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().refill;
        Ok(Response::new(self.0.export(&caller, &id).await?.into()))
    }

    async fn import_refill(
        &self,
        request: Request<v1::ImportRefillRequest>,
    ) -> Result<Response<v1::Refill>, Status> {
        let caller = caller(&request)?;
        let v1::ImportRefillRequest { refill, psbt } = request.into_inner();
        Ok(Response::new(self.0.import(&caller, &refill, psbt).await?.into()))
    }

    async fn cancel_refill(
        &self,
        request: Request<v1::CancelRefillRequest>,
    ) -> Result<Response<v1::Refill>, Status> {
        let caller = caller(&request)?;
        let v1::CancelRefillRequest { refill, reason } = request.into_inner();
        check_reason(&reason)?;
        Ok(Response::new(self.0.take_back(&caller, &refill, &reason).await?.into()))
    }
}

/// It stands in the log: one short line.
fn check_reason(reason: &str) -> Result<(), Invalid> {
    let no = |code, problem| Err(Invalid::new(code, "reason", problem, "write one short line"));
    if reason.len() > REASON_LEN_MAX {
        return no(Code::FieldTooLong, format!("is longer than {REASON_LEN_MAX} bytes"));
    }
    if reason.chars().any(char::is_control) {
        return no(Code::FieldMalformed, "holds a line feed or another control character".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reason_that_is_too_long_and_one_on_two_lines_are_two_mistakes() {
        assert!(check_reason("").is_ok() && check_reason(&"x".repeat(REASON_LEN_MAX)).is_ok());
        for (reason, code) in [
            ("x".repeat(REASON_LEN_MAX + 1), Code::FieldTooLong),
            ("one\ntwo".to_owned(), Code::FieldMalformed),
            ("a\u{1b}b".to_owned(), Code::FieldMalformed),
        ] {
            let no = check_reason(&reason).unwrap_err();
            assert_eq!((no.code, no.field), (code, "reason"));
        }
    }
}
