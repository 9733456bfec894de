//! Assets of an EVM chain by their CAIP-19 names: its own coin, and tokens (ERC-20) with pinned decimals.

use std::fmt;

use alloy_primitives::Address;

use super::address::{self, is_payable};
use super::chain::ChainId;
use crate::withdrawal::{Code, Invalid};

/// The decimals of ether.
pub const ETHER_DECIMALS: u8 = 18;

/// The most decimals a token may have: ten to this power still fits into 256 bits.
pub const DECIMALS_MAX: u8 = 77;

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
                let contract = address::read(contract).ok().filter(|at| is_payable(*at))?;
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
            Self::Token(chain, contract) => write!(f, "{chain}/erc20:{}", address::spell(*contract)),
        }
    }
}

/// A token as a party's own configuration pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPin {
    asset: EvmAsset,
    decimals: u8,
}

impl TokenPin {
    /// Pins a token's decimals; `None` for ether, and for more decimals than 256 bits hold.
    pub fn new(asset: EvmAsset, decimals: u8) -> Option<Self> {
        (asset.contract().is_some() && decimals <= DECIMALS_MAX).then_some(Self { asset, decimals })
    }

    /// The token.
    pub const fn asset(&self) -> EvmAsset {
        self.asset
    }

    /// The decimals of a whole token.
    pub const fn decimals(&self) -> u8 {
        self.decimals
    }

    /// Whether the contract's own answer to `decimals()` is the pinned one: one word, and nothing after it.
    pub fn agrees_with(&self, returned: &[u8]) -> bool {
        let (last, rest) = match returned.split_last() {
            Some(parts) => parts,
            None => return false,
        };
        returned.len() == 32 && *last == self.decimals && rest.iter().all(|byte| *byte == 0)
    }
}
