//! Amounts of 256 bits in base units: read, written and added exactly, never truncated.

use std::fmt;

use alloy_primitives::U256;

use super::token::DECIMALS_MAX;
use crate::withdrawal::{Amount, Code, Invalid};

/// An amount in base units (wei for ether).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Units(U256);

const CURE: &str =
    "send a positive whole number of base units as a decimal string, without sign, point or leading zero";
const COIN_CURE: &str =
    "send a decimal number with at most as many digits behind the point as the asset has decimals";

impl Units {
    /// Nothing.
    pub const ZERO: Self = Self(U256::ZERO);

    /// An amount of that many base units.
    pub const fn new(units: U256) -> Self {
        Self(units)
    }

    /// The same amount as every other room has it. Always exact: that word is the smaller one.
    pub fn from_amount(amount: Amount) -> Self {
        Self(U256::from(amount.units()))
    }

    /// The amount as every other room has it, or `None` where it is larger than that: what nobody here can value is held.
    pub fn amount(self) -> Option<Amount> {
        u128::try_from(self.0).ok().map(Amount::from_units)
    }

    /// Reads the wire form of base units; each amount has one spelling, as [`Amount::parse`] has it.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Invalid> {
        let no = |code, problem: &str| Err(Invalid::new(code, field, problem, CURE));
        match text.as_bytes() {
            [] => no(Code::FieldMissing, "is empty"),
            [b'-', ..] => no(Code::AmountNegative, "is negative"),
            [b'0'] => no(Code::AmountZero, "is zero"),
            [b'0', ..] => no(Code::FieldMalformed, "is not a plain decimal number"),
            digits if !digits.iter().all(u8::is_ascii_digit) => {
                no(Code::FieldMalformed, "is not a plain decimal number")
            }
            digits => match whole(digits) {
                Some(units) => Ok(Self(units)),
                None => no(Code::AmountAboveSupply, "is larger than 256 bits"),
            },
        }
    }

    /// Reads an amount of whole coins, `1.5`, exactly. Finer than the asset's decimals is refused, never rounded.
    pub fn parse_coin(field: &'static str, text: &str, decimals: u8) -> Result<Self, Invalid> {
        let no = |code, problem: &str| Err(Invalid::new(code, field, problem, COIN_CURE));
        let (coins, fraction) = text.split_once('.').unwrap_or((text, ""));
        let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
        let no_form = coins.is_empty()
            || !plain(coins)
            || !plain(fraction)
            || (coins.len() > 1 && coins.starts_with('0'))
            || text.ends_with('.');
        if no_form || decimals > DECIMALS_MAX {
            return no(Code::FieldMalformed, "is not a plain decimal number");
        }
        if fraction.len() > usize::from(decimals) {
            return no(Code::AmountTooFine, "has more decimals than the asset");
        }
        let padded = format!("{coins}{fraction:0<width$}", width = usize::from(decimals));
        match whole(padded.as_bytes()) {
            Some(units) if units.is_zero() => no(Code::AmountZero, "is zero"),
            Some(units) => Ok(Self(units)),
            None => no(Code::AmountAboveSupply, "is larger than 256 bits"),
        }
    }

    /// The amount in whole coins, with every decimal: `1.500000` for 1,500,000 base units at 6 decimals.
    pub fn in_coin(self, decimals: u8) -> String {
        let width = usize::from(decimals);
        let digits = format!("{:0>width$}", self.0.to_string(), width = width.saturating_add(1));
        let (coins, fraction) = digits.split_at(digits.len().saturating_sub(width));
        if fraction.is_empty() { coins.to_owned() } else { format!("{coins}.{fraction}") }
    }

    /// The number of base units.
    pub const fn units(self) -> U256 {
        self.0
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum, unless it overflows.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, unless it would be negative.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

/// The number that decimal digits write, unless it needs more than 256 bits.
fn whole(digits: &[u8]) -> Option<U256> {
    let ten = U256::from(10u8);
    digits.iter().try_fold(U256::ZERO, |sum, digit| {
        sum.checked_mul(ten)?.checked_add(U256::from(digit.wrapping_sub(b'0')))
    })
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
