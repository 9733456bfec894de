//! L14: an approval outlives a policy that was tightened, and no other.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::laws::any_facts;
use super::{BTC, PERMIT_ALL, by, load, settings};
use crate::ratio::Share;
use crate::settings::{AssetSettings, Fill, HotShare, Scope};
use crate::threshold::Step;
use crate::tiers::{Requirement, Tier};
use crate::{BUILT_IN, Krw, Outline, Policy, Seconds, Settings, Units};

static OLD: LazyLock<Policy> = LazyLock::new(|| load(BUILT_IN, settings()).unwrap());

fn asset(settings: &mut Settings) -> &mut AssetSettings {
    settings.assets.get_mut(BTC).unwrap()
}

fn loosened(change: impl Fn(&mut Settings)) -> bool {
    let mut changed = settings();
    change(&mut changed);
    load(BUILT_IN, changed).unwrap().loosens(OLD.outline())
}

fn tier(from: u128, needs: &[(&str, u16)]) -> Tier {
    let needs = Requirement(needs.iter().map(|(group, count)| ((*group).to_owned(), *count)).collect());
    Tier { from_krw: Krw(from), needs }
}

type Change = fn(&mut Settings);

/// Each figure and list, one step to the loose side and one to the tight side.
const FIGURES: &[(&str, Change, Change)] = &[
    ("clearance", |s| s.ages.clearance_s += 1, |s| s.ages.clearance_s -= 1),
    ("price", |s| s.ages.price_s += 1, |s| s.ages.price_s -= 1),
    ("position", |s| s.ages.position_s += 1, |s| s.ages.position_s -= 1),
    ("chain", |s| s.ages.chain_s += 1, |s| s.ages.chain_s -= 1),
    ("threshold", |s| s.travel_rule.steps[0].floor_krw.0 += 1, |s| s.travel_rule.steps[0].floor_krw.0 -= 1),
    ("self-hosted", |s| s.self_hosted_delay_s -= 1, |s| s.self_hosted_delay_s += 1),
    ("resume delay", |s| s.freeze.resume_delay_s -= 1, |s| s.freeze.resume_delay_s += 1),
    (
        "resume people",
        |s| s.freeze.resume_needs = Requirement([("risk".to_owned(), 1)].into()),
        |s| s.freeze.resume_needs.0.extend([("board".to_owned(), 1)]),
    ),
    (
        "queued people",
        |s| s.freeze.queued_needs = Requirement([("risk".to_owned(), 1)].into()),
        |s| s.freeze.queued_needs.0.extend([("risk".to_owned(), 1)]),
    ),
    (
        "share",
        |s| asset(s).share = Some(Share::new(4, 10).unwrap()),
        |s| asset(s).share = Some(Share::new(2, 10).unwrap()),
    ),
    (
        "sweep target",
        |s| asset(s).sweep_target = Some(Share::KISA_3_7),
        |s| asset(s).sweep_target = Some(Share::new(1, 10).unwrap()),
    ),
    ("min sweep", |s| asset(s).min_sweep.0 += 1, |s| asset(s).min_sweep.0 -= 1),
    ("per transaction", |s| asset(s).per_tx_limit.0 += 1, |s| asset(s).per_tx_limit.0 -= 1),
    ("unsigned", |s| asset(s).unsigned_per_tx_limit.0 += 1, |s| asset(s).unsigned_per_tx_limit.0 -= 1),
    ("unsigned daily", |s| asset(s).unsigned_daily_limit.0 += 1, |s| asset(s).unsigned_daily_limit.0 -= 1),
    ("hourly", |s| asset(s).hourly_limit.0 += 1, |s| asset(s).hourly_limit.0 -= 1),
    ("daily", |s| asset(s).daily_limit.0 += 1, |s| asset(s).daily_limit.0 -= 1),
    ("fee rate", |s| asset(s).fee_rate_max.0 += 1, |s| asset(s).fee_rate_max.0 -= 1),
    ("fee", |s| asset(s).fee_tx_max.0 += 1, |s| asset(s).fee_tx_max.0 -= 1),
    ("fee of a lineage", |s| asset(s).fee_lineage_max.0 += 1, |s| asset(s).fee_lineage_max.0 -= 1),
    ("fee budget", |s| asset(s).fee_budget_daily.0 += 1, |s| asset(s).fee_budget_daily.0 -= 1),
    ("unnamed", |s| asset(s).unnamed_total_daily_krw.0 += 1, |s| asset(s).unnamed_total_daily_krw.0 -= 1),
    ("price move", |s| asset(s).price_move_bp_max += 1, |s| asset(s).price_move_bp_max -= 1),
    ("price settles", |s| asset(s).price_settle_s -= 1, |s| asset(s).price_settle_s += 1),
    ("deny", |s| asset(s).deny.clear(), |s| asset(s).deny.push("bc1qother".into())),
    ("allow", |s| asset(s).allow.as_mut().unwrap().push("bc1qnew".into()), |s| asset(s).allow = Some(vec![])),
    ("allow all", |s| asset(s).allow = None, |_| {}),
    ("tier from", |s| s.tiers[0].from_krw.0 += 1, |s| s.tiers[0].from_krw.0 -= 1),
    (
        "tier needs",
        |s| s.tiers[1].needs = tier(0, &[("treasury", 1), ("risk", 1)]).needs,
        |s| s.tiers[1].needs = tier(0, &[("treasury", 3), ("risk", 1)]).needs,
    ),
    ("tiers gone", |s| s.tiers.clear(), |s| asset(s).tiers = vec![tier(1, &[("risk", 1)])]),
    ("refill horizon", |s| s.refill.horizon_s += 1, |s| s.refill.horizon_s -= 1),
    ("refill inputs", |s| s.refill.inputs_max += 1, |s| s.refill.inputs_max -= 1),
    ("refills", |s| s.refill.open_max += 1, |s| s.refill.open_max -= 1),
    ("refill expiry", |s| s.refill.expires_s += 1, |s| s.refill.expires_s -= 1),
    (
        "another asset",
        |s| {
            let copy = s.assets[BTC].clone();
            s.assets.insert("other".into(), copy);
        },
        |_| {},
    ),
];

