//! The auditors' counter: the log of either party, read by anyone who may.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;

use super::ledger::journal::{JournalFault, LogView};
use crate::desk::{Answers, AuditDesk, AuditEntry, Caller, CheckpointView, DeskError, ProofView};
use crate::withdrawal::Code;

/// A party's log, as auditors reach it.
pub struct LogDesk(Arc<LogView>);

impl LogDesk {
    /// A counter in front of a log.
    pub const fn new(log: Arc<LogView>) -> Self {
        Self(log)
    }
}

#[tonic::async_trait]
impl AuditDesk for LogDesk {
    async fn entries(
        &self,
        _caller: &Caller,
        from: u64,
        until: Option<u64>,
    ) -> Result<Answers<AuditEntry>, DeskError> {
        let end = self.0.head().size.min(until.unwrap_or(u64::MAX));
        let log = self.0.clone();
        let pages = stream::unfold(from, move |at| {
            let log = log.clone();
            async move {
                if at >= end {
                    return None;
                }
                let to = end.min(at.saturating_add(256));
                let page = match log.leaves(at..to).await {
                    Ok(leaves) => {
                        let entry = |(index, leaf)| Ok(AuditEntry { index, leaf });
                        (at..).zip(leaves).map(entry).collect::<Vec<_>>()
                    }
                    Err(fault) => return Some((vec![Err(fault.desk_error())], end)),
                };
                Some((page, to))
            }
        });
        Ok(pages.flat_map(stream::iter).boxed())
    }

    async fn checkpoint(&self, _caller: &Caller) -> Result<CheckpointView, DeskError> {
        let (tree_size, note) = self.0.cosigned_head();
        let root = self.0.head_at(tree_size).await.map_err(|fault| fault.desk_error())?.root.0;
        Ok(CheckpointView { note, tree_size, root })
    }

    async fn inclusion(&self, _caller: &Caller, index: u64, tree_size: u64) -> Result<ProofView, DeskError> {
        let proof = self.0.inclusion(index, tree_size).await.map_err(|fault| outside(&fault))?;
        let root = self.0.head_at(tree_size).await.map_err(|fault| outside(&fault))?.root.0;
        Ok(ProofView { hashes: proof.hashes().iter().map(|h| h.0).collect(), tree_size, root })
    }

    async fn consistency(
        &self,
        _caller: &Caller,
        old_size: u64,
        tree_size: u64,
    ) -> Result<ProofView, DeskError> {
        let proof = self.0.consistency(old_size, tree_size).await.map_err(|fault| outside(&fault))?;
        let root = self.0.head_at(tree_size).await.map_err(|fault| outside(&fault))?.root.0;
        Ok(ProofView { hashes: proof.hashes().iter().map(|h| h.0).collect(), tree_size, root })
    }
}

/// A proof that cannot be had because what was asked lies outside the log is the caller's to mend.
fn outside(fault: &JournalFault) -> DeskError {
    match fault {
        JournalFault::Tree(outside) => {
            let cure = "ask within the size of the newest checkpoint";
            crate::withdrawal::Invalid::new(Code::FieldMalformed, "tree_size", outside.to_string(), cure)
                .into()
        }
        fault => fault.desk_error(),
    }
}
