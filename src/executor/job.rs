//! A job: one finished Safe transaction, and how far it has come.

use std::fmt;
use std::sync::Arc;

use crate::ethereum::{Address, B256, SignedSafeTx, Verdict};
use crate::withdrawal::{Code, Seconds};

use super::facts::Wei;

/// Which place of which Safe. A Safe takes each of its nonces once, so there is one job for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey {
    /// The Safe.
    pub safe: Address,
    /// Its nonce.
    pub nonce: u64,
}

impl JobKey {
    /// Reads what is printed.
    pub fn parse(text: &str) -> Option<Self> {
        let (safe, nonce) = text.split_once(':')?;
        let key = Self { safe: safe.parse().ok()?, nonce: nonce.parse().ok()? };
        (key.to_string() == text).then_some(key)
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.safe, self.nonce)
    }
}

/// What an execution came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Everybody was paid exactly as asked.
    Paid,
    /// It reverted within the Safe: nobody was paid, and the Safe's nonce is used up.
    Reverted,
    /// A token or a deposit did not move as asked, or the logs contradict each other.
    NotAsAsked,
}

impl Effect {
    /// Every effect with its word.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Paid, "paid"), (Self::Reverted, "reverted"), (Self::NotAsAsked, "not_as_asked")];

    /// The effect of a verdict; `None` where the transaction holds nothing of it.
    pub const fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Paid => Some(Self::Paid),
            Verdict::Reverted => Some(Self::Reverted),
            Verdict::NotAsAsked(_) | Verdict::DepositLeft(_) | Verdict::Contradiction => {
                Some(Self::NotAsAsked)
            }
            Verdict::Absent => None,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(effect, _)| *effect == self).map_or("", |(_, word)| word)
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, word)| *word == text).map(|(effect, _)| *effect)
    }

    /// The code of what is wrong, if something is.
    pub const fn code(self) -> Option<Code> {
        match self {
            Self::Paid => None,
            Self::Reverted => Some(Code::PayeeReverted),
            Self::NotAsAsked => Some(Code::PaymentNotAsAsked),
        }
    }
}

/// An execution that was seen in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The transaction around it.
    pub txid: B256,
    /// The number of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// What it came to.
    pub effect: Effect,
    /// The nonce of the own account; `None` where somebody else sent it.
    pub nonce: Option<u64>,
}

/// What became of it, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed, in a final block.
    Executed {
        /// What it came to.
        effect: Effect,
        /// The transaction around it.
        txid: B256,
        /// The number of its block.
        block: u64,
        /// What is known beside, for people.
        detail: String,
    },
    /// The Safe's nonce is used up in a final block, and no execution of it was found from that block on. It can never be
    /// executed any more; that it never was is not proved.
    NotFound {
        /// Where the search began.
        since: u64,
    },
}

impl Outcome {
    /// The code of what is wrong, if something is.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Executed { effect, .. } => effect.code(),
            Self::NotFound { .. } => Some(Code::ExecutionNotFound),
        }
    }
}

/// Why it is not sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The stable code.
    pub code: Code,
    /// More, for people.
    pub detail: String,
    /// Since when.
    pub at: Seconds,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its place.
    pub key: JobKey,
    /// The Safe transaction with its signatures.
    pub tx: Arc<SignedSafeTx>,
    /// The gas it may take.
    pub gas_limit: u64,
    /// When it was taken.
    pub taken_at: Seconds,
    /// The block from which on it is searched for.
    pub since: u64,
    /// The nonces of the own account that were bound to it, in order.
    pub slots: Vec<u64>,
    /// What was paid for gas in final blocks.
    pub gas_paid: Wei,
    /// Its execution, while its block is not final.
    pub seen: Option<Seen>,
    /// Why it is not sent.
    pub held: Option<Held>,
    /// What became of it.
    pub outcome: Option<Outcome>,
}

impl Job {
    /// A job that was just taken.
    pub fn new(tx: SignedSafeTx, gas_limit: u64, taken_at: Seconds, since: u64) -> Self {
        let key = JobKey { safe: tx.safe(), nonce: tx.nonce() };
        let (slots, gas_paid, seen, held, outcome) = (Vec::new(), 0, None, None, None);
        Self { key, tx: Arc::new(tx), gas_limit, taken_at, since, slots, gas_paid, seen, held, outcome }
    }

    /// What the owners signed.
    pub fn hash(&self) -> B256 {
        self.tx.hash()
    }

    /// Whether nothing more is to be sent for it, as far as is known now.
    pub const fn is_done(&self) -> bool {
        self.seen.is_some() || self.outcome.is_some()
    }
}
