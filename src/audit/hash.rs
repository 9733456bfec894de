//! The three words of a Merkle tree: a leaf's hash, an inner node's hash, and a head (size with root). RFC 6962 section 2.1.

use std::fmt;

use data_encoding::HEXLOWER;

/// SHA-256 over `0x00 || leaf`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafHash(pub [u8; 32]);

/// The hash of a subtree: `SHA-256(0x01 || left || right)`, or of a single leaf; a root is one too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeHash(pub [u8; 32]);

/// A tree's size in leaves together with the root it has at that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// The Merkle tree hash over them.
    pub root: NodeHash,
}

impl LeafHash {
    /// Hashes the bytes of one leaf.
    pub fn of(leaf: &[u8]) -> Self {
        Self(tlog_tiles::record_hash(leaf).0)
    }
}

impl NodeHash {
    /// The root of the tree without leaves: SHA-256 of nothing.
    pub const EMPTY: Self = Self(tlog_tiles::EMPTY_HASH.0);

    /// Hashes two neighbouring subtrees into their parent.
    pub fn of(left: Self, right: Self) -> Self {
        Self(tlog_tiles::node_hash(left.into(), right.into()).0)
    }
}

impl Head {
    /// The head of the tree without leaves.
    pub const EMPTY: Self = Self { size: 0, root: NodeHash::EMPTY };
}

impl From<LeafHash> for NodeHash {
    fn from(leaf: LeafHash) -> Self {
        Self(leaf.0)
    }
}

impl From<NodeHash> for tlog_tiles::Hash {
    fn from(hash: NodeHash) -> Self {
        Self(hash.0)
    }
}

impl From<tlog_tiles::Hash> for NodeHash {
    fn from(hash: tlog_tiles::Hash) -> Self {
        Self(hash.0)
    }
}

macro_rules! shown_as_hex {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

shown_as_hex!(LeafHash NodeHash);

/// `size:root`, root in hex.
impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.size, self.root)
    }
}
