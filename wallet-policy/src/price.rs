//! Owns when a price has moved and when a moved price is believed (L10). Does not know who stated it.

use std::num::NonZeroU128;

use crate::amount::{Krw, Seconds};

/// Whether `new` lies further from `old` than `move_bp_max` ten-thousandths of it. What overflows has moved.
pub fn moved(old: Krw, new: Krw, move_bp_max: u32) -> bool {
    let distance = old.0.abs_diff(new.0).checked_mul(10_000);
    let band = old.0.checked_mul(u128::from(move_bp_max));
    match (distance, band) {
        (Some(distance), Some(band)) => distance > band,
        _ => true,
    }
}

/// How far a price may move at once, and how long a moved one must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// Ten-thousandths of the older price.
    pub move_bp_max: u32,
    /// Seconds between the first moved statement and the one that confirms it.
    pub settle_s: u64,
}

/// A stated price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// Won for a whole coin.
    pub price: Krw,
    /// When it was stated.
    pub at: Seconds,
}

/// What a statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// It is the price now.
    Accepted,
    /// It moved too far, and the last accepted price stands until a later statement agrees with it.
    Moved,
}

/// Why a statement was not taken; the track is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// A price of nothing would value every withdrawal at nothing.
    #[error("the price is zero")]
    Zero,
    /// It is not later than the last one.
    #[error("the statement of {} is not later than that of {}", at.0, last.0)]
    NotLater {
        /// Its time.
        at: Seconds,
        /// The last one's time.
        last: Seconds,
    },
}

/// The price of one asset as a party believes it. The first price ever stated is accepted as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PriceTrack {
    accepted: Option<Quote>,
    candidate: Option<Quote>,
    last: Option<Seconds>,
}

impl PriceTrack {
    /// A track that has heard nothing.
    pub const fn new() -> Self {
        Self { accepted: None, candidate: None, last: None }
    }

    /// A track as it was when it was written down; the parts are those the accessors give.
    pub const fn from_parts(
        accepted: Option<Quote>,
        candidate: Option<Quote>,
        last: Option<Seconds>,
    ) -> Self {
        Self { accepted, candidate, last }
    }

    /// Hears a statement. A price within the band of the accepted one is accepted. One beyond it becomes the candidate;
    /// a later one is accepted when it lies within the band of the candidate and at least `settle_s` after it. One that
    /// agrees with neither becomes the candidate in its turn.
    pub fn observe(&mut self, quote: Quote, band: Band) -> Result<Observed, PriceError> {
        NonZeroU128::new(quote.price.0).ok_or(PriceError::Zero)?;
        if let Some(last) = self.last.filter(|last| quote.at <= *last) {
            return Err(PriceError::NotLater { at: quote.at, last });
        }
        self.last = Some(quote.at);
        let agrees = |with: Quote| !moved(with.price, quote.price, band.move_bp_max);
        if self.accepted.is_none_or(agrees) {
            return Ok(self.accept(quote));
        }
        match self.candidate {
            Some(first) if agrees(first) => {
                let stood = quote.at.0.checked_sub(first.at.0).is_some_and(|s| s >= band.settle_s);
                if stood { Ok(self.accept(quote)) } else { Ok(Observed::Moved) }
            }
            _ => {
                self.candidate = Some(quote);
                Ok(Observed::Moved)
            }
        }
    }

    /// The price that stands.
    pub const fn accepted(&self) -> Option<Quote> {
        self.accepted
    }

    /// The first statement of a move that waits for one that agrees.
    pub const fn candidate(&self) -> Option<Quote> {
        self.candidate
    }

    /// When the last statement was heard.
    pub const fn last(&self) -> Option<Seconds> {
        self.last
    }

    /// Whether a moved price waits for one that agrees; while it does, withdrawals hold.
    pub const fn is_moved(&self) -> bool {
        self.candidate.is_some()
    }

    fn accept(&mut self, quote: Quote) -> Observed {
        self.accepted = Some(quote);
        self.candidate = None;
        Observed::Accepted
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    const BAND: Band = Band { move_bp_max: 500, settle_s: 60 };

    fn hear(track: &mut PriceTrack, price: u128, at: u64) -> Result<Observed, PriceError> {
        track.observe(Quote { price: Krw(price), at: Seconds(at) }, BAND)
    }

    #[test]
    fn a_price_moves_only_beyond_the_band() {
        assert!(!moved(Krw(10_000), Krw(10_500), 500));
        assert!(moved(Krw(10_000), Krw(10_501), 500));
        assert!(!moved(Krw(10_000), Krw(9_500), 500));
        assert!(moved(Krw(10_000), Krw(9_499), 500));
        assert!(moved(Krw(0), Krw(1), 10_000));
        assert!(moved(Krw(1), Krw(u128::MAX), 10_000));
    }

    #[test]
    fn a_moved_price_is_believed_when_a_later_one_agrees() {
        let mut t = PriceTrack::new();
        assert_eq!(hear(&mut t, 100_000, 10), Ok(Observed::Accepted));
        assert_eq!(hear(&mut t, 120_000, 20), Ok(Observed::Moved));
        assert!(t.is_moved());
        assert_eq!(hear(&mut t, 121_000, 79), Ok(Observed::Moved));
        assert_eq!(t.accepted().unwrap().price, Krw(100_000));
        assert_eq!(hear(&mut t, 121_000, 80), Ok(Observed::Accepted));
        assert!(!t.is_moved());
        assert_eq!(t.accepted().unwrap().price, Krw(121_000));
    }

    #[test]
    fn a_statement_that_agrees_with_neither_starts_the_wait_again() {
        let mut t = PriceTrack::new();
        hear(&mut t, 100_000, 10).unwrap();
        hear(&mut t, 120_000, 20).unwrap();
        assert_eq!(hear(&mut t, 140_000, 90), Ok(Observed::Moved));
        assert_eq!(hear(&mut t, 140_000, 149), Ok(Observed::Moved));
        assert_eq!(hear(&mut t, 140_000, 150), Ok(Observed::Accepted));
    }

    #[test]
    fn a_price_that_comes_back_settles_at_once() {
        let mut t = PriceTrack::new();
        hear(&mut t, 100_000, 10).unwrap();
        hear(&mut t, 120_000, 20).unwrap();
        assert_eq!(hear(&mut t, 101_000, 30), Ok(Observed::Accepted));
        assert!(!t.is_moved());
    }

    #[test]
    fn nothing_and_the_past_are_no_price() {
        let mut t = PriceTrack::new();
        assert_eq!(hear(&mut t, 0, 10), Err(PriceError::Zero));
        hear(&mut t, 100, 10).unwrap();
        let before = t;
        assert_eq!(hear(&mut t, 100, 10), Err(PriceError::NotLater { at: Seconds(10), last: Seconds(10) }));
        assert_eq!(t, before);
    }

    proptest! {
        #[test]
        fn one_statement_alone_never_moves_the_price_beyond_the_band(
            prices in proptest::collection::vec((1u128..1_000, 1u64..50), 2..40),
        ) {
            let (mut t, mut at) = (PriceTrack::new(), 0);
            for (price, step) in prices {
                at += step;
                let before = t;
                hear(&mut t, price, at).unwrap();
                let (Some(old), Some(new)) = (before.accepted(), t.accepted()) else { continue };
                if moved(old.price, new.price, BAND.move_bp_max) {
                    let first = before.candidate.expect("a moved price was stated before");
                    prop_assert!(new.at.0 - first.at.0 >= BAND.settle_s);
                    prop_assert!(!moved(first.price, new.price, BAND.move_bp_max));
                }
            }
        }
    }
}
