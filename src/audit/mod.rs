//! The log: entry → canonical bytes → leaf → tree → checkpoint → proofs. No storage, no clock, no private key.
//!
//! In reading order: [`kind`] (what can be written down), [`entry`] (one leaf), [`hash`] (the three words of a Merkle
//! tree), [`frontier`], [`leaves`] and [`tree`] (growing it, proving from it), [`proof`] (checking proofs), [`key`]
//! (public keys by name), [`checkpoint`] (a signed head), [`cosignature`] (somebody else saw that head), [`witness`] (may
//! I say that I saw it?), [`standing`] (is my log still the one that was seen?), [`verify`] (a whole log, leaf by leaf).
//!
//! Sources: RFC 6962 section 2.1, RFC 8785, C2SP signed-note, tlog-checkpoint, tlog-cosignature and tlog-witness.

pub mod checkpoint;
pub mod cosignature;
pub mod entry;
pub mod frontier;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod hash;
pub mod key;
pub mod kind;
pub mod leaves;
pub mod proof;
pub mod standing;
pub mod tree;
pub mod verify;
pub mod witness;

pub use checkpoint::{Checkpoint, CheckpointInvalid, VerifiedCheckpoint};
pub use cosignature::{Cosignature, CosignatureInvalid};
pub use entry::{Entry, EntryBuilder, EntryInvalid};
pub use hash::{Head, LeafHash, NodeHash};
pub use key::{KeyInvalid, LogKey, WitnessKey};
pub use kind::EntryKind;
pub use leaves::{FetchedLeaves, LeafHashes};
pub use proof::{ConsistencyProof, InclusionProof, Logged, ProofInvalid};
pub use standing::Standing;
pub use tree::{Tree, TreeDelta, TreeFault};
pub use verify::{LogFault, LogVerifier, VerifiedLog};
pub use witness::{Accepted, Fork, Submission, Witness, Witnessed, WitnessedEntry};

#[cfg(test)]
mod tests;
