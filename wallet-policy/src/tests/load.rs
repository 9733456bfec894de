//! What is not loaded: every file and every setting that could be read in more than one way.

use super::{BTC, PERMIT_ALL, SETTINGS, built_in, codes, facts, load, settings};
use crate::code::PolicyCode;
use crate::context::context;
use crate::facts::Kind;
use crate::rails::Case;
use crate::settings::AssetSettings;
use crate::threshold::Step;
use crate::{BUILT_IN, Guard, Krw, Policy, PolicyError, Settings, Units};

fn with(text: &str) -> Result<Policy, PolicyError> {
    load(&[PERMIT_ALL, ("own.cedar", text)], settings())
}

#[test]
fn an_unknown_effect_is_not_loaded() {
    for effect in ["warn", "Hold", "", "allow", "hold "] {
        let text = format!(r#"@id("x") @effect("{effect}") forbid (principal, action, resource);"#);
        assert!(matches!(with(&text), Err(PolicyError::Annotation { .. })), "{effect}");
    }
}

#[test]
fn annotations_that_do_not_fit_are_not_loaded() {
    for head in [
        r#"@code("NO_SUCH_CODE") forbid"#,
        r#"@effect("hold") @code("NO_CLEARANCE") forbid"#,
        r#"@effect("refuse") @code("PRICE_MOVED") forbid"#,
        r#"@code("PRICE_MOVED") forbid"#,
        r#"@efect("hold") forbid"#,
        r#"@effect("hold") permit"#,
        r#"@code("POLICY_REFUSED") permit"#,
    ] {
        let text = format!(r#"@id("x") {head} (principal, action, resource);"#);
        assert!(matches!(with(&text), Err(PolicyError::Annotation { .. })), "{head}");
    }
}

#[test]
fn a_rule_needs_an_id_of_its_own() {
    for head in ["", r#"@id("") "#, r#"@id("Big") "#, r#"@id("guard/x") "#, r#"@id "#] {
        let text = format!("{head}forbid (principal, action, resource);");
        assert!(matches!(with(&text), Err(PolicyError::NoId { .. })), "{head}");
    }
    let twice = with(r#"@id("all") forbid (principal, action, resource);"#);
    assert!(matches!(twice, Err(PolicyError::DuplicateId { ref id, .. }) if id == "all"), "{twice:?}");
}

#[test]
fn what_the_validator_refuses_or_warns_of_is_not_loaded() {
    for when in [
        "context.noSuchWord",
        "context.valueKrw",
        "context.valueKrw == \"1\"",
        "principal.name == \"x\"",
        "false",
        "resource in Asset::\"x\" && context.frozen > 1",
        "Other::\"x\" == principal",
    ] {
        let text = format!(r#"@id("x") forbid (principal, action, resource) when {{ {when} }};"#);
        assert!(matches!(with(&text), Err(PolicyError::Invalid(_))), "{when}");
    }
    let action = with(r#"@id("x") forbid (principal, action == Action::"burn", resource);"#);
    assert!(matches!(action, Err(PolicyError::Invalid(_))), "{action:?}");
}

#[test]
fn what_is_not_cedar_is_not_loaded() {
    for text in ["forbid", "@id(\"x\") forbid (principal == ?principal, action, resource);", "{}"] {
        assert!(matches!(with(text), Err(PolicyError::Unreadable { .. })), "{text}");
    }
    let twice = load(&[PERMIT_ALL, PERMIT_ALL], settings());
    assert_eq!(twice.unwrap_err(), PolicyError::DuplicateFile("all.cedar".into()));
}

#[test]
fn a_rule_that_fails_to_evaluate_refuses() {
    let facts = facts(Kind::Withdraw);
    for rule in [
        "forbid (principal, action, resource) when { context.valueKrw * 9223372036854775807 > 0 };",
        "forbid (principal, action, resource) when { context.valueKrw + 9223372036854775807 < 0 };",
        "permit (principal, action, resource) when { context.valueKrw * 9223372036854775807 > 0 };",
    ] {
        let policy = with(&format!(r#"@id("x") {rule}"#)).unwrap();
        assert_eq!(codes(&policy.decide(&facts)), [PolicyCode::PolicyFault], "{rule}");
    }
}

#[test]
fn a_forbid_without_annotations_refuses() {
    let policy =
        with(r#"@id("x") forbid (principal, action, resource) when { context.valueKrw > 1 };"#).unwrap();
    let decision = policy.decide(&facts(Kind::Withdraw));
    assert_eq!(codes(&decision), [PolicyCode::PolicyRefused]);
    let crate::Verdict::Refuse(findings) = decision.into_verdict() else { panic!("a refusal") };
    assert_eq!((findings[0].policy.as_str(), findings[0].detail.as_str()), ("x", "rule `x` says no"));
}

#[test]
fn an_own_rule_adds_a_no_with_its_own_words() {
    let text = r#"@id("big-to-vasp") @effect("hold") @cure("ask the risk desk")
        forbid (principal == Organisation::"exchange", action == Action::"withdraw", resource)
        when { context.beneficiaryVasp == "vasp" && context.valueKrw >= 1500000 && context.approvers < 1 };"#;
    let policy = with(text).unwrap();
    let mut f = facts(Kind::Withdraw);
    let crate::Verdict::Hold(findings) = policy.decide(&f).into_verdict() else { panic!("a hold") };
    assert_eq!((findings[0].code, findings[0].cure.as_str()), (PolicyCode::PolicyHeld, "ask the risk desk"));
    f.approvals = vec![super::by("kim", &["treasury"])];
    assert!(policy.decide(&f).is_release());
}

#[test]
fn an_own_rule_can_name_an_asset_for_its_wallet_too() {
    let text = format!(
        r#"@id("closed") forbid (principal, action, resource in Asset::"{BTC}") when {{ !context.frozen }};"#
    );
    let policy = with(&text).unwrap();
    for kind in Kind::ALL {
        assert_eq!(codes(&policy.decide(&facts(kind))), [PolicyCode::PolicyRefused], "{kind:?}");
    }
}

#[test]
fn a_value_that_is_not_known_counts_as_the_largest_in_a_rule() {
    let text = r#"@id("large") forbid (principal, action, resource) when { context.valueKrw > 9000000000000000000 };"#;
    let policy = with(text).unwrap();
    let mut f = facts(Kind::Sweep);
    assert!(policy.decide(&f).is_release());
    for value in [None, Some(Krw(u128::MAX))] {
        f.value = value;
        assert_eq!(codes(&policy.decide(&f)), [PolicyCode::PolicyRefused]);
    }
}

#[test]
fn the_requester_lends_a_rule_neither_a_person_nor_a_group() {
    let when = |what: &str| {
        let text = format!(r#"@id("x") forbid (principal, action, resource) when {{ {what} }};"#);
        let mut f = facts(Kind::Withdraw);
        f.approvals =
            vec![super::by("park", &["board"]), super::by("kim", &["risk"]), super::by("kim", &["treasury"])];
        codes(&with(&text).unwrap().decide(&f))
    };
    // the law's own no is there in any case
    let (law, both) =
        (vec![PolicyCode::RequesterApproves], vec![PolicyCode::RequesterApproves, PolicyCode::PolicyRefused]);
    assert_eq!(when(r#"context.approverGroups.contains("board")"#), law);
    assert_eq!(when(r#"context.approverGroups.containsAll(["risk", "treasury"])"#), both);
    assert_eq!(when("context.approvers == 1"), both);
}

#[test]
fn no_rule_at_all_refuses() {
    let policy = load(&[], settings()).unwrap();
    for kind in Kind::ALL {
        assert_eq!(codes(&policy.decide(&facts(kind))), [PolicyCode::PolicyRefused]);
    }
}

#[test]
fn the_context_of_every_kind_fits_the_schema() {
    let policy = built_in();
    let schema = crate::rules::schema().unwrap();
    for kind in Kind::ALL {
        let f = facts(kind);
        let fits = policy.with_case(&f, |case: &Case<'_>| {
            let action = format!("Action::\"{}\"", kind.as_str()).parse().unwrap();
            context(case).unwrap().validate(&schema, &action).map_err(|error| error.to_string())
        });
        assert!(matches!(fits, Some(Ok(()))), "{fits:?}");
    }
}

#[test]
fn every_code_of_the_policy_is_one_of_the_service_with_the_same_kind() {
    let service = include_str!("../../../src/withdrawal/code.rs");
    for code in PolicyCode::ALL {
        let line = format!("{:?} {code:?} \"{}\"", code.effect(), code.as_str());
        assert!(service.contains(&line), "{line}");
    }
}

#[test]
fn every_rule_of_the_files_says_its_effect_code_and_cure() {
    let whole = BUILT_IN.iter().map(|(_, text)| *text).collect::<String>();
    let forbids = whole.matches("\nforbid (").count();
    for annotation in ["@effect(\"", "@code(\"", "@cure(\""] {
        assert_eq!(whole.matches(annotation).count(), forbids, "{annotation}");
    }
    let said: Vec<(String, PolicyCode)> = built_in().forbids();
    assert_eq!(said.len(), forbids);
    let unsaid = |code: &&PolicyCode| !said.iter().any(|(_, said)| said == *code);
    let unsaid: Vec<_> = PolicyCode::ALL.iter().filter(unsaid).collect();
    assert_eq!(unsaid, [&PolicyCode::PolicyRefused, &PolicyCode::PolicyHeld, &PolicyCode::PolicyFault]);
}

#[test]
fn the_hash_covers_every_file_and_setting_and_no_order() {
    let base = built_in().hash();
    let mut turned = BUILT_IN.to_vec();
    turned.reverse();
    assert_eq!(load(&turned, settings()).unwrap().hash(), base);
    assert_ne!(load(&BUILT_IN[1..], settings()).unwrap().hash(), base);
    let changes: [fn(&mut AssetSettings); 17] = [
        |s| s.unsigned_per_tx_limit = Units(3),
        |s| s.unsigned_daily_limit = Units(4_999_999),
        |s| s.share = Some(crate::ratio::Share::USER_PROTECTION_ACT_2_8),
        |s| s.min_sweep = Units(1),
        |s| s.per_tx_limit = Units(9_999_999),
        |s| s.hourly_limit = Units(49_999_999),
        |s| s.daily_limit = Units(99_999_999),
        |s| s.fee_rate_max = Units(1),
        |s| s.fee_tx_max = Units(1),
        |s| s.fee_lineage_max = Units(99_999),
        |s| s.fee_budget_daily = Units(999_999),
        |s| s.unnamed_total_daily_krw = Krw(1),
        |s| s.price_move_bp_max = 1,
        |s| s.price_settle_s = 61,
        |s| s.deny.push("bc1qother".into()),
        |s| s.allow = Some(vec![]),
        |s| s.allow = None,
    ];
    let mut seen = vec![base];
    for change in changes {
        let mut s = settings();
        change(s.assets.get_mut(BTC).unwrap());
        let hash = load(BUILT_IN, s).unwrap().hash();
        assert!(!seen.contains(&hash));
        seen.push(hash);
    }
    let mut s = settings();
    s.ages.price_s = 599;
    assert!(!seen.contains(&load(BUILT_IN, s).unwrap().hash()));
    let mut s = settings();
    s.travel_rule.steps[1].from.0 -= 1;
    assert!(!seen.contains(&load(BUILT_IN, s).unwrap().hash()));
    let mut s = settings();
    s.tiers[0].from_krw = Krw(1);
    assert!(!seen.contains(&load(BUILT_IN, s).unwrap().hash()));
    let mut s = settings();
    let tiers = s.tiers.clone();
    asset(&mut s).tiers = tiers;
    assert!(!seen.contains(&load(BUILT_IN, s).unwrap().hash()));
}

fn field_of(change: impl FnOnce(&mut Settings)) -> String {
    let mut s = settings();
    change(&mut s);
    s.validate().unwrap_err().field.replace(&format!("{BTC:?}"), "btc")
}

fn asset(s: &mut Settings) -> &mut AssetSettings {
    s.assets.get_mut(BTC).unwrap()
}

#[test]
fn a_setting_that_makes_no_sense_is_named() {
    assert_eq!(field_of(|s| s.assets.clear()), "assets");
    assert_eq!(field_of(|s| s.ages.price_s = 0), "ages.price_s");
    assert_eq!(field_of(|s| s.ages.chain_s = 604_801), "ages.chain_s");
    assert_eq!(field_of(|s| s.tiers.reverse()), "tiers");
    assert_eq!(field_of(|s| asset(s).per_tx_limit = Units(50_000_001)), "assets.btc.per_tx_limit");
    assert_eq!(field_of(|s| asset(s).hourly_limit = Units(100_000_001)), "assets.btc.hourly_limit");
    assert_eq!(field_of(|s| asset(s).fee_tx_max = Units(100_001)), "assets.btc.fee_tx_max");
    assert_eq!(field_of(|s| asset(s).fee_lineage_max = Units(1_000_001)), "assets.btc.fee_lineage_max");
    assert_eq!(field_of(|s| asset(s).price_move_bp_max = 10_001), "assets.btc.price_move_bp_max");
    assert_eq!(field_of(|s| asset(s).price_settle_s = 0), "assets.btc.price_settle_s");
    assert_eq!(field_of(|s| asset(s).deny = vec![" x".into()]), "assets.btc.deny");
    assert_eq!(field_of(|s| asset(s).allow = Some(vec![String::new()])), "assets.btc.allow");
    assert_eq!(field_of(|s| asset(s).tiers = s_tiers_reversed()), "assets.btc.tiers");
    assert_eq!(settings().validate(), Ok(()));
}

fn s_tiers_reversed() -> Vec<crate::tiers::Tier> {
    settings().tiers.into_iter().rev().collect()
}

#[test]
fn a_file_of_settings_is_read_in_one_way_only() {
    assert!(toml::from_str::<Settings>(SETTINGS).is_ok());
    for (from, to) in [
        ("min_sweep = \"1000000\"", "min_sweep = 1000000"),
        ("min_sweep = \"1000000\"", "min_sweep = \"1_000_000\""),
        ("min_sweep = \"1000000\"", ""),
        ("daily_limit = \"100000000\"", ""),
        ("daily_limit = \"100000000\"", "daily_limt = \"100000000\"\ndaily_limit = \"100000000\""),
        ("share = \"kisa-3-7\"", "share = \"30%\""),
        ("needs = { treasury = 1 }", "needs = { treasury = -1 }"),
        ("from_krw = \"10000000\"", "from_krw = \"10000000\"\nof = 1"),
    ] {
        assert!(toml::from_str::<Settings>(&SETTINGS.replace(from, to)).is_err(), "{to}");
    }
}

#[test]
fn settings_looser_than_the_trust_file_are_not_loaded() {
    let guard = Guard::of(&settings());
    type Change = fn(&mut Settings);
    let looser: [(Change, &str); 23] = [
        (|s| asset(s).unsigned_per_tx_limit.0 += 1, "assets.btc.unsigned_per_tx_limit"),
        (|s| asset(s).unsigned_daily_limit.0 += 1, "assets.btc.unsigned_daily_limit"),
        (|s| asset(s).share = Some(crate::ratio::Share::parse("301/1000").unwrap()), "assets.btc.share"),
        (|s| asset(s).min_sweep.0 += 1, "assets.btc.min_sweep"),
        (|s| asset(s).per_tx_limit.0 += 1, "assets.btc.per_tx_limit"),
        (|s| asset(s).hourly_limit.0 += 1, "assets.btc.hourly_limit"),
        (|s| asset(s).daily_limit.0 += 1, "assets.btc.daily_limit"),
        (|s| asset(s).fee_rate_max.0 += 1, "assets.btc.fee_rate_max"),
        (|s| asset(s).fee_tx_max.0 += 1, "assets.btc.fee_tx_max"),
        (|s| asset(s).fee_lineage_max.0 += 1, "assets.btc.fee_lineage_max"),
        (|s| asset(s).fee_budget_daily.0 += 1, "assets.btc.fee_budget_daily"),
        (|s| asset(s).unnamed_total_daily_krw.0 += 1, "assets.btc.unnamed_total_daily_krw"),
        (|s| asset(s).price_move_bp_max += 1, "assets.btc.price_move_bp_max"),
        (|s| asset(s).price_settle_s -= 1, "assets.btc.price_settle_s"),
        (|s| s.ages.clearance_s += 1, "ages.clearance_s"),
        (|s| s.ages.position_s += 1, "ages.position_s"),
        (|s| s.travel_rule.steps[0].floor_krw.0 += 1, "travel_rule"),
        (|s| s.travel_rule.steps[1].from.0 += 1, "travel_rule"),
        (|s| drop(s.travel_rule.steps.pop()), "travel_rule"),
        (
            |s| {
                s.travel_rule.own = "JP".into();
                let japan = Step { jurisdiction: "JP".into(), ..s.travel_rule.steps[0].clone() };
                s.travel_rule.steps.push(Step { floor_krw: Krw(1_000_001), ..japan });
            },
            "travel_rule",
        ),
        (|s| s.tiers[0].from_krw.0 += 1, "assets.btc.tiers"),
        (|s| s.tiers.clear(), "assets.btc.tiers"),
        (
            |s| {
                let a = s.assets[BTC].clone();
                s.assets.insert("btc2".into(), a);
            },
            "assets.\"btc2\"",
        ),
    ];
    for (change, field) in looser {
        let mut s = settings();
        change(&mut s);
        let no = guard.check(&s).unwrap_err();
        assert_eq!(no.field.replace(&format!("{BTC:?}"), "btc"), field);
        assert!(Policy::built_in(s, &guard).is_err(), "{field}");
    }
    let mut tighter = settings();
    asset(&mut tighter).daily_limit.0 -= 1;
    tighter.tiers[0].from_krw.0 -= 1;
    assert!(Policy::built_in(tighter, &guard).is_ok());
}

#[test]
fn the_delay_of_a_self_hosted_wallet_is_never_below_an_hour_nor_below_its_guard() {
    let with = |delay| Settings { self_hosted_delay_s: delay, ..settings() };
    assert_eq!(settings().self_hosted_delay_s, 86_400, "a day where nothing is said");
    for delay in [0, 3_599, 2_592_001] {
        assert_eq!(with(delay).validate().unwrap_err().field, "self_hosted_delay_s");
    }
    let guard = Guard::of(&settings());
    assert_eq!(guard.check(&with(86_399)).unwrap_err().field, "self_hosted_delay_s");
    assert_eq!(guard.check(&with(86_401)), Ok(()));
    assert_ne!(with(86_401).canonical(), settings().canonical(), "the policy's hash names it");
}

#[test]
fn a_resume_keeps_its_delay_and_its_people() {
    let with = |change: &dyn Fn(&mut crate::settings::FreezeRules)| {
        let mut settings = settings();
        change(&mut settings.freeze);
        settings
    };
    assert_eq!(Settings { freeze: Default::default(), ..settings() }.freeze.resume_delay_s, 3_600);
    assert_eq!(with(&|f| f.resume_delay_s = 59).validate().unwrap_err().field, "freeze.resume_delay_s");
    let none = with(&|f| f.resume_needs.0 = [("treasury".to_owned(), 0)].into());
    assert_eq!(none.validate().unwrap_err().field, "freeze.resume_needs");
    let guard = Guard::of(&settings());
    assert_eq!(guard.check(&with(&|f| f.resume_delay_s = 3_599)).unwrap_err().field, "freeze.resume_delay_s");
    let fewer = with(&|f| f.resume_needs.0 = [("treasury".to_owned(), 2)].into());
    assert_eq!(guard.check(&fewer).unwrap_err().field, "freeze.resume_needs");
    let fewer = with(&|f| f.queued_needs.0 = [("risk".to_owned(), 1)].into());
    assert_eq!(guard.check(&fewer).unwrap_err().field, "freeze.queued_needs");
    // nobody named ends no freeze, and lets nothing leave that was asked meanwhile
    let nobody = with(&|f| (f.resume_needs, f.queued_needs) = Default::default());
    guard.check(&nobody).unwrap();
    let mut asked = facts(crate::Kind::Withdraw);
    asked.queued = true;
    asked.approvals = vec![crate::facts::Approval { person: "kim".into(), groups: vec!["treasury".into()] }];
    let decision = load(crate::BUILT_IN, nobody).unwrap().decide(&asked);
    assert_eq!(codes(&decision), [PolicyCode::ApprovalRequired]);
}
