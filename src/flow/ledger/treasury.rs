//! What a party knows about money: coins, facts, rolling sums, sweeps on their way. Signer and co-signer each have one.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use wallet_policy::facts::{Facts as PolicyFacts, Spent, Stated};
use wallet_policy::price::Band;
use wallet_policy::window::{RollingSum, WindowError};
use wallet_policy::{Krw as PolicyKrw, Seconds as PolicySeconds, Units};

use super::coins::Coins;
use super::deposits::{DepositBook, Moved};
use super::facts::{Facts, Heard};
use super::lane::{self, Told};
use super::lanes::Lanes;
use super::odd::OddEnds;
use super::refills::Refills;
use super::rows::EmptiedRow;
use crate::evidence::Trust;
use crate::evidence::statement::{Body, Statement, StatementKind};
use crate::flow::rail::pins::SafePins;
use crate::withdrawal::{Amount, Asset, Chain, ChainId, EvmAsset, Finding, Krw, Seconds, WithdrawalId};

/// Rolling sums of one party. Nothing is ever given back within its window (law L23).
#[derive(Debug)]
pub struct Sums {
    /// What left within an hour, in base units, with fees where they are taken in the asset.
    pub hour: RollingSum,
    /// The same within a day.
    pub day: RollingSum,
    /// Fees within a day, in base units of the asset in which they are taken.
    pub fees: RollingSum,
    /// What was cleared without a name match within a day, in won.
    pub unnamed: RollingSum,
    /// What left on clearances that no VASP signed within a day, in base units, without fees.
    pub unsigned: RollingSum,
    /// What the account that pays gas got within a day, in base units.
    pub refuelled: RollingSum,
    /// What emptying deposit addresses may have cost within a day, in base units of the chain's coin.
    pub emptied: RollingSum,
    /// What customers paid in within a day, in base units, as far as it was heard since the start.
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
            refuelled: day(),
            emptied: day(),
            came: day(),
        }
    }
}

/// What one transaction adds to the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spend {
    /// What leaves to others, in base units, with the fee where it is taken in the asset; of a sweep only the fee.
    pub leaving: u128,
    /// The fee, in base units of the asset in which it is taken.
    pub fee: u128,
    /// The part cleared without a name match, in won.
    pub unnamed: Krw,
    /// The part cleared by nobody's signature, in base units.
    pub unsigned: u128,
    /// What goes to the account that pays gas, in base units.
    pub refuelled: u128,
    /// The fee of emptying deposit addresses, in base units.
    pub emptied: u128,
}

impl Spend {
    /// Both together.
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            leaving: self.leaving.saturating_add(other.leaving),
            fee: self.fee.saturating_add(other.fee),
            unnamed: Krw(self.unnamed.0.saturating_add(other.unnamed.0)),
            unsigned: self.unsigned.saturating_add(other.unsigned),
            refuelled: self.refuelled.saturating_add(other.refuelled),
            emptied: self.emptied.saturating_add(other.emptied),
        }
    }

    /// The facts of a payment behind others that this is of, and that take `amount` of what can be spent; nothing, where the
    /// sums do not fit.
    pub fn behind(&self, amount: u128, facts: PolicyFacts) -> Option<PolicyFacts> {
        let spent = self.on_top_of(facts.spent)?;
        let spendable = Units(facts.spendable.0.saturating_sub(amount));
        Some(PolicyFacts { spent, spendable, ..facts })
    }

    /// The sums as they would be with this on top, if they fit.
    pub fn on_top_of(&self, spent: Spent) -> Option<Spent> {
        let leaving = Units(self.leaving);
        Some(Spent {
            hour: spent.hour.plus(leaving)?,
            day: spent.day.plus(leaving)?,
            fee_day: spent.fee_day.plus(Units(self.fee))?,
            unnamed_day: spent.unnamed_day.plus(PolicyKrw(self.unnamed.0))?,
            unsigned_day: spent.unsigned_day.plus(Units(self.unsigned))?,
        })
    }
}

