//! Following the chain block by block, and noticing what was undone: a block whose parent is not the one before it.

use std::collections::VecDeque;

use super::block::Block;
use super::fault::NotAgreed;
use super::nodes::Nodes;
use super::said::Agreed;
use crate::withdrawal::Code;

/// The most blocks that one step adds.
const STEP_MAX: u64 = 64;

/// The last blocks that were followed, oldest first, each the parent of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    blocks: VecDeque<Block>,
    len_max: usize,
}

/// What became of the chain since the last step.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing that enough nodes have.
    Still,
    /// These blocks came, oldest first.
    Added(Vec<Block>),
    /// These blocks are no longer part of the chain, newest first. What replaced them comes with the next step.
    Undone(Vec<Block>),
}

/// The chain cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrailFault {
    /// Nothing is known.
    #[error(transparent)]
    NotAgreed(#[from] NotAgreed),
    /// More was undone than is remembered: nothing that was believed of this chain holds. An alarm.
    #[error("all of the last {0} blocks are undone")]
    TooDeep(usize),
    /// These blocks do not follow each other.
    #[error("blocks that do not follow each other are no trail")]
    Broken,
}

impl TrailFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        Code::NodesNotAgreed
    }
}

impl Trail {
    /// A trail that begins with this block and remembers so many, at least one.
    pub fn begin(at: &Agreed<Block>, len_max: usize) -> Self {
        Self { blocks: VecDeque::from([*at.value()]), len_max: len_max.max(1) }
    }

    /// A trail as it was kept, oldest block first.
    pub fn resume(blocks: Vec<Block>, len_max: usize) -> Result<Self, TrailFault> {
        let pairs = blocks.iter().zip(blocks.iter().skip(1));
        let linked = pairs.into_iter().all(|(one, next)| follows(one, next));
        if blocks.is_empty() || blocks.len() > len_max || !linked {
            return Err(TrailFault::Broken);
        }
        Ok(Self { blocks: blocks.into(), len_max })
    }

    /// The blocks, oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    /// The newest block.
    pub fn tip(&self) -> Option<&Block> {
        self.blocks.back()
    }

    /// Takes a block that follows the newest one; says whether it does.
    pub(super) fn add(&mut self, block: Block) -> bool {
        if !self.tip().is_some_and(|tip| follows(tip, &block)) {
            return false;
        }
        self.blocks.push_back(block);
        if self.blocks.len() > self.len_max {
            self.blocks.pop_front();
        }
        true
    }

    /// Goes one step on, with what the quorum says. After an error the trail is as it was.
    pub async fn step(&mut self, nodes: &Nodes) -> Result<Step, TrailFault> {
        let tip = *self.tip().ok_or(TrailFault::Broken)?;
        let head = nodes.latest().await?.into_value();
        // nodes that are behind have undone nothing: what is compared is what both have
        let shared = head.number.min(tip.number);
        let Some(known) = self.blocks.iter().find(|block| block.number == shared).copied() else {
            return Ok(Step::Still);
        };
        if nodes.block_at(shared).await?.value().hash != known.hash {
            return self.undo(nodes, shared).await;
        }
        let last = head.number.min(tip.number.saturating_add(STEP_MAX));
        let mut added = Vec::new();
        let mut grown = self.clone();
        let mut next = tip.number.saturating_add(1);
        while next <= last {
            let block = nodes.block_at(next).await?.into_value();
            if !grown.add(block) {
                // undone while we walked: the next step sees it
                break;
            }
            added.push(block);
            next = next.saturating_add(1);
        }
        *self = grown;
        Ok(if added.is_empty() { Step::Still } else { Step::Added(added) })
    }

    /// Walks back to the newest block that is still part of the chain. What lies on an undone block is undone.
    async fn undo(&mut self, nodes: &Nodes, other: u64) -> Result<Step, TrailFault> {
        let mut undone = Vec::new();
        for block in self.blocks.iter().rev() {
            if block.number < other && nodes.block_at(block.number).await?.value().hash == block.hash {
                break;
            }
            undone.push(*block);
        }
        let kept = self.blocks.len().saturating_sub(undone.len());
        if kept == 0 {
            return Err(TrailFault::TooDeep(self.blocks.len()));
        }
        self.blocks.truncate(kept);
        Ok(Step::Undone(undone))
    }
}

fn follows(one: &Block, next: &Block) -> bool {
    one.number.checked_add(1) == Some(next.number) && next.parent == one.hash
}
