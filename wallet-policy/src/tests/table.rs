//! One row a rule: what is just within it, what is just beyond it, and the code that says so. Then each rule of the
//! files and each law is taken away, and some row must notice.

use super::{built_in, by, codes, facts, load, permissive, settings};
use crate::code::PolicyCode::{self, *};
use crate::facts::{Clearance, Facts, Kind};
use crate::rails::{RAILS, Rail};
use crate::{BUILT_IN, Krw, Seconds, Units, Verdict};

struct Row {
    name: &'static str,
    kind: Kind,
    within: fn(&mut Facts),
    beyond: fn(&mut Facts),
    code: PolicyCode,
}

macro_rules! rows {
    ($($name:literal $kind:ident $code:ident $within:expr, $beyond:expr;)*) => {
        const ROWS: &[Row] = &[$(Row {
            name: $name, kind: Kind::$kind, code: $code, within: $within, beyond: $beyond,
        },)*];
    };
}

fn cleared(f: &mut Facts, at: u64, expires_at: u64) {
    f.clearance =
        Clearance::Given { at: Seconds(at), expires_at: Seconds(expires_at), named: true, signed: true };
}

fn unsigned(f: &mut Facts, amount: u128) {
    f.clearance =
        Clearance::Given { at: Seconds(999_000), expires_at: Seconds(1_002_000), named: true, signed: false };
    f.amount = Units(amount);
}

