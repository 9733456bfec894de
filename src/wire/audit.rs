//! The log on the wire and at the desk.

use super::field::{hash, hashes, hashes_to_wire};
use super::v1;
use crate::desk::{AuditEntry, CheckpointView, ProofView};
use crate::withdrawal::Invalid;

impl From<AuditEntry> for v1::LogEntry {
    fn from(entry: AuditEntry) -> Self {
        Self { index: entry.index, leaf: entry.leaf }
    }
}

impl From<v1::LogEntry> for AuditEntry {
    fn from(wire: v1::LogEntry) -> Self {
        Self { index: wire.index, leaf: wire.leaf }
    }
}

impl From<CheckpointView> for v1::Checkpoint {
    fn from(view: CheckpointView) -> Self {
        Self { note: view.note, tree_size: view.tree_size, root_hash: view.root.to_vec() }
    }
}

impl TryFrom<v1::Checkpoint> for CheckpointView {
    type Error = Invalid;

    fn try_from(wire: v1::Checkpoint) -> Result<Self, Invalid> {
        Ok(Self { note: wire.note, tree_size: wire.tree_size, root: hash(&wire.root_hash, "root_hash")? })
    }
}

impl From<ProofView> for v1::Proof {
    fn from(view: ProofView) -> Self {
        Self {
            hashes: hashes_to_wire(&view.hashes),
            tree_size: view.tree_size,
            root_hash: view.root.to_vec(),
        }
    }
}

impl TryFrom<v1::Proof> for ProofView {
    type Error = Invalid;

    fn try_from(wire: v1::Proof) -> Result<Self, Invalid> {
        Ok(Self {
            hashes: hashes(&wire.hashes, "hashes")?,
            tree_size: wire.tree_size,
            root: hash(&wire.root_hash, "root_hash")?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn checkpoints_and_proofs_come_back_from_the_wire_as_they_were() {
        let head = CheckpointView { note: "n\n\n— k s\n".into(), tree_size: 3, root: [9; 32] };
        assert_eq!(CheckpointView::try_from(v1::Checkpoint::from(head.clone())), Ok(head));
        let proof = ProofView { hashes: vec![[1; 32], [2; 32]], tree_size: 3, root: [9; 32] };
        assert_eq!(ProofView::try_from(v1::Proof::from(proof.clone())), Ok(proof));
    }

    #[test]
    fn a_hash_of_another_length_or_a_proof_without_end_is_refused() {
        let wire = v1::Proof { hashes: vec![vec![1; 31]], tree_size: 3, root_hash: vec![9; 32] };
        assert_eq!(ProofView::try_from(wire).unwrap_err().field, "hashes");
        let wire = v1::Proof { hashes: vec![vec![1; 32]; 131], tree_size: 3, root_hash: vec![9; 32] };
        assert!(ProofView::try_from(wire).is_err());
    }
}
