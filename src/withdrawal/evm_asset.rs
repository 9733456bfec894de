//! Assets of an EVM chain by their CAIP-19 names: its own coin, and tokens (ERC-20).

use std::fmt;

use alloy_primitives::Address;

use super::evm_address::{self, is_payable};
use super::evm_chain::ChainId;
use super::{Code, Invalid};

/// What can be paid on an EVM chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvmAsset {
    /// Ether, on Ethereum or on a chain that uses it: `eip155:1/slip44:60`.
    Ether(ChainId),
    /// A token by its contract: `eip155:1/erc20:0x…`, with the EIP-55 checksum.
    Token(ChainId, Address),
}

impl EvmAsset {
    /// Reads a CAIP-19 id. The contract's address is read by the same rule as a destination.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::read(text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            let cure =
                "send a CAIP-19 id, `eip155:<chain>/slip44:60` or `eip155:<chain>/erc20:<EIP-55 address>`";
            Invalid::new(Code::AssetUnknown, "asset", format!("`{shown}` is no asset of an EVM chain"), cure)
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (chain, asset) = text.split_once('/')?;
        let chain = ChainId::read(chain)?;
        match asset.split_once(':')? {
            ("slip44", "60") => Some(Self::Ether(chain)),
            ("erc20", contract) => {
                let contract = evm_address::read(contract).ok().filter(|at| is_payable(*at))?;
                Some(Self::Token(chain, contract))
            }
            _ => None,
        }
    }

    /// The chain it lives on.
    pub const fn chain(self) -> ChainId {
        match self {
            Self::Ether(chain) | Self::Token(chain, _) => chain,
        }
    }

    /// The token's contract, if it is one.
    pub const fn contract(self) -> Option<Address> {
        match self {
            Self::Ether(_) => None,
            Self::Token(_, contract) => Some(contract),
        }
    }
}

impl fmt::Display for EvmAsset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ether(chain) => write!(f, "{chain}/slip44:60"),
            Self::Token(chain, contract) => write!(f, "{chain}/erc20:{}", evm_address::spell(*contract)),
        }
    }
}
