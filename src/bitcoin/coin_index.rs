//! The spendable coins in order of their amounts, and the short list a selection is made from.
//!
//! It does not know which coins are reserved: whoever reserves one takes it out.

use std::collections::BTreeMap;

use ::bitcoin::OutPoint;

use super::coin::Coin;

/// How many coins that would do alone go on a short list.
const ALONE_ENOUGH: usize = 8;

/// Spendable coins by amount. Finding candidates costs the same with a hundred coins as with a hundred thousand.
#[derive(Debug, Default)]
pub struct CoinIndex {
    by_amount: BTreeMap<(u64, OutPoint), Coin>,
    total_sat: u128,
}

impl CoinIndex {
    /// An index without coins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a coin; false if it was there.
    pub fn insert(&mut self, coin: Coin) -> bool {
        let new = self.by_amount.insert((coin.amount_sat, coin.outpoint), coin).is_none();
        if new {
            self.total_sat += u128::from(coin.amount_sat);
        }
        new
    }

    /// Takes a coin out; false if it was not there.
    pub fn remove(&mut self, coin: &Coin) -> bool {
        let found = self.by_amount.remove(&(coin.amount_sat, coin.outpoint)).is_some();
        if found {
            self.total_sat -= u128::from(coin.amount_sat);
        }
        found
    }

    /// How many coins there are.
    pub fn len(&self) -> usize {
        self.by_amount.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_amount.is_empty()
    }

    /// What they are worth together, in satoshi.
    pub fn total_sat(&self) -> u128 {
        self.total_sat
    }

    /// All coins, smallest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Coin> {
        self.by_amount.values()
    }

    /// At most `limit` candidates for paying `target_sat`: the anchor, the few smallest coins that would do alone, and
    /// then the largest of those that would not.
    ///
    /// When the target is above every coin this is largest-first, so the list covers the target whenever `limit`
    /// coins can.
    pub fn shortlist(&self, target_sat: u64, anchor: Option<&Coin>, limit: usize) -> Vec<Coin> {
        let pivot = (target_sat, OutPoint { txid: zero_txid(), vout: 0 });
        let alone = self.by_amount.range(pivot..).take(ALONE_ENOUGH).map(|(_, coin)| coin);
        let below = self.by_amount.range(..pivot).rev().map(|(_, coin)| coin);
        let others = alone.chain(below).filter(|coin| anchor.is_none_or(|a| a.outpoint != coin.outpoint));
        anchor.into_iter().chain(others).take(limit).copied().collect()
    }

    /// The `limit` smallest coins: what a consolidation gathers.
    pub fn smallest(&self, limit: usize) -> Vec<Coin> {
        self.iter().take(limit).copied().collect()
    }
}

fn zero_txid() -> ::bitcoin::Txid {
    use ::bitcoin::hashes::Hash;
    ::bitcoin::Txid::all_zeros()
}
