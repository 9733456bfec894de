//! Selections conserve value to the satoshi and stay between floor and caps, whatever the coins.

use proptest::prelude::*;

use super::world::outpoint;
use crate::bitcoin::fee::{OWN_DUST_SAT, RATE_FLOOR};
use crate::bitcoin::{
    Branch, Coin, FeeCaps, FeeError, FeeTerms, OutputNeed, SelectError, Selection, select,
    select_consolidation, select_sweep,
};
use crate::withdrawal::{Code, FeeRate};

fn coins(amounts: &[u64]) -> Vec<Coin> {
    let coin = |(n, amount_sat): (usize, &u64)| {
        let n = n as u32;
        Coin { outpoint: outpoint(n), amount_sat: *amount_sat, branch: Branch::Deposit, index: n }
    };
    amounts.iter().enumerate().map(coin).collect()
}

fn terms(rate: u64) -> FeeTerms {
    let caps = FeeCaps { rate_max: FeeRate(10_000_000), transaction_sat_max: u64::MAX, asked_sat_max: None };
    FeeTerms { rate: FeeRate(rate), caps, replaced_fee_sat: None }
}

fn need(amount_sat: u64) -> OutputNeed {
    OutputNeed { amount_sat, weight: 124 }
}

fn conserves(selection: &Selection, out_sat: u64) -> bool {
    let in_sat: u64 = selection.coins.iter().map(|coin| coin.amount_sat).sum();
    in_sat == out_sat + selection.extra_sat + selection.fee_sat + selection.change_sat.unwrap_or(0)
}

#[test]
fn a_coin_that_fits_is_chosen_alone_and_without_change() {
    let all = coins(&[5_000_000, 100_200, 70_000, 60_000, 800_000]);
    let found = select(&all, None, &[need(100_000)], &terms(1_000)).unwrap();
    assert_eq!(found.coins, vec![all[1]]);
    assert_eq!((found.fee_sat, found.change_sat), (200, None));
}

#[test]
fn the_anchor_is_always_among_the_inputs() {
    let all = coins(&[5_000_000, 1_000, 70_000]);
    let found = select(&all, Some(all[1].outpoint), &[need(100_000)], &terms(2_000)).unwrap();
    assert!(found.coins.contains(&all[1]) && found.coins.contains(&all[0]));
    assert!(conserves(&found, 100_000));
    let missing = select(&all, Some(outpoint(77)), &[need(1_000)], &terms(2_000));
    assert_eq!(missing.unwrap_err().code(), Code::AnchorMismatch);
}

#[test]
fn dust_change_goes_to_the_fee_only_within_the_caps() {
    let all = coins(&[100_400, 500_000]);
    let mut capped = terms(1_000);
    capped.caps.transaction_sat_max = 399;
    // the first coin alone would leave 400 to the fee; the second makes change
    let found = select(&all, None, &[need(100_000)], &capped).unwrap();
    assert!(found.change_sat.unwrap() >= OWN_DUST_SAT && found.fee_sat <= 399);
    capped.caps.transaction_sat_max = 100;
    let refused = select(&all, None, &[need(100_000)], &capped).unwrap_err();
    assert!(matches!(refused, SelectError::Fee(FeeError::AboveCap { cap_sat: 100, .. })), "{refused}");
    assert_eq!(refused.code(), Code::FeeAboveCap);
}

#[test]
fn a_coin_whose_rest_would_break_the_rate_cap_makes_way_for_another() {
    // the smaller one pays without change but leaves more to the fee than any rate believed
    let all = coins(&[1_817_666, 2_006_437, 300]);
    let found = select(&all, None, &[need(1_187)], &terms(9_609_254)).unwrap();
    assert_eq!(found.coins, vec![all[1]]);
}

#[test]
fn what_cannot_be_paid_says_how_much_is_missing() {
    let all = coins(&[50_000, 40_000]);
    let error = select(&all, None, &[need(100_000)], &terms(1_000)).unwrap_err();
    let SelectError::NotEnough { missing_sat } = error else { panic!("{error}") };
    assert!((10_200..10_400).contains(&missing_sat), "{missing_sat}");
    assert_eq!(select(&[], None, &[need(1_000)], &terms(1_000)).unwrap_err().code(), Code::HotFundsShort);
}

#[test]
fn abnormal_values_are_refused_and_never_reach_the_library() {
    let all = coins(&[50_000]);
    for rate in [0, 999, 10_000_001, u64::MAX] {
        assert!(
            matches!(select(&all, None, &[need(1_000)], &terms(rate)), Err(SelectError::Abnormal(_))),
            "{rate}"
        );
    }
    for outputs in
        [vec![], vec![need(0)], vec![need(u64::MAX)], vec![OutputNeed { amount_sat: 1, weight: u64::MAX }]]
    {
        assert!(matches!(select(&all, None, &outputs, &terms(1_000)), Err(SelectError::Abnormal(_))));
    }
    for amounts in [vec![0], vec![u64::MAX], vec![2_100_000_000_000_000, 1], vec![1; 401]] {
        let refused = select(&coins(&amounts), None, &[need(1_000)], &terms(1_000));
        assert!(matches!(refused, Err(SelectError::Abnormal(_))));
    }
}

