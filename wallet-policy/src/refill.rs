//! Owns how much has to come back from cold (L13): what is needed, and the most that the share lets in.
//!
//! need = held + ⌈max(0, left − came) · horizon / window⌉, where `left` and `came` are what customers took and brought
//! within the window. What is short is the need less what can be spent. What is asked for is that, or as much more as fills up
//! to a target, and at most what the share lets rest hot once the held withdrawals have left.

use crate::amount::Units;
use crate::ratio::{Position, Share};

/// What customers took and brought within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// What left to customers.
    pub left: Units,
    /// What came from them.
    pub came: Units,
    /// How long the window is, in seconds.
    pub window_s: u64,
}

/// What will be needed within the horizon: what is held now, and the net flow of the window going on. `None` where it
/// does not fit 128 bits, or the window has no length.
pub fn need(held: Units, flow: Flow, horizon_s: u64) -> Option<Units> {
    let net = flow.left.minus(flow.came).unwrap_or_default();
    let ahead = net.0.checked_mul(u128::from(horizon_s))?;
    let window = u128::from(flow.window_s);
    if window == 0 {
        return None;
    }
    held.plus(Units(ahead.div_ceil(window)))
}

/// What is asked for where that much is short: all of it, and where there is a share to fill up to, as much more as lets
/// that share rest hot once what is earmarked has left. Nothing while nothing is short.
pub fn ask(short: Units, position: Position, earmarked: Units, fill_to: Option<Share>) -> Option<Units> {
    match fill_to {
        Some(share) if short > Units(0) => Some(most(position, earmarked, share)?.max(short)),
        _ => Some(short),
    }
}

/// The most that may come for `earmarked`, so that afterwards no more than the share rests hot: judged as
/// [`crate::ratio::refill_allowed`] judges it.
pub fn most(position: Position, earmarked: Units, share: Share) -> Option<Units> {
    let all = position.hot.plus(position.cold)?;
    let Some(left) = all.minus(earmarked) else { return Some(Units(0)) };
    let may_rest = left.0.checked_mul(u128::from(share.num()))? / u128::from(share.den());
    let hot = Units(may_rest).plus(earmarked)?;
    Some(hot.minus(position.hot).unwrap_or_default().min(position.cold))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::ratio::refill_allowed;

    fn at(hot: u128, cold: u128) -> Position {
        Position { hot: Units(hot), cold: Units(cold) }
    }

    #[test]
    fn nothing_is_asked_while_nothing_is_short_and_else_up_to_the_target() {
        let (position, target) = (at(100, 900), Share::new(1, 4).unwrap());
        let ask = |short, to| ask(Units(short), position, Units(40), to).map(|units| units.0);
        assert_eq!(ask(0, Some(target)), Some(0));
        assert_eq!(ask(30, None), Some(30));
        // a quarter of the 960 that stay, and the 40 that leave, less the 100 that are there
        assert_eq!(ask(30, Some(target)), Some(180));
        assert_eq!(ask(300, Some(target)), Some(300), "what is short is never cut here");
    }

    #[test]
    fn need_is_what_is_held_and_the_net_flow_going_on() {
        let flow = Flow { left: Units(1_000), came: Units(400), window_s: 86_400 };
        assert_eq!(need(Units(70), flow, 21_600), Some(Units(70 + 150)));
        assert_eq!(need(Units(70), flow, 0), Some(Units(70)));
        assert_eq!(need(Units(70), flow, 1), Some(Units(71)));
        // what comes in covers what goes out
        assert_eq!(need(Units(70), Flow { came: Units(1_000), ..flow }, 21_600), Some(Units(70)));
        assert_eq!(need(Units(70), Flow { window_s: 0, ..flow }, 1), None);
        assert_eq!(need(Units(u128::MAX), flow, 21_600), None);
    }

    proptest! {
        #[test]
        fn the_most_is_allowed_and_one_more_is_not(hot in 0u128..500, cold in 0u128..500, ear in 0u128..500, num in 0u32..10) {
            let share = Share::new(num, 10).unwrap();
            let Units(found) = most(at(hot, cold), Units(ear), share).unwrap();
            let allowed = |a: u128| refill_allowed(at(hot, cold), Units(a), Units(ear), share).unwrap();
            let largest = (0..=cold).filter(|a| allowed(*a)).max();
            match largest {
                Some(largest) => prop_assert_eq!(found, largest),
                // nothing at all is allowed: more is earmarked than there is, or too much rests hot as it is
                None => prop_assert!(found == 0 || !allowed(found)),
            }
        }
    }
}
