//! The table of faults: what goes wrong, and what follows from it.

use super::super::change::Change;
use super::super::facts::{Complaint, Delivery};
use super::super::job::{Effect, JobKey, Outcome};
use super::super::slot::End;
use super::made_up::{DEPTH, Played, Tx, job, safe};
use crate::ethereum::B256;
use crate::withdrawal::Code;

/// Jobs 0 to `count` of one Safe, taken, with the account begun.
fn with_jobs(count: u64) -> (Played, Vec<JobKey>) {
    let mut played = Played::new();
    let keys = (0..count).map(|nonce| job(&safe(0), nonce)).map(|job| {
        let key = job.key;
        played.take(job);
        key
    });
    let keys = keys.collect();
    (played, keys)
}

fn alarms(played: &Played) -> Vec<Code> {
    let code = |change: &Change| match change {
        Change::Alarm { code, .. } => Some(*code),
        _ => None,
    };
    played.history.iter().filter_map(code).collect()
}

fn held(played: &Played, key: JobKey) -> Option<Code> {
    played.ledger.jobs.get(&key).and_then(|job| job.held.as_ref()).map(|held| held.code)
}

fn ends(played: &Played) -> Vec<(u64, End)> {
    let end = |change: &Change| match change {
        Change::Ended { nonce, end } => Some((*nonce, *end)),
        _ => None,
    };
    played.history.iter().filter_map(end).collect()
}

fn outcomes(played: &Played) -> Vec<(JobKey, Outcome)> {
    let outcome = |change: &Change| match change {
        Change::Settled { job, outcome } => Some((*job, outcome.clone())),
        _ => None,
    };
    played.history.iter().filter_map(outcome).collect()
}

/// Every node says this to the newest attempt of a nonce.
fn said(played: &mut Played, nonce: u64, complaint: Complaint) {
    let attempt = played.ledger.slots[&nonce].attempts.len() - 1;
    let block = played.chain.height();
    let word = Delivery { attempt, block, arrived: false, complaint: Some(complaint) };
    played.deliveries.insert(nonce, word);
}

#[test]
fn nothing_wrong_each_job_is_booked_mined_and_final_in_order() {
    let (mut played, keys) = with_jobs(3);
    played.go_on(usize::try_from(DEPTH).unwrap() + 2);
    assert_eq!(ends(&played), [(0, End::Consumed), (1, End::Consumed), (2, End::Consumed)]);
    let paid = |(key, outcome): (JobKey, Outcome)| match outcome {
        Outcome::Executed { effect: Effect::Paid, .. } => key,
        other => panic!("{other:?}"),
    };
    assert_eq!(outcomes(&played).into_iter().map(paid).collect::<Vec<_>>(), keys);
    assert!(alarms(&played).is_empty() && played.ledger.jobs.is_empty() && played.ledger.slots.is_empty());
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let (mut played, _) = with_jobs(20);
    played.turn();
    assert_eq!((played.ledger.slots.len(), played.ledger.next), (8, Some(8)));
}

#[test]
fn what_waits_too_long_is_replaced_with_the_bump_that_nodes_want_and_under_the_cap() {
    let (mut played, _) = with_jobs(2);
    played.turn();
    played.chain.pool.clear();
    played.chain.base_fee = 50_000;
    (0..3).for_each(|_| played.chain.mine(Vec::new()));
    let changes = played.turn_with(|| true);
    let booked = changes.iter().filter(|change| matches!(change, Change::Booked { nonce: 0 | 1, .. }));
    assert_eq!(booked.count(), 2, "the first waits, and the second is too cheap as well");
    let slot = &played.ledger.slots[&0];
    assert!(slot.attempts[1].gas.replaces(&slot.attempts[0].gas));
    assert!((50_010..=100_000).contains(&slot.attempts[1].gas.fee_per_gas_max));
    assert!(played.turn_with(|| true).is_empty(), "once for a block");
    played.chain.base_fee = 99_990;
    (0..3).for_each(|_| played.chain.mine(Vec::new()));
    played.turn_with(|| true);
    let newest = played.ledger.slots[&0].attempts.last().unwrap().gas.fee_per_gas_max;
    assert!(newest <= 100_000, "{newest}");
}

