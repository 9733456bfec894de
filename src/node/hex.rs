//! Numbers and bytes as Ethereum's JSON-RPC spells them: one spelling each, and a bound on each. Everything else is refused.

use alloy_primitives::{Address, B256, U256};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use serde_json::{Value, json};

/// The longest bytes that are read, before their hex: more than the largest code, log or answer of a call is wanted.
const DATA_LEN_MAX: usize = 512 * 1024;

/// QUANTITY: `0x`, no leading zero, at most 256 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Quantity(pub U256);

impl Quantity {
    pub(super) fn u64(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }

    pub(super) fn u128(self) -> Option<u128> {
        u128::try_from(self.0).ok()
    }
}

impl TryFrom<String> for Quantity {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_prefix("0x").ok_or("a number does not start with 0x")?;
        if digits.is_empty() || digits.len() > 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("a number is not 1 to 64 hex digits");
        }
        if digits.starts_with('0') && digits != "0" {
            return Err("a number has a leading zero");
        }
        U256::from_str_radix(digits, 16).map(Self).map_err(|_| "a number is larger than 256 bits")
    }
}

/// DATA: `0x` and whole bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Data(pub Vec<u8>);

impl TryFrom<String> for Data {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_prefix("0x").ok_or("bytes do not start with 0x")?;
        if digits.len() > 2 * DATA_LEN_MAX {
            return Err("there are too many bytes");
        }
        HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map(Self).map_err(|_| "bytes are not hex")
    }
}

/// 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Data")]
pub(super) struct Word(pub B256);

impl TryFrom<Data> for Word {
    type Error = &'static str;

    fn try_from(data: Data) -> Result<Self, Self::Error> {
        B256::try_from(data.0.as_slice()).map(Self).map_err(|_| "not 32 bytes")
    }
}

/// 20 bytes; nodes write them with and without a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Data")]
pub(super) struct Account(pub Address);

impl TryFrom<Data> for Account {
    type Error = &'static str;

    fn try_from(data: Data) -> Result<Self, Self::Error> {
        Address::try_from(data.0.as_slice()).map(Self).map_err(|_| "not 20 bytes")
    }
}

/// A number as it is sent.
pub(super) fn number(number: u64) -> Value {
    json!(format!("0x{number:x}"))
}

/// Bytes as they are sent.
pub(super) fn bytes(bytes: &[u8]) -> Value {
    json!(format!("0x{}", HEXLOWER_PERMISSIVE.encode(bytes)))
}
