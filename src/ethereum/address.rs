//! Addresses: reading a destination by its EIP-55 checksum. It knows forms, not who owns what, nor whether there is code.
//!
//! Only the checksummed spelling is read. All lower or all upper case carries no checksum, and a slip of one digit would
//! pay a stranger, so neither is taken. The chain-bound checksum of EIP-1191 is another spelling of the same address
//! and is not read either.

use alloy_primitives::Address;

use crate::withdrawal::{Code, Invalid};

/// The length of an address as text.
const TEXT_LEN: usize = 42;

/// Below this number stand the precompiled contracts of every known chain; nobody holds a key there.
const PRECOMPILES: [u8; 18] = [0; 18];

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
        if text.len() > TEXT_LEN {
            let problem = format!("is {} bytes long, an address has {TEXT_LEN}", text.len());
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

/// Whether somebody may hold it: not the zero address and not among the precompiled contracts.
pub fn is_payable(address: Address) -> bool {
    !address.as_slice().starts_with(&PRECOMPILES)
}

/// The EIP-55 spelling.
pub fn spell(address: Address) -> String {
    address.to_checksum(None)
}

/// Reads the EIP-55 spelling of any address, or says in one clause why not.
pub(super) fn read(text: &str) -> Result<Address, &'static str> {
    let digits = text.strip_prefix("0x").ok_or("does not start with `0x`")?;
    if digits.len() != TEXT_LEN - 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("is not 40 hex digits");
    }
    let address: Address = text.parse().map_err(|_| "is not 40 hex digits")?;
    if spell(address) == text {
        return Ok(address);
    }
    let one_case = |is: fn(&u8) -> bool| digits.bytes().all(|b| b.is_ascii_digit() || is(&b));
    if one_case(u8::is_ascii_lowercase) || one_case(u8::is_ascii_uppercase) {
        return Err("has no checksum: all its letters are of one case");
    }
    Err("has a wrong checksum (EIP-55)")
}