#[test]
fn a_replacement_that_no_cap_allows_is_an_alarm_after_a_while_and_goes_on_when_it_can() {
    let (mut played, _) = with_jobs(1);
    played.turn();
    played.chain.pool.clear();
    played.chain.base_fee = 1_000_000;
    for _ in 0..60 {
        played.chain.mine(Vec::new());
        played.turn();
    }
    assert_eq!(alarms(&played), [Code::ExecutionStuck], "once");
    assert_eq!(played.ledger.slots[&0].attempts.len(), 1);
    played.chain.base_fee = 1_000;
    played.go_on(12);
    assert_eq!(ends(&played), [(0, End::Replaced)]);
}

#[test]
fn a_fee_spike_holds_what_is_not_sent_yet_with_a_code_and_an_alarm_and_lets_it_go_by_itself() {
    let (mut played, keys) = with_jobs(1);
    played.chain.base_fee = 200_000;
    played.turn();
    assert_eq!((held(&played, keys[0]), played.ledger.slots.len()), (Some(Code::GasAboveCap), 0));
    for _ in 0..60 {
        played.chain.mine(Vec::new());
        played.turn();
    }
    assert_eq!(alarms(&played), [Code::GasAboveCap]);
    played.chain.base_fee = 1_000;
    played.turn();
    assert_eq!((held(&played, keys[0]), played.ledger.slots.len()), (None, 1));
}

#[test]
fn a_job_costs_no_more_than_its_cap_over_all_attempts() {
    let (mut played, keys) = with_jobs(1);
    played.rules.fee_job_cap = 1_000;
    played.turn();
    assert_eq!((held(&played, keys[0]), played.ledger.slots.len()), (Some(Code::GasAboveCap), 0));
}

#[test]
fn what_the_nodes_say_to_a_transaction_leads_to_the_step_it_asks_for() {
    let table = [
        (Complaint::Underpriced, 2, None),
        (Complaint::FeeTooLow, 2, None),
        (Complaint::Nonce, 1, None),
        (Complaint::Funds, 1, Some(Code::GasFundsShort)),
        (Complaint::Other("no".to_owned()), 1, None),
    ];
    for (complaint, attempts, alarm) in table {
        let (mut played, _) = with_jobs(1);
        played.turn_with(|| true);
        said(&mut played, 0, complaint.clone());
        played.chain.mine(Vec::new());
        played.turn_with(|| true);
        assert_eq!(played.ledger.slots[&0].attempts.len(), attempts, "{complaint:?}");
        assert_eq!(alarms(&played).first().copied(), alarm, "{complaint:?}");
    }
}

#[test]
fn what_every_node_refuses_is_held_with_their_words_and_its_nonce_is_cancelled_so_that_no_gap_stays() {
    let (mut played, keys) = with_jobs(2);
    played.turn_with(|| true);
    for _ in 0..3 {
        said(&mut played, 0, Complaint::Other("contract on a list".to_owned()));
        played.chain.mine(Vec::new());
        played.turn_with(|| true);
    }
    assert!(!played.ledger.slots[&0].attempts.last().unwrap().runs);
    assert_eq!(held(&played, keys[0]), Some(Code::ExecutionUnsent));
    assert!(played.ledger.jobs[&keys[0]].held.as_ref().unwrap().detail.contains("contract on a list"));
    // later it is tried again, by itself
    played.go_on(80);
    assert_eq!(played.chain.executions(played.chain.height()).len(), 2);
    assert!(ends(&played).contains(&(0, End::Cancelled)) && played.ledger.slots.is_empty());
}

