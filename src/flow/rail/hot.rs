//! Which of the hot Safes of a chain pays. They are one wallet to the policy, and each has nonces of its own: what goes through
//! one of them waits for nothing that goes through another.

use std::cmp::Reverse;

use super::no_wallet;
use super::safe::Picked;
use crate::ethereum::Address;
use crate::flow::ledger::Treasury;
use crate::withdrawal::{Asset, Code, EvmAsset, Finding};

/// One hot Safe.
#[derive(Debug, Clone, Copy)]
struct Purse {
    safe: Address,
    spendable: u128,
    in_flight: usize,
}

/// What of one asset each hot Safe of its chain can spend, all of them being as pinned.
pub struct Hot {
    asset: Asset,
    first: Purse,
    others: Vec<Purse>,
}

impl Hot {
    /// As they are known to stand.
    pub fn of(treasury: &Treasury, asset: EvmAsset) -> Result<Self, Finding> {
        let (chain, asset) = (asset.chain(), Asset::Evm(asset));
        treasury.lanes.trusted(chain)?;
        let mut purses = treasury.lanes.hot(chain).map(|lane| Purse {
            safe: lane.wallet().address(),
            spendable: lane.spendable(asset),
            in_flight: lane.in_flight(),
        });
        let first = purses.next().ok_or_else(|| no_wallet(&chain))?;
        Ok(Self { asset, first, others: purses.collect() })
    }

    /// What is gathered is not booked yet, and will be before what is picked now.
    pub fn behind(mut self, gathered: Option<&Picked>) -> Self {
        if let Some((safe, amount)) = gathered.map(Picked::leaving) {
            for purse in [&mut self.first].into_iter().chain(&mut self.others) {
                if purse.safe == safe {
                    purse.spendable = purse.spendable.saturating_sub(amount);
                    purse.in_flight = purse.in_flight.saturating_add(1);
                }
            }
        }
        self
    }

    fn all(&self) -> impl Iterator<Item = &Purse> {
        [&self.first].into_iter().chain(&self.others)
    }

    /// This Safe, if it can spend that much.
    pub fn only(&self, safe: Address, amount: u128) -> Result<Address, Finding> {
        let enough = |purse: &&Purse| purse.safe == safe && purse.spendable >= amount;
        self.all().find(enough).map(|purse| purse.safe).ok_or_else(|| self.short(amount))
    }

    /// Of the Safes that can spend that much the one with the fewest nonces on their way; of several of these the fullest.
    pub fn least_busy(&self, amount: u128) -> Result<Address, Finding> {
        let enough = self.all().filter(|purse| purse.spendable >= amount);
        let least = enough.min_by_key(|purse| (purse.in_flight, Reverse(purse.spendable)));
        least.map(|purse| purse.safe).ok_or_else(|| self.short(amount))
    }

    /// The Safe that can spend the most, and how much.
    pub fn fullest(&self) -> (Address, u128) {
        let most = self
            .others
            .iter()
            .fold(&self.first, |most, purse| if purse.spendable > most.spendable { purse } else { most });
        (most.safe, most.spendable)
    }

    /// The Safe that has the least.
    pub fn emptiest(&self) -> Address {
        let least = self
            .others
            .iter()
            .fold(&self.first, |least, purse| if purse.spendable < least.spendable { purse } else { least });
        least.safe
    }

    fn short(&self, amount: u128) -> Finding {
        let all = self.all().fold(0u128, |sum, purse| sum.saturating_add(purse.spendable));
        let (_, most) = self.fullest();
        let detail = if self.others.is_empty() {
            format!("{all} can be spent of {}, and {amount} is asked for", self.asset)
        } else {
            format!(
                "{most} of {} is the most that one hot Safe can spend, {all} all of them, and {amount} is asked for at once",
                self.asset
            )
        };
        Finding::new(Code::HotFundsShort, detail)
    }
}
