//! What the executor is told: caps, windows, and how patient it is.

use super::facts::Wei;

/// The rules of one executor. [`Rules::check`] says whether they make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many nonces may be under way at once; nodes keep 16 of an account for certain.
    pub window: usize,
    /// How many Safe transactions may be unfinished at once.
    pub jobs_max: usize,
    /// The most wei for a unit of gas.
    pub fee_per_gas_cap: u128,
    /// The most wei for one Safe transaction, over all attempts.
    pub fee_job_cap: Wei,
    /// By how much the next base fee is exceeded, in percent, so that a few fuller blocks do not price it out.
    pub base_fee_margin_percent: u32,
    /// The least tip in wei for a unit of gas.
    pub tip_min: u128,
    /// After how many blocks a transaction that waits is replaced.
    pub stuck_blocks: u64,
    /// How many attempts one nonce may have.
    pub attempts_max: usize,
    /// Gas on top of what is computed; chains that charge for their parent chain's data need more.
    pub gas_more: u64,
    /// The most gas that one transaction may take (EIP-7825 has 2^24).
    pub gas_limit_max: u64,
    /// The gas of an empty transaction.
    pub cancel_gas: u64,
    /// Below this balance the account wants fuel.
    pub balance_low: Wei,
    /// What it wants to have then.
    pub balance_target: Wei,
    /// How many blocks before it was taken a Safe transaction may have been executed by others.
    pub search_blocks: u64,
    /// How long a trouble may last before it is an alarm.
    pub alarm_after_s: u64,
    /// How long the turn of one executor lasts unless it takes it again.
    pub lease_s: u64,
    /// How long is waited between two looks at the chain, in milliseconds.
    pub pause_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: 16,
            jobs_max: 4096,
            fee_per_gas_cap: 200_000_000_000,
            fee_job_cap: 500_000_000_000_000_000,
            base_fee_margin_percent: 50,
            tip_min: 1,
            stuck_blocks: 5,
            attempts_max: 40,
            gas_more: 0,
            gas_limit_max: 1 << 24,
            cancel_gas: 21_000,
            balance_low: 500_000_000_000_000_000,
            balance_target: 2_000_000_000_000_000_000,
            search_blocks: 50_000,
            alarm_after_s: 600,
            lease_s: 30,
            pause_ms: 2_000,
        }
    }
}

/// A rule that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct RulesInvalid {
    /// Which.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Rules {
    /// Says whether they make sense together.
    pub fn check(&self) -> Result<(), RulesInvalid> {
        let held = [
            ((1..=64).contains(&self.window), "window", "is not 1 to 64"),
            ((1..=100_000).contains(&self.jobs_max), "jobs_max", "is not 1 to 100000"),
            (self.fee_per_gas_cap > 0, "fee_per_gas_cap", "is zero"),
            (self.fee_job_cap > 0, "fee_job_cap", "is zero"),
            (self.base_fee_margin_percent <= 1_000, "base_fee_margin_percent", "is above 1000"),
            (self.tip_min <= self.fee_per_gas_cap, "tip_min", "is above `fee_per_gas_cap`"),
            (self.stuck_blocks > 0, "stuck_blocks", "is zero"),
            ((2..=100).contains(&self.attempts_max), "attempts_max", "is not 2 to 100"),
            (self.cancel_gas >= 21_000, "cancel_gas", "is below 21000"),
            (self.gas_limit_max >= self.cancel_gas, "gas_limit_max", "is below `cancel_gas`"),
            (self.balance_target >= self.balance_low, "balance_target", "is below `balance_low`"),
            (self.lease_s >= 3, "lease_s", "is below 3"),
            (self.pause_ms > 0, "pause_ms", "is zero"),
        ];
        match held.into_iter().find(|(held, _, _)| !held) {
            Some((_, field, problem)) => Err(RulesInvalid { field, problem }),
            None => Ok(()),
        }
    }
}