impl Sums {
    /// Adds a transaction.
    pub fn spend(&mut self, at: Seconds, spend: Spend) -> Result<(), WindowError> {
        let at = PolicySeconds(at.0);
        self.hour.spend(at, Units(spend.leaving))?;
        self.day.spend(at, Units(spend.leaving))?;
        self.fees.spend(at, Units(spend.fee))?;
        self.unsigned.spend(at, Units(spend.unsigned))?;
        self.refuelled.spend(at, Units(spend.refuelled))?;
        self.emptied.spend(at, Units(spend.emptied))?;
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
    /// How much, in base units.
    pub amount: u128,
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

/// What a party knows of one asset.
#[derive(Debug, Default)]
pub struct Account {
    /// How many decimals a whole one has.
    pub decimals: u32,
    /// What observers stated.
    pub facts: Facts,
    /// The sums. Fees are counted in the asset in which its chain takes them.
    pub sums: Sums,
    /// Sweeps that no position statement has counted yet, by transaction.
    pub sweeps: HashMap<String, SweepInFlight>,
}

impl Account {
    /// What of the cold side is still on its way, for at most `transit_s_max` (law L11).
    pub fn in_transit(&self, now: Seconds, transit_s_max: u64) -> Amount {
        self.swept(|sweep| !sweep.is_stuck(now, transit_s_max))
    }

    /// What is on its way for longer than that, and counts as hot again (law L11).
    pub fn stuck(&self, now: Seconds, transit_s_max: u64) -> Amount {
        self.swept(|sweep| sweep.is_stuck(now, transit_s_max))
    }

    /// A sweep is in a stated balance by now; gives its id as its own chain prints it, with `0x` where that has it.
    pub fn count(&mut self, txid: &str) -> Option<String> {
        let prefixed = format!("0x{txid}");
        [txid.to_owned(), prefixed].into_iter().find(|id| self.sweeps.remove(id).is_some())
    }

    fn swept(&self, counts: impl Fn(&SweepInFlight) -> bool) -> Amount {
        let amounts = self.sweeps.values().filter(|sweep| counts(sweep)).map(|sweep| sweep.amount);
        Amount::from_units(amounts.fold(0, u128::saturating_add))
    }

    /// The value of an amount at the price that stands, rounded up.
    pub fn value(&self, amount: Amount) -> Option<Krw> {
        Krw::of(amount, self.facts.price()?.value, self.decimals)
    }
}

/// What a statement changed.
#[derive(Debug, Default)]
pub struct Taken {
    /// The assets whose stated price was accepted as the one that stands.
    pub accepted: Vec<Asset>,
    /// What it says of a Safe of ours.
    pub of_safe: Told,
    /// Where another amount lies at a deposit address than before.
    pub moved: Vec<Moved>,
}

/// What a party knows about money.
#[derive(Debug, Default)]
pub struct Treasury {
    /// The coins of its Bitcoin wallet.
    pub coins: Coins,
    /// Refills of it from cold.
    pub refills: Refills,
    /// Who spoke of what, and when.
    pub heard: Heard,
    /// The Safes on EVM chains.
    pub lanes: Lanes,
    /// The deposit addresses there.
    pub deposits: DepositBook,
    /// The tokens there that did not pay as asked.
    pub odd: OddEnds,
    accounts: BTreeMap<Asset, Account>,
}

/// What is known of an asset that is none of ours: nothing, so that whatever is asked of it is missing.
static UNKNOWN: LazyLock<Account> = LazyLock::new(Account::default);

impl Treasury {
    /// Of these assets, with their decimals; coins are credited at `depth_min` confirmations.
    pub fn new(depth_min: u32, assets: impl Iterator<Item = (Asset, u32)>) -> Self {
        let account = |(asset, decimals)| (asset, Account { decimals, ..Account::default() });
        Self { coins: Coins::new(depth_min), accounts: assets.map(account).collect(), ..Self::default() }
    }

    /// With the Safes of one chain, of which nothing is known yet.
    pub fn with_safes(mut self, pins: &SafePins) -> Self {
        self.lanes.add(pins);
        for (asset, height) in &pins.reviewed {
            self.odd.review(Asset::Evm(*asset), *height);
        }
        if let Some(treasury) = &pins.treasury {
            self.deposits.add(pins.hot.chain(), treasury.address());
        }
        self
    }

    /// A signed transaction with this anchor of the treasury Safe takes these from deposit addresses.
    pub fn take_away(&mut self, anchor: &str, rows: &[EmptiedRow]) {
        let Some((chain, safe)) = lane::place_of(anchor) else { return };
        let of_treasury = self.lanes.at(anchor).filter(|_| self.deposits.is_treasury(chain, safe));
        let Some((lane, nonce)) = of_treasury else { return };
        let over = lane.used_up_at(nonce);
        self.deposits.take_away(chain, (nonce, over), rows);
        self.forget_what_came(chain);
    }

    /// What of an asset customers paid in that is in no stated balance of a hot Safe yet.
    pub fn deposited(&self, asset: Asset) -> Amount {
        self.deposits.held(asset, asset.chain().evm().map_or(0, |chain| self.lanes.height(chain)))
    }

    fn forget_what_came(&mut self, chain: ChainId) {
        self.deposits.forget_what_came(chain, self.lanes.height(chain));
    }

    /// The withdrawals whose Safe transactions a statement says the end of.
    pub fn withdrawals_ended_by(&self, statement: &Statement) -> Vec<WithdrawalId> {
        let Body::Safe(fact) = &statement.body else { return Vec::new() };
        let lane = self.lanes.of(fact.chain, fact.safe);
        let ended = lane.map(|lane| lane.ended(fact)).unwrap_or_default();
        ended.into_iter().flat_map(|ended| ended.claim.withdrawals).collect()
    }

    /// Whether a statement is of an older block than what was stated of the same thing: it is no news, whatever its number.
    pub fn is_older(&self, statement: &Statement) -> bool {
        match &statement.body {
            Body::Safe(fact) => self.lanes.of(fact.chain, fact.safe).is_some_and(|lane| lane.is_older(fact)),
            Body::Deposits(fact) => self.deposits.is_older(fact),
            Body::Coins { .. }
            | Body::Position { .. }
            | Body::Price(_)
            | Body::Chain(_)
            | Body::Ownership(_) => false,
        }
    }

    /// Takes who spoke, what of each asset, and what of a Safe. Coins are the caller's to record.
    pub fn take(&mut self, statement: &Statement, at: Seconds, band: &dyn Fn(Asset) -> Band) -> Taken {
        self.heard.take(statement, at);
        let of_safe = match &statement.body {
            Body::Safe(fact) => {
                let lane = self.lanes.of_mut(fact.chain, fact.safe);
                let told = lane.map(|lane| lane.take(fact, at)).unwrap_or_default();
                if told.grew && self.deposits.is_treasury(fact.chain, fact.safe) {
                    self.deposits.used_up(fact);
                }
                self.forget_what_came(fact.chain);
                told
            }
            _ => Told::default(),
        };
        let moved = match &statement.body {
            Body::Deposits(fact) => {
                let moved = self.deposits.take(fact);
                self.forget_what_came(fact.chain);
                moved
            }
            _ => Vec::new(),
        };
        let accounts = self.accounts.iter_mut();
        let accepted = accounts.filter_map(|(asset, account)| {
            account.facts.take(&statement.body, at, *asset, band(*asset)).then_some(*asset)
        });
        Taken { accepted: accepted.collect(), of_safe, moved }
    }

    /// What is known of an asset.
    pub fn of(&self, asset: Asset) -> &Account {
        self.accounts.get(&asset).unwrap_or(&UNKNOWN)
    }

    /// The same, to be changed; nothing for an asset that is none of ours.
    pub fn of_mut(&mut self, asset: Asset) -> Option<&mut Account> {
        self.accounts.get_mut(&asset)
    }

    /// Adds a transaction to the sums of an asset; of one that is none of ours there are none.
    pub fn spend(&mut self, asset: Asset, at: Seconds, spend: Spend) -> Result<(), WindowError> {
        self.of_mut(asset).map_or(Ok(()), |account| account.sums.spend(at, spend))
    }

    /// What can be spent now of what rests hot: coins may be locked or too young, a Safe's balance is not.
    pub fn spendable(&self, asset: Asset, hot: Amount) -> Amount {
        match asset.chain() {
            Chain::Bitcoin(_) => Amount::from_sat(self.coins.spendable_sat()),
            Chain::Evm(_) => hot,
        }
    }

    /// Whether an asset is what its pin says: the contract of a token tells the pinned decimals itself, and nothing that it paid
    /// otherwise than asked is left that nobody has looked at.
    pub fn is_as_pinned(&self, asset: Asset) -> Result<(), Finding> {
        match asset {
            Asset::Evm(EvmAsset::Token(chain, _)) => {
                self.odd.are_reviewed(asset)?;
                self.lanes.have_decimals(chain, asset, self.of(asset).decimals)
            }
            Asset::Bitcoin(_) | Asset::Evm(EvmAsset::Ether(_)) => Ok(()),
        }
    }

    /// What is credited and not signed away; what is reserved is still among it.
    pub fn credited(&self, asset: Asset) -> Amount {
        match asset.chain() {
            Chain::Bitcoin(_) => Amount::from_sat(self.coins.hot_sat()),
            Chain::Evm(chain) => self.lanes.credited(chain, asset),
        }
    }

    /// Each asset with what is known of it.
    pub fn accounts(&self) -> impl Iterator<Item = (Asset, &Account)> {
        self.accounts.iter().map(|(asset, account)| (*asset, account))
    }

    /// The same, to be changed.
    pub fn accounts_mut(&mut self) -> impl Iterator<Item = (Asset, &mut Account)> {
        self.accounts.iter_mut().map(|(asset, account)| (*asset, account))
    }

    /// What counts as cold; nothing, where no balance was ever stated.
    pub fn cold(&self, asset: Asset, now: Seconds, transit_s_max: u64) -> Amount {
        let account = self.of(asset);
        let observed = account.facts.cold.map_or(Amount::ZERO, |fact| fact.value);
        let all = observed.plus(account.in_transit(now, transit_s_max)).unwrap_or(observed);
        // What has come is hot, whether the stated balance is without it already or not.
        let came = asset.chain().bitcoin().map_or(0, |_| u128::from(self.refills.uncounted_sat()));
        Amount::from_units(all.units().saturating_sub(came))
    }

    /// When the position was stated: as old as the older of its halves. Every observer of coins must have spoken lately,
    /// or coins may lie hot that were kept from this party (laws L10, L11).
    pub fn position_at(&self, asset: Asset, trust: &Trust) -> Option<Seconds> {
        let hot = match asset.chain() {
            Chain::Bitcoin(_) => self.heard.coins_at(trust.observers(StatementKind::Coins))?,
            Chain::Evm(chain) => self.lanes.stated_at(chain)?,
        };
        self.of(asset).facts.cold.map(|cold| cold.at.min(hot))
    }

    /// When each fact was stated.
    pub fn stated(&self, asset: Asset, trust: &Trust) -> Stated {
        let facts = &self.of(asset).facts;
        let chain = facts.chain.map(|c| PolicySeconds(c.at.0));
        Stated {
            position: self.position_at(asset, trust).map(|at| PolicySeconds(at.0)),
            price: facts.price().map(|p| PolicySeconds(p.at.0)),
            fee_rate: chain,
            tip: chain,
        }
    }
}
