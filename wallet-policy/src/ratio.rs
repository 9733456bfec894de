//! Owns the hot/cold ratio (L11 to L13) in exact whole numbers. Does not know where balances come from.
//!
//! What does not fit 128 bits has no answer (`None`), and no answer is a no.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::amount::{Krw, Units};

/// The share of an asset that may rest hot, as a fraction below one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share {
    num: u32,
    den: u32,
}

/// Why a share was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no share; write a fraction below one such as \"3/10\", \"kisa-3-7\" or \"user-protection-act-2-8\""
)]
pub struct ShareError(String);

impl Share {
    /// Three tenths hot: the guidance of KISA, and the default.
    pub const KISA_3_7: Self = Self { num: 3, den: 10 };
    /// Two tenths hot: Korea's Virtual Asset User Protection Act, 80 % cold.
    pub const USER_PROTECTION_ACT_2_8: Self = Self { num: 2, den: 10 };
    const DEN_MAX: u32 = 1_000_000;

    /// The numerator.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// The denominator.
    pub const fn den(self) -> u32 {
        self.den
    }

    /// The fraction `num/den`: below one, with a denominator from 1 to 1,000,000.
    pub fn new(num: u32, den: u32) -> Result<Self, ShareError> {
        if den == 0 || den > Self::DEN_MAX || num >= den {
            return Err(ShareError(format!("{num}/{den}")));
        }
        Ok(Self { num, den })
    }

    /// Reads a fraction or the name of a preset.
    pub fn parse(text: &str) -> Result<Self, ShareError> {
        match text {
            "kisa-3-7" => return Ok(Self::KISA_3_7),
            "user-protection-act-2-8" => return Ok(Self::USER_PROTECTION_ACT_2_8),
            _ => {}
        }
        let plain = |t: &str| -> Option<u32> {
            let digits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            if digits { t.parse().ok() } else { None }
        };
        let parts = text.split_once('/').and_then(|(num, den)| Some((plain(num)?, plain(den)?)));
        match parts {
            Some((num, den)) => Self::new(num, den),
            None => Err(ShareError(text.chars().take(60).collect())),
        }
    }

    /// Where a sweep goes down to if nothing else is said: five sixths of this share.
    pub const fn target(self) -> Self {
        // at most 6,000,000: both stay far below what 32 bits hold
        Self { num: self.num * 5, den: self.den * 6 }
    }

    /// Whether it lets no more rest hot than `other` does.
    pub fn at_most(self, other: Self) -> bool {
        u64::from(self.num) * u64::from(other.den) <= u64::from(other.num) * u64::from(self.den)
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::KISA_3_7
    }
}

impl TryFrom<String> for Share {
    type Error = ShareError;
    fn try_from(text: String) -> Result<Self, ShareError> {
        Self::parse(&text)
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// What rests hot and what rests cold, as L11 defines the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Coins at credited depth and own change, without what is reserved or earmarked.
    pub hot: Units,
    /// Observed cold and sweeps under way.
    pub cold: Units,
}

/// The smallest amount whose move from hot to cold brings the position within the share; zero where it is within.
pub fn surplus(position: Position, share: Share) -> Option<Units> {
    smallest_move(position.hot.0, position.cold.0, share).map(Units)
}

/// Whether the position needs no sweep: a surplus below `min_sweep` is within the share.
pub fn within(position: Position, share: Share, min_sweep: Units) -> Option<bool> {
    let surplus = surplus(position, share)?;
    Some(surplus.0 == 0 || surplus < min_sweep)
}

/// Whether a refill of `amount` may be made: judged by the share after the withdrawals it is `earmarked` for have left,
/// with no tolerance, and only from what is there (L13). The position is the one before, with nothing earmarked deducted.
pub fn refill_allowed(before: Position, amount: Units, earmarked: Units, share: Share) -> Option<bool> {
    let Some(cold) = before.cold.minus(amount) else { return Some(false) };
    let hot = before.hot.plus(amount)?;
    let Some(hot) = hot.minus(earmarked) else { return Some(false) };
    Some(surplus(Position { hot, cold }, share)? == Units(0))
}

/// The hot part in ten-thousandths, rounded up; nothing at all counts as nothing hot.
pub fn hot_bp(position: Position) -> Option<u16> {
    let total = position.hot.plus(position.cold)?;
    if total.0 == 0 {
        return Some(0);
    }
    u16::try_from(position.hot.0.checked_mul(10_000)?.div_ceil(total.0)).ok()
}

/// One asset's part of the total in won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// What rests hot and cold.
    pub position: Position,
    /// Won for a whole coin.
    pub price: Krw,
    /// How many decimals a whole coin has.
    pub decimals: u32,
}