rows! {
    "clearance" Withdraw NoClearance |_| {}, |f| f.clearance = Clearance::Absent;
    "clearance pending" Withdraw ClearancePending |_| {}, |f| f.clearance = Clearance::Pending;
    "clearance age" Withdraw ClearanceExpired |f| cleared(f, 998_200, 1_000_001), |f| cleared(f, 998_199, 1_000_001);
    "clearance expiry" Withdraw ClearanceExpired |f| cleared(f, 999_000, 1_000_001), |f| cleared(f, 999_000, 1_000_000);
    "clearance ahead" Withdraw ClearanceExpired |f| cleared(f, 1_000_000, 1_002_000), |f| cleared(f, 1_000_001, 1_002_000);
    "unnamed total" Withdraw UnnamedTotalReached
        |f| f.spent.unnamed_day = Krw(48_500_000), |f| f.spent.unnamed_day = Krw(48_500_001);
    "named needs no total" Withdraw NoClearance
        |f| { cleared(f, 999_000, 1_002_000); f.spent.unnamed_day = Krw(u128::MAX); }, |f| f.clearance = Clearance::Absent;
    "deny list" Withdraw DestinationDenied
        |f| f.destination.address = "bc1qdenied2".into(), |f| f.destination.address = "BC1QDENIED".into();
    "deny list in capitals" Withdraw DestinationDenied |_| {}, |f| f.destination.address = "bc1qupper".into();
    "allow list" Withdraw DestinationNotAllowed
        |_| {}, |f| f.destination.address = "bc1qPayee".into();
    "empty allow list" Withdraw DestinationNotAllowed
        |_| {}, |f| f.destination.address = String::new();
    "own destination" Withdraw DestinationOwn |_| {}, |f| f.destination.own = true;
    "sweep elsewhere" Sweep KindNotAllowed |_| {}, |f| f.destination.pinned = false;
    "refill elsewhere" Refill KindNotAllowed |_| {}, |f| f.destination.pinned = false;
    "consolidation elsewhere" Consolidate KindNotAllowed |_| {}, |f| f.destination.pinned = false;
    "refuel elsewhere" Refuel KindNotAllowed |_| {}, |f| f.destination.pinned = false;
    "refuel at once" Refuel LimitPerTransaction
        |f| f.amount = Units(10_000_000), |f| f.amount = Units(10_000_001);
    "daily by a refuel" Refuel LimitRolling
        |f| f.spent.day = Units(98_997_000), |f| f.spent.day = Units(98_997_001);
    "position of a refuel" Refuel PositionStale |_| {}, |f| f.stated.position = None;
    "funds of a refuel" Refuel HotFundsShort
        |f| f.spendable = Units(1_003_000), |f| f.spendable = Units(1_002_999);
    "frozen refuel" Refuel Frozen |_| {}, |f| f.frozen = true;
    "per transaction" Withdraw LimitPerTransaction
        |f| f.amount = Units(10_000_000), |f| f.amount = Units(10_000_001);
    "unsigned" Withdraw LimitUnsigned |f| unsigned(f, 2_000_000), |f| unsigned(f, 2_000_001);
    "unsigned total" Withdraw UnsignedTotalReached
        |f| { unsigned(f, 2_000_000); f.spent.unsigned_day = Units(3_000_000); },
        |f| { unsigned(f, 2_000_000); f.spent.unsigned_day = Units(3_000_001); };
    "signed needs no unsigned total" Withdraw NoClearance
        |f| f.spent.unsigned_day = Units(u128::MAX), |f| f.clearance = Clearance::Absent;
    "hourly" Withdraw LimitRolling
        |f| f.spent.hour = Units(48_997_000), |f| f.spent.hour = Units(48_997_001);
    "daily" Withdraw LimitRolling
        |f| f.spent.day = Units(98_997_000), |f| f.spent.day = Units(98_997_001);
    "hourly by a refill's fee" Refill LimitRolling
        |f| f.spent.hour = Units(49_997_000), |f| f.spent.hour = Units(49_997_001);
    "daily by a consolidation's fee" Consolidate LimitRolling
        |f| f.spent.day = Units(99_997_000), |f| f.spent.day = Units(99_997_001);
    "fee rate" Withdraw FeeAboveCap |f| f.fee.rate = Units(200_000), |f| f.fee.rate = Units(200_001);
    "fee of a sweep" Sweep FeeAboveCap
        |f| f.fee.paid = Units(50_000), |f| f.fee.paid = Units(50_001);
    "fee of a lineage" Consolidate FeeAboveCap
        |f| f.fee.lineage = Units(100_000), |f| f.fee.lineage = Units(100_001);
    "fee the request allows" Withdraw FeeAboveCap
        |f| f.fee.request_max = Some(Units(3_000)), |f| f.fee.request_max = Some(Units(2_999));
    "part of the fee the request allows" Withdraw FeeAboveCap
        |f| (f.fee.share, f.fee.request_max) = (Units(1_500), Some(Units(1_500))),
        |f| (f.fee.share, f.fee.request_max) = (Units(1_501), Some(Units(1_500)));
    "fee cap missing" Withdraw FeeAboveCap |_| {}, |f| f.fee.request_max = None;
    "fee budget" Withdraw FeeBudgetSpent
        |f| f.spent.fee_day = Units(997_000), |f| f.spent.fee_day = Units(997_001);
    "fee budget of a sweep" Sweep FeeBudgetSpent
        |f| f.spent.fee_day = Units(997_000), |f| f.spent.fee_day = Units(997_001);
    "position age" Withdraw PositionStale
        |f| f.stated.position = Some(Seconds(999_100)), |f| f.stated.position = Some(Seconds(999_099));
    "position never" Refill PositionStale |_| {}, |f| f.stated.position = None;
    "price age" Withdraw PriceStale
        |f| f.stated.price = Some(Seconds(999_400)), |f| f.stated.price = Some(Seconds(999_399));
    "price ahead" Withdraw PriceStale
        |f| f.stated.price = Some(Seconds(1_000_000)), |f| f.stated.price = Some(Seconds(1_000_001));
    "price moved" Withdraw PriceMoved |_| {}, |f| f.price_moved = true;
    "fee rate age" Withdraw FeeRateStale
        |f| f.stated.fee_rate = Some(Seconds(998_200)), |f| f.stated.fee_rate = Some(Seconds(998_199));
    "tip age" Consolidate FeeRateStale
        |f| f.stated.tip = Some(Seconds(998_200)), |f| f.stated.tip = Some(Seconds(998_199));
    "hot share" Withdraw HotShareAboveLimit
        |f| f.position.hot = Units(31_428_570), |f| f.position.hot = Units(31_428_571);
    "hot share after a refill" Refill HotShareAboveLimit
        |f| f.amount = Units(10_000_000), |f| f.amount = Units(10_000_001);
    "spendable" Withdraw HotFundsShort
        |f| f.spendable = Units(1_003_000), |f| f.spendable = Units(1_002_999);
    "tier" Withdraw ApprovalRequired
        |f| f.value = Some(Krw(9_999_999)), |f| f.value = Some(Krw(10_000_000));
    "quorum" Withdraw ApprovalRequired
        |f| { f.value = Some(Krw(10_000_000)); f.approvals = vec![by("kim", &["treasury"])]; },
        |f| { f.value = Some(Krw(10_000_000)); f.approvals = vec![by("kim", &["risk"])]; };
    "requester" Withdraw RequesterApproves
        |f| f.approvals = vec![by("kim", &["treasury"])], |f| f.approvals = vec![by("park", &["treasury"])];
    "requester of a sweep" Sweep RequesterApproves |_| {}, |f| f.approvals = vec![by("park", &[])];
    "asked during a freeze" Withdraw ApprovalRequired
        |f| { f.queued = true; f.approvals = vec![by("kim", &["treasury"])]; }, |f| f.queued = true;
    "frozen" Withdraw Frozen |_| {}, |f| f.frozen = true;
    "frozen sweep" Sweep Frozen |_| {}, |f| f.frozen = true;
}

