//! The coins a party knows: seen, spendable, reserved, spent. Both parties keep their own.

use std::collections::HashMap;

use ::bitcoin::OutPoint;

use crate::bitcoin::Branch;
use crate::bitcoin::coin_index::CoinIndex;
use crate::withdrawal::ReservationId;

/// Where a coin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoinState {
    /// Nobody has claimed it.
    Free,
    /// An input of a reservation that is not finished.
    Reserved(ReservationId),
    /// An input of a transaction that carries both signatures.
    Spent(ReservationId),
}

/// One output that pays this wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coin {
    /// Which output.
    pub outpoint: OutPoint,
    /// How much it holds, in satoshi.
    pub amount_sat: u64,
    /// 0 for deposits, 1 for change, refill and consolidation.
    pub branch: u32,
    /// The index on the branch.
    pub index: u32,
    /// How deep the observer saw it; 0 for own change that no block holds yet.
    pub confirmations: u32,
    /// How many unconfirmed transactions of our own lie between it and a confirmed coin.
    pub chain_depth: u8,
    /// Whether a block made it: then the consensus rules let nobody spend it before [`COINBASE_DEPTH`] confirmations.
    pub coinbase: bool,
    /// Where it stands.
    pub state: CoinState,
}

impl Coin {
    /// The coin as the rules of Bitcoin know it.
    pub const fn own(&self) -> crate::bitcoin::coin::Coin {
        let branch = if self.branch == 0 { Branch::Deposit } else { Branch::Change };
        crate::bitcoin::coin::Coin {
            outpoint: self.outpoint,
            amount_sat: self.amount_sat,
            branch,
            index: self.index,
        }
    }

    /// Whether it is our own change (branch 1).
    pub const fn is_change(&self) -> bool {
        self.branch == 1
    }
}

/// Confirmations before what a block made can be spent (COINBASE_MATURITY of Bitcoin's consensus rules).
pub const COINBASE_DEPTH: u32 = 100;

/// Deepest chain of own unconfirmed change that is spent (relay policy allows 25 in all).
pub const CHAIN_DEPTH_MAX: u8 = 10;

/// All unspent coins; the spendable ones by amount, for selection.
#[derive(Debug, Default)]
pub struct Coins {
    all: HashMap<OutPoint, Coin>,
    spendable: CoinIndex,
    hot_sat: u64,
    depth_min: u32,
}

impl Coins {
    /// An empty set that credits coins at `depth_min` confirmations.
    pub fn new(depth_min: u32) -> Self {
        Self { depth_min, ..Self::default() }
    }

