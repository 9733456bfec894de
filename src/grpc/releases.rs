//! `ReleaseService`: to and from the desk of finished Safe transactions.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller;
use crate::desk::ReleaseDesk;
use crate::wire::field::page;
use crate::wire::v1;
use crate::wire::v1::release_service_server::ReleaseService;

/// The service before a desk.
pub struct Releases(pub Arc<dyn ReleaseDesk>);

#[tonic::async_trait]
impl ReleaseService for Releases {
    async fn list_safe_releases(
        &self,
        request: Request<v1::ListSafeReleasesRequest>,
    ) -> Result<Response<v1::ListSafeReleasesResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let found = self.0.safe_releases(&caller, page(asked.page_size, asked.page_token)?).await?;
        Ok(Response::new(found.into()))
    }
}