#[test]
fn too_little_fuel_books_nothing_new_and_is_an_alarm_at_once() {
    let (mut played, keys) = with_jobs(2);
    played.chain.balance = 300_000_000;
    played.turn();
    assert_eq!((played.ledger.slots.len(), held(&played, keys[1])), (1, Some(Code::GasFundsShort)));
    assert_eq!(alarms(&played), [Code::GasFundsShort]);
}

#[test]
fn a_stranger_who_is_first_is_seen_and_the_own_nonce_is_used_up_all_the_same() {
    for ours_is_mined_too in [true, false] {
        let (mut played, keys) = with_jobs(1);
        played.turn();
        if !ours_is_mined_too {
            played.chain.pool.clear();
        }
        played.chain.mine(vec![Played::stranger(keys[0])]);
        // the own receipt says that it was not this one; then it is searched for
        played.turn();
        played.turn();
        let seen = played.ledger.jobs[&keys[0]].seen.unwrap();
        assert_eq!((seen.nonce, seen.effect), (None, Effect::Paid));
        played.go_on(12);
        let end = if ours_is_mined_too { End::Consumed } else { End::Cancelled };
        assert_eq!(ends(&played), [(0, end)]);
        let [(_, Outcome::Executed { txid, .. })] = outcomes(&played)[..] else {
            panic!("it is settled once")
        };
        assert_eq!(txid, Played::stranger(keys[0]).txid);
    }
}

#[test]
fn a_reorganisation_takes_back_what_was_seen_and_it_is_sent_and_seen_again() {
    let (mut played, keys) = with_jobs(1);
    played.go_on(2);
    assert!(played.ledger.jobs[&keys[0]].seen.is_some());
    played.chain.reorg(3, false);
    let changes = played.turn();
    assert!(matches!(changes[..], [Change::Unmined { nonce: 0, .. }, Change::Undone { .. }]), "{changes:?}");
    assert_eq!(played.ledger.slots[&0].attempts.len(), 1);
    played.go_on(10);
    assert_eq!((ends(&played), outcomes(&played).len()), (vec![(0, End::Consumed)], 1));
}

#[test]
fn a_reorganisation_that_gives_the_place_to_a_stranger_is_followed_as_well() {
    let (mut played, keys) = with_jobs(1);
    played.go_on(2);
    played.chain.reorg(3, false);
    played.chain.mine(vec![Played::stranger(keys[0])]);
    played.go_on(12);
    assert_eq!(outcomes(&played).len(), 1);
    assert_eq!(played.chain.executions(played.chain.height()).len(), 1);
    assert_eq!(ends(&played).len(), 1);
}

#[test]
fn a_reorganisation_below_what_was_final_stands_still_with_an_alarm() {
    let (mut played, _) = with_jobs(1);
    played.go_on(9);
    assert!(played.ledger.slots.is_empty());
    played.chain.reorg(9, false);
    assert!(matches!(played.turn()[..], [Change::Alarm { code: Code::FinalityBroken, .. }]));
    played.take(job(&safe(0), 1));
    played.turn();
    assert!(played.ledger.slots.is_empty(), "nothing is booked on it");
}