/// What rests hot and cold over several assets, in won: hot rounded up, cold rounded down, asset by asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TotalKrw {
    /// The hot part.
    pub hot: Krw,
    /// The cold part.
    pub cold: Krw,
}

impl TotalKrw {
    /// Adds up the holdings.
    pub fn of(holdings: &[Holding]) -> Option<Self> {
        holdings.iter().try_fold(Self::default(), |sum, h| {
            let hot = Krw::of_rounded_up(h.position.hot, h.price, h.decimals)?;
            let cold = Krw::of_rounded_down(h.position.cold, h.price, h.decimals)?;
            Some(Self { hot: sum.hot.plus(hot)?, cold: sum.cold.plus(cold)? })
        })
    }

    /// The sum of two totals.
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self { hot: self.hot.plus(other.hot)?, cold: self.cold.plus(other.cold)? })
    }
}

/// An asset as a part of the total: what the others are worth, and its own price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InTotal {
    /// What the other assets are worth, hot and cold.
    pub others: TotalKrw,
    /// Won for a whole coin of this one.
    pub price: Krw,
    /// How many decimals a whole coin of this one has.
    pub decimals: u32,
}

impl InTotal {
    /// The total with this asset at that position.
    pub fn with(&self, position: Position) -> Option<TotalKrw> {
        let own = Holding { position, price: self.price, decimals: self.decimals };
        TotalKrw::of(&[own])?.plus(self.others)
    }
}

/// Whether an asset may go on by the total's share: the total is within, or the asset is by itself (L12: when only the
/// total is over, assets that are themselves within go on).
pub fn within_total(position: Position, part: &InTotal, share: Share, min_sweep: Units) -> Option<bool> {
    Some(within(position, share, min_sweep)? || part.with(position)?.surplus(share)? == Krw(0))
}

/// Whether a refill may be made by the total's share, judged once the withdrawals it is made for have left (L13).
pub fn refill_allowed_in_total(
    before: Position,
    (amount, earmarked): (Units, Units),
    part: &InTotal,
    share: Share,
) -> Option<bool> {
    let Some(cold) = before.cold.minus(amount) else { return Some(false) };
    let Some(hot) = before.hot.plus(amount)?.minus(earmarked) else { return Some(false) };
    let after = Position { hot, cold };
    Some(surplus(after, share)? == Units(0) || part.with(after)?.surplus(share)? == Krw(0))
}

