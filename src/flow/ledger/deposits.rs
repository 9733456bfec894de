//! Deposit addresses on EVM chains: which customer has which index of a chain, which addresses are ours, and what lies there as
//! last stated. Each party keeps its own book; each chain counts by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::rows::AddressRow;
use crate::ethereum::Address;
use crate::evidence::{DepositsFact, Held};
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
    pages: BTreeMap<u32, Page>,
}

/// One page as it was stated last.
#[derive(Debug)]
struct Page {
    height: u64,
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
        let page = Page { height: fact.height, held: held.collect() };
        let before = of.pages.insert(fact.page, page).map(|page| page.held).unwrap_or_default();
        let of = &*of;
        let moved = moved(fact, &before);
        let place =
            |held: Held| Some(Moved { address: *of.by_index.get(&held.index)?, held, height: fact.height });
        moved.into_iter().filter_map(place).collect()
    }

    /// What of an asset lies at the addresses that customers have. It is credited nowhere before it was emptied into the hot Safe.
    pub fn held(&self, asset: Asset) -> Amount {
        let Asset::Evm(asset) = asset else { return Amount::ZERO };
        let Some(of) = self.chains.get(&asset.chain()) else { return Amount::ZERO };
        let lies = of.pages.values().flat_map(|page| &page.held);
        let ours =
            lies.filter(|((index, of_asset), _)| *of_asset == asset && of.by_index.contains_key(index));
        Amount::from_units(ours.fold(0, |sum: u128, (_, amount)| sum.saturating_add(amount.units())))
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
