//! Addresses of EVM chains in their one spelling, with the EIP-55 checksum.
//!
//! Only the checksummed spelling is read. All lower or all upper case carries no checksum, and a slip of one digit would
//! pay a stranger, so neither is taken. The chain-bound checksum of EIP-1191 is another spelling of the same address
//! and is not read either.

use alloy_primitives::Address;

/// The length of an address as text.
pub const EVM_ADDRESS_LEN: usize = 42;

/// Below this number stand the precompiled contracts of every known chain; nobody holds a key there.
const PRECOMPILES: [u8; 18] = [0; 18];

/// Whether somebody may hold it: not the zero address and not among the precompiled contracts.
pub fn is_payable(address: Address) -> bool {
    !address.as_slice().starts_with(&PRECOMPILES)
}

/// The EIP-55 spelling.
pub fn spell(address: Address) -> String {
    address.to_checksum(None)
}

/// Reads the EIP-55 spelling of any address, or says in one clause why not.
pub fn read(text: &str) -> Result<Address, &'static str> {
    let digits = text.strip_prefix("0x").ok_or("does not start with `0x`")?;
    if digits.len() != EVM_ADDRESS_LEN - 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
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
