//! EVM chains by their ids (EIP-155), written as CAIP-2.

use std::fmt;

use super::{Code, Invalid};

/// The largest chain id whose EIP-155 `v` still fits into 64 bits (EIP-2294).
const CHAIN_ID_MAX: u64 = u64::MAX / 2 - 36;

/// A chain's id. It is part of every digest, so that a signature for one chain is worth nothing on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(u64);

impl ChainId {
    /// Ethereum itself.
    pub const MAINNET: Self = Self(1);

    /// A chain by its number; `None` for zero and for what EIP-2294 does not allow.
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 || number > CHAIN_ID_MAX { None } else { Some(Self(number)) }
    }

    /// Reads the CAIP-2 form, `eip155:1`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::read(text).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            let cure = "write `eip155:` and the chain id as a plain number, for Ethereum `eip155:1`";
            Invalid::new(Code::FieldMalformed, "chain", format!("`{shown}` is no EVM chain"), cure)
        })
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("eip155:")?;
        let number = digits.parse::<u64>().ok()?;
        // one spelling a number: no sign, no leading zero
        if number.to_string() == digits { Self::new(number) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eip155:{}", self.0)
    }
}
