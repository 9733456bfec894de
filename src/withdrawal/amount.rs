//! Amounts: integers in base units, checked. There is no floating point in this project.

use std::fmt;

use super::{Code, Invalid};

/// An amount in base units of its asset (satoshi for Bitcoin). Never zero by construction is *not* promised: ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u128);

const CURE: &str =
    "send a positive whole number of base units as a decimal string, without sign, point or leading zero";

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of that many base units.
    pub const fn from_units(units: u128) -> Self {
        Self(units)
    }

    /// An amount of that many satoshi.
    pub const fn from_sat(sat: u64) -> Self {
        Self(sat as u128)
    }

    /// Reads the wire form. Zero, signs, points, exponents and leading zeros are refused: each amount has one spelling.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Invalid> {
        let no = |code, problem: &str| Err(Invalid::new(code, field, problem, CURE));
        if text.is_empty() {
            return no(Code::FieldMissing, "is empty");
        }
        if text.starts_with('-') {
            return no(Code::AmountNegative, "is negative");
        }
        if text == "0" {
            return no(Code::AmountZero, "is zero");
        }
        if !text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with('0') {
            return no(Code::FieldMalformed, "is not a plain decimal number");
        }
        match text.parse() {
            Ok(units) => Ok(Self(units)),
            Err(_) => no(Code::AmountAboveSupply, "is larger than any supply"),
        }
    }

    /// The number of base units.
    pub const fn units(self) -> u128 {
        self.0
    }

    /// The amount as satoshi, if it fits.
    pub fn sat(self) -> Option<u64> {
        self.0.try_into().ok()
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, unless it overflows.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, unless it would be negative.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The amount in whole coins, as people read it: `0.00150000` for 150,000 base units at 8 decimals.
    pub fn in_coin(self, decimals: u32) -> String {
        let digits = format!("{:0>width$}", self.0, width = decimals as usize + 1);
        let (coins, fraction) = digits.split_at(digits.len() - decimals as usize);
        if fraction.is_empty() { coins.to_owned() } else { format!("{coins}.{fraction}") }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value in whole Korean won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Krw(pub u128);

impl Krw {
    /// The value of `amount` at `price` won for a whole coin, rounded up: a limit is never missed by rounding.
    pub fn of(amount: Amount, price: Krw, decimals: u32) -> Option<Self> {
        let unit = 10u128.checked_pow(decimals)?;
        Some(Self(amount.units().checked_mul(price.0)?.div_ceil(unit)))
    }
}

impl fmt::Display for Krw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fee rate in satoshi per 1,000 virtual bytes (1 sat/vB is 1,000); of an EVM chain in wei per 1,000 units of gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeeRate(pub u64);

impl FeeRate {
    /// The fee for that many virtual bytes, rounded up.
    pub fn fee_sat(self, vbytes: u64) -> Option<u64> {
        u64::try_from((u128::from(self.0) * u128::from(vbytes)).div_ceil(1000)).ok()
    }
}

impl fmt::Display for FeeRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_amount_has_one_spelling() {
        let code = |t| Amount::parse("amount", t).map_err(|e| e.code);
        assert_eq!(code("150000"), Ok(Amount::from_sat(150_000)));
        assert_eq!(code("0"), Err(Code::AmountZero));
        assert_eq!(code("-5"), Err(Code::AmountNegative));
        for text in ["1.0", "1e3", "+1", " 1", "007", "0x10", "١"] {
            assert_eq!(code(text), Err(Code::FieldMalformed), "{text}");
        }
        assert_eq!(code(&"9".repeat(60)), Err(Code::AmountAboveSupply));
    }

    #[test]
    fn a_value_in_won_rounds_up() {
        assert_eq!(Krw::of(Amount::from_sat(1), Krw(150_000_000), 8), Some(Krw(2)));
        assert_eq!(Krw::of(Amount::from_units(u128::MAX), Krw(2), 8), None);
    }

    #[test]
    fn coins_are_printed_with_every_decimal() {
        assert_eq!(Amount::from_sat(150_000).in_coin(8), "0.00150000");
        assert_eq!(Amount::from_sat(2_100_000_000_000_000).in_coin(8), "21000000.00000000");
    }
}
