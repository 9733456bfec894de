//! How one's own log stands to a head that somebody else vouches for: the question at every start. Decides nothing more.

use super::hash::Head;
use super::leaves::LeafHashes;
use super::proof::ConsistencyProof;
use super::tree::{Tree, TreeFault};

/// How an own tree stands to a witnessed head.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It is exactly that head.
    Same,
    /// It has that head and more; the proof shows it to the witness.
    Ahead(ConsistencyProof),
    /// It is smaller: a tail is missing, and nothing may be signed until it is back.
    Behind {
        /// How many leaves are missing.
        missing: u64,
    },
    /// It has another root at that size: one of the two histories is false.
    Forked,
}

impl Tree {
    /// Compares this tree with a head that was witnessed elsewhere.
    ///
    /// The answer is `Behind` for every larger head: whether the leaves here are its beginning shows once the tail is back.
    pub fn standing(&self, witnessed: &Head, old: &dyn LeafHashes) -> Result<Standing, TreeFault> {
        if let Some(missing) = witnessed.size.checked_sub(self.size()).filter(|missing| *missing > 0) {
            return Ok(Standing::Behind { missing });
        }
        if self.head_at(witnessed.size, old)? != *witnessed {
            return Ok(Standing::Forked);
        }
        if witnessed.size == self.size() {
            return Ok(Standing::Same);
        }
        Ok(Standing::Ahead(self.prove_consistency(witnessed.size, self.size(), old)?))
    }
}
