//! Owns who has to agree to how much (L14). Does not know signatures: an approval here was verified by the caller.
//!
//! A tier starts at a value and names groups, each with how many of its people must approve. The needs of a tier add up:
//! two of treasury and one of risk are three people, and one person counts for one place only. The highest tier whose
//! start the value reaches is the one that counts, and it never needs less than a lower one. Where tiers for every asset
//! and tiers for one asset both apply, the larger need of each group counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::amount::Krw;
use crate::facts::Approval;

/// One step of the tiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The smallest value it applies to.
    pub from_krw: Krw,
    /// How many of which group; empty is none.
    #[serde(default)]
    pub needs: Requirement,
}

/// How many people of which groups must approve.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Requirement(pub BTreeMap<String, u16>);

/// Why tiers cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TierError {
    /// Two tiers start at the same value, or a later one starts lower.
    #[error("the tier from {0} won does not start above the one before it")]
    Order(Krw),
    /// A higher tier needs less of a group than a lower one.
    #[error("the tier from {from} won needs fewer of `{group}` than a lower tier")]
    NeedsLess {
        /// Where the tier starts.
        from: Krw,
        /// The group.
        group: String,
    },
    /// A count is zero or above 16, a group has no name, or there are more than 16 groups.
    #[error("the tier from {0} won must name at most 16 groups, each with a count from 1 to 16")]
    Count(Krw),
}

const COUNT_MAX: u16 = 16;
const GROUPS_MAX: usize = 16;

/// Tiers in order, each needing at least what the one below needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tiers(Vec<Tier>);

impl Tiers {
    /// Takes tiers in ascending order. No tiers need nothing.
    pub fn new(tiers: Vec<Tier>) -> Result<Self, TierError> {
        for tier in &tiers {
            if !tier.needs.is_usable() {
                return Err(TierError::Count(tier.from_krw));
            }
        }
        for (low, high) in tiers.iter().zip(tiers.iter().skip(1)) {
            if high.from_krw <= low.from_krw {
                return Err(TierError::Order(high.from_krw));
            }
            if let Some(group) = high.needs.lacks(&low.needs) {
                return Err(TierError::NeedsLess { from: high.from_krw, group: group.to_owned() });
            }
        }
        Ok(Self(tiers))
    }

    /// What a value needs; a value that is not known needs what the highest tier needs.
    pub fn required(&self, value: Option<Krw>) -> Option<&Requirement> {
        let reached = |tier: &&Tier| value.is_none_or(|value| tier.from_krw <= value);
        self.0.iter().rev().find(reached).map(|tier| &tier.needs)
    }

    /// The tiers that need, at every value, the larger need of both.
    pub fn joined(&self, other: &Self) -> Self {
        let starts: BTreeSet<Krw> = self.starts().chain(other.starts()).collect();
        let at = |from_krw: Krw| {
            let none = Requirement::default();
            let own = self.required(Some(from_krw)).unwrap_or(&none);
            Tier { from_krw, needs: own.joined(other.required(Some(from_krw)).unwrap_or(&none)) }
        };
        Self(starts.into_iter().map(at).collect())
    }

    /// The first value at which less is needed than `other` needs, if there is one.
    pub fn looser_at(&self, other: &Self) -> Option<Krw> {
        let starts: BTreeSet<Krw> = self.starts().chain(other.starts()).collect();
        let none = Requirement::default();
        starts.into_iter().find(|at| {
            let theirs = other.required(Some(*at)).unwrap_or(&none);
            self.required(Some(*at)).unwrap_or(&none).lacks(theirs).is_some()
        })
    }

    /// The tiers in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tier> {
        self.0.iter()
    }

    fn starts(&self) -> impl Iterator<Item = Krw> + '_ {
        self.0.iter().map(|tier| tier.from_krw)
    }
}

impl Requirement {
    /// A group of which `other` needs more than this does.
    fn lacks<'a>(&self, other: &'a Self) -> Option<&'a str> {
        let less = |group: &str, count: u16| self.0.get(group).copied().unwrap_or(0) < count;
        other.0.iter().find(|(group, count)| less(group, **count)).map(|(group, _)| group.as_str())
    }

    /// Whether this needs, of each group, at least what `other` needs.
    pub fn covers(&self, other: &Self) -> bool {
        self.lacks(other).is_none()
    }

    /// The larger need of each group.
    pub fn joined(&self, other: &Self) -> Self {
        let mut needs = self.clone();
        for (group, count) in &other.0 {
            let need = needs.0.entry(group.clone()).or_default();
            *need = (*need).max(*count);
        }
        needs
    }

    /// Whether groups and counts are within their bounds.
    pub fn is_usable(&self) -> bool {
        let right = |(group, count): (&String, &u16)| !group.is_empty() && (1..=COUNT_MAX).contains(count);
        self.0.len() <= GROUPS_MAX && self.0.iter().all(right)
    }

    /// Whether nobody has to agree.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nobody");
        }
        for (i, (group, count)) in self.0.iter().enumerate() {
            let joint = if i == 0 { "" } else { " and " };
            write!(f, "{joint}{count} of `{group}`")?;
        }
        Ok(())
    }
}

