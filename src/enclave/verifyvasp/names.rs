//! Owns what the network calls our asset: its ticker, and the name of its chain as the member writes it.

use crate::withdrawal::{Asset, Denomination};

/// Longest name of a chain, in characters, as the network's tables hold it.
pub const NETWORK_LEN_MAX: usize = 128;

/// The one asset of a wallet in the network's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    asset: Asset,
    denomination: Denomination,
    network: String,
}

impl Names {
    /// The asset, and what the network calls its chain; nothing if that is no name.
    pub fn new(asset: Asset, network: &str) -> Option<Self> {
        let good = !network.is_empty() && network.len() <= NETWORK_LEN_MAX;
        let plain = network.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && network.trim() == network;
        let denomination = asset.denomination().filter(|_| good && plain)?;
        Some(Self { asset, denomination, network: network.to_owned() })
    }

    /// The chain's name.
    pub(super) fn network(&self) -> &str {
        &self.network
    }

    /// The asset that ticker and chain name, if it is this one. A chain that is not named could be another.
    pub(super) fn asset(&self, symbol: &str, network: Option<&str>) -> Option<Asset> {
        let same = symbol == self.denomination.symbol() && network == Some(&*self.network);
        same.then_some(self.asset)
    }

    /// How amounts of it are said.
    pub(super) const fn denomination(&self) -> &Denomination {
        &self.denomination
    }

    /// The asset that is meant.
    pub(super) fn own(&self) -> Asset {
        self.asset
    }
}