impl Row {
    fn facts(&self, change: fn(&mut Facts)) -> Facts {
        let mut facts = facts(self.kind);
        change(&mut facts);
        facts
    }

    fn is_law(&self) -> bool {
        RAILS.iter().any(|rail| rail.code == self.code && rail.guards)
    }
}

#[test]
fn nothing_missing_releases_every_kind() {
    for kind in Kind::ALL {
        assert_eq!(*built_in().decide(&facts(kind)).verdict(), Verdict::Release, "{kind:?}");
    }
}

#[test]
fn each_code_comes_from_exactly_its_fact() {
    let policy = built_in();
    for row in ROWS {
        assert_eq!(codes(&policy.decide(&row.facts(row.within))), [], "{}: within", row.name);
        let decision = policy.decide(&row.facts(row.beyond));
        assert_eq!(codes(&decision), [row.code], "{}: beyond", row.name);
        let refuses = matches!(decision.verdict(), Verdict::Refuse(_));
        assert_eq!(refuses, row.code.effect() == crate::Effect::Refuse, "{}", row.name);
        assert_eq!(decision.policy_hash(), policy.hash());
    }
}

#[test]
fn the_files_alone_say_each_code() {
    let policy = built_in();
    for row in ROWS {
        assert_eq!(codes(&policy.decide_by(&row.facts(row.within), &[])), [], "{}: within", row.name);
        assert_eq!(codes(&policy.decide_by(&row.facts(row.beyond), &[])), [row.code], "{}: beyond", row.name);
    }
}

#[test]
fn the_laws_alone_say_each_code_that_is_a_law() {
    let policy = permissive();
    for row in ROWS {
        let expected: &[PolicyCode] = if row.is_law() { &[row.code] } else { &[] };
        assert_eq!(codes(&policy.decide(&row.facts(row.within))), [], "{}: within", row.name);
        assert_eq!(codes(&policy.decide(&row.facts(row.beyond))), expected, "{}: beyond", row.name);
    }
}

#[test]
fn a_file_that_permits_everything_releases_nothing_that_breaks_a_law() {
    let outside: Vec<&str> = ROWS.iter().filter(|r| !r.is_law()).map(|r| r.name).collect();
    assert_eq!(
        outside,
        [
            "deny list",
            "deny list in capitals",
            "allow list",
            "empty allow list",
            "funds of a refuel",
            "spendable"
        ]
    );
}

#[test]
fn every_rule_of_the_files_is_missed_when_it_is_gone() {
    let whole = BUILT_IN.iter().map(|(_, text)| *text).collect::<String>();
    let rules: Vec<&str> = whole.split("@id(").skip(1).collect();
    assert_eq!(rules.len(), 26);
    for gone in 0..rules.len() {
        let mut rest = String::new();
        for (i, rule) in rules.iter().enumerate() {
            if i != gone {
                // what follows the rule's end are comments of the next file
                let end = rule.rfind("};").map_or(rule.len(), |end| end + 2);
                rest.push_str(&format!("@id({}\n", &rule[..end]));
            }
        }
        let policy = load(&[("rest.cedar", &rest)], settings()).unwrap();
        let missed = ROWS.iter().any(|row| {
            let wrong = |change, expected: &[PolicyCode]| {
                codes(&policy.decide_by(&row.facts(change), &[])) != expected
            };
            wrong(row.within, &[]) || wrong(row.beyond, &[row.code])
        });
        assert!(missed, "{}", rules[gone]);
    }
}