/// Whether the approvals fill every place of the requirement: one person fills one place, whoever asked fills none.
pub fn satisfied(requirement: &Requirement, approvals: &[Approval], requesters: &BTreeSet<String>) -> bool {
    let places: Vec<&str> =
        requirement.0.iter().flat_map(|(g, n)| std::iter::repeat_n(g.as_str(), usize::from(*n))).collect();
    if places.is_empty() {
        return true;
    }
    let mut people: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for approval in approvals.iter().filter(|a| !requesters.contains(&a.person)) {
        people.entry(&approval.person).or_default().extend(approval.groups.iter().map(String::as_str));
    }
    if people.len() < places.len() {
        return false;
    }
    let mut seating = Seating { places: &places, people: &people, taken: BTreeMap::new() };
    (0..places.len()).all(|place| seating.seat(place, &mut BTreeSet::new()))
}

/// Kuhn's matching of people to places: somebody who fits two groups moves over when another needs the place.
struct Seating<'a> {
    places: &'a [&'a str],
    people: &'a BTreeMap<&'a str, BTreeSet<&'a str>>,
    taken: BTreeMap<&'a str, usize>,
}

impl<'a> Seating<'a> {
    fn seat(&mut self, place: usize, asked: &mut BTreeSet<&'a str>) -> bool {
        let (people, Some(group)) = (self.people, self.places.get(place)) else { return false };
        for (person, groups) in people {
            if !groups.contains(group) || !asked.insert(person) {
                continue;
            }
            let free = match self.taken.get(person).copied() {
                Some(other) => self.seat(other, asked),
                None => true,
            };
            if free {
                self.taken.insert(person, place);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn needs(pairs: &[(&str, u16)]) -> Requirement {
        Requirement(pairs.iter().map(|(g, n)| ((*g).to_owned(), *n)).collect())
    }

    fn tier(from: u128, pairs: &[(&str, u16)]) -> Tier {
        Tier { from_krw: Krw(from), needs: needs(pairs) }
    }

    fn by(person: &str, groups: &[&str]) -> Approval {
        Approval { person: person.to_owned(), groups: groups.iter().map(|g| (*g).to_owned()).collect() }
    }

    fn asked(person: &str) -> BTreeSet<String> {
        BTreeSet::from([person.to_owned()])
    }

    #[test]
    fn the_highest_tier_that_is_reached_counts() {
        let t = Tiers::new(vec![tier(10, &[("a", 1)]), tier(100, &[("a", 2), ("b", 1)])]).unwrap();
        assert_eq!(t.required(Some(Krw(9))), None);
        assert_eq!(t.required(Some(Krw(10))), Some(&needs(&[("a", 1)])));
        assert_eq!(t.required(Some(Krw(99))), Some(&needs(&[("a", 1)])));
        assert_eq!(t.required(Some(Krw(100))), Some(&needs(&[("a", 2), ("b", 1)])));
        assert_eq!(t.required(None), t.required(Some(Krw(u128::MAX))));
    }

    #[test]
    fn a_higher_tier_never_needs_less() {
        let no = Tiers::new(vec![tier(1, &[("a", 2)]), tier(5, &[("a", 1), ("b", 9)])]);
        assert_eq!(no, Err(TierError::NeedsLess { from: Krw(5), group: "a".into() }));
        let no = Tiers::new(vec![tier(1, &[("a", 1)]), tier(5, &[])]);
        assert!(matches!(no, Err(TierError::NeedsLess { .. })));
    }

    #[test]
    fn tiers_stand_in_order_and_count_people() {
        assert_eq!(Tiers::new(vec![tier(5, &[]), tier(5, &[])]), Err(TierError::Order(Krw(5))));
        assert_eq!(Tiers::new(vec![tier(5, &[]), tier(4, &[])]), Err(TierError::Order(Krw(4))));
        for bad in [("a", 0), ("a", 17), ("", 1)] {
            assert_eq!(Tiers::new(vec![tier(5, &[bad])]), Err(TierError::Count(Krw(5))));
        }
    }

    #[test]
    fn one_person_counts_once() {
        let need = needs(&[("a", 2)]);
        assert!(!satisfied(&need, &[by("kim", &["a"]), by("kim", &["a"])], &asked("x")));
        assert!(!satisfied(&needs(&[("a", 1), ("b", 1)]), &[by("kim", &["a", "b"])], &asked("x")));
        assert!(satisfied(&need, &[by("kim", &["a"]), by("lee", &["a"])], &asked("x")));
    }

    #[test]
    fn who_asked_fills_no_place() {
        let need = needs(&[("a", 1)]);
        assert!(!satisfied(&need, &[by("kim", &["a"])], &asked("kim")));
        assert!(satisfied(&need, &[by("kim", &["a"])], &asked("lee")));
        assert!(satisfied(&needs(&[]), &[], &asked("kim")));
    }

    #[test]
    fn somebody_in_two_groups_takes_the_place_that_is_left() {
        let need = needs(&[("a", 1), ("b", 1)]);
        let people = [by("both", &["a", "b"]), by("one", &["a"])];
        assert!(satisfied(&need, &people, &asked("x")));
        assert!(!satisfied(&need, &[by("one", &["a"]), by("two", &["a"])], &asked("x")));
    }

    #[test]
    fn joined_tiers_need_the_larger_of_both() {
        let all = Tiers::new(vec![tier(10, &[("a", 1)])]).unwrap();
        let own = Tiers::new(vec![tier(5, &[("b", 1)]), tier(20, &[("a", 3), ("b", 1)])]).unwrap();
        let both = all.joined(&own);
        assert_eq!(both.required(Some(Krw(5))), Some(&needs(&[("b", 1)])));
        assert_eq!(both.required(Some(Krw(10))), Some(&needs(&[("a", 1), ("b", 1)])));
        assert_eq!(both.required(Some(Krw(20))), Some(&needs(&[("a", 3), ("b", 1)])));
        assert_eq!(both.looser_at(&all), None);
        assert_eq!(all.looser_at(&both), Some(Krw(5)));
    }

    fn tiers() -> impl Strategy<Value = Vec<Tier>> {
        let step = (1u128..50, proptest::collection::btree_map("[abc]", 1u16..4, 0..3));
        proptest::collection::vec(step, 0..5).prop_map(|steps| {
            let mut from = 0;
            let rise = |(by, needs)| {
                from += by;
                Tier { from_krw: Krw(from), needs: Requirement(needs) }
            };
            steps.into_iter().map(rise).collect()
        })
    }

    fn people() -> impl Strategy<Value = Vec<Approval>> {
        let one = ("[klmnop]", proptest::collection::vec("[abc]", 0..3));
        proptest::collection::vec(one.prop_map(|(person, groups)| Approval { person, groups }), 0..7)
    }

    /// Every way of giving people places, one after the other.
    fn fits(places: &[String], people: &[(String, BTreeSet<String>)]) -> bool {
        let Some((place, rest)) = places.split_first() else { return true };
        (0..people.len()).filter(|i| people[*i].1.contains(place)).any(|i| {
            let mut others = people.to_vec();
            others.remove(i);
            fits(rest, &others)
        })
    }

    proptest! {
        #[test]
        fn accepted_tiers_are_monotone(raw in tiers(), low in 0u128..300, more in 0u128..300) {
            if let Ok(t) = Tiers::new(raw) {
                let none = Requirement::default();
                let need = |v| t.required(Some(Krw(v))).unwrap_or(&none);
                prop_assert_eq!(need(low + more).lacks(need(low)), None);
                prop_assert_eq!(t.required(None).unwrap_or(&none).lacks(need(low)), None);
            }
        }

        #[test]
        fn places_are_filled_exactly_when_some_seating_fills_them(
            need in proptest::collection::btree_map("[abc]", 1u16..3, 0..3), approvals in people(),
        ) {
            let mut merged: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for a in approvals.iter().filter(|a| a.person != "k") {
                merged.entry(a.person.clone()).or_default().extend(a.groups.iter().cloned());
            }
            let places: Vec<String> =
                need.iter().flat_map(|(g, n)| std::iter::repeat_n(g.clone(), usize::from(*n))).collect();
            let expected = fits(&places, &merged.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(satisfied(&Requirement(need), &approvals, &asked("k")), expected);
        }

        #[test]
        fn taking_an_approval_away_never_fills_a_place(
            need in proptest::collection::btree_map("[abc]", 1u16..3, 0..3), approvals in people(), gone in 0usize..7,
        ) {
            let need = Requirement(need);
            let mut fewer = approvals.clone();
            if gone < fewer.len() { fewer.remove(gone); }
            prop_assert!(!satisfied(&need, &fewer, &asked("k")) || satisfied(&need, &approvals, &asked("k")));
        }
    }
}
