//! The executor's rows as they are written, and each read back strictly.

use serde::{Deserialize, Serialize};

use crate::ethereum::{Address, B256, GasTerms, SignedSafeTx};
use crate::withdrawal::{Code, Seconds};

use super::job::{Effect, Held, Job, JobKey, Outcome, Seen};
use super::ledger::Ledger;
use super::slot::{Attempt, End, Mined, Slot};

/// The key of the row that says which account it is.
pub const ACCOUNT_KEY: &str = "executor.account";

/// The key of the row that says where in the signer's list to go on.
pub const FOLLOWED_KEY: &str = "executor.followed";

/// Which account is followed, and from which nonce on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRow {
    #[serde(with = "text")]
    pub account: Address,
    pub chain: u64,
    pub next: u64,
}

/// A job without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRow {
    #[serde(with = "text")]
    pub hash: B256,
    pub gas_limit: u64,
    pub taken_at: u64,
    pub since: u64,
    pub slots: Vec<u64>,
    #[serde(with = "text")]
    pub gas_paid: u128,
    pub seen: Option<SeenRow>,
    pub held: Option<HeldRow>,
    pub outcome: Option<OutcomeRow>,
    /// Whether a nonce of it has not ended.
    pub open: bool,
    /// Whether an attempt of it waits for a block.
    pub running: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenRow {
    #[serde(with = "text")]
    pub txid: B256,
    pub block: u64,
    #[serde(with = "text")]
    pub block_hash: B256,
    pub effect: String,
    pub nonce: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldRow {
    pub code: String,
    pub detail: String,
    pub at: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRow {
    /// An effect, or nothing where it was not found.
    pub effect: Option<String>,
    #[serde(with = "text::option")]
    pub txid: Option<B256>,
    /// The block of the execution, or where the search began.
    pub block: u64,
    pub detail: String,
}

/// A nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotRow {
    pub job: String,
    pub attempts: Vec<AttemptRow>,
    pub since: u64,
    pub mined: Option<MinedRow>,
    pub end: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptRow {
    pub runs: bool,
    pub gas_limit: u64,
    #[serde(with = "text")]
    pub fee_per_gas_max: u128,
    #[serde(with = "text")]
    pub tip_per_gas_max: u128,
    pub block: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinedRow {
    pub attempt: usize,
    #[serde(with = "text")]
    pub txid: B256,
    pub block: u64,
    #[serde(with = "text")]
    pub block_hash: B256,
    #[serde(with = "text")]
    pub gas_paid: u128,
    pub effect: Option<String>,
}

/// Words in their one spelling: hashes, addresses, and amounts that not every reader of JSON keeps whole as numbers.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<T: Display, S: Serializer>(word: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(word)
    }

    pub fn deserialize<'de, T: Display + FromStr, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        read(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not in its one spelling"))
    }

    fn read<T: Display + FromStr>(text: &str) -> Option<T> {
        text.parse().ok().filter(|word: &T| word.to_string() == text)
    }

    /// The same for a word that may be absent.
    pub mod option {
        use super::*;

        pub fn serialize<T: Display, S: Serializer>(word: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
            match word {
                Some(word) => to.collect_str(word),
                None => to.serialize_none(),
            }
        }

        pub fn deserialize<'de, T: Display + FromStr, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<T>, D::Error> {
            let text: Option<String> = Option::deserialize(from)?;
            let word = |text: String| read(&text).ok_or_else(|| D::Error::custom("not in its one spelling"));
            text.map(word).transpose()
        }
    }
}

impl JobRow {
    pub fn of(job: &Job, ledger: &Ledger) -> Self {
        let seen = job.seen.map(|seen| SeenRow {
            txid: seen.txid,
            block: seen.block,
            block_hash: seen.block_hash,
            effect: seen.effect.as_str().to_owned(),
            nonce: seen.nonce,
        });
        let mine = || job.slots.iter().filter_map(|nonce| ledger.slots.get(nonce));
        let held = job.held.as_ref().map(|held| HeldRow {
            code: held.code.to_string(),
            detail: held.detail.clone(),
            at: held.at.0,
        });
        Self {
            hash: job.hash(),
            gas_limit: job.gas_limit,
            taken_at: job.taken_at.0,
            since: job.since,
            slots: job.slots.clone(),
            gas_paid: job.gas_paid,
            seen,
            held,
            outcome: job.outcome.as_ref().map(OutcomeRow::of),
            open: mine().any(|slot| slot.end.is_none()),
            running: mine().any(Slot::is_running),
        }
    }

