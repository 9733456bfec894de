//! The place of a Safe transaction: which Safe on which chain, and which of its nonces is taken. No two can have one place.

use std::fmt;

use alloy_primitives::Address;

use super::evm_address::{read, spell};
use super::{ChainId, Code, Invalid};

/// A place, printed `eip155:1:0x…/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePlace {
    /// The chain.
    pub chain: ChainId,
    /// The Safe.
    pub safe: Address,
    /// The Safe's nonce that is taken.
    pub nonce: u64,
}

impl SafePlace {
    /// A place from its parts, the Safe in its EIP-55 spelling.
    pub fn new(chain: &str, safe: &str, nonce: u64) -> Result<Self, Invalid> {
        let chain = ChainId::parse(chain)?;
        let cure = "send the Safe's address in its EIP-55 spelling";
        let safe = read(safe).map_err(|problem| Invalid::new(Code::FieldMalformed, "safe", problem, cure))?;
        Ok(Self { chain, safe, nonce })
    }

    /// Reads what is printed; `None` if it is no place in its one spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let (account, nonce) = text.rsplit_once('/')?;
        let (chain, safe) = account.rsplit_once(':')?;
        let place = Self::new(chain, safe, nonce.parse().ok()?).ok()?;
        (place.to_string() == text).then_some(place)
    }
}

impl fmt::Display for SafePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.chain, spell(self.safe), self.nonce)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_has_one_spelling() {
        let text = "eip155:10:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed/18446744073709551615";
        let place = SafePlace::parse(text).unwrap();
        assert_eq!((place.chain.number(), place.nonce, place.to_string()), (10, u64::MAX, text.to_owned()));
        for other in [
            "",
            "eip155:1",
            "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed/",
            "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed/05",
            "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed/+5",
            "eip155:1:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed/5",
            "eip155:01:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed/5",
            "aa:0",
        ] {
            assert_eq!(SafePlace::parse(other), None, "{other}");
        }
    }
}
