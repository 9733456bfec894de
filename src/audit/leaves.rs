//! Leaf hashes that have left the tree's memory: which are needed, and how a caller brings them. Knows no store.

use std::collections::BTreeMap;
use std::ops::Range;

use super::hash::LeafHash;

/// Brings the hashes of leaves that have left memory.
pub trait LeafHashes {
    /// The hashes of exactly this range of leaves, or `None` where they are not at hand.
    fn read(&self, range: Range<u64>) -> Option<Vec<LeafHash>>;
}

impl<F: Fn(Range<u64>) -> Option<Vec<LeafHash>>> LeafHashes for F {
    fn read(&self, range: Range<u64>) -> Option<Vec<LeafHash>> {
        self(range)
    }
}

/// Leaf hashes that were fetched beforehand; empty at first, so that a first question learns what is needed.
#[derive(Debug, Default)]
pub struct FetchedLeaves(BTreeMap<u64, LeafHash>);

impl FetchedLeaves {
    /// Adds consecutive leaf hashes, the first of which has index `first`.
    pub fn insert(&mut self, first: u64, hashes: impl IntoIterator<Item = LeafHash>) {
        self.0.extend((first..).zip(hashes));
    }
}

impl LeafHashes for FetchedLeaves {
    fn read(&self, range: Range<u64>) -> Option<Vec<LeafHash>> {
        range.map(|index| self.0.get(&index).copied()).collect()
    }
}

/// Sorts ranges and joins those that touch.
pub(super) fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut out: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

/// The leaves under subtree `number` of a level.
pub(super) const fn leaves_below(level: u8, number: u64) -> Range<u64> {
    number << level..(number + 1) << level
}
