//! What is handed over about the signing log. Who gets it can verify it alone.

use super::{Answers, Caller, DeskError};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place, from 0.
    pub index: u64,
    /// The leaf's bytes: an RFC 8785 JSON object.
    pub leaf: Vec<u8>,
}

/// The newest head of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointView {
    /// The signed note (C2SP tlog-checkpoint) with the co-signer's cosignature, where it has one.
    pub note: String,
    /// How many entries it covers.
    pub tree_size: u64,
    /// The root hash (RFC 6962).
    pub root: [u8; 32],
}

/// A Merkle proof (RFC 6962, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofView {
    /// The hashes, in the RFC's order.
    pub hashes: Vec<[u8; 32]>,
    /// The tree it leads to.
    pub tree_size: u64,
    /// That tree's root.
    pub root: [u8; 32],
}

/// The counter for auditors.
#[tonic::async_trait]
pub trait AuditDesk: Send + Sync + 'static {
    /// The entries from `from` on, up to and without `until`, in order; without `until`, up to the present head.
    async fn entries(
        &self,
        caller: &Caller,
        from: u64,
        until: Option<u64>,
    ) -> Result<Answers<AuditEntry>, DeskError>;

    /// The newest checkpoint.
    async fn checkpoint(&self, caller: &Caller) -> Result<CheckpointView, DeskError>;

    /// That an entry is in the tree of that size.
    async fn inclusion(&self, caller: &Caller, index: u64, tree_size: u64) -> Result<ProofView, DeskError>;

    /// That the tree of the first size is the beginning of the tree of the second.
    async fn consistency(
        &self,
        caller: &Caller,
        old_size: u64,
        tree_size: u64,
    ) -> Result<ProofView, DeskError>;
}
