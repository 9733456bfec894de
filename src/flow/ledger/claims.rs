//! The Safe transactions of one lane that carry both parties' word and are not executed for good, and what leaves with them.

use std::collections::BTreeMap;

use super::lane::Claim;
use crate::withdrawal::Asset;

/// The claims by nonce. What leaves is summed as they come: thousands wait for a block to be final, and every decision asks.
#[derive(Debug, Default)]
pub struct Claims {
    by_nonce: BTreeMap<u64, Claim>,
    leaving: BTreeMap<Asset, u128>,
}

impl Claims {
    /// The claim of a nonce.
    pub fn get(&self, nonce: u64) -> Option<&Claim> {
        self.by_nonce.get(&nonce)
    }

    /// Whether a nonce is claimed.
    pub fn has(&self, nonce: u64) -> bool {
        self.by_nonce.contains_key(&nonce)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_nonce.len()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Claim> {
        self.by_nonce.values()
    }

    /// What of an asset leaves with all of them, in base units.
    pub fn leaving(&self, asset: Asset) -> u128 {
        self.leaving.get(&asset).copied().unwrap_or_default()
    }

    /// Puts a claim in, in the place of any other of its nonce.
    pub fn put(&mut self, nonce: u64, claim: Claim) {
        let (asset, amount) = (claim.asset, claim.amount);
        if self.by_nonce.insert(nonce, claim).is_some() {
            self.sum();
            return;
        }
        let sum = self.leaving.entry(asset).or_default();
        *sum = sum.saturating_add(amount);
    }

    /// Those below a nonce are over.
    pub fn end_below(&mut self, nonce: u64) {
        let rest = self.by_nonce.split_off(&nonce);
        if !std::mem::replace(&mut self.by_nonce, rest).is_empty() {
            self.sum();
        }
    }

    fn sum(&mut self) {
        self.leaving.clear();
        for claim in self.by_nonce.values() {
            let sum = self.leaving.entry(claim.asset).or_default();
            *sum = sum.saturating_add(claim.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::withdrawal::{ChainId, EvmAsset, Network, ReservationId};

    fn claim(asset: Asset, amount: u128) -> Claim {
        let reservation = ReservationId::of_txid(&[7; 32]);
        Claim { reservation, hash: String::new(), asset, amount, withdrawals: Vec::new(), errand: None }
    }

    #[test]
    fn what_leaves_is_the_plain_sum_whatever_comes_and_ends_in_whatever_order() {
        let assets = (Asset::Evm(EvmAsset::Ether(ChainId::MAINNET)), Asset::Bitcoin(Network::Mainnet));
        let mut claims = Claims::default();
        let mut chance: u64 = 7;
        let mut draw = |below: u64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) % below
        };
        for _ in 0..2_000 {
            match draw(8) {
                0 => claims.end_below(draw(60)),
                _ => {
                    let amount = if draw(50) == 0 { u128::MAX } else { u128::from(draw(1_000)) };
                    let asset = if draw(2) == 0 { assets.0 } else { assets.1 };
                    claims.put(draw(64), claim(asset, amount));
                }
            }
            for asset in [assets.0, assets.1] {
                let plain = claims.all().filter(|claim| claim.asset == asset);
                let plain = plain.fold(0u128, |sum, claim| sum.saturating_add(claim.amount));
                assert_eq!(claims.leaving(asset), plain);
            }
        }
    }
}
