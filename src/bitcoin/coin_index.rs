//! The spendable coins in order of their amounts, and the short list a selection is made from.
//!
//! It does not know which coins are reserved: whoever reserves one takes it out.

use std::collections::BTreeMap;

use ::bitcoin::hashes::Hash;
use ::bitcoin::{OutPoint, Txid};

use super::coin::Coin;
use super::fee::{self, OWN_DUST_SAT, OWN_OUTPUT_WEIGHT};
use crate::withdrawal::FeeRate;

/// How many coins that would do alone go on a short list, of those without change and of those with.
const ALONE_ENOUGH: usize = 4;

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

    /// At most `limit` candidates for paying `target_sat` at `rate`: the anchor, a few of the smallest coins that would
    /// do alone without change, a few that would do alone with change, and then the largest of those that would not.
    ///
    /// When the target is above every coin this is largest-first, so the list covers the target whenever `limit`
    /// coins can.
    pub fn shortlist(
        &self,
        target_sat: u64,
        rate: FeeRate,
        anchor: Option<&Coin>,
        limit: usize,
    ) -> Vec<Coin> {
        let from = |extra: u64| (target_sat.saturating_add(extra), zero_outpoint());
        let fee = |outputs: usize| {
            let outputs = std::iter::repeat_n(OWN_OUTPUT_WEIGHT, outputs);
            rate.fee_sat(fee::vbytes(fee::weight_max(1 + usize::from(anchor.is_some()), outputs)))
                .unwrap_or(u64::MAX)
        };
        // INVARIANT: the three runs leave no gap between them, or a coin in it could never be spent
        let enough_for_change = from(fee(2).saturating_add(OWN_DUST_SAT));
        let exact = self.by_amount.range(from(fee(1))..enough_for_change).take(ALONE_ENOUGH);
        let with_change = self.by_amount.range(enough_for_change..).take(ALONE_ENOUGH);
        let below = self.by_amount.range(..from(fee(1))).rev();
        let others = exact.chain(with_change).chain(below).map(|(_, coin)| coin);
        let others = others.filter(|coin| anchor.is_none_or(|a| a.outpoint != coin.outpoint));
        anchor.into_iter().chain(others).take(limit).copied().collect()
    }

    /// The `limit` smallest coins: what a consolidation gathers.
    pub fn smallest(&self, limit: usize) -> Vec<Coin> {
        self.iter().take(limit).copied().collect()
    }
}

fn zero_outpoint() -> OutPoint {
    OutPoint { txid: Txid::all_zeros(), vout: 0 }
}