#[test]
fn each_figure_loosens_to_one_side_and_tightens_to_the_other() {
    for (name, loose, tight) in FIGURES {
        assert!(loosened(loose), "{name}");
        assert!(!loosened(tight), "{name}");
    }
}

#[test]
fn filling_up_to_the_target_is_looser_than_to_the_need() {
    assert!(!loosened(|s| s.refill.fill = Fill::Need));
    let mut sparing = settings();
    sparing.refill.fill = Fill::Need;
    assert!(OLD.loosens(load(BUILT_IN, sparing).unwrap().outline()));
}

#[test]
fn one_looser_figure_among_tighter_ones_is_looser() {
    for (name, loose, _) in FIGURES {
        let mixed = |s: &mut Settings| {
            FIGURES
                .iter()
                .filter(|(other, ..)| other == &"daily" && other != name)
                .for_each(|(_, _, tight)| tight(s));
            loose(s);
        };
        assert!(loosened(mixed), "{name}");
    }
}

#[test]
fn judging_the_total_as_well_tightens_and_leaving_an_asset_unjudged_loosens() {
    let both = |s: &mut Settings| s.hot_share = HotShare { scope: Some(Scope::Both), ..HotShare::default() };
    assert!(!loosened(both));
    let total = |s: &mut Settings| {
        asset(s).share = None;
        s.hot_share = HotShare { scope: Some(Scope::Total), ..HotShare::default() };
    };
    assert!(loosened(total));
    let other_law = |s: &mut Settings| {
        s.travel_rule.own = "JP".into();
        let step =
            Step { jurisdiction: "JP".into(), from: Seconds(0), direction: None, floor_krw: Krw(2_000_000) };
        s.travel_rule.steps.push(step);
    };
    assert!(loosened(other_law));
}

#[test]
fn what_only_words_the_daily_statement_loosens_nothing() {
    assert!(!loosened(|s| s.reserve.hot_bp += 1));
}

