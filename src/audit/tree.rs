//! The Merkle tree of one log, in memory: appends, roots, inclusion and consistency proofs. RFC 6962 section 2.1.
//!
//! Keeps every complete subtree of 256 leaves and more (a quarter of a byte for each leaf), and the smaller ones only
//! for the newest [`WINDOW`] leaves (4 MiB). Does not know where older leaf hashes are stored: it names the ranges
//! it needs and the caller brings them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;

use tlog_tiles::{Hash, HashReader, split_stored_hash_index};

use super::frontier::Frontier;
use super::hash::{Head, LeafHash, NodeHash};
use super::leaves::{LeafHashes, joined, leaves_below};
use super::proof::{ConsistencyProof, InclusionProof};

/// How many of the newest leaves have all their hashes in memory.
pub const WINDOW: usize = 65_536;
/// Subtrees of `2^8` leaves and more are kept for ever.
const LEVEL_KEPT: usize = 8;

/// Why the tree cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    /// The leaf is not below the size asked about.
    #[error("leaf {index} is not in a tree of size {size}")]
    IndexOutside {
        /// The leaf asked for.
        index: u64,
        /// The size it was asked in.
        size: u64,
    },
    /// The size lies ahead of this tree.
    #[error("size {size} is larger than the tree, which has {known} leaves")]
    SizeAhead {
        /// The size asked about.
        size: u64,
        /// The size this tree has.
        known: u64,
    },
    /// The older size is larger than the newer one.
    #[error("size {old} is not older than size {new}")]
    SizesSwapped {
        /// The size given as old.
        old: u64,
        /// The size given as new.
        new: u64,
    },
    /// Leaf hashes left memory: bring these ranges and ask again.
    #[error("older leaf hashes are needed: {0:?}")]
    LeavesNeeded(Vec<Range<u64>>),
    /// A batch was computed on another head than the tree now has; nothing was applied.
    #[error("the batch was computed on head {base}, the tree stands at {now}")]
    Stale {
        /// Where the batch started.
        base: Head,
        /// Where the tree is.
        now: Head,
    },
    /// The proof library refused; the text is its own.
    #[error("no proof: {0}")]
    NoProof(String),
}

/// What a batch of leaves would do to the tree. Dropping it undoes nothing, because nothing was done.
#[derive(Debug)]
pub struct TreeDelta {
    base: Head,
    frontier: Frontier,
    completed: Vec<(u32, NodeHash)>,
}

impl TreeDelta {
    /// The head the batch was computed on.
    pub const fn base(&self) -> Head {
        self.base
    }

    /// The head the tree has once the batch is applied.
    pub fn head(&self) -> Head {
        self.frontier.head()
    }
}

/// One level of the tree: complete subtrees from number `first` on.
#[derive(Debug, Default)]
struct Level {
    first: u64,
    hashes: VecDeque<NodeHash>,
}

impl Level {
    fn hash(&self, number: u64) -> Option<NodeHash> {
        self.hashes.get(usize::try_from(number.checked_sub(self.first)?).ok()?).copied()
    }

    fn keep_newest(&mut self, count: usize) {
        while self.hashes.len() > count {
            self.hashes.pop_front();
            self.first += 1;
        }
    }
}

/// A log's tree.
#[derive(Debug)]
pub struct Tree {
    frontier: Frontier,
    levels: Vec<Level>,
    window: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self::with_window(WINDOW)
    }
}

impl Tree {
    pub(super) fn with_window(window: usize) -> Self {
        Self { frontier: Frontier::default(), levels: Vec::new(), window }
    }

    /// Builds the tree again from all leaf hashes of a log, in order.
    pub fn rebuild(hashes: impl IntoIterator<Item = LeafHash>) -> Self {
        let mut tree = Self::default();
        tree.extend(hashes);
        tree
    }

    /// Appends leaf hashes that are already durable (one page of a start-up, or leaves refilled from elsewhere).
    pub fn extend(&mut self, hashes: impl IntoIterator<Item = LeafHash>) {
        let Self { frontier, levels, window } = self;
        for leaf in hashes {
            frontier.push(leaf, &mut |level, hash| keep(levels, *window, level, hash));
        }
    }

    /// Computes what appending a batch would give, without doing it.
    pub fn append_batch(&self, hashes: &[LeafHash]) -> TreeDelta {
        let mut frontier = self.frontier.clone();
        let mut completed = Vec::with_capacity(hashes.len() * 2);
        for leaf in hashes {
            frontier.push(*leaf, &mut |level, hash| completed.push((level, hash)));
        }
        TreeDelta { base: self.head(), frontier, completed }
    }

