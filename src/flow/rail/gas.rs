//! The gas of Safe transactions: what is kept for the calls, so that a payee that reverts uses its nonce up and blocks nobody
//! behind it, and what executing takes beside that.

use std::collections::BTreeMap;

use crate::flow::context::Context;
use crate::flow::facts::FeeSeen;
use crate::withdrawal::{ChainId, EvmAsset};

/// What is kept for a transfer of ether: a contract that wants more reverts.
const ETHER: u64 = 60_000;
/// What is kept for a transfer of a token for which nothing is pinned.
const TOKEN: u64 = 160_000;
/// By how much the gas differs from one attempt to the next: what was refused is never built a second time (law L20).
const DRAWN: u64 = 1_024;
/// The most that is kept for one transaction: half of what one may take (EIP-7825).
pub const KEPT_MAX: u64 = 8_000_000;
/// What an execution takes beside what is kept: the checks of two signatures, the events, and the call itself.
pub const EXECUTION: u64 = 110_000;
/// What each further payment adds to that: 153 bytes of a batch, paid for, hashed, copied, and told in the log.
const BATCHED: u64 = 4_000;
/// The most payments of a token in one transaction: their ids fit one field of the log.
pub const PAYMENTS_MAX: usize = 50;

/// What is kept for the transfers of one chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept(BTreeMap<EvmAsset, u64>);

impl Kept {
    /// With what the trust file pins for some of its tokens.
    pub const fn new(pinned: BTreeMap<EvmAsset, u64>) -> Self {
        Self(pinned)
    }

    /// Of a chain; what is not pinned has the usual figures.
    pub fn on(context: &Context, chain: ChainId) -> &Self {
        static USUAL: Kept = Kept(BTreeMap::new());
        context.safes.get(&chain).map_or(&USUAL, |pins| &pins.gas)
    }

    /// For one transfer of an asset.
    pub fn each(&self, asset: EvmAsset) -> u64 {
        match asset {
            EvmAsset::Ether(_) => ETHER,
            EvmAsset::Token(..) => self.0.get(&asset).copied().unwrap_or(TOKEN),
        }
    }

    /// How many payments of an asset one transaction may carry. No party below may ask whether there is code at an address, so
    /// ether goes alone.
    pub fn payments_max(&self, asset: EvmAsset) -> usize {
        match asset {
            EvmAsset::Ether(_) => 1,
            EvmAsset::Token(..) => {
                let fit = KEPT_MAX.checked_div(self.each(asset)).unwrap_or(1).max(1);
                usize::try_from(fit).unwrap_or(PAYMENTS_MAX).min(PAYMENTS_MAX)
            }
        }
    }
}

/// The most that may be kept where the transfers need this much.
pub fn bound(needed: u64) -> u64 {
    needed.saturating_add(DRAWN)
}

/// What is kept on top of it; no two attempts keep the same.
pub fn draw(context: &Context) -> u64 {
    context.random_u64() % DRAWN
}

/// What executing a Safe transaction costs that keeps this much gas for so many payments, at a rate in wei for 1,000 units. On
/// each request falls an equal part, rounded up.
pub fn fee_of(kept: u64, payments: usize, rate: u128) -> FeeSeen {
    let batched = count(payments.saturating_sub(1)).saturating_mul(BATCHED);
    let gas = u128::from(kept.saturating_add(EXECUTION).saturating_add(batched));
    let paid = gas.saturating_mul(rate).div_ceil(1_000);
    let share = paid.div_ceil(u128::from(count(payments.max(1))));
    FeeSeen { rate, paid, leaving: 0, lineage: paid, share }
}

/// A number of payments as gas is counted.
pub fn count(payments: usize) -> u64 {
    u64::try_from(payments).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ethereum::Address;

    #[test]
    fn no_more_payments_go_together_than_what_is_kept_for_them_leaves_room_for() {
        let token = |n: u8| EvmAsset::Token(ChainId::MAINNET, Address::repeat_byte(n));
        let pinned = [(token(1), 50_000), (token(2), 161_000), (token(3), 1_000_000), (token(4), 2_000_000)];
        let kept = Kept::new(pinned.into());
        let most = |asset| (kept.each(asset), kept.payments_max(asset));
        assert_eq!(most(EvmAsset::Ether(ChainId::MAINNET)), (60_000, 1));
        assert_eq!(most(token(9)), (160_000, 50));
        assert_eq!(
            [1, 2, 3, 4].map(|n| most(token(n))),
            [(50_000, 50), (161_000, 49), (1_000_000, 8), (2_000_000, 4)]
        );
    }

    #[test]
    fn the_parts_of_a_fee_never_come_to_less_than_the_fee() {
        for payments in [1, 2, 3, 7, 50] {
            let fee = fee_of(8_000_001, payments, 20_000_000_000_001);
            assert!(fee.share * u128::from(count(payments)) >= fee.paid, "{fee:?}");
        }
    }
}
