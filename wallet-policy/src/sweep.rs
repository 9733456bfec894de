//! Owns how much is swept, and of what first (L12). Does not know which coins there are.
//!
//! Above the limit a sweep goes down to a target below it, so that the next deposits need none; what waiting withdrawals
//! will take is not swept for the target's sake, only for the limit's.

use crate::amount::{Krw, Units};
use crate::ratio::{Holding, Position, Share, TotalKrw, smallest_move, surplus, within};

/// What the limits force, and what would reach the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// What has to go before anything else may leave: by the asset's own share and as its part of the total's.
    pub forced: Units,
    /// What goes in fact; at least what is forced, and zero only where nothing is.
    pub amount: Units,
}

/// What is due of one asset. `allotted` is its part of the total's surplus, see [`allot`]; `needed` is what held
/// withdrawals will take.
pub fn due(
    position: Position,
    (share, target): (Option<Share>, Share),
    min_sweep: Units,
    allotted: Units,
    needed: Units,
) -> Option<Due> {
    let own = match share {
        Some(share) if !within(position, share, min_sweep)? => surplus(position, share)?,
        _ => Units(0),
    };
    let forced = own.max(allotted).min(position.hot);
    if forced == Units(0) {
        return Some(Due::default());
    }
    let spare = position.hot.minus(needed).unwrap_or_default();
    let amount = surplus(position, target)?.min(spare).max(forced).max(min_sweep.min(position.hot));
    Some(Due { forced, amount })
}

/// Which part of the total's surplus each asset gives up, in base units and in the order of the holdings: the largest
/// surpluses in won first, and of no asset more than its own, as long as that is enough.
pub fn allot(holdings: &[Holding], share: Share) -> Option<Vec<Units>> {
    let mut moved = vec![Units(0); holdings.len()];
    let mut order: Vec<(Krw, usize)> = Vec::with_capacity(holdings.len());
    for (at, holding) in holdings.iter().enumerate() {
        let alone = TotalKrw::of(std::slice::from_ref(holding))?;
        order.push((alone.surplus(share)?, at));
    }
    order.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    // rounding to whole won may leave a rest; the second round may take more than an asset's own surplus
    for last_round in [false, true] {
        for (own, at) in &order {
            let left = after(holdings, &moved)?.surplus(share)?;
            let (Some(holding), Some(given)) = (holdings.get(*at), moved.get_mut(*at)) else { continue };
            let part = if last_round { left } else { left.min(*own) };
            *given = given.plus(units_of(part, holding)?)?.min(holding.position.hot);
        }
    }
    Some(moved)
}

/// The total once these parts have moved from hot to cold.
fn after(holdings: &[Holding], moved: &[Units]) -> Option<TotalKrw> {
    let moved: Option<Vec<Holding>> = holdings
        .iter()
        .zip(moved)
        .map(|(holding, units)| {
            let Position { hot, cold } = holding.position;
            let position = Position { hot: hot.minus(*units)?, cold: cold.plus(*units)? };
            Some(Holding { position, ..*holding })
        })
        .collect();
    TotalKrw::of(&moved?)
}

/// The fewest base units that are worth at least that much.
fn units_of(value: Krw, holding: &Holding) -> Option<Units> {
    let coin = 10u128.checked_pow(holding.decimals)?;
    match (value.0, holding.price.0) {
        (0, _) => Some(Units(0)),
        (_, 0) => None,
        (value, price) => value.checked_mul(coin).map(|units| Units(units.div_ceil(price))),
    }
}

