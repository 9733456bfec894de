//! Owns rolling sums: how much was spent within the last N seconds (L7, L8). Has no clock and no way to give back.
//!
//! A spend at second `t` counts in the N seconds `t` to `t + N − 1`. Spends are merged into buckets to bound memory; a
//! bucket expires when its *last* spend would, so that a merged sum is never smaller than the exact one and nothing is
//! free earlier than it would be exactly. With buckets of one second the sum is exact.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use crate::amount::{Seconds, Units};

/// Why nothing was spent; the sum is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The clock is behind the last spend. Nothing is free until it has caught up.
    #[error("the clock says {}, and the last spend was at {}", at.0, last.0)]
    ClockWentBack {
        /// What the clock says.
        at: Seconds,
        /// When the last spend was.
        last: Seconds,
    },
    /// It would not fit the limit.
    #[error("{amount} on top of {spent} is above the limit of {limit}")]
    AboveLimit {
        /// What was to be spent.
        amount: Units,
        /// What the window holds.
        spent: Units,
        /// What it may hold.
        limit: Units,
    },
    /// The sum does not fit 128 bits.
    #[error("the sum overflows")]
    Overflow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    last: u64,
    sum: u128,
}

/// The sum of what was spent within the last N seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollingSum {
    window_s: u64,
    bucket_s: u64,
    buckets: VecDeque<Bucket>,
    total: u128,
    last: Option<Seconds>,
}

impl RollingSum {
    /// An empty sum over `window_s` seconds that merges spends of the same `bucket_s` seconds. Memory is at most
    /// `window_s / bucket_s + 2` buckets of 32 bytes.
    pub fn new(window_s: NonZeroU64, bucket_s: NonZeroU64) -> Self {
        let (window_s, bucket_s) = (window_s.get(), bucket_s.get());
        Self { window_s, bucket_s, buckets: VecDeque::new(), total: 0, last: None }
    }

    /// One hour, exact to the second.
    pub fn hourly() -> Self {
        Self { window_s: 3_600, bucket_s: 1, buckets: VecDeque::new(), total: 0, last: None }
    }

    /// One day in buckets of a minute: a spend is free at most a minute late, and never early.
    pub fn daily() -> Self {
        Self { window_s: 86_400, bucket_s: 60, buckets: VecDeque::new(), total: 0, last: None }
    }

    /// What counts at that time.
    pub fn sum(&self, at: Seconds) -> Result<Units, WindowError> {
        self.check_clock(at)?;
        let expired = self.buckets.iter().take_while(|b| self.expired(b, at)).map(|b| b.sum);
        // INVARIANT: `total` is the sum of all buckets, so the subtraction cannot go below zero
        Ok(Units(expired.fold(self.total, u128::saturating_sub)))
    }

    /// Whether `amount` more at that time stays within `limit`.
    pub fn would_fit(&self, at: Seconds, amount: Units, limit: Units) -> Result<bool, WindowError> {
        Ok(self.sum(at)?.plus(amount).ok_or(WindowError::Overflow)? <= limit)
    }

    /// Records a spend. What is spent is never given back within the window.
    pub fn spend(&mut self, at: Seconds, amount: Units) -> Result<(), WindowError> {
        let sum = self.sum(at)?;
        sum.plus(amount).ok_or(WindowError::Overflow)?;
        while self.buckets.front().is_some_and(|b| self.expired(b, at)) {
            self.buckets.pop_front();
        }
        self.total = sum.0.saturating_add(amount.0);
        self.last = Some(at);
        let slot = self.slot(at.0);
        match self.buckets.back_mut() {
            Some(back) if back.last.checked_div(self.bucket_s) == slot => {
                back.last = at.0;
                back.sum = back.sum.saturating_add(amount.0);
            }
            _ => self.buckets.push_back(Bucket { last: at.0, sum: amount.0 }),
        }
        Ok(())
    }

    /// Records a spend if it stays within `limit`.
    pub fn spend_within(&mut self, at: Seconds, amount: Units, limit: Units) -> Result<(), WindowError> {
        if !self.would_fit(at, amount, limit)? {
            return Err(WindowError::AboveLimit { amount, spent: self.sum(at)?, limit });
        }
        self.spend(at, amount)
    }

    fn check_clock(&self, at: Seconds) -> Result<(), WindowError> {
        match self.last {
            Some(last) if at < last => Err(WindowError::ClockWentBack { at, last }),
            _ => Ok(()),
        }
    }

    fn expired(&self, bucket: &Bucket, at: Seconds) -> bool {
        at.0.checked_sub(bucket.last).is_some_and(|age| age >= self.window_s)
    }

