//! Destinations: an address that may be paid, in its one spelling. It knows forms, not who owns what, nor whether there is
//! code.

use alloy_primitives::Address;

use crate::withdrawal::evm_address::{EVM_ADDRESS_LEN, is_payable, read, spell};
use crate::withdrawal::{Code, Invalid};

const FIELD: &str = "destination";

/// An address that somebody may hold, in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    address: Address,
    text: String,
}

impl Destination {
    /// Reads an address with its EIP-55 checksum. The zero address and the precompiled contracts are refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new(Code::FieldMissing, FIELD, "is empty", "send the address to pay"));
        }
        if text.len() > EVM_ADDRESS_LEN {
            let problem = format!("is {} bytes long, an address has {EVM_ADDRESS_LEN}", text.len());
            let cure = "send one address and nothing else";
            return Err(Invalid::new(Code::FieldTooLong, FIELD, problem, cure));
        }
        let address = read(text).map_err(|problem| {
            let shown: String = text.chars().take(12).collect();
            let cure = "send the address with `0x` and the upper and lower case of its EIP-55 checksum";
            Invalid::new(Code::AddressMalformed, FIELD, format!("`{shown}…` {problem}"), cure)
        })?;
        Self::of(address).ok_or_else(|| {
            let problem = "is the zero address or a precompiled contract; what is sent there is burnt";
            Invalid::new(Code::AddressNotPayable, FIELD, problem, Code::AddressNotPayable.cure())
        })
    }

    /// A destination from its bytes; `None` where nobody can hold it.
    pub fn of(address: Address) -> Option<Self> {
        is_payable(address).then(|| Self { address, text: spell(address) })
    }

    /// The 20 bytes.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The EIP-55 spelling.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
