//! `AuditService`: the log, to those who verify it.

use std::sync::Arc;

use futures_util::stream::{BoxStream, TryReadyChunksError, iter};
use futures_util::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use super::caller;
use crate::desk::{AuditDesk, AuditEntry};
use crate::wire::v1;
use crate::wire::v1::audit_service_server::AuditService;

/// The most entries in one message of the stream.
const ENTRIES_PER_MESSAGE: usize = 64;

/// The service before a desk.
pub struct Audit(pub Arc<dyn AuditDesk>);

fn message(entries: Vec<AuditEntry>) -> v1::ListEntriesResponse {
    v1::ListEntriesResponse { entries: entries.into_iter().map(Into::into).collect() }
}

#[tonic::async_trait]
impl AuditService for Audit {
    type ListEntriesStream = BoxStream<'static, Result<v1::ListEntriesResponse, Status>>;

    async fn list_entries(
        &self,
        request: Request<v1::ListEntriesRequest>,
    ) -> Result<Response<Self::ListEntriesStream>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let entries = self.0.entries(&caller, asked.start_index, asked.end_index).await?;
        let answers = entries.try_ready_chunks(ENTRIES_PER_MESSAGE).flat_map(|chunk| {
            iter(match chunk {
                Ok(entries) => vec![Ok(message(entries))],
                Err(TryReadyChunksError(before, error)) if before.is_empty() => vec![Err(error.into())],
                Err(TryReadyChunksError(before, error)) => vec![Ok(message(before)), Err(error.into())],
            })
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::Checkpoint>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.0.checkpoint(&caller).await?.into()))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<v1::GetInclusionProofRequest>,
    ) -> Result<Response<v1::Proof>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        Ok(Response::new(self.0.inclusion(&caller, asked.index, asked.tree_size).await?.into()))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<v1::GetConsistencyProofRequest>,
    ) -> Result<Response<v1::Proof>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        Ok(Response::new(self.0.consistency(&caller, asked.old_tree_size, asked.tree_size).await?.into()))
    }
}
