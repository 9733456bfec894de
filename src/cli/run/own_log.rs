//! The co-signer's own log, for auditors: entries, head and proofs, as the signer shows its.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use crate::desk::{Answers, AuditDesk, AuditEntry, Caller, CheckpointView, DeskError, ProofView};
use crate::flow::ledger::journal::{JournalFault, LogView};
use crate::withdrawal::{Code, Invalid};

/// How many leaves are read at once.
const STEP: u64 = 256;

/// A log and nothing else.
pub struct OwnLog(pub Arc<LogView>);

#[tonic::async_trait]
impl AuditDesk for OwnLog {
    async fn entries(
        &self,
        _: &Caller,
        from: u64,
        until: Option<u64>,
    ) -> Result<Answers<AuditEntry>, DeskError> {
        let end = self.0.head().size.min(until.unwrap_or(u64::MAX));
        let log = self.0.clone();
        let pages = stream::unfold(from, move |at| {
            let log = log.clone();
            async move {
                let to = end.min(at.saturating_add(STEP));
                if at >= end {
                    return None;
                }
                match log.leaves(at..to).await {
                    Ok(leaves) => {
                        let entries = (at..).zip(leaves).map(|(index, leaf)| Ok(AuditEntry { index, leaf }));
                        Some((entries.collect::<Vec<_>>(), to))
                    }
                    Err(fault) => Some((vec![Err(fault.desk_error())], end)),
                }
            }
        });
        Ok(pages.flat_map(stream::iter).boxed())
    }

    async fn checkpoint(&self, _: &Caller) -> Result<CheckpointView, DeskError> {
        let (head, note) = self.0.signed_head();
        Ok(CheckpointView { note, tree_size: head.size, root: head.root.0 })
    }

    async fn inclusion(&self, _: &Caller, index: u64, tree_size: u64) -> Result<ProofView, DeskError> {
        let proof = self.0.inclusion(index, tree_size).await.map_err(|fault| outside(&fault))?;
        let root = self.0.head_at(tree_size).await.map_err(|fault| outside(&fault))?.root.0;
        Ok(ProofView { hashes: proof.hashes().iter().map(|hash| hash.0).collect(), tree_size, root })
    }

    async fn consistency(&self, _: &Caller, old_size: u64, tree_size: u64) -> Result<ProofView, DeskError> {
        let proof = self.0.consistency(old_size, tree_size).await.map_err(|fault| outside(&fault))?;
        let root = self.0.head_at(tree_size).await.map_err(|fault| outside(&fault))?.root.0;
        Ok(ProofView { hashes: proof.hashes().iter().map(|hash| hash.0).collect(), tree_size, root })
    }
}

/// What lies outside the log is the caller's to mend.
fn outside(fault: &JournalFault) -> DeskError {
    match fault {
        JournalFault::Tree(outside) => {
            let cure = "ask within the size of the newest checkpoint";
            Invalid::new(Code::FieldMalformed, "tree_size", outside.to_string(), cure).into()
        }
        fault => fault.desk_error(),
    }
}