impl TotalKrw {
    /// The smallest value whose move from hot to cold brings the total within the share.
    pub fn surplus(self, share: Share) -> Option<Krw> {
        smallest_move(self.hot.0, self.cold.0, share).map(Krw)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn at(hot: u128, cold: u128) -> Position {
        Position { hot: Units(hot), cold: Units(cold) }
    }

    const LIMIT: Option<Share> = Some(Share::KISA_3_7);

    fn quarter() -> Share {
        Share::KISA_3_7.target()
    }

    #[test]
    fn a_sweep_goes_down_to_the_target_and_the_next_deposit_needs_none() {
        let due_at = |position, needed| due(position, (LIMIT, quarter()), Units(1), Units(0), Units(needed));
        assert_eq!(due_at(at(300, 700), 0).unwrap(), Due::default());
        assert_eq!(due_at(at(301, 700), 0).unwrap(), Due { forced: Units(1), amount: Units(51) });
        // after it 50 more may come in before the next
        assert_eq!(due_at(at(250 + 70, 751), 0).unwrap(), Due::default());
        // what waiting withdrawals take stays, but never above the limit
        assert_eq!(due_at(at(301, 700), 290).unwrap().amount, Units(11));
        assert_eq!(due_at(at(301, 700), 301).unwrap().amount, Units(1));
    }

    #[test]
    fn the_largest_surplus_in_won_gives_first() {
        let holding = |hot, cold, price| Holding { position: at(hot, cold), price: Krw(price), decimals: 0 };
        // worth 400/600, 90/10 and 0/400: the total is 490/1010, its surplus by 3/10 is 40
        let three = [holding(40, 60, 10), holding(90, 10, 1), holding(0, 400, 1)];
        assert_eq!(allot(&three, Share::KISA_3_7).unwrap(), [Units(4), Units(0), Units(0)]);
        // by 2/10 it is 190: the first gives its own 200 at most, so all of it
        assert_eq!(allot(&three, Share::USER_PROTECTION_ACT_2_8).unwrap(), [Units(19), Units(0), Units(0)]);
        // by 1/10 it is 340: 300 of the first, 40 of the second
        assert_eq!(allot(&three, Share::new(1, 10).unwrap()).unwrap(), [Units(30), Units(40), Units(0)]);
    }

    prop_compose! {
        fn holdings()(of in proptest::collection::vec((0u128..5_000_000, 0u128..5_000_000, 1u128..3_000, 0u32..5), 1..6))
            -> Vec<Holding> {
            of.into_iter().map(|(hot, cold, price, decimals)| Holding {
                position: at(hot, cold), price: Krw(price), decimals,
            }).collect()
        }
    }

    proptest! {
        #[test]
        fn after_what_is_allotted_the_total_is_within(holdings in holdings(), num in 0u32..10) {
            let share = Share::new(num, 10).unwrap();
            let moved = allot(&holdings, share).unwrap();
            let left = after(&holdings, &moved).unwrap();
            // hot rounds up and cold down: one won for each asset that is swept to nothing
            prop_assert!(left.surplus(share).unwrap().0 <= holdings.len() as u128, "{left:?}");
            prop_assert!(moved.iter().zip(&holdings).all(|(m, h)| *m <= h.position.hot));
            let before = TotalKrw::of(&holdings).unwrap();
            if before.surplus(share) == Some(Krw(0)) {
                prop_assert!(moved.iter().all(|m| *m == Units(0)));
            }
        }

        #[test]
        fn nothing_is_allotted_of_an_asset_while_a_larger_surplus_is_left(holdings in holdings()) {
            let share = Share::USER_PROTECTION_ACT_2_8;
            let own = |h: &Holding| TotalKrw::of(std::slice::from_ref(h)).unwrap().surplus(share).unwrap();
            let moved = allot(&holdings, share).unwrap();
            for (small, a) in holdings.iter().zip(&moved).filter(|(_, a)| a.0 > 0) {
                for (large, b) in holdings.iter().zip(&moved) {
                    if own(large) > own(small) && a.0 > 0 {
                        let given = Krw::of_rounded_up(*b, large.price, large.decimals).unwrap();
                        prop_assert!(given >= own(large) || *b == large.position.hot);
                    }
                }
            }
        }

        #[test]
        fn once_it_has_settled_the_share_holds_and_no_more_went_than_needed(
            hot in 0u128..1_000_000, cold in 0u128..1_000_000, needed in 0u128..1_000_000,
            min in 0u128..5_000, part in 1u32..=10, num in 1u32..10,
        ) {
            let share = Share::new(num, 10).unwrap();
            let target = Share::new(num * part, 100).unwrap();
            let p = at(hot, cold);
            let found = due(p, (Some(share), target), Units(min), Units(0), Units(needed)).unwrap();
            let Units(s) = found.amount;
            prop_assert!(s <= hot);
            let left = at(hot - s, cold + s);
            prop_assert_eq!(within(left, share, Units(min)), Some(true));
            if within(p, share, Units(min)) == Some(true) {
                prop_assert_eq!(s, 0);
            } else {
                prop_assert!(surplus(left, share) == Some(Units(0)));
                // never further down than the target, or the limit, or the smallest sweep worth its fee
                let most = surplus(p, target).unwrap().max(surplus(p, share).unwrap()).max(Units(min.min(hot)));
                prop_assert!(found.amount <= most);
                // and what waits keeps its coins, unless the limit takes them
                prop_assert!(hot - s >= needed.min(hot) || found.amount == found.forced.max(Units(min.min(hot))));
            }
        }
    }
}
