//! What holds for every set of facts: no release that breaks a law, and no more of it by asking for more.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::{BTC, built_in, by, facts, permissive, settings};
use crate::facts::{Approval, Clearance, Facts, Kind};
use crate::settings::AssetSettings;
use crate::{Krw, Policy, Seconds, Units, Verdict};

static BUILT: LazyLock<Policy> = LazyLock::new(built_in);
static PERMISSIVE: LazyLock<Policy> = LazyLock::new(permissive);

fn approvals() -> impl Strategy<Value = Vec<Approval>> {
    let one = prop_oneof![
        Just(by("kim", &["treasury"])),
        Just(by("lee", &["treasury", "risk"])),
        Just(by("cho", &["risk"])),
    ];
    let requester = prop_oneof![9 => Just(None), 1 => Just(Some(by("park", &["treasury"])))];
    let people = proptest::collection::vec(one, 0..5);
    (people, requester).prop_map(|(people, requester)| people.into_iter().chain(requester).collect())
}

fn values() -> impl Strategy<Value = Option<u128>> {
    prop_oneof![
        4 => (1u128..10_000_000).prop_map(Some),
        3 => (10_000_000u128..1_000_000_000).prop_map(Some),
        2 => (1_000_000_000u128..2_000_000_000).prop_map(Some),
        1 => Just(None),
    ]
}

fn clearances() -> impl Strategy<Value = Clearance> {
    let given = (997_900u64..1_000_010, any::<bool>(), prop::bool::weighted(0.8));
    prop_oneof![
        1 => Just(Clearance::Absent),
        1 => Just(Clearance::Pending),
        8 => given.prop_map(|(at, named, signed)| {
            Clearance::Given { at: Seconds(at), expires_at: Seconds(1_000_001), named, signed }
        }),
    ]
}

prop_compose! {
    pub(super) fn any_facts()(
        kind in proptest::sample::select(Kind::ALL.to_vec()),
        amount in 1u128..12_000_000, hot in 20_000_000u128..33_000_000, spendable in 500_000u128..20_000_000,
        value in values(), (fee, leaves) in (1u128..60_000, any::<bool>()),
        (hour, day, fee_day) in (0u128..52_000_000, 0u128..102_000_000, 0u128..1_010_000),
        (at, price_moved, pinned) in (999_000u64..1_000_005, prop::bool::weighted(0.1), prop::bool::weighted(0.9)),
        (approvals, clearance) in (approvals(), clearances()),
        frozen in prop::bool::weighted(0.1),
    ) -> Facts {
        let mut f = facts(kind);
        f.amount = Units(amount);
        f.position.hot = Units(hot);
        f.spendable = Units(spendable);
        f.value = value.map(Krw);
        (f.fee.paid, f.fee.share) = (Units(fee), Units(fee));
        f.fee.leaving = Units(if leaves { fee } else { 0 });
        f.fee.request_max = Some(Units(55_000));
        (f.spent.hour, f.spent.day, f.spent.fee_day) = (Units(hour), Units(day), Units(fee_day));
        f.stated.price = Some(Seconds(at));
        f.stated.position = Some(Seconds(at));
        (f.price_moved, f.destination.pinned, f.frozen) = (price_moved, pinned, frozen);
        (f.approvals, f.clearance) = (approvals, clearance);
        f
    }
}

/// The laws of a release, written a second time and as plainly as possible.
fn lawful(f: &Facts, s: &AssetSettings) -> bool {
    let age = |at: Option<Seconds>| at.filter(|at| *at <= f.now).map(|at| f.now.0 - at.0);
    let fees = f.fee.rate <= s.fee_rate_max
        && f.fee.paid <= s.fee_tx_max
        && f.fee.lineage <= s.fee_lineage_max
        && f.fee.request_max.is_none_or(|max| f.fee.share <= max)
        && f.fee.paid.0 + f.spent.fee_day.0 <= s.fee_budget_daily.0;
    let asked = f.approvals.iter().any(|a| f.requesters.contains(&a.person));
    if !fees || f.frozen || asked {
        return false;
    }
    let leaving =
        f.fee.leaving.0 + if matches!(f.kind, Kind::Withdraw | Kind::Refuel) { f.amount.0 } else { 0 };
    let room = f.spent.hour.0 + leaving <= s.hourly_limit.0 && f.spent.day.0 + leaving <= s.daily_limit.0;
    let position = age(f.stated.position).is_some_and(|age| age <= 900);
    let (hot, cold) = (f.position.hot.0, f.position.cold.0);
    match f.kind {
        Kind::Sweep => f.destination.pinned,
        Kind::Consolidate => f.destination.pinned && room,
        Kind::Refuel => f.destination.pinned && room && position && f.amount <= s.per_tx_limit,
        Kind::Refill => {
            f.destination.pinned && room && position && (hot + f.amount.0) * 10 <= 3 * (hot + cold)
        }
        Kind::Withdraw => {
            let Clearance::Given { at, named, signed, .. } = f.clearance else { return false };
            let Some(value) = f.value else { return false };
            let people = |group: &str| {
                f.approvals
                    .iter()
                    .filter(|a| a.groups.iter().any(|g| g == group))
                    .map(|a| &a.person)
                    .collect::<std::collections::BTreeSet<_>>()
                    .len()
            };
            let anyone =
                f.approvals.iter().map(|a| &a.person).collect::<std::collections::BTreeSet<_>>().len();
            let quorum = match value.0 {
                0..10_000_000 => true,
                10_000_000..1_000_000_000 => people("treasury") >= 1,
                _ => people("treasury") >= 2 && people("risk") >= 1 && anyone >= 3,
            };
            let surplus_small =
                (0..s.min_sweep.0).rev().take(1).any(|most| (hot - most) * 10 <= 3 * (hot + cold));
            room && position
                && quorum
                && surplus_small
                && !f.price_moved
                && age(Some(at)).is_some_and(|age| age <= 1_800)
                && age(f.stated.price).is_some_and(|age| age <= 600)
                && f.amount <= s.per_tx_limit
                && (signed || f.amount <= s.unsigned_per_tx_limit)
                && (signed || f.amount.0 + f.spent.unsigned_day.0 <= s.unsigned_daily_limit.0)
                && (named || value.0 <= s.unnamed_total_daily_krw.0)
        }
    }
}

