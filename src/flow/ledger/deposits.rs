//! Deposit addresses on EVM chains: which customer has which index of a chain, which addresses are ours, and what lies there as
//! last stated. Each party keeps its own book; each chain counts by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::rows::{AddressRow, EmptiedRow};
use crate::ethereum::{Address, U256};
use crate::evidence::statement_deposits::PAGE_LEN;
use crate::evidence::{DepositsFact, Ending, Held, SafeFact};
use crate::withdrawal::{Amount, Asset, ChainId, EvmAsset};

/// The deposit addresses of every chain.
#[derive(Debug, Default)]
pub struct DepositBook {
    treasuries: BTreeMap<ChainId, Address>,
    chains: BTreeMap<ChainId, OfChain>,
    own: HashSet<Address>,
}

#[derive(Debug, Default)]
struct OfChain {
    by_customer: HashMap<String, AddressRow>,
    by_index: BTreeMap<u32, Address>,
    by_address: HashMap<Address, u32>,
    pages: BTreeMap<u32, Page>,
    on_way: BTreeMap<(u32, EvmAsset), OnWay>,
}

/// What one asset of one address comes to that a signed emptying takes, until everybody's word is younger than that.
#[derive(Debug, Clone, Copy)]
struct OnWay {
    amount: Amount,
    deploys: bool,
    nonce: u64,
    /// The height by which its nonce was used up for good.
    over: Option<u64>,
    /// Whether it is known that nothing moved.
    stayed: bool,
}

/// What lies at one address and is not on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lying {
    /// The index of the address.
    pub index: u32,
    /// What lies there.
    pub asset: EvmAsset,
    /// All of it.
    pub amount: Amount,
    /// Whether the address's Safe stands already.
    pub is_deployed: bool,
}

/// One page as it was stated last.
#[derive(Debug)]
struct Page {
    height: u64,
    deployed: BTreeSet<u32>,
    held: BTreeMap<(u32, EvmAsset), Amount>,
}

/// Where another amount lies than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The address.
    pub address: Address,
    /// What lies there now; zero, where nothing does any more.
    pub held: Held,
    /// The height of the final block that says so.
    pub height: u64,
}

impl DepositBook {
    /// The treasury Safe of a chain; nobody has an address of it yet.
    pub fn add(&mut self, chain: ChainId, treasury: Address) {
        self.treasuries.insert(chain, treasury);
    }

    /// Whether a Safe is the treasury of a chain.
    pub fn is_treasury(&self, chain: ChainId, safe: Address) -> bool {
        self.treasuries.get(&chain) == Some(&safe)
    }

    /// The address of a customer on a chain, by the customer's key there.
    pub fn of_customer(&self, chain: ChainId, key: &str) -> Option<&AddressRow> {
        self.chains.get(&chain)?.by_customer.get(key)
    }

    /// The address at an index of a chain, if a customer has it.
    pub fn at(&self, chain: ChainId, index: u32) -> Option<Address> {
        self.chains.get(&chain)?.by_index.get(&index).copied()
    }

    /// The next index of a chain: above all that customers have.
    pub fn next_index(&self, chain: ChainId) -> u32 {
        let last = self.chains.get(&chain).and_then(|of| of.by_index.last_key_value());
        last.map_or(0, |(index, _)| index.saturating_add(1))
    }

    /// Whether an address is a customer's deposit address, on whatever chain: the treasury may stand on others too, and what
    /// is sent there is no payment to anybody else.
    pub fn is_own(&self, address: Address) -> bool {
        self.own.contains(&address)
    }

    /// Puts a newer view of a customer's address in.
    pub fn update(&mut self, chain: ChainId, key: String, row: AddressRow) {
        self.chains.entry(chain).or_default().by_customer.insert(key, row);
    }

    /// Puts a customer's address in.
    pub fn put(&mut self, chain: ChainId, key: String, row: AddressRow, address: Address) {
        let of = self.chains.entry(chain).or_default();
        of.by_index.insert(row.index, address);
        of.by_address.insert(address, row.index);
        of.by_customer.insert(key, row);
        self.own.insert(address);
    }

    /// Whether what is stated of a page is of an older block than what was stated of it before.
    pub fn is_older(&self, fact: &DepositsFact) -> bool {
        let is_ours = self.treasuries.get(&fact.chain) == Some(&fact.treasury);
        let known = self.chains.get(&fact.chain).and_then(|of| of.pages.get(&fact.page));
        is_ours && known.is_some_and(|known| fact.height < known.height)
    }

    /// Takes what is stated of one page in the place of what was stated before. An older block is no news, and another treasury's
    /// addresses are none of ours. Gives what differs, at the addresses that customers have.
    pub fn take(&mut self, fact: &DepositsFact) -> Vec<Moved> {
        if self.treasuries.get(&fact.chain) != Some(&fact.treasury) || self.is_older(fact) {
            return Vec::new();
        }
        let of = self.chains.entry(fact.chain).or_default();
        let held = fact.held.iter().map(|held| ((held.index, held.asset), held.amount));
        let deployed = fact.deployed.iter().copied().collect();
        let page = Page { height: fact.height, deployed, held: held.collect() };
        let before = of.pages.insert(fact.page, page).map(|page| page.held).unwrap_or_default();
        let of = &*of;
        let moved = moved(fact, &before);
        let place =
            |held: Held| Some(Moved { address: *of.by_index.get(&held.index)?, held, height: fact.height });
        moved.into_iter().filter_map(place).collect()
    }

