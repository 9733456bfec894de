//! Tokens (ERC-20) as a party pins them, with their decimals.

use crate::withdrawal::EvmAsset;

/// The most decimals a token may have: ten to this power still fits into 256 bits.
pub const DECIMALS_MAX: u8 = 77;

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
