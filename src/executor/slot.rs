//! A slot: one nonce of the account that pays gas, with every attempt to use it up.

use crate::ethereum::{B256, GasTerms};

use super::facts::Wei;
use super::job::{Effect, JobKey};

/// One transaction for a nonce. Its bytes are made again from this, the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Whether it executes the job; otherwise it is an empty transaction to oneself.
    pub runs: bool,
    /// What it may cost.
    pub gas: GasTerms,
    /// The height of the chain when it was booked.
    pub block: u64,
    /// Its hash, once it is signed in this process.
    pub txid: Option<B256>,
}

/// An attempt in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mined {
    /// Which attempt.
    pub attempt: usize,
    /// Its hash.
    pub txid: B256,
    /// The number of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// What its gas cost.
    pub gas_paid: Wei,
    /// What it did for the job; `None` where it did nothing.
    pub effect: Option<Effect>,
}

/// How a nonce ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Used by the first attempt.
    Consumed,
    /// Used by a later one.
    Replaced,
    /// Used by an empty transaction.
    Cancelled,
    /// Used by a transaction that is none of these.
    Foreign,
}

impl End {
    /// Every end with its word.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Consumed, "consumed"),
        (Self::Replaced, "replaced"),
        (Self::Cancelled, "cancelled"),
        (Self::Foreign, "foreign"),
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(end, _)| *end == self).map_or("", |(_, word)| word)
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, word)| *word == text).map(|(end, _)| *end)
    }
}

/// One nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The account's nonce.
    pub nonce: u64,
    /// The job it was booked for.
    pub job: JobKey,
    /// Every attempt, oldest first; never empty.
    pub attempts: Vec<Attempt>,
    /// The height of the chain since which it waits: when it was booked last, or when its block was undone.
    pub since: u64,
    /// The attempt that is in a block.
    pub mined: Option<Mined>,
    /// How it ended.
    pub end: Option<End>,
}

impl Slot {
    /// Whether no block holds an attempt of it, as far as is known.
    pub const fn is_waiting(&self) -> bool {
        self.mined.is_none() && self.end.is_none()
    }

    /// The newest attempt and its place.
    pub fn newest(&self) -> Option<(usize, &Attempt)> {
        Some((self.attempts.len().checked_sub(1)?, self.attempts.last()?))
    }

    /// Whether it waits to execute its job.
    pub fn is_running(&self) -> bool {
        self.is_waiting() && self.attempts.last().is_some_and(|attempt| attempt.runs)
    }

    /// The most that any of its attempts can cost.
    pub fn fee_max(&self) -> Wei {
        self.attempts.iter().map(|attempt| super::price::cost(&attempt.gas)).max().unwrap_or(0)
    }

    /// How it ends if this attempt is final.
    pub fn end_by(&self, attempt: usize) -> End {
        match self.attempts.get(attempt) {
            Some(Attempt { runs: false, .. }) => End::Cancelled,
            Some(_) if attempt == 0 => End::Consumed,
            Some(_) => End::Replaced,
            None => End::Foreign,
        }
    }
}