#[test]
fn a_replacement_pays_more_than_what_it_replaces() {
    let all = coins(&[5_000_000]);
    let first = select(&all, None, &[need(100_000)], &terms(2_000)).unwrap();
    let bump = FeeTerms { replaced_fee_sat: Some(first.fee_sat), ..terms(2_001) };
    let second = select(&all, Some(all[0].outpoint), &[need(100_000)], &bump).unwrap();
    assert!(second.fee_sat >= first.fee_sat + RATE_FLOOR.fee_sat(second.vbytes).unwrap());
}

#[test]
fn a_consolidation_spends_everything_into_one_output() {
    let all = coins(&[700, 900, 1_100, 5_000]);
    let found = select_consolidation(&all, &terms(1_000)).unwrap();
    assert_eq!(found.coins, all);
    assert!(conserves(&found, 0) && found.change_sat.is_some());
    assert_eq!(select_consolidation(&all[..2], &terms(9_000)).unwrap_err().code(), Code::HotFundsShort);
    assert!(select_consolidation(&coins(&[1_000; 251]), &terms(1_000)).is_err());
}

#[test]
fn a_target_that_needs_more_inputs_than_fit_is_short_of_funds() {
    let all = coins(&[1_000; 400]);
    let error = select(&all, None, &[need(250_000)], &terms(1_000)).unwrap_err();
    assert!(matches!(error, SelectError::NotEnough { missing_sat } if missing_sat > 0), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_selection_conserves_value_and_keeps_the_bounds(
        amounts in prop::collection::vec(prop_oneof![300u64..20_000, 20_000u64..5_000_000, 1_000_000_000u64..20_000_000_000_000], 1..60),
        targets in prop::collection::vec(prop_oneof![546u64..50_000, 50_000u64..9_000_000, 1_000_000_000u64..30_000_000_000_000], 1..4),
        rate in prop_oneof![1_000u64..5_000, 5_000u64..500_000, 500_000u64..10_000_000],
        anchored: bool,
    ) {
        let all = coins(&amounts);
        let outputs: Vec<OutputNeed> = targets.iter().map(|t| need(*t)).collect();
        let out_sat: u64 = targets.iter().sum();
        let anchor = anchored.then(|| all[0].outpoint);
        match select(&all, anchor, &outputs, &terms(rate)) {
            Ok(found) => {
                prop_assert!(conserves(&found, out_sat));
                prop_assert!(found.fee_sat >= RATE_FLOOR.fee_sat(found.vbytes).unwrap());
                prop_assert!(found.fee_sat >= FeeRate(rate).fee_sat(found.vbytes).unwrap());
                prop_assert!(found.change_sat.is_none_or(|sat| sat >= OWN_DUST_SAT));
                prop_assert!(anchor.is_none_or(|a| found.coins.iter().any(|coin| coin.outpoint == a)));
                prop_assert_eq!(found.extra_sat, 0);
                if found.change_sat.is_some() {
                    prop_assert_eq!(found.fee_sat, FeeRate(rate).fee_sat(found.vbytes).unwrap());
                }
            }
            Err(SelectError::NotEnough { .. }) => {
                // then taking the largest coins first does not reach either
                let per_input = FeeRate(rate).fee_sat(105).unwrap();
                let useful: u64 = amounts.iter().filter(|a| **a > per_input).map(|a| a - per_input).sum();
                prop_assert!(useful < out_sat + FeeRate(rate).fee_sat(11 + 31 * targets.len() as u64 + 110).unwrap());
            }
            // a rest below dust above the believed rate's cap: only possible at the very top
            Err(error) => prop_assert!(rate > 9_000_000, "{error}"),
        }
    }

    #[test]
    fn a_sweep_moves_at_least_what_is_needed_at_exactly_the_fee(
        amounts in prop::collection::vec(1_000u64..5_000_000, 1..60), part in 1u64..100, rate in 1_000u64..50_000,
    ) {
        let all = coins(&amounts);
        let cold_sat = (amounts.iter().sum::<u64>() * part / 100).max(330);
        if let Ok(found) = select_sweep(&all, OutputNeed::own(cold_sat), &terms(rate)) {
            prop_assert!(conserves(&found, cold_sat));
            prop_assert_eq!(found.fee_sat, FeeRate(rate).fee_sat(found.vbytes).unwrap());
            prop_assert!(found.change_sat.is_none() || found.extra_sat == 0);
        }
    }
}