    /// Whether nothing of it is left to do.
    pub const fn is_over(&self) -> bool {
        self.outcome.is_some() && !self.open
    }

    pub fn job(self, key: JobKey, tx: SignedSafeTx) -> Option<Job> {
        if tx.hash() != self.hash {
            return None;
        }
        let mut job = Job::new(tx, self.gas_limit, Seconds(self.taken_at), self.since);
        job.key = key;
        job.slots = self.slots;
        job.gas_paid = self.gas_paid;
        job.seen = option(self.seen, SeenRow::seen)?;
        job.held = option(self.held, HeldRow::held)?;
        job.outcome = option(self.outcome, OutcomeRow::outcome)?;
        Some(job)
    }
}

/// Reads what may be absent: `None` where it is there and cannot be read.
pub fn option<T, U>(from: Option<T>, read: impl FnOnce(T) -> Option<U>) -> Option<Option<U>> {
    match from {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

impl SeenRow {
    fn seen(self) -> Option<Seen> {
        let Self { txid, block, block_hash, effect, nonce } = self;
        Some(Seen { txid, block, block_hash, effect: Effect::parse(&effect)?, nonce })
    }
}

impl HeldRow {
    fn held(self) -> Option<Held> {
        Some(Held { code: Code::parse(&self.code)?, detail: self.detail, at: Seconds(self.at) })
    }
}

impl OutcomeRow {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Executed { effect, txid, block, detail } => {
                let effect = Some(effect.as_str().to_owned());
                Self { effect, txid: Some(*txid), block: *block, detail: detail.clone() }
            }
            Outcome::NotFound { since } => {
                Self { effect: None, txid: None, block: *since, detail: String::new() }
            }
        }
    }

    /// What it says, if it can be read.
    pub fn outcome(self) -> Option<Outcome> {
        let Self { effect, txid, block, detail } = self;
        match (effect, txid) {
            (Some(effect), Some(txid)) => {
                Some(Outcome::Executed { effect: Effect::parse(&effect)?, txid, block, detail })
            }
            (None, None) => Some(Outcome::NotFound { since: block }),
            _ => None,
        }
    }
}

impl SlotRow {
    pub fn of(slot: &Slot) -> Self {
        let attempt = |attempt: &Attempt| AttemptRow {
            runs: attempt.runs,
            gas_limit: attempt.gas.gas_limit,
            fee_per_gas_max: attempt.gas.fee_per_gas_max,
            tip_per_gas_max: attempt.gas.tip_per_gas_max,
            block: attempt.block,
        };
        let mined = slot.mined.map(|mined| MinedRow {
            attempt: mined.attempt,
            txid: mined.txid,
            block: mined.block,
            block_hash: mined.block_hash,
            gas_paid: mined.gas_paid,
            effect: mined.effect.map(|effect| effect.as_str().to_owned()),
        });
        let attempts = slot.attempts.iter().map(attempt).collect();
        Self {
            job: slot.job.to_string(),
            attempts,
            since: slot.since,
            mined,
            end: slot.end.map(|end| end.as_str().to_owned()),
        }
    }

    pub fn slot(self, nonce: u64) -> Option<Slot> {
        let attempt = |row: AttemptRow| Attempt {
            runs: row.runs,
            gas: GasTerms {
                gas_limit: row.gas_limit,
                fee_per_gas_max: row.fee_per_gas_max,
                tip_per_gas_max: row.tip_per_gas_max,
            },
            block: row.block,
            txid: None,
        };
        let mined = option(self.mined, |row| {
            let effect = option(row.effect, |word| Effect::parse(&word))?;
            let MinedRow { attempt, txid, block, block_hash, gas_paid, .. } = row;
            Some(Mined { attempt, txid, block, block_hash, gas_paid, effect })
        })?;
        let attempts: Vec<Attempt> = self.attempts.into_iter().map(attempt).collect();
        let end = option(self.end, |word| End::parse(&word))?;
        let job = JobKey::parse(&self.job)?;
        (!attempts.is_empty()).then_some(Slot { nonce, job, attempts, since: self.since, mined, end })
    }
}
