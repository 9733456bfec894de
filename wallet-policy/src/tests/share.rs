//! Presets, the scope of the share, and the total in won over several assets.

use proptest::prelude::*;

use super::{BTC, SETTINGS, codes, facts, settings};
use crate::facts::Kind;
use crate::ratio::{Holding, InTotal, Position, Share, TotalKrw};
use crate::sweep::{allot, due};
use crate::{BUILT_IN, Guard, Krw, Policy, PolicyCode, Settings, Units};

fn with(head: &str, share: &str) -> Settings {
    let body = SETTINGS.replace("share = \"kisa-3-7\"", share);
    toml::from_str(&format!("{head}\n{body}")).unwrap()
}

fn loaded(settings: Settings) -> Policy {
    let guard = Guard::of(&settings);
    Policy::load(BUILT_IN, settings, &guard).unwrap()
}

fn refused(settings: &Settings) -> String {
    settings.validate().unwrap_err().field
}

#[test]
fn a_preset_stands_for_its_figures_and_shows_them() {
    let kisa = with("[hot_share]\npreset = \"kisa-3-7\"", "").share_rule(BTC);
    assert_eq!((kisa.asset, kisa.total), (Some(Share::KISA_3_7), None));
    let act = with("[hot_share]\npreset = \"user-protection-act-2-8\"", "");
    let rule = act.share_rule(BTC);
    let two = Some(Share::USER_PROTECTION_ACT_2_8);
    assert_eq!((rule.asset, rule.total), (two, two));
    let text = act.canonical();
    assert!(text.contains("share.total=2/10\n") && text.contains("\nshare=2/10\n"), "{text}");
    let total = with("[hot_share]\npreset = \"user-protection-act-2-8\"\nscope = \"total\"", "");
    assert_eq!((total.share_rule(BTC).asset, total.share_rule(BTC).total), (None, two));
    // without a preset all is as it was
    assert_eq!(settings().share_rule(BTC).asset, Some(Share::KISA_3_7));
    assert_eq!(settings().share_rule(BTC).target, Share::new(15, 60).unwrap());
}

#[test]
fn a_preset_and_a_figure_that_contradicts_it_do_not_start() {
    let act = "[hot_share]\npreset = \"user-protection-act-2-8\"\n";
    let field = format!("assets.{BTC:?}.share");
    assert_eq!(refused(&with(act, "share = \"3/10\"")), field);
    assert_eq!(refused(&with(&format!("{act}total = \"1/10\""), "")), "hot_share.total");
    assert_eq!(refused(&with("[hot_share]\ntotal = \"1/10\"", "")), "hot_share.total");
    assert_eq!(refused(&with("[hot_share]\nscope = \"total\"", "share = \"3/10\"")), field);
    assert_eq!(refused(&with(act, "sweep_target = \"21/100\"")), format!("assets.{BTC:?}.sweep_target"));
    assert!(with(act, "share = \"20/100\"").validate().is_ok());
    assert!(toml::from_str::<Settings>(&format!("{act}\npreset = \"kisa-3-8\"\n{SETTINGS}")).is_err());
}

#[test]
fn a_total_that_the_trust_file_pins_is_judged_and_an_asset_is_not_let_go_unjudged() {
    let act = with("[hot_share]\npreset = \"user-protection-act-2-8\"", "");
    let guard = Guard::of(&act);
    let field = |settings: Settings| guard.check(&settings).unwrap_err().field;
    assert_eq!(field(with("[hot_share]\npreset = \"kisa-3-7\"", "")), "hot_share.scope");
    assert_eq!(field(with("[hot_share]\nscope = \"both\"", "")), "hot_share.total");
    let alone = with("[hot_share]\npreset = \"user-protection-act-2-8\"\nscope = \"total\"", "");
    assert_eq!(field(alone.clone()), "hot_share.scope");
    assert!(Guard::of(&alone).check(&act).is_ok());
}

fn in_total(hot: u128, cold: u128) -> Option<InTotal> {
    let others = TotalKrw { hot: Krw(hot), cold: Krw(cold) };
    Some(InTotal { others, price: Krw(100_000_000), decimals: 8 })
}

#[test]
fn when_only_the_total_is_over_an_asset_that_is_within_goes_on() {
    let policy = loaded(with("[hot_share]\npreset = \"user-protection-act-2-8\"\nscope = \"total\"", ""));
    let mut f = facts(Kind::Withdraw);
    let over = [PolicyCode::HotShareAboveLimit];
    f.position = Position { hot: Units(30_000_000), cold: Units(70_000_000) };
    f.in_total = in_total(0, 50_000_000);
    assert!(policy.decide(&f).is_release(), "30 of 150 million won is hot");
    f.in_total = in_total(0, 49_999_999);
    assert_eq!(codes(&policy.decide(&f)), over);
    f.in_total = None;
    assert_eq!(codes(&policy.decide(&f)), over, "a total that is not known is a no");
    // by itself within: others have to be swept, this one goes on
    f.position = Position { hot: Units(20_000_000), cold: Units(80_000_000) };
    f.in_total = in_total(90_000_000, 10_000_000);
    assert!(policy.decide(&f).is_release());
}

#[test]
fn a_refill_is_judged_by_the_total_after_its_withdrawals_have_left() {
    let policy = loaded(with("[hot_share]\npreset = \"user-protection-act-2-8\"\nscope = \"total\"", ""));
    let mut f = facts(Kind::Refill);
    f.position = Position { hot: Units(0), cold: Units(100_000_000) };
    f.amount = Units(40_000_000);
    f.in_total = in_total(0, 100_000_000);
    assert!(policy.decide(&f).is_release(), "40 of 200 million won");
    f.in_total = in_total(0, 99_999_999);
    assert_eq!(codes(&policy.decide(&f)), [PolicyCode::HotShareAboveLimit]);
    f.earmarked = Units(20_000_000);
    assert!(policy.decide(&f).is_release(), "half of it leaves again");
}

proptest! {
    /// Every asset sweeps what is due; then the whole is within, and each asset by itself where that is judged.
    #[test]
    fn once_all_sweeps_have_settled_the_whole_rests_within(
        of in proptest::collection::vec((0u128..5_000_000, 0u128..5_000_000, 1u128..3_000), 1..6),
        alone: bool,
    ) {
        let share = Share::USER_PROTECTION_ACT_2_8;
        let holdings: Vec<Holding> = of.into_iter().map(|(hot, cold, price)| Holding {
            position: Position { hot: Units(hot), cold: Units(cold) }, price: Krw(price), decimals: 2,
        }).collect();
        let allotted = allot(&holdings, share).unwrap();
        let settled: Vec<Holding> = holdings.iter().zip(&allotted).map(|(h, part)| {
            let rule = (alone.then_some(share), share.target());
            let Units(s) = due(h.position, rule, Units(0), *part, Units(0)).unwrap().amount;
            let position = Position { hot: Units(h.position.hot.0 - s), cold: Units(h.position.cold.0 + s) };
            Holding { position, ..*h }
        }).collect();
        let left = TotalKrw::of(&settled).unwrap().surplus(share).unwrap();
        prop_assert!(left.0 <= holdings.len() as u128, "rounding is one won an asset: {left:?}");
        if alone {
            prop_assert!(settled.iter().all(|h| crate::ratio::surplus(h.position, share) == Some(Units(0))));
        }
    }
}