/// The smallest `s` with `(hot − s)·den ≤ num·(hot + cold)`, that is `⌈((den − num)·hot − num·cold) / den⌉` or zero.
pub(crate) fn smallest_move(hot: u128, cold: u128, share: Share) -> Option<u128> {
    let (num, den) = (u128::from(share.num), u128::from(share.den));
    let left = den.checked_sub(num)?.checked_mul(hot)?;
    let right = num.checked_mul(cold)?;
    Some(left.saturating_sub(right).div_ceil(den))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn at(hot: u128, cold: u128) -> Position {
        Position { hot: Units(hot), cold: Units(cold) }
    }

    fn holds(hot: u128, cold: u128, s: u128, num: u32, den: u32) -> bool {
        (hot - s) * u128::from(den) <= u128::from(num) * (hot + cold)
    }

    #[test]
    fn three_to_seven_is_within_and_one_more_unit_is_not() {
        assert_eq!(surplus(at(3, 7), Share::KISA_3_7), Some(Units(0)));
        assert_eq!(surplus(at(4, 7), Share::KISA_3_7), Some(Units(1)));
        assert_eq!(surplus(at(10, 0), Share::KISA_3_7), Some(Units(7)));
        assert_eq!(surplus(at(0, 0), Share::KISA_3_7), Some(Units(0)));
        assert_eq!(surplus(at(3, 7), Share::USER_PROTECTION_ACT_2_8), Some(Units(1)));
    }

    #[test]
    fn a_surplus_below_the_smallest_sweep_is_within_the_share() {
        assert_eq!(within(at(110, 90), Share::KISA_3_7, Units(51)), Some(true));
        assert_eq!(within(at(110, 90), Share::KISA_3_7, Units(50)), Some(false));
        assert_eq!(within(at(3, 7), Share::KISA_3_7, Units(0)), Some(true));
    }

    #[test]
    fn what_overflows_has_no_answer() {
        assert_eq!(surplus(at(u128::MAX, 0), Share::KISA_3_7), None);
        assert_eq!(surplus(at(0, u128::MAX), Share::KISA_3_7), None);
        assert_eq!(hot_bp(at(u128::MAX, 1)), None);
        assert_eq!(refill_allowed(at(u128::MAX, 9), Units(1), Units(0), Share::KISA_3_7), None);
    }

    #[test]
    fn a_refill_is_judged_after_its_withdrawals_have_left() {
        // 30/70, a refill of 20 for withdrawals of 20: 30 of 80 hot afterwards is too much
        assert_eq!(refill_allowed(at(30, 70), Units(20), Units(20), Share::KISA_3_7), Some(false));
        assert_eq!(refill_allowed(at(10, 90), Units(40), Units(40), Share::KISA_3_7), Some(true));
        assert_eq!(refill_allowed(at(10, 90), Units(40), Units(0), Share::KISA_3_7), Some(false));
        assert_eq!(refill_allowed(at(10, 90), Units(91), Units(90), Share::KISA_3_7), Some(false));
        assert_eq!(refill_allowed(at(0, 90), Units(10), Units(11), Share::KISA_3_7), Some(false));
        // nothing stays hot, but there is not that much cold
        assert_eq!(refill_allowed(at(10, 90), Units(91), Units(101), Share::KISA_3_7), Some(false));
    }

    #[test]
    fn shares_are_read_in_one_way_and_compared_as_fractions() {
        assert_eq!(Share::parse("3/10"), Ok(Share::KISA_3_7));
        assert_eq!(Share::parse("user-protection-act-2-8"), Ok(Share::USER_PROTECTION_ACT_2_8));
        for text in ["", "3", "0.3", "10/10", "11/10", "1/0", "-1/2", "+3/10", "3/ 10", "1/1000001", "a/b"] {
            assert!(Share::parse(text).is_err(), "{text}");
        }
        assert!(Share::new(6, 20).unwrap().at_most(Share::KISA_3_7));
        assert!(Share::USER_PROTECTION_ACT_2_8.at_most(Share::KISA_3_7));
        assert!(!Share::new(31, 100).unwrap().at_most(Share::KISA_3_7));
    }

    #[test]
    fn totals_round_hot_up_and_cold_down() {
        let one = |hot, cold| Holding { position: at(hot, cold), price: Krw(150_000_000), decimals: 8 };
        let total = TotalKrw::of(&[one(1, 1), one(1, 1)]).unwrap();
        assert_eq!(total, TotalKrw { hot: Krw(4), cold: Krw(2) });
        assert_eq!(total.surplus(Share::KISA_3_7), Some(Krw(3)));
        assert_eq!(TotalKrw::of(&[one(u128::MAX, 0)]), None);
    }

    proptest! {
        #[test]
        fn the_surplus_holds_and_one_less_does_not(
            hot in 0u128..1_000_000_000_000, cold in 0u128..1_000_000_000_000, den in 1u32..2_000, part in 0u32..2_000,
        ) {
            let num = part % den;
            let share = Share::new(num, den).unwrap();
            let s = surplus(at(hot, cold), share).unwrap().0;
            prop_assert!(s <= hot && holds(hot, cold, s, num, den));
            prop_assert!(s == 0 || !holds(hot, cold, s - 1, num, den));
            // moving exactly that keeps the total and needs no second move
            let after = at(hot - s, cold + s);
            prop_assert_eq!(after.hot.0 + after.cold.0, hot + cold);
            prop_assert_eq!(surplus(after, share), Some(Units(0)));
        }

        #[test]
        fn the_surplus_is_what_counting_up_finds(hot in 0u128..300, cold in 0u128..300, num in 0u32..10) {
            let found = (0..=hot).find(|s| holds(hot, cold, *s, num, 10));
            prop_assert_eq!(surplus(at(hot, cold), Share::new(num, 10).unwrap()).map(|s| s.0), found);
        }

        #[test]
        fn an_allowed_refill_leaves_no_surplus(hot in 0u128..500, cold in 0u128..500, amount in 0u128..500, ear in 0u128..500) {
            let allowed = refill_allowed(at(hot, cold), Units(amount), Units(ear), Share::KISA_3_7).unwrap();
            let expected = amount <= cold && ear <= hot + amount
                && (hot + amount - ear) * 10 <= 3 * (hot + cold - ear);
            prop_assert_eq!(allowed, expected);
        }

        #[test]
        fn no_position_makes_the_ratio_panic(hot: u128, cold: u128, num in 0u32..1_000_000) {
            let share = Share::new(num, 1_000_000).unwrap();
            let _ = (surplus(at(hot, cold), share), within(at(hot, cold), share, Units(hot)), hot_bp(at(hot, cold)));
            let _ = refill_allowed(at(hot, cold), Units(cold), Units(hot), share);
        }
    }
}
