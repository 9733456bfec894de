//! Chains: the networks of Bitcoin, and EVM chains by their ids.

use std::fmt;

use super::{ChainId, Code, Invalid};

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

/// A chain that money can be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chain {
    /// A network of Bitcoin.
    Bitcoin(Network),
    /// An EVM chain.
    Evm(ChainId),
}

impl Chain {
    /// Reads a network's name, `mainnet`, or the CAIP-2 id of an EVM chain, `eip155:1`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.starts_with("eip155:") {
            return ChainId::parse(text).map(Self::Evm).map_err(|no| Invalid { field: "network", ..no });
        }
        Network::parse(text).map(Self::Bitcoin).map_err(|no| Invalid {
            cure: "write mainnet, testnet4, signet or regtest, or `eip155:` and a chain id",
            ..no
        })
    }

    /// The network of Bitcoin, if it is one.
    pub const fn bitcoin(self) -> Option<Network> {
        match self {
            Self::Bitcoin(network) => Some(network),
            Self::Evm(_) => None,
        }
    }

    /// The EVM chain, if it is one.
    pub const fn evm(self) -> Option<ChainId> {
        match self {
            Self::Bitcoin(_) => None,
            Self::Evm(chain) => Some(chain),
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bitcoin(network) => network.fmt(f),
            Self::Evm(chain) => chain.fmt(f),
        }
    }
}