    fn slot(&self, at: u64) -> Option<u64> {
        at.checked_div(self.bucket_s)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn window(window_s: u64, bucket_s: u64) -> RollingSum {
        RollingSum::new(NonZeroU64::new(window_s).unwrap(), NonZeroU64::new(bucket_s).unwrap())
    }

    #[test]
    fn a_spend_counts_to_the_last_second_of_its_window() {
        let mut w = RollingSum::hourly();
        w.spend(Seconds(1_000), Units(7)).unwrap();
        assert_eq!(w.sum(Seconds(1_000)), Ok(Units(7)));
        assert_eq!(w.sum(Seconds(4_599)), Ok(Units(7)));
        assert_eq!(w.sum(Seconds(4_600)), Ok(Units(0)));
    }

    #[test]
    fn clock_going_back_never_frees_budget() {
        let mut w = RollingSum::hourly();
        w.spend(Seconds(10_000), Units(7)).unwrap();
        let back = WindowError::ClockWentBack { at: Seconds(9_999), last: Seconds(10_000) };
        let before = w.clone();
        assert_eq!(w.spend(Seconds(9_999), Units(1)), Err(back));
        assert_eq!(w.sum(Seconds(9_999)), Err(back));
        assert_eq!(w.would_fit(Seconds(9_999), Units(1), Units(100)), Err(back));
        assert_eq!(w.spend_within(Seconds(9_999), Units(1), Units(100)), Err(back));
        assert_eq!(w, before);
        assert_eq!(w.sum(Seconds(10_000)), Ok(Units(7)));
    }

    #[test]
    fn the_limit_itself_fits_and_one_more_does_not() {
        let mut w = RollingSum::daily();
        w.spend_within(Seconds(0), Units(60), Units(100)).unwrap();
        assert_eq!(w.would_fit(Seconds(0), Units(40), Units(100)), Ok(true));
        assert_eq!(
            w.spend_within(Seconds(1), Units(41), Units(100)),
            Err(WindowError::AboveLimit { amount: Units(41), spent: Units(60), limit: Units(100) })
        );
        assert_eq!(w.sum(Seconds(1)), Ok(Units(60)));
    }

    #[test]
    fn a_bucket_expires_with_its_last_spend() {
        let mut w = window(100, 10);
        w.spend(Seconds(10), Units(1)).unwrap();
        w.spend(Seconds(19), Units(2)).unwrap();
        assert_eq!(w.sum(Seconds(118)), Ok(Units(3)));
        assert_eq!(w.sum(Seconds(119)), Ok(Units(0)));
    }

    #[test]
    fn what_overflows_is_not_spent_and_changes_nothing() {
        let mut w = RollingSum::hourly();
        w.spend(Seconds(0), Units(u128::MAX)).unwrap();
        assert_eq!(w.spend(Seconds(1), Units(1)), Err(WindowError::Overflow));
        assert_eq!(w.would_fit(Seconds(1), Units(1), Units(u128::MAX)), Err(WindowError::Overflow));
        assert_eq!(w.sum(Seconds(1)), Ok(Units(u128::MAX)));
    }

    #[test]
    fn memory_stays_bounded_over_a_busy_day() {
        let mut w = RollingSum::daily();
        for s in 0..200_000u64 {
            w.spend(Seconds(s), Units(1)).unwrap();
        }
        assert!(w.buckets.len() <= 1_442, "{}", w.buckets.len());
    }

    proptest! {
        #[test]
        fn no_sequence_ever_exceeds_the_exact_limit(
            steps in proptest::collection::vec((-5i64..40, 0u128..60), 1..120),
            window_s in 1u64..90, bucket_s in 1u64..20,
        ) {
            let mut w = window(window_s, bucket_s);
            let (limit, mut now, mut exact) = (Units(100), 50i64, Vec::<(u64, u128)>::new());
            for (step, amount) in steps {
                now = (now + step).max(0);
                let at = Seconds(now.unsigned_abs());
                let oracle = |exact: &[(u64, u128)]| -> u128 {
                    exact.iter().filter(|(t, _)| t + window_s > at.0).map(|(_, a)| a).sum()
                };
                let behind = exact.last().is_some_and(|(t, _)| *t > at.0);
                match w.spend_within(at, Units(amount), limit) {
                    Ok(()) => { prop_assert!(!behind); exact.push((at.0, amount)); }
                    Err(WindowError::ClockWentBack { .. }) => prop_assert!(behind),
                    Err(_) => prop_assert!(bucket_s > 1 || oracle(&exact) + amount > limit.0),
                }
                if !behind {
                    let sum = w.sum(at).unwrap().0;
                    prop_assert!(oracle(&exact) <= sum && sum <= limit.0);
                    prop_assert!(bucket_s > 1 || oracle(&exact) == sum);
                }
            }
        }
    }
}
