//! A whole log, leaf by leaf, against signed checkpoints: recomputes everything and names the first thing wrong.
//!
//! Takes the leaves as a stream and keeps only the tree's right edge. Trusts nothing but the checkpoints given.

use super::checkpoint::VerifiedCheckpoint;
use super::entry::{Entry, EntryInvalid};
use super::frontier::Frontier;
use super::hash::{Head, LeafHash};
use super::kind::EntryKind;
use crate::withdrawal::Seconds;

/// The first thing wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// A leaf is left out, given twice, or out of order.
    #[error("leaf {expected} is missing; leaf {found} came in its place")]
    Gap {
        /// The index that should have come.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// A leaf is no entry.
    #[error("leaf {index} is no entry: {why}")]
    NoEntry {
        /// The leaf.
        index: u64,
        /// Why not.
        why: EntryInvalid,
    },
    /// The leaf is not the one whose hash was recorded.
    #[error("leaf {index} does not have the hash recorded for it")]
    LeafDiffers {
        /// The leaf.
        index: u64,
    },
    /// `log_started` of this origin must come first, and never again.
    #[error("leaf {index} breaks the rule that a log begins with its own `log_started` and has no other")]
    Beginning {
        /// The leaf.
        index: u64,
    },
    /// An entry is dated before the one in front of it.
    #[error("leaf {index} is dated {at}, before the {before} of the leaf in front of it")]
    TimeBack {
        /// The leaf.
        index: u64,
        /// Its time.
        at: Seconds,
        /// The time of the one in front of it.
        before: Seconds,
    },
    /// The leaves do not hash to a checkpoint: something from `after` on and below `size` was changed.
    #[error("the leaves from {after} to below {size} do not lead to the signed root of size {size}")]
    RootDiffers {
        /// The largest size whose root was still right.
        after: u64,
        /// The size of the checkpoint that does not fit.
        size: u64,
    },
    /// The log ends before a checkpoint's size: its tail is missing.
    #[error("the log ends after {found} leaves, a signed checkpoint has {expected}")]
    TooShort {
        /// How many leaves came.
        found: u64,
        /// How many were signed for.
        expected: u64,
    },
    /// Leaves beyond the last checkpoint: nobody signed for them.
    #[error("leaf {index} lies beyond the last signed checkpoint")]
    BeyondCheckpoint {
        /// The first such leaf.
        index: u64,
    },
    /// The checkpoints are of several logs, of contradicting roots, or none were given.
    #[error("the checkpoints given are none, of several logs, or contradict each other")]
    Checkpoints,
}

/// A log that was verified from its first leaf to a signed checkpoint. Made only by [`LogVerifier::finish`].
#[derive(Debug)]
pub struct VerifiedLog {
    head: Head,
    last_at: Seconds,
}

impl VerifiedLog {
    /// The head that was reached.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The time of the last entry; zero for a log without entries.
    pub const fn last_at(&self) -> Seconds {
        self.last_at
    }
}

/// Verifies a log as its leaves stream by. After the first fault every further answer is worthless.
#[derive(Debug)]
pub struct LogVerifier {
    origin: String,
    // largest size first, so that the next one due is at the end
    due: Vec<Head>,
    frontier: Frontier,
    last_at: Seconds,
    good: u64,
}

impl LogVerifier {
    /// Prepares to verify against checkpoints of one log; more of them narrow down where a fault lies.
    pub fn new(checkpoints: &[&VerifiedCheckpoint]) -> Result<Self, LogFault> {
        let origin = checkpoints.first().ok_or(LogFault::Checkpoints)?.origin().to_owned();
        if checkpoints.iter().any(|checkpoint| checkpoint.origin() != origin) {
            return Err(LogFault::Checkpoints);
        }
        let mut due: Vec<Head> = checkpoints.iter().map(|checkpoint| *checkpoint.head()).collect();
        due.sort_by_key(|head| std::cmp::Reverse(head.size));
        due.dedup();
        if due.windows(2).any(|pair| matches!(pair, [a, b] if a.size == b.size)) {
            return Err(LogFault::Checkpoints);
        }
        due.retain(|head| head.size > 0);
        Ok(Self { origin, due, frontier: Frontier::default(), last_at: Seconds(0), good: 0 })
    }

    /// Takes the next leaf; `recorded` is the leaf hash stored beside it, where there is one.
    pub fn leaf(&mut self, index: u64, leaf: &[u8], recorded: Option<&LeafHash>) -> Result<Entry, LogFault> {
        let expected = self.frontier.size();
        if index != expected {
            return Err(LogFault::Gap { expected, found: index });
        }
        if self.due.is_empty() {
            return Err(LogFault::BeyondCheckpoint { index });
        }
        let hash = LeafHash::of(leaf);
        if recorded.is_some_and(|recorded| *recorded != hash) {
            return Err(LogFault::LeafDiffers { index });
        }
        let entry = Entry::parse(leaf).map_err(|why| LogFault::NoEntry { index, why })?;
        self.check_order(index, &entry)?;
        self.frontier.push(hash, &mut |_, _| ());
        self.check_root()?;
        Ok(entry)
    }

    fn check_order(&mut self, index: u64, entry: &Entry) -> Result<(), LogFault> {
        let begins = entry.kind() == EntryKind::LogStarted;
        let own = entry.field("origin") == Some(self.origin.as_str());
        if begins != (index == 0) || (begins && !own) {
            return Err(LogFault::Beginning { index });
        }
        if entry.at() < self.last_at {
            return Err(LogFault::TimeBack { index, at: entry.at(), before: self.last_at });
        }
        self.last_at = entry.at();
        Ok(())
    }

    fn check_root(&mut self) -> Result<(), LogFault> {
        let size = self.frontier.size();
        if let Some(due) = self.due.pop_if(|due| due.size == size) {
            if due != self.frontier.head() {
                return Err(LogFault::RootDiffers { after: self.good, size });
            }
            self.good = size;
        }
        Ok(())
    }

    /// Ends the stream: the leaves must have reached the largest checkpoint.
    pub fn finish(self) -> Result<VerifiedLog, LogFault> {
        let head = self.frontier.head();
        match self.due.first() {
            Some(due) => Err(LogFault::TooShort { found: head.size, expected: due.size }),
            None => Ok(VerifiedLog { head, last_at: self.last_at }),
        }
    }
}

/// Verifies a whole log at once: (index, leaf bytes) in order, against one or more checkpoints.
pub fn verify_log<B: AsRef<[u8]>>(
    leaves: impl IntoIterator<Item = (u64, B)>,
    checkpoints: &[&VerifiedCheckpoint],
) -> Result<VerifiedLog, LogFault> {
    let mut verifier = LogVerifier::new(checkpoints)?;
    for (index, leaf) in leaves {
        verifier.leaf(index, leaf.as_ref(), None)?;
    }
    verifier.finish()
}
