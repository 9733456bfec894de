//! What a party knows about money: coins, facts, rolling sums, sweeps on their way. Signer and co-signer each have one.

use std::collections::HashMap;

use wallet_policy::facts::{Spent, Stated};
use wallet_policy::window::{RollingSum, WindowError};
use wallet_policy::{Krw as PolicyKrw, Seconds as PolicySeconds, Units};

use super::coins::Coins;
use super::facts::Facts;
use super::refills::Refills;
use crate::evidence::Trust;
use crate::evidence::statement::StatementKind;
use crate::withdrawal::{Amount, Krw, Seconds};

/// Rolling sums of one party. Nothing is ever given back within its window (law L23).
#[derive(Debug)]
pub struct Sums {
    /// What left within an hour, in satoshi, fees included.
    pub hour: RollingSum,
    /// What left within a day, in satoshi, fees included.
    pub day: RollingSum,
    /// Fees within a day, in satoshi.
    pub fees: RollingSum,
    /// What was cleared without a name match within a day, in won.
    pub unnamed: RollingSum,
    /// What left on clearances that no VASP signed within a day, in satoshi, without fees.
    pub unsigned: RollingSum,
    /// What customers paid in within a day, in satoshi, as far as it was heard since the start.
    pub came: RollingSum,
}

impl Default for Sums {
    fn default() -> Self {
        let day = RollingSum::daily;
        Self {
            hour: RollingSum::hourly(),
            day: day(),
            fees: day(),
            unnamed: day(),
            unsigned: day(),
            came: day(),
        }
    }
}

/// What one transaction adds to the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spend {
    /// What leaves to others, fee included, in satoshi; of a sweep only the fee.
    pub leaving_sat: u64,
    /// The fee, in satoshi.
    pub fee_sat: u64,
    /// The part cleared without a name match, in won.
    pub unnamed: Krw,
    /// The part cleared by nobody's signature, in satoshi.
    pub unsigned_sat: u64,
}

impl Spend {
    /// The sums as they would be with this on top, if they fit.
    pub fn on_top_of(&self, spent: Spent) -> Option<Spent> {
        let leaving = Units(u128::from(self.leaving_sat));
        Some(Spent {
            hour: spent.hour.plus(leaving)?,
            day: spent.day.plus(leaving)?,
            fee_day: spent.fee_day.plus(Units(u128::from(self.fee_sat)))?,
            unnamed_day: spent.unnamed_day.plus(PolicyKrw(self.unnamed.0))?,
            unsigned_day: spent.unsigned_day.plus(Units(u128::from(self.unsigned_sat)))?,
        })
    }
}

impl Sums {
    /// Adds a transaction.
    pub fn spend(&mut self, at: Seconds, spend: Spend) -> Result<(), WindowError> {
        let at = PolicySeconds(at.0);
        self.hour.spend(at, Units(u128::from(spend.leaving_sat)))?;
        self.day.spend(at, Units(u128::from(spend.leaving_sat)))?;
        self.fees.spend(at, Units(u128::from(spend.fee_sat)))?;
        self.unsigned.spend(at, Units(u128::from(spend.unsigned_sat)))?;
        self.unnamed.spend(at, Units(spend.unnamed.0))
    }

    /// What the windows hold now.
    pub fn spent(&self, at: Seconds) -> Result<Spent, WindowError> {
        let at = PolicySeconds(at.0);
        Ok(Spent {
            hour: self.hour.sum(at)?,
            day: self.day.sum(at)?,
            fee_day: self.fees.sum(at)?,
            unnamed_day: PolicyKrw(self.unnamed.sum(at)?.0),
            unsigned_day: self.unsigned.sum(at)?,
        })
    }
}

/// A sweep that carries both signatures and that no position statement has counted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepInFlight {
    /// How much, in satoshi.
    pub amount_sat: u64,
    /// Since when.
    pub since: Seconds,
    /// The finished transaction, hex; the co-signer never has it.
    pub tx_hex: Option<String>,
    /// Whether people were told that it is on its way for too long.
    pub is_told: bool,
}

impl SweepInFlight {
    /// Whether it is on its way for too long to count as cold.
    pub fn is_stuck(&self, now: Seconds, transit_s_max: u64) -> bool {
        now.since(self.since).is_some_and(|age| age > transit_s_max)
    }
}

/// What a party knows about money.
#[derive(Debug, Default)]
pub struct Treasury {
    /// The coins.
    pub coins: Coins,
    /// The facts.
    pub facts: Facts,
    /// The sums.
    pub sums: Sums,
    /// Sweeps that no position statement has counted yet, by txid.
    pub sweeps: HashMap<String, SweepInFlight>,
    /// Refills from cold.
    pub refills: Refills,
}

impl Treasury {
    /// What of the cold side is still on its way, for at most `transit_s_max` (law L11).
    pub fn in_transit(&self, now: Seconds, transit_s_max: u64) -> Amount {
        let counted = |s: &&SweepInFlight| !s.is_stuck(now, transit_s_max);
        Amount::from_sat(self.sweeps.values().filter(counted).map(|s| s.amount_sat).sum())
    }

    /// What is on its way for longer than that, and counts as hot again (law L11).
    pub fn stuck(&self, now: Seconds, transit_s_max: u64) -> Amount {
        let stuck = |s: &&SweepInFlight| s.is_stuck(now, transit_s_max);
        Amount::from_sat(self.sweeps.values().filter(stuck).map(|s| s.amount_sat).sum())
    }

    /// What counts as cold; nothing, where no balance was ever stated.
    pub fn cold(&self, now: Seconds, transit_s_max: u64) -> Amount {
        let observed = self.facts.cold.map_or(Amount::ZERO, |fact| fact.value);
        let all = observed.plus(self.in_transit(now, transit_s_max)).unwrap_or(observed);
        // What has come is hot, whether the stated balance is without it already or not.
        let came = u128::from(self.refills.uncounted_sat());
        Amount::from_units(all.units().saturating_sub(came))
    }

    /// When the position was stated: as old as the older of its halves. Every observer of coins must have spoken lately,
    /// or coins may lie hot that were kept from this party (laws L10, L11).
    pub fn position_at(&self, trust: &Trust) -> Option<Seconds> {
        let hot = self.facts.coins_at(trust.observers(StatementKind::Coins))?;
        self.facts.cold.map(|cold| cold.at.min(hot))
    }

    /// When each fact was stated.
    pub fn stated(&self, trust: &Trust) -> Stated {
        let chain = self.facts.chain.map(|c| PolicySeconds(c.at.0));
        Stated {
            position: self.position_at(trust).map(|at| PolicySeconds(at.0)),
            price: self.facts.price().map(|p| PolicySeconds(p.at.0)),
            fee_rate: chain,
            tip: chain,
        }
    }

    /// The value of an amount at the price that stands, rounded up.
    pub fn value(&self, amount: Amount, decimals: u32) -> Option<Krw> {
        Krw::of(amount, self.facts.price()?.value, decimals)
    }
}