fn rank(policy: &Policy, f: &Facts) -> u8 {
    match policy.decide(f).verdict() {
        Verdict::Release => 0,
        Verdict::Hold(_) => 1,
        Verdict::Refuse(_) => 2,
    }
}

/// The properties below are worth nothing if no sample ever passes.
#[test]
fn the_samples_hold_lawful_and_unlawful_facts_of_every_kind() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let set = &settings().assets[BTC];
    let mut seen = std::collections::BTreeMap::<(Kind, bool), usize>::new();
    for _ in 0..2_000 {
        let f = any_facts().new_tree(&mut runner).unwrap().current();
        *seen.entry((f.kind, lawful(&f, set))).or_default() += 1;
    }
    for kind in Kind::ALL {
        assert!(seen[&(kind, true)] >= 20 && seen[&(kind, false)] >= 20, "{seen:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_file_that_permits_everything_releases_exactly_what_is_lawful(f in any_facts()) {
        let policy = &*PERMISSIVE;
        prop_assert_eq!(policy.decide(&f).is_release(), lawful(&f, &policy.settings().assets[BTC]));
    }

    #[test]
    fn the_shipped_rules_release_what_is_lawful_and_funded(f in any_facts()) {
        let policy = &*BUILT;
        let funded = !matches!(f.kind, Kind::Withdraw | Kind::Refuel) || f.amount.0 + f.fee.leaving.0 <= f.spendable.0;
        prop_assert_eq!(policy.decide(&f).is_release(), funded && lawful(&f, &policy.settings().assets[BTC]));
    }

    #[test]
    fn asking_for_more_or_showing_less_never_helps(
        f in any_facts(), more in 1u128..9_000_000, gone in 0usize..4, which in 0u8..8,
    ) {
        let policy = &*BUILT;
        let mut worse = f.clone();
        match which {
            0 => worse.amount.0 += more,
            1 => worse.value = worse.value.map(|v| Krw(v.0 + more)),
            2 => (worse.fee.paid.0, worse.fee.share.0, worse.fee.leaving.0) = (f.fee.paid.0 + more, f.fee.share.0 + more, f.fee.leaving.0 + more),
            3 => worse.spent.hour.0 += more,
            4 => worse.spent.day.0 += more,
            5 => worse.spendable.0 = worse.spendable.0.saturating_sub(more),
            6 => worse.position.hot.0 += more,
            // taking away the requester's own approval is the one that may help
            _ => if worse.approvals.get(gone).is_some_and(|a| !worse.requesters.contains(&a.person)) { worse.approvals.remove(gone); },
        }
        prop_assert!(rank(policy, &worse) >= rank(policy, &f));
    }

    #[test]
    fn every_set_of_facts_has_an_answer(
        numbers in proptest::array::uniform9(any::<u128>()), times in proptest::array::uniform4(any::<u64>()),
        kind in proptest::sample::select(Kind::ALL.to_vec()), text in ".{0,40}",
    ) {
        let mut f = facts(kind);
        f.now = Seconds(times[0]);
        (f.amount, f.fee.paid, f.fee.rate, f.fee.lineage) = (Units(numbers[0]), Units(numbers[1]), Units(numbers[2]), Units(numbers[3]));
        (f.fee.leaving, f.fee.share) = (f.fee.paid, f.fee.paid);
        (f.spent.hour, f.spent.day, f.position.hot, f.position.cold) = (Units(numbers[4]), Units(numbers[5]), Units(numbers[6]), Units(numbers[7]));
        (f.value, f.earmarked) = (Some(Krw(numbers[8])), Units(numbers[0]));
        (f.stated.price, f.stated.tip, f.stated.position) = (Some(Seconds(times[1])), Some(Seconds(times[2])), Some(Seconds(times[3])));
        (f.organisation, f.destination.address, f.beneficiary_vasp, f.requesters) = (text.clone(), text.clone(), text.clone(), [text].into());
        prop_assert!(!BUILT.decide(&f).is_release());
    }
}
