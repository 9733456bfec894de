//! Owns the plain numbers this crate computes with: base units, won and seconds. Knows no asset and no network.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in base units of its asset (satoshi, wei).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Units(pub u128);

/// A value in whole Korean won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Krw(pub u128);

/// Whole seconds since 1970-01-01T00:00:00Z, as the caller's clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seconds(pub u64);

/// Why a written number was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// It has a sign, a point, a blank, an exponent or a leading zero, or is empty.
    #[error("`{0}` is no plain decimal number in quotes, such as \"150000\"")]
    Malformed(String),
    /// It does not fit 128 bits.
    #[error("`{0}` is larger than any amount")]
    TooLarge(String),
}

impl Units {
    /// The sum, or `None` where it overflows.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` where it would be negative.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl Krw {
    /// The sum, or `None` where it overflows.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The value of `amount` at `price` won for a whole coin of `decimals`, rounded up; for what leaves or rests hot.
    pub fn of_rounded_up(amount: Units, price: Krw, decimals: u32) -> Option<Self> {
        let coin = 10u128.checked_pow(decimals)?;
        Some(Self(amount.0.checked_mul(price.0)?.div_ceil(coin)))
    }

    /// The value of `amount` at `price` won for a whole coin of `decimals`, rounded down; for what rests cold.
    pub fn of_rounded_down(amount: Units, price: Krw, decimals: u32) -> Option<Self> {
        let coin = 10u128.checked_pow(decimals)?;
        amount.0.checked_mul(price.0)?.checked_div(coin).map(Self)
    }
}

/// Reads a decimal number that has exactly one spelling.
fn parse(text: &str) -> Result<u128, AmountError> {
    let shown = || text.chars().take(60).collect::<String>();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.starts_with('0') && text != "0") {
        return Err(AmountError::Malformed(shown()));
    }
    text.parse().map_err(|_| AmountError::TooLarge(shown()))
}

macro_rules! plain_number {
    ($($name:ident)*) => {$(
        impl TryFrom<String> for $name {
            type Error = AmountError;
            fn try_from(text: String) -> Result<Self, AmountError> {
                parse(&text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(number: $name) -> Self {
                number.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

plain_number! { Units Krw }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_amount_has_one_spelling() {
        let read = |t: &str| Units::try_from(t.to_owned());
        assert_eq!(read("0"), Ok(Units(0)));
        assert_eq!(read("150000"), Ok(Units(150_000)));
        for text in ["", "00", "01", "+1", "-1", "1.0", "1e3", " 1", "1 ", "1_000", "0x1", "١"] {
            assert_eq!(read(text), Err(AmountError::Malformed(text.to_owned())), "{text}");
        }
        assert!(matches!(read(&"9".repeat(39)), Err(AmountError::TooLarge(_))));
    }

    #[test]
    fn what_leaves_rounds_up_and_what_is_cold_rounds_down() {
        let (one, price) = (Units(1), Krw(150_000_000));
        assert_eq!(Krw::of_rounded_up(one, price, 8), Some(Krw(2)));
        assert_eq!(Krw::of_rounded_down(one, price, 8), Some(Krw(1)));
        assert_eq!(Krw::of_rounded_up(Units(u128::MAX), Krw(2), 8), None);
        assert_eq!(Krw::of_rounded_down(one, price, 39), None);
    }
}