const FORBID: &str =
    r#"@id("no-monday") forbid (principal, action, resource) when { context.valueKrw > 7 };"#;

#[test]
fn of_rules_only_one_more_that_forbids_and_one_less_that_permits_loosen_nothing() {
    let with = |files: &[(&str, &str)]| load(files, settings()).unwrap();
    let old = OLD.outline();
    let more = |text| [BUILT_IN, &[("own.cedar", text)]].concat();
    assert!(!with(&more(FORBID)).loosens(old), "one more that forbids");
    let forbidding = with(&more(FORBID));
    assert!(OLD.loosens(forbidding.outline()), "and its removal");
    assert!(with(&[BUILT_IN, &[PERMIT_ALL]].concat()).loosens(old), "one more that permits");
    assert!(!OLD.loosens(with(&[BUILT_IN, &[PERMIT_ALL]].concat()).outline()), "and its removal");
    for (file, _) in BUILT_IN.iter().filter(|(file, _)| *file != "permit.cedar") {
        let fewer: Vec<_> = BUILT_IN.iter().filter(|(name, _)| name != file).copied().collect();
        assert!(with(&fewer).loosens(old), "{file}");
    }
    // the same rule, narrower: nothing here proves that it is
    let narrower = FORBID.replace("> 7", "> 8");
    assert!(with(&more(&narrower)).loosens(forbidding.outline()));
    let held = FORBID.replace(") forbid", ") @effect(\"hold\") forbid");
    assert!(with(&more(&held)).loosens(forbidding.outline()), "a hold for a refusal");
}

#[test]
fn neither_the_file_of_a_rule_nor_its_blanks_and_comments_count() {
    let moved: Vec<(&str, String)> = BUILT_IN
        .iter()
        .map(|(file, text)| (*file, format!("// moved\n\n{}", text.replace("  ", " "))))
        .collect();
    let moved: Vec<(&str, &str)> = moved.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let policy = load(&moved, settings()).unwrap();
    assert_ne!(policy.hash(), OLD.hash());
    assert!(!policy.loosens(OLD.outline()));
}

#[test]
fn an_outline_is_written_and_read_back_as_it_was() {
    for policy in [&*OLD, &load(&[PERMIT_ALL], toml::from_str(super::SHARED).unwrap()).unwrap()] {
        let text = serde_json::to_string(policy.outline()).unwrap();
        assert!(!text.contains('\n'));
        let back: Outline = serde_json::from_str(&text).unwrap();
        assert_eq!(&back, policy.outline());
        assert!(!policy.loosens(&back));
    }
    let text = serde_json::to_string(OLD.outline()).unwrap();
    let unknown = text.replacen("{\"hash\"", "{\"more\":1,\"hash\"", 1);
    assert!(serde_json::from_str::<Outline>(&unknown).is_err());
}

/// A change of several figures at once, each to either side or not at all.
fn changes() -> impl Strategy<Value = Vec<(usize, bool)>> {
    proptest::collection::vec((0..FIGURES.len(), prop::bool::weighted(0.15)), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn what_a_policy_releases_that_loosens_nothing_the_old_one_releases_too(
        changed in changes(), forbids in any::<bool>(), all in proptest::collection::vec(any_facts(), 12),
    ) {
        let mut new = settings();
        for (which, to_loose) in changed {
            let (_, loose, tight) = FIGURES[which];
            if to_loose { loose(&mut new) } else { tight(&mut new) }
        }
        let files = if forbids { [BUILT_IN, &[("own.cedar", FORBID)]].concat() } else { BUILT_IN.to_vec() };
        let Ok(new) = load(&files, new) else { return Ok(()) };
        if new.loosens(OLD.outline()) { return Ok(()) }
        for mut facts in all {
            facts.approvals.push(by("cho", &["risk"]));
            facts.spendable = facts.spendable.plus(Units(12_000_000)).unwrap();
            prop_assert!(!new.decide(&facts).is_release() || OLD.decide(&facts).is_release());
        }
    }
}