#[test]
fn a_payee_that_refuses_uses_up_its_nonce_and_is_told_with_its_reason_when_it_is_final() {
    let (mut played, keys) = with_jobs(2);
    played.chain.refusing = vec![keys[0]];
    played.go_on(12);
    let told = outcomes(&played);
    let [(_, Outcome::Executed { effect: Effect::Reverted, detail, .. }), (_, paid)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((detail.as_str(), told[0].1.code()), ("because", Some(Code::PayeeReverted)));
    assert_eq!((paid.code(), told.len()), (None, 2), "who comes behind is paid");
}

#[test]
fn a_nonce_that_somebody_else_used_is_an_alarm_and_the_job_gets_another_one() {
    let (mut played, keys) = with_jobs(1);
    played.turn_with(|| true);
    let other = Tx { txid: B256::repeat_byte(9), nonce: Some(0), runs: None, fee: u128::MAX };
    played.chain.pool.insert(0, other);
    played.chain.mine(Vec::new());
    played.go_on(20);
    assert_eq!(ends(&played), [(0, End::Foreign), (1, End::Consumed)]);
    assert!(alarms(&played).contains(&Code::AccountNonceForeign));
    assert!(matches!(outcomes(&played)[..], [(key, _)] if key == keys[0]));
}

#[test]
fn nonces_that_others_used_before_they_were_booked_are_stepped_over_when_they_are_final() {
    let mut played = Played::new();
    played.turn();
    let other = Tx { txid: B256::repeat_byte(9), nonce: Some(0), runs: None, fee: u128::MAX };
    played.chain.pool.insert(0, other);
    played.chain.mine(Vec::new());
    played.take(job(&safe(0), 0));
    played.turn();
    assert!(played.ledger.slots.is_empty(), "not before it is final");
    played.go_on(20);
    assert_eq!(ends(&played), [(1, End::Consumed)]);
    assert_eq!(alarms(&played), [Code::AccountNonceForeign]);
}

#[test]
fn a_lane_waits_for_the_nonce_that_is_missing_and_no_other_lane_waits_with_it() {
    let mut played = Played::new();
    played.take(job(&safe(0), 1));
    played.take(job(&safe(1), 0));
    played.turn();
    let waiting = JobKey { safe: safe(0).address(), nonce: 1 };
    assert_eq!((held(&played, waiting), played.ledger.slots.len()), (Some(Code::SafeNonceAwaited), 1));
    played.take(job(&safe(0), 0));
    played.go_on(12);
    assert_eq!((outcomes(&played).len(), played.ledger.jobs.len()), (3, 0));
}

#[test]
fn what_the_safe_would_not_take_costs_no_gas() {
    let (mut played, keys) = with_jobs(1);
    let mut facts = played.chain.facts(&played.ledger, &played.deliveries, || true);
    facts.trials.insert(keys[0], Err("GS026: not an owner".to_owned()));
    let decided = super::super::turn::decide(&played.ledger, &facts, &played.rules, &played.troubles);
    played.ledger = decided.ledger;
    assert_eq!((held(&played, keys[0]), played.ledger.slots.len()), (Some(Code::ExecutionReverts), 0));
    played.turn();
    assert_eq!((held(&played, keys[0]), played.ledger.slots.len()), (None, 1), "it is tried at each block");
}

#[test]
fn what_nobody_knows_changes_nothing() {
    let (mut played, _) = with_jobs(1);
    played.turn();
    played.chain.mine(Vec::new());
    assert!(played.turn_with(|| false).is_empty(), "no receipt is no absence");
    played.chain.mine(Vec::new());
    assert!(!played.turn().is_empty());
}

#[test]
fn a_safe_nonce_that_is_gone_without_a_trace_is_no_payment_and_no_absence_but_an_alarm() {
    let (mut played, keys) = with_jobs(1);
    let mut facts = played.chain.facts(&played.ledger, &played.deliveries, || true);
    facts.basics.safes.get_mut(&keys[0].safe).unwrap().head = 1;
    facts.searches.insert(keys[0], None);
    let decide = |facts: &super::super::facts::Facts, played: &Played| {
        super::super::turn::decide(&played.ledger, facts, &played.rules, &played.troubles)
    };
    assert!(decide(&facts, &played).ledger.jobs[&keys[0]].outcome.is_none(), "not before it is final");
    facts.basics.safes.get_mut(&keys[0].safe).unwrap().last = 1;
    let decided = decide(&facts, &played);
    assert_eq!(decided.ledger.jobs[&keys[0]].outcome, Some(Outcome::NotFound { since: 0 }));
    let told = |change: &Change| matches!(change, Change::Alarm { code: Code::ExecutionNotFound, .. });
    assert!(decided.changes.iter().any(told));
    facts.searches.clear();
    assert!(
        decide(&facts, &played).ledger.jobs[&keys[0]].outcome.is_none(),
        "what was not searched is not lost"
    );
    played.turn();
}