    /// The coin at an outpoint, if it is known and unspent.
    pub fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.all.get(outpoint)
    }

    /// Puts a coin in, or a newer view of it; a spent one leaves.
    pub fn put(&mut self, coin: Coin) {
        self.take(&coin.outpoint);
        if matches!(coin.state, CoinState::Spent(_)) {
            return;
        }
        if self.is_credited(&coin) {
            self.hot_sat = self.hot_sat.saturating_add(coin.amount_sat);
        }
        if self.is_spendable(&coin) {
            self.spendable.insert(coin.own());
        }
        self.all.insert(coin.outpoint, coin);
    }

    fn take(&mut self, outpoint: &OutPoint) {
        let Some(coin) = self.all.remove(outpoint) else { return };
        if self.is_credited(&coin) {
            self.hot_sat = self.hot_sat.saturating_sub(coin.amount_sat);
        }
        self.spendable.remove(&coin.own());
    }

    /// Changes where a known coin stands and returns the new view of it.
    pub fn set_state(&mut self, outpoint: &OutPoint, state: CoinState) -> Option<Coin> {
        let mut coin = *self.all.get(outpoint)?;
        coin.state = state;
        self.put(coin);
        Some(coin)
    }

    fn is_credited(&self, coin: &Coin) -> bool {
        self.is_deep(coin) || (coin.is_change() && !coin.coinbase)
    }

    fn is_deep(&self, coin: &Coin) -> bool {
        let wanted = if coin.coinbase { self.depth_min.max(COINBASE_DEPTH) } else { self.depth_min };
        coin.confirmations >= wanted
    }

    /// Whether a transaction may spend it now: free, and deep enough or our own change in a short chain. A coin of nothing
    /// pays nothing; anybody can make one.
    pub fn is_spendable(&self, coin: &Coin) -> bool {
        let is_chained = coin.is_change() && !coin.coinbase && coin.chain_depth <= CHAIN_DEPTH_MAX;
        (self.is_deep(coin) || is_chained) && coin.state == CoinState::Free && coin.amount_sat > 0
    }

    /// Everything credited and unspent, reserved inputs included, in satoshi.
    pub const fn hot_sat(&self) -> u64 {
        self.hot_sat
    }

    /// How many unspent coins are known.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether no coin is known.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How much can be spent now, in satoshi.
    pub fn spendable_sat(&self) -> u64 {
        u64::try_from(self.spendable.total_sat()).unwrap_or(u64::MAX)
    }

    /// The spendable coins.
    pub const fn spendable(&self) -> &CoinIndex {
        &self.spendable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bitcoin::hashes::Hash;

    fn coin(n: u8, amount_sat: u64, branch: u32, confirmations: u32) -> Coin {
        let txid = ::bitcoin::Txid::from_byte_array([n; 32]);
        Coin {
            outpoint: OutPoint { txid, vout: 0 },
            amount_sat,
            branch,
            index: 0,
            confirmations,
            chain_depth: 0,
            coinbase: false,
            state: CoinState::Free,
        }
    }

    #[test]
    fn what_a_block_made_counts_only_when_the_consensus_rules_let_it_be_spent() {
        let mut coins = Coins::new(6);
        coins.put(Coin { coinbase: true, ..coin(1, 100, 0, 99) });
        coins.put(Coin { coinbase: true, ..coin(2, 100, 1, 99) });
        assert_eq!((coins.hot_sat(), coins.spendable_sat()), (0, 0));
        coins.put(Coin { coinbase: true, ..coin(1, 100, 0, 100) });
        assert_eq!((coins.hot_sat(), coins.spendable_sat()), (100, 100));
    }

    #[test]
    fn a_deposit_counts_only_at_credited_depth_and_own_change_at_once() {
        let mut coins = Coins::new(6);
        coins.put(coin(1, 100, 0, 5));
        assert_eq!((coins.hot_sat(), coins.spendable_sat()), (0, 0));
        coins.put(coin(1, 100, 0, 6));
        coins.put(coin(2, 30, 1, 0));
        assert_eq!((coins.hot_sat(), coins.spendable_sat()), (130, 130));
    }

    #[test]
    fn a_reserved_coin_is_hot_but_not_spendable_and_a_spent_one_is_neither() {
        let mut coins = Coins::new(1);
        let c = coin(1, 100, 0, 1);
        let rid = ReservationId::of_txid(&[7; 32]);
        coins.put(c);
        coins.set_state(&c.outpoint, CoinState::Reserved(rid));
        assert_eq!((coins.hot_sat(), coins.spendable_sat()), (100, 0));
        coins.set_state(&c.outpoint, CoinState::Free);
        assert_eq!((coins.hot_sat(), coins.spendable_sat()), (100, 100));
        coins.set_state(&c.outpoint, CoinState::Spent(rid));
        assert_eq!((coins.hot_sat(), coins.spendable_sat(), coins.len()), (0, 0, 0));
    }

    #[test]
    fn own_change_at_the_end_of_a_long_unconfirmed_chain_is_left_alone() {
        let mut coins = Coins::new(6);
        coins.put(Coin { chain_depth: CHAIN_DEPTH_MAX + 1, ..coin(1, 50, 1, 0) });
        assert_eq!((coins.hot_sat(), coins.spendable_sat()), (50, 0));
    }
}
