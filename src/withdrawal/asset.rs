//! Assets and networks by their CAIP names.

use std::fmt;

use super::{Code, Invalid};

/// A Bitcoin network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// The one with money.
    Mainnet,
    /// BIP-0094.
    Testnet4,
    /// BIP-0325.
    Signet,
    /// A chain of one's own, for tests.
    Regtest,
}

impl Network {
    /// Every network, in order of seriousness.
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Testnet4, Self::Signet, Self::Regtest];

    /// The name used in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The CAIP-2 reference in namespace `bip122`: the first 16 bytes of the genesis block's hash, in display order.
    pub const fn caip2_reference(self) -> &'static str {
        match self {
            Self::Mainnet => "000000000019d6689c085ae165831e93",
            Self::Testnet4 => "00000000da84f2bafbbc53dee25a72ae",
            Self::Signet => "00000008819873e925422c1ff0f99f7c",
            Self::Regtest => "0f9188f13cb7b2c71f2a335e3a4fc328",
        }
    }

    /// The coin type of BIP-0044/SLIP-0044: 0 on mainnet, 1 elsewhere.
    pub const fn coin_type(self) -> u32 {
        match self {
            Self::Mainnet => 0,
            _ => 1,
        }
    }

    /// Reads the name used in configuration.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|n| n.as_str() == text).ok_or_else(|| {
            Invalid::new(
                Code::FieldMalformed,
                "network",
                format!("`{}` is no network we know", text.chars().take(40).collect::<String>()),
                "write mainnet, testnet4, signet or regtest",
            )
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An asset: a coin on a network, written as its CAIP-19 id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asset {
    /// The native coin of a Bitcoin network.
    Bitcoin(Network),
}

impl Asset {
    /// Reads a CAIP-19 id such as `bip122:000000000019d6689c085ae165831e93/slip44:0`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Network::ALL.into_iter().map(Self::Bitcoin).find(|asset| asset.to_string() == text).ok_or_else(|| {
            Invalid::new(
                Code::AssetUnknown,
                "asset",
                format!("`{}` is no asset we know", text.chars().take(80).collect::<String>()),
                "send a CAIP-19 id, for bitcoin `bip122:<genesis>/slip44:<coin type>`",
            )
        })
    }

    /// The network it lives on.
    pub const fn network(self) -> Network {
        match self {
            Self::Bitcoin(network) => network,
        }
    }

    /// The ticker used in the travel-rule network.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Bitcoin(_) => "BTC",
        }
    }

    /// The number of decimals of a whole coin.
    pub const fn decimals(self) -> u32 {
        match self {
            Self::Bitcoin(_) => 8,
        }
    }

    /// The most there can ever be, in base units.
    pub const fn supply_max(self) -> super::Amount {
        match self {
            Self::Bitcoin(_) => super::Amount::from_sat(2_100_000_000_000_000),
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bitcoin(network) => {
                write!(f, "bip122:{}/slip44:{}", network.caip2_reference(), network.coin_type())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_reads_back_and_no_two_share_a_name() {
        for network in Network::ALL {
            let asset = Asset::Bitcoin(network);
            assert_eq!(Asset::parse(&asset.to_string()), Ok(asset));
        }
        assert_eq!(Asset::parse("btc").unwrap_err().code, Code::AssetUnknown);
    }
}
