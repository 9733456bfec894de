//! Deposit addresses on EVM chains: which customer has which index of a chain, and which addresses are ours. Each party keeps
//! its own book; each chain counts by itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::rows::AddressRow;
use crate::ethereum::Address;
use crate::withdrawal::ChainId;

/// The deposit addresses of every chain.
#[derive(Debug, Default)]
pub struct DepositBook {
    chains: BTreeMap<ChainId, OfChain>,
    own: HashSet<Address>,
}

#[derive(Debug, Default)]
struct OfChain {
    by_customer: HashMap<String, AddressRow>,
    by_index: BTreeMap<u32, Address>,
}

impl DepositBook {
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
}
