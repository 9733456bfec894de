//! Deposit addresses: Safes that do not exist yet, owned 1-of-1 by the treasury Safe, one for each customer's index.
//!
//! The salt is the index itself: reference and index give the same address for ever, on any machine, with no key.

use alloy_primitives::{Address, U256};

use super::wallet::{Blueprint, Make, SafeWallet};

/// The deposit addresses of one treasury.
#[derive(Debug, Clone)]
pub struct Deposits {
    treasury: Address,
    factory: Address,
    blueprint: Blueprint,
}

impl Deposits {
    /// Those of this treasury, of the same contracts as itself.
    pub fn of(treasury: &SafeWallet) -> Self {
        Self::owned_by(treasury.make(), treasury.address())
    }

    /// Those of the treasury at this address, of these contracts: all that decides them, whoever owns the treasury.
    pub fn owned_by(make: Make, treasury: Address) -> Self {
        let blueprint = Blueprint::new(make, &[treasury], 1);
        Self { treasury, factory: make.release.factory.address, blueprint }
    }

    /// The one owner of all of them.
    pub const fn treasury(&self) -> Address {
        self.treasury
    }

    /// The factory that deploys them.
    pub const fn factory(&self) -> Address {
        self.factory
    }

    /// The address at an index.
    pub fn address(&self, index: u64) -> Address {
        self.blueprint.address(U256::from(index))
    }

    /// The addresses of a range of indices, one at a time.
    pub fn addresses(&self, indices: std::ops::Range<u64>) -> impl Iterator<Item = (u64, Address)> {
        indices.map(|index| (index, self.address(index)))
    }

    /// The call of the factory that deploys the one at an index.
    pub fn deployment(&self, index: u64) -> Vec<u8> {
        self.blueprint.deployment(U256::from(index))
    }
}
