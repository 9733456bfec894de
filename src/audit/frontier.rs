//! The right edge of a growing Merkle tree: all that is needed to append and to know the root. Knows no past leaf.

use super::hash::{Head, LeafHash, NodeHash};

/// The roots of the complete subtrees that make up a tree, largest first: one for each bit set in the size.
///
/// Takes at most 64 hashes, so a copy of it is how a batch of leaves is tried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    // INVARIANT: as many as `size` has bits set (test `the_frontier_holds_one_hash_for_each_bit_of_its_size`).
    subtrees: Vec<NodeHash>,
}

impl Frontier {
    /// Appends one leaf and tells `completed` of each subtree that became complete, as (level, hash), from the leaf up.
    pub fn push(&mut self, leaf: LeafHash, completed: &mut dyn FnMut(u32, NodeHash)) {
        let mut hash = NodeHash::from(leaf);
        completed(0, hash);
        for level in 1..=self.size.trailing_ones() {
            let Some(left) = self.subtrees.pop() else { break };
            hash = NodeHash::of(left, hash);
            completed(level, hash);
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// Number of leaves so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Size and root: the subtrees hashed together from the right (RFC 6962 section 2.1).
    pub fn head(&self) -> Head {
        let root = self.subtrees.iter().rev().copied().reduce(|right, left| NodeHash::of(left, right));
        Head { size: self.size, root: root.unwrap_or(NodeHash::EMPTY) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frontier_holds_one_hash_for_each_bit_of_its_size() {
        let mut frontier = Frontier::default();
        for n in 0_u64..300 {
            assert_eq!(frontier.subtrees.len(), n.count_ones() as usize);
            let mut levels = Vec::new();
            frontier.push(LeafHash::of(&n.to_be_bytes()), &mut |level, _| levels.push(level));
            assert_eq!(levels, (0..=n.trailing_ones()).collect::<Vec<_>>());
        }
    }
}