    /// Takes a batch over after it became durable; refuses one that was computed on another head.
    pub fn apply(&mut self, delta: TreeDelta) -> Result<(), TreeFault> {
        if delta.base != self.head() {
            return Err(TreeFault::Stale { base: delta.base, now: self.head() });
        }
        for (level, hash) in delta.completed {
            keep(&mut self.levels, self.window, level, hash);
        }
        self.frontier = delta.frontier;
        Ok(())
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Size and root now.
    pub fn head(&self) -> Head {
        self.frontier.head()
    }

    /// The head this tree had at an earlier size.
    pub fn head_at(&self, size: u64, old: &dyn LeafHashes) -> Result<Head, TreeFault> {
        self.reached(size)?;
        if size == self.size() {
            return Ok(self.head());
        }
        let root = self.ask(old, |reader| tlog_tiles::tree_hash(size, reader))?;
        Ok(Head { size, root: root.into() })
    }

    /// Proves that leaf `index` is in this tree as it was at `size` (RFC 6962 section 2.1.1).
    pub fn prove_inclusion(
        &self,
        index: u64,
        size: u64,
        old: &dyn LeafHashes,
    ) -> Result<InclusionProof, TreeFault> {
        self.reached(size)?;
        if index >= size {
            return Err(TreeFault::IndexOutside { index, size });
        }
        let path = self.ask(old, |reader| tlog_tiles::prove_record(size, index, reader))?;
        InclusionProof::new(path.into_iter().map(NodeHash::from).collect()).map_err(no_proof)
    }

    /// Proves that this tree at size `new` only appends to what it was at size `from` (RFC 6962 section 2.1.2).
    ///
    /// The proof is empty from size 0 and between equal sizes.
    pub fn prove_consistency(
        &self,
        from: u64,
        new: u64,
        old: &dyn LeafHashes,
    ) -> Result<ConsistencyProof, TreeFault> {
        self.reached(new)?;
        if from > new {
            return Err(TreeFault::SizesSwapped { old: from, new });
        }
        if from == 0 {
            return Ok(ConsistencyProof::empty());
        }
        let path = self.ask(old, |reader| tlog_tiles::prove_tree(new, from, reader))?;
        ConsistencyProof::new(path.into_iter().map(NodeHash::from).collect()).map_err(no_proof)
    }

    fn reached(&self, size: u64) -> Result<(), TreeFault> {
        let known = self.size();
        if size > known { Err(TreeFault::SizeAhead { size, known }) } else { Ok(()) }
    }

    fn ask<T>(
        &self,
        old: &dyn LeafHashes,
        question: impl FnOnce(&Reader<'_>) -> Result<T, tlog_tiles::Error>,
    ) -> Result<T, TreeFault> {
        let reader = Reader { tree: self, old, missing: RefCell::new(Vec::new()) };
        let answer = question(&reader).map_err(no_proof)?;
        let missing = reader.missing.into_inner();
        if missing.is_empty() { Ok(answer) } else { Err(TreeFault::LeavesNeeded(joined(missing))) }
    }

    fn node(&self, level: u8, number: u64) -> Option<NodeHash> {
        self.levels.get(usize::from(level))?.hash(number)
    }
}

fn keep(levels: &mut Vec<Level>, window: usize, level: u32, hash: NodeHash) {
    let level = level as usize;
    if level >= levels.len() {
        levels.resize_with(level + 1, Level::default);
    }
    if let Some(row) = levels.get_mut(level) {
        row.hashes.push_back(hash);
        if level < LEVEL_KEPT {
            row.keep_newest(window >> level);
        }
    }
}

fn no_proof(why: impl std::fmt::Display) -> TreeFault {
    TreeFault::NoProof(why.to_string())
}

/// Answers the proof library from memory and from old leaves, and notes what it could not find.
struct Reader<'a> {
    tree: &'a Tree,
    old: &'a dyn LeafHashes,
    missing: RefCell<Vec<Range<u64>>>,
}

impl Reader<'_> {
    fn node(&self, index: u64) -> NodeHash {
        let (level, number) = split_stored_hash_index(index);
        self.tree.node(level, number).or_else(|| self.old_node(level, number)).unwrap_or_else(|| {
            // `Tree::ask` throws the answer away when anything is noted here
            self.missing.borrow_mut().push(leaves_below(level, number));
            NodeHash::EMPTY
        })
    }

    fn old_node(&self, level: u8, number: u64) -> Option<NodeHash> {
        let range = leaves_below(level, number);
        let leaves = self.old.read(range.clone())?;
        if leaves.len() as u64 != range.end - range.start {
            return None;
        }
        let mut frontier = Frontier::default();
        leaves.into_iter().for_each(|leaf| frontier.push(leaf, &mut |_, _| ()));
        Some(frontier.head().root)
    }
}

impl HashReader for Reader<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|&index| self.node(index).into()).collect())
    }
}
