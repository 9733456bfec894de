//! Checking proofs: this leaf is in that tree; that tree only appends to this one. RFC 6962 section 2.1, no I/O.

use super::checkpoint::VerifiedCheckpoint;
use super::entry::{Entry, EntryInvalid};
use super::hash::{Head, LeafHash, NodeHash};

/// Most hashes a proof may have (C2SP tlog-witness; a tree of 2^63 leaves needs no more).
pub const PROOF_LEN_MAX: usize = 63;

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofInvalid {
    /// More hashes than any tree needs.
    #[error("the proof has {0} hashes, the limit is {PROOF_LEN_MAX}")]
    TooLong(usize),
    /// A hash that is not 32 bytes.
    #[error("hash {0} of the proof is not 32 bytes long")]
    HashLength(usize),
    /// The leaf cannot be in a tree of that size.
    #[error("leaf {index} is not in a tree of size {size}")]
    IndexOutside {
        /// The leaf's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The newer tree is smaller than the older.
    #[error("a tree of size {new} cannot append to one of size {old}")]
    SizeBack {
        /// The older size.
        old: u64,
        /// The newer size.
        new: u64,
    },
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root")]
    Wrong,
    /// The leaf is in the log but is no entry.
    #[error("the leaf is no entry: {0}")]
    NoEntry(#[from] EntryInvalid),
}

macro_rules! hash_list {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name(Vec<tlog_tiles::Hash>);

        impl $name {
            /// Takes the hashes of a proof, lowest first; at most [`PROOF_LEN_MAX`].
            pub fn new(hashes: Vec<NodeHash>) -> Result<Self, ProofInvalid> {
                if hashes.len() > PROOF_LEN_MAX {
                    return Err(ProofInvalid::TooLong(hashes.len()));
                }
                Ok(Self(hashes.into_iter().map(Into::into).collect()))
            }

            /// The proof without hashes.
            pub const fn empty() -> Self {
                Self(Vec::new())
            }

            /// Reads the hashes of a proof as they come from the wire.
            pub fn from_wire<B: AsRef<[u8]>>(hashes: &[B]) -> Result<Self, ProofInvalid> {
                if hashes.len() > PROOF_LEN_MAX {
                    return Err(ProofInvalid::TooLong(hashes.len()));
                }
                let read = |(at, hash): (usize, &B)| {
                    hash.as_ref().try_into().map(NodeHash).map_err(|_| ProofInvalid::HashLength(at))
                };
                Self::new(hashes.iter().enumerate().map(read).collect::<Result<_, _>>()?)
            }

            /// The hashes for the wire, lowest first.
            pub fn to_wire(&self) -> Vec<Vec<u8>> {
                self.0.iter().map(|hash| hash.0.to_vec()).collect()
            }

            /// The hashes, lowest first.
            pub fn hashes(&self) -> Vec<NodeHash> {
                self.0.iter().copied().map(NodeHash::from).collect()
            }
        }
    };
}

hash_list!(
    /// An audit path: from a leaf's sibling up to the root's child (RFC 6962 section 2.1.1).
    InclusionProof
);
hash_list!(
    /// That a newer tree has an older one as its prefix (RFC 6962 section 2.1.2).
    ConsistencyProof
);

/// Checks that the leaf with this hash has this index in the tree with this head.
pub fn verify_inclusion(
    leaf: LeafHash,
    index: u64,
    head: &Head,
    proof: &InclusionProof,
) -> Result<(), ProofInvalid> {
    if index >= head.size {
        return Err(ProofInvalid::IndexOutside { index, size: head.size });
    }
    tlog_tiles::check_record(&proof.0, head.size, head.root.into(), index, NodeHash::from(leaf).into())
        .map_err(|_| ProofInvalid::Wrong)
}

/// Checks that the tree with head `new` begins with the tree with head `old`.
///
/// Everything appends to the empty tree, by an empty proof; equal sizes need equal roots and an empty proof.
pub fn verify_consistency(old: &Head, new: &Head, proof: &ConsistencyProof) -> Result<(), ProofInvalid> {
    if old.size > new.size {
        return Err(ProofInvalid::SizeBack { old: old.size, new: new.size });
    }
    let holds = if old.size == 0 {
        proof.0.is_empty() && *old == Head::EMPTY && (new.size > 0 || *new == Head::EMPTY)
    } else {
        tlog_tiles::check_tree(&proof.0, new.size, new.root.into(), old.size, old.root.into()).is_ok()
    };
    if holds { Ok(()) } else { Err(ProofInvalid::Wrong) }
}

/// An entry that is proved to stand in a log whose head was signed. Made only by [`Logged::verify`].
///
/// It says nothing about other heads the log may have signed: who acts on an entry wants a
/// [`super::witness::WitnessedEntry`].
#[derive(Debug)]
pub struct Logged {
    entry: Entry,
    index: u64,
    head: Head,
}

impl Logged {
    /// Reads a leaf and checks that it stands at `index` under the checkpoint.
    pub fn verify(
        checkpoint: &VerifiedCheckpoint,
        index: u64,
        leaf: &[u8],
        proof: &InclusionProof,
    ) -> Result<Self, ProofInvalid> {
        Self::under(checkpoint.head(), index, leaf, proof)
    }

    /// The same under a head that the caller has evidence for.
    pub(super) fn under(
        head: &Head,
        index: u64,
        leaf: &[u8],
        proof: &InclusionProof,
    ) -> Result<Self, ProofInvalid> {
        verify_inclusion(LeafHash::of(leaf), index, head, proof)?;
        Ok(Self { entry: Entry::parse(leaf)?, index, head: *head })
    }

    /// The entry.
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Its index in the log.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The head it was proved under.
    pub const fn head(&self) -> &Head {
        &self.head
    }
}
