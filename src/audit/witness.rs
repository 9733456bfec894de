//! May I vouch for this head? The decision of C2SP tlog-witness as a value. Stores nothing and signs nothing.
//!
//! The caller checks and replaces what it has witnessed in one atomic step, or two heads could pass side by side.

use super::checkpoint::{Checkpoint, VerifiedCheckpoint};
use super::entry::Entry;
use super::hash::{Head, NodeHash};
use super::proof::{ConsistencyProof, InclusionProof, Logged, ProofInvalid, verify_consistency};

/// What a witness knows of one log before a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The log's name.
    pub origin: String,
    /// The last head accepted; [`Head::EMPTY`] if there was none.
    pub last: Head,
    /// The root accepted earlier at exactly the submitted size, where the witness still has it.
    pub root_at_size: Option<NodeHash>,
}

/// What a log hands its witness.
#[derive(Debug)]
pub struct Submission<'a> {
    /// The new head.
    pub checkpoint: &'a VerifiedCheckpoint,
    /// The size the log believes the witness to know.
    pub old_size: u64,
    /// From `old_size` to the checkpoint's size; empty from 0.
    pub proof: &'a ConsistencyProof,
}

/// A head that may be cosigned. Made only by [`witness`].
#[derive(Debug)]
pub struct Accepted {
    checkpoint: Checkpoint,
    from: Head,
}

impl Accepted {
    /// The head accepted, to be made durable before it is cosigned.
    pub const fn head(&self) -> &Head {
        self.checkpoint.head()
    }

    /// The head it was proved to append to.
    pub const fn from(&self) -> &Head {
        &self.from
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.checkpoint.origin()
    }

    /// Reads a leaf and checks that it stands at `index` under the accepted head.
    pub fn prove_entry(
        &self,
        index: u64,
        leaf: &[u8],
        proof: &InclusionProof,
    ) -> Result<WitnessedEntry, ProofInvalid> {
        Logged::under(self.head(), index, leaf, proof).map(WitnessedEntry)
    }

    pub(super) const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// An entry that stands in a log under a head this witness accepted. Made only by [`Accepted::prove_entry`].
#[derive(Debug)]
pub struct WitnessedEntry(Logged);

impl WitnessedEntry {
    /// The entry.
    pub const fn entry(&self) -> &Entry {
        self.0.entry()
    }

    /// Its index in the log.
    pub const fn index(&self) -> u64 {
        self.0.index()
    }

    /// The accepted head it was proved under.
    pub const fn head(&self) -> &Head {
        self.0.head()
    }
}

/// How two heads of one log contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The same size with two roots: proof enough by itself.
    OtherRoot,
    /// A larger head that the log cannot prove to append to the last one.
    NotProved,
}

/// What a witness answers.
#[derive(Debug)]
pub enum Witness {
    /// The head appends to the last one, or is the last one again: make it durable, then cosign (200).
    Accept(Accepted),
    /// The log's idea of the last size is out of date; here is the size known. No alarm (409).
    Known {
        /// The size of the last head accepted.
        size: u64,
    },
    /// The head contradicts the last one: nothing is signed any more and people must look (409, 422).
    Fork(Fork),
    /// Another log than the one asked about (404).
    OtherLog,
    /// The old size is above the checkpoint's own size (400).
    Malformed,
}

/// Decides on a submission, given what was witnessed before.
pub fn witness(known: &Witnessed, submitted: &Submission<'_>) -> Witness {
    let head = submitted.checkpoint.head();
    if submitted.checkpoint.origin() != known.origin {
        return Witness::OtherLog;
    }
    if contradicts(known, head) {
        return Witness::Fork(Fork::OtherRoot);
    }
    if submitted.old_size > head.size {
        return Witness::Malformed;
    }
    if submitted.old_size != known.last.size {
        return Witness::Known { size: known.last.size };
    }
    if verify_consistency(&known.last, head, submitted.proof).is_err() {
        return Witness::Fork(Fork::NotProved);
    }
    let checkpoint = submitted.checkpoint.checkpoint().clone();
    Witness::Accept(Accepted { checkpoint, from: known.last })
}

/// Decides on a head older than the last one, where the log proves that the last one appends to it: catching up.
pub fn witness_older(
    known: &Witnessed,
    checkpoint: &VerifiedCheckpoint,
    proof_to_last: &ConsistencyProof,
) -> Witness {
    if checkpoint.origin() != known.origin {
        return Witness::OtherLog;
    }
    if contradicts(known, checkpoint.head()) {
        return Witness::Fork(Fork::OtherRoot);
    }
    if checkpoint.head().size > known.last.size {
        return Witness::Malformed;
    }
    match verify_consistency(checkpoint.head(), &known.last, proof_to_last) {
        Ok(()) => Witness::Known { size: known.last.size },
        Err(_) => Witness::Fork(Fork::NotProved),
    }
}

fn contradicts(known: &Witnessed, head: &Head) -> bool {
    let other_than_last = head.size == known.last.size && head.root != known.last.root;
    other_than_last || known.root_at_size.is_some_and(|root| root != head.root)
}