    /// What of an asset lies at the addresses that customers have, or is on its way from there, as long as a hot Safe was
    /// not stated (`hot_height`) at a block that has it. It is credited nowhere before that.
    pub fn held(&self, asset: Asset, hot_height: u64) -> Amount {
        let Asset::Evm(asset) = asset else { return Amount::ZERO };
        let Some(of) = self.chains.get(&asset.chain()) else { return Amount::ZERO };
        let lies = of.stated().filter(|(_, (_, of_asset), _)| *of_asset == asset);
        let lies =
            lies.filter(|(height, place, _)| of.on_way.get(place).is_none_or(|way| way.is_before(*height)));
        let on_way =
            of.on_way.iter().filter(|((_, of_asset), way)| *of_asset == asset && !way.is_before(hot_height));
        let amounts = lies.map(|(_, _, amount)| amount).chain(on_way.map(|(_, way)| way.amount));
        Amount::from_units(amounts.fold(0, |sum: u128, amount| sum.saturating_add(amount.units())))
    }

    /// What lies at the addresses of a chain that customers have, and is not on its way, in the order of the indices.
    pub fn lying(&self, chain: ChainId) -> impl Iterator<Item = Lying> + '_ {
        self.chains.get(&chain).into_iter().flat_map(OfChain::lying)
    }

    /// What lies of an asset at an address that a customer has.
    pub fn lying_at(&self, chain: ChainId, address: Address, asset: EvmAsset) -> Option<Lying> {
        let of = self.chains.get(&chain)?;
        let index = *of.by_address.get(&address)?;
        let page = of.pages.get(&page_of(index))?;
        let amount = *page.held.get(&(index, asset))?;
        Some(Lying { index, asset, amount, is_deployed: page.deployed.contains(&index) })
    }

    /// A transaction under that nonce of the treasury takes these, and its signature is out in the world. `over` is the height by
    /// which the nonce was used up, if it was.
    pub fn take_away(&mut self, chain: ChainId, (nonce, over): (u64, Option<u64>), rows: &[EmptiedRow]) {
        let of = self.chains.entry(chain).or_default();
        for row in rows {
            let Ok(Asset::Evm(asset)) = Asset::parse(&row.asset) else { continue };
            let amount = Amount::from_units(row.amount);
            let way = OnWay { amount, deploys: row.deploy, nonce, over, stayed: false };
            of.on_way.insert((row.index, asset), way);
        }
    }

    /// The treasury was stated: which nonces below this were used up, with the height of that where it is told.
    pub fn used_up(&mut self, fact: &SafeFact) {
        let Some(of) = self.chains.get_mut(&fact.chain) else { return };
        for way in of.on_way.values_mut().filter(|way| way.over.is_none()) {
            if U256::from(way.nonce) < fact.nonce {
                let told = fact.executed.iter().find(|done| done.nonce == way.nonce);
                way.over = Some(told.map_or(fact.height, |done| done.height));
                way.stayed = told.is_some_and(|done| done.ending == Ending::Reverted);
            }
        }
    }

    /// Forgets what was on its way where the page and every hot Safe were stated at blocks that have its end.
    pub fn forget_what_came(&mut self, chain: ChainId, hot_height: u64) {
        let Some(of) = self.chains.get_mut(&chain) else { return };
        let pages = &of.pages;
        of.on_way.retain(|(index, _), way| {
            let stated = pages.get(&page_of(*index)).map_or(0, |page| page.height);
            way.over.is_none_or(|over| over > stated || over > hot_height)
        });
    }
}

const fn page_of(index: u32) -> u32 {
    index / PAGE_LEN
}

impl OnWay {
    /// Whether a block of that height has its end.
    const fn is_before(&self, height: u64) -> bool {
        match self.over {
            Some(over) => self.stayed || over <= height,
            None => false,
        }
    }
}

impl OfChain {
    /// What was stated, with the height of its block, at the addresses that customers have.
    fn stated(&self) -> impl Iterator<Item = (u64, &(u32, EvmAsset), Amount)> {
        let all =
            self.pages.values().flat_map(|page| page.held.iter().map(|(at, held)| (page.height, at, *held)));
        all.filter(|(_, (index, _), _)| self.by_index.contains_key(index))
    }

    fn lying(&self) -> impl Iterator<Item = Lying> + '_ {
        let deploying: BTreeSet<u32> =
            self.on_way.iter().filter(|(_, way)| way.deploys).map(|((index, _), _)| *index).collect();
        let free = move |(_, place, _): &(u64, &(u32, EvmAsset), Amount)| {
            !self.on_way.contains_key(*place) && !deploying.contains(&place.0)
        };
        self.stated().filter(free).map(|(_, (index, asset), amount)| {
            let page = self.pages.get(&page_of(*index));
            let is_deployed = page.is_some_and(|page| page.deployed.contains(index));
            Lying { index: *index, asset: *asset, amount, is_deployed }
        })
    }
}

/// What differs from before; of an asset that was not looked at nobody says that it is gone.
fn moved(fact: &DepositsFact, before: &BTreeMap<(u32, EvmAsset), Amount>) -> Vec<Held> {
    let now: BTreeSet<(u32, EvmAsset)> = fact.held.iter().map(|held| (held.index, held.asset)).collect();
    let is_gone = |place: &&(u32, EvmAsset)| fact.assets.contains(&place.1) && !now.contains(*place);
    let gone = before.keys().filter(is_gone);
    let gone = gone.map(|(index, asset)| Held { index: *index, asset: *asset, amount: Amount::ZERO });
    let changed = fact.held.iter().filter(|held| before.get(&(held.index, held.asset)) != Some(&held.amount));
    let mut moved: Vec<Held> = changed.copied().chain(gone).collect();
    moved.sort_unstable();
    moved
}