#[test]
fn every_law_is_missed_when_it_is_gone() {
    let overflow: fn(&mut Facts) = |f| f.spent.fee_day = Units(u128::MAX);
    let policy = permissive();
    for gone in RAILS.iter().filter(|rail| rail.guards) {
        let rest: Vec<Rail> =
            RAILS.iter().filter(|rail| rail.id != gone.id && rail.guards).copied().collect();
        let missed = ROWS.iter().filter(|row| row.is_law()).any(|row| {
            codes(&policy.decide_by(&row.facts(row.beyond), &rest)) != [row.code]
                || codes(&policy.decide_by(&row.facts(overflow), &rest)) != [PolicyFault]
        });
        assert!(missed, "{}", gone.id);
    }
}

#[test]
fn sums_that_do_not_fit_refuse() {
    let overflows: [fn(&mut Facts); 6] = [
        |f| f.amount = Units(u128::MAX),
        |f| f.spent.hour = Units(u128::MAX),
        |f| f.spent.day = Units(u128::MAX),
        |f| f.spent.fee_day = Units(u128::MAX),
        |f| f.spent.unnamed_day = Krw(u128::MAX),
        |f| f.position.hot = Units(u128::MAX),
    ];
    for overflow in overflows {
        let mut facts = facts(Kind::Withdraw);
        overflow(&mut facts);
        let decision = built_in().decide(&facts);
        assert!(matches!(decision.verdict(), Verdict::Refuse(_)));
        assert!(codes(&decision).contains(&PolicyFault));
    }
}

#[test]
fn a_value_that_is_not_known_needs_the_highest_tier_and_a_price() {
    let mut f = facts(Kind::Withdraw);
    cleared(&mut f, 999_000, 1_002_000);
    f.value = None;
    assert_eq!(codes(&built_in().decide(&f)), [PriceStale, ApprovalRequired]);
    f.approvals = vec![by("kim", &["treasury"]), by("lee", &["treasury"]), by("cho", &["risk"])];
    assert_eq!(codes(&built_in().decide(&f)), [PriceStale]);
}

#[test]
fn a_sweep_needs_neither_price_nor_position_nor_room_in_a_limit() {
    let mut f = facts(Kind::Sweep);
    f.stated = crate::facts::Stated { position: None, price: None, fee_rate: None, tip: None };
    f.value = None;
    f.price_moved = true;
    f.position.hot = Units(99_000_000);
    f.amount = Units(90_000_000);
    f.spent.hour = Units(50_000_000);
    f.spent.day = Units(100_000_000);
    assert_eq!(codes(&built_in().decide(&f)), []);
}

#[test]
fn a_refusal_beats_every_hold() {
    let mut f = facts(Kind::Withdraw);
    f.price_moved = true;
    f.clearance = Clearance::Absent;
    assert_eq!(codes(&built_in().decide(&f)), [NoClearance]);
}

#[test]
fn every_hold_names_everything_that_is_missing_in_order() {
    let mut f = facts(Kind::Withdraw);
    f.price_moved = true;
    f.spendable = Units(0);
    f.stated.position = None;
    let policy = built_in();
    assert_eq!(codes(&policy.decide(&f)), [PositionStale, PriceMoved, HotFundsShort]);
    let Verdict::Hold(findings) = policy.decide(&f).into_verdict() else { panic!("a hold") };
    assert!(findings.is_sorted());
    assert_eq!(findings[2].policy, "hot-funds-short");
    assert_eq!(findings[2].detail, "1000000 and a fee of 3000 from 0 spendable");
    assert!(!findings[2].cure.is_empty());
}

#[test]
fn an_asset_without_settings_leaves_never() {
    let mut f = facts(Kind::Withdraw);
    f.asset = "eip155:1/slip44:60".into();
    assert_eq!(codes(&built_in().decide(&f)), [PolicyRefused]);
    assert_eq!(codes(&permissive().decide(&f)), [PolicyRefused]);
}
