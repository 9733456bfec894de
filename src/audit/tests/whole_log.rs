//! Whole logs: an honest one is accepted, and each way of tampering is named.

use super::*;
use crate::audit::verify::verify_log;

fn leaves(count: u64) -> Vec<(u64, Vec<u8>)> {
    (0..count).map(|n| (n, entry(n).to_leaf())).collect()
}

fn checkpoint_over(leaves: &[(u64, Vec<u8>)]) -> VerifiedCheckpoint {
    signed(Tree::rebuild(leaves.iter().map(|(_, leaf)| LeafHash::of(leaf))).head())
}

#[test]
fn an_honest_log_is_accepted_against_every_checkpoint() {
    let log = leaves(300);
    let points = [
        checkpoint_over(&log),
        checkpoint_over(&log[..1]),
        checkpoint_over(&log[..257]),
        checkpoint_over(&[]),
    ];
    let verified = verify_log(log, &points.each_ref()).unwrap();
    assert_eq!(verified.head(), points[0].head());
    assert_eq!(verified.last_at(), entry(299).at());
    let nothing: [(u64, Vec<u8>); 0] = [];
    assert_eq!(verify_log(nothing, &[&points[3]]).unwrap().head(), &Head::EMPTY);
}

#[test]
fn a_changed_entry_is_found_between_two_checkpoints_and_exactly_by_its_recorded_hash() {
    let log = leaves(100);
    let points = [checkpoint_over(&log[..40]), checkpoint_over(&log[..60]), checkpoint_over(&log)];
    let hashes: Vec<_> = log.iter().map(|(_, leaf)| LeafHash::of(leaf)).collect();
    for bad in 1..100_u64 {
        let mut changed = log.clone();
        changed[bad as usize].1 = Entry::builder(EntryKind::Held, entry(bad).at())
            .field("withdrawal", "x")
            .field("code", "y")
            .build()
            .unwrap()
            .to_leaf();
        let (after, size) = if bad < 40 {
            (0, 40)
        } else if bad < 60 {
            (40, 60)
        } else {
            (60, 100)
        };
        assert_eq!(
            verify_log(changed.clone(), &points.each_ref()).unwrap_err(),
            LogFault::RootDiffers { after, size }
        );

        let mut verifier = LogVerifier::new(&points.each_ref()).unwrap();
        let first = changed
            .iter()
            .zip(&hashes)
            .find_map(|((n, leaf), hash)| verifier.leaf(*n, leaf, Some(hash)).err());
        assert_eq!(first, Some(LogFault::LeafDiffers { index: bad }));
    }
}

#[test]
fn missing_doubled_and_swapped_leaves_are_gaps() {
    let log = leaves(20);
    let point = checkpoint_over(&log);
    let verify = |log: Vec<_>| verify_log(log, &[&point]).unwrap_err();
    let mut missing = log.clone();
    missing.remove(7);
    assert_eq!(verify(missing), LogFault::Gap { expected: 7, found: 8 });
    let mut doubled = log.clone();
    doubled.insert(7, log[6].clone());
    assert_eq!(verify(doubled), LogFault::Gap { expected: 7, found: 6 });
    let mut swapped = log.clone();
    swapped.swap(7, 8);
    assert_eq!(verify(swapped), LogFault::Gap { expected: 7, found: 8 });
}

#[test]
fn a_cut_tail_and_unsigned_extra_leaves_are_named() {
    let log = leaves(20);
    let point = checkpoint_over(&log[..15]);
    assert_eq!(
        verify_log(log[..12].to_vec(), &[&point]).unwrap_err(),
        LogFault::TooShort { found: 12, expected: 15 }
    );
    assert_eq!(verify_log(log, &[&point]).unwrap_err(), LogFault::BeyondCheckpoint { index: 15 });
}

#[test]
fn time_going_back_is_reported_and_standing_still_is_not() {
    let at = |seconds| {
        Entry::builder(EntryKind::Held, Seconds(seconds))
            .field("withdrawal", "w")
            .field("code", "c")
            .build()
            .unwrap()
            .to_leaf()
    };
    let start = entry(0).at().0;
    let log = vec![(0, entry(0).to_leaf()), (1, at(start)), (2, at(start + 9)), (3, at(start + 8))];
    let point = checkpoint_over(&log);
    assert_eq!(
        verify_log(log.clone(), &[&point]).unwrap_err(),
        LogFault::TimeBack { index: 3, at: Seconds(start + 8), before: Seconds(start + 9) }
    );
    assert!(verify_log(log[..3].to_vec(), &[&checkpoint_over(&log[..3])]).is_ok());
}

#[test]
fn a_log_begins_with_its_own_first_entry_and_has_no_second() {
    let refused = |log: Vec<(u64, Vec<u8>)>| verify_log(log.clone(), &[&checkpoint_over(&log)]).unwrap_err();
    assert_eq!(refused(vec![(0, entry(1).to_leaf())]), LogFault::Beginning { index: 0 });
    assert_eq!(
        refused(vec![(0, entry(0).to_leaf()), (1, entry(0).to_leaf())]),
        LogFault::Beginning { index: 1 }
    );
    let foreign = Entry::builder(EntryKind::LogStarted, Seconds(1))
        .field("origin", "other.example/log")
        .field("party", "signer")
        .field("version", "1")
        .build()
        .unwrap();
    assert_eq!(refused(vec![(0, foreign.to_leaf())]), LogFault::Beginning { index: 0 });
}

#[test]
fn a_leaf_that_is_no_entry_is_named_with_the_reason() {
    let mut log = leaves(5);
    log[3].1 = b"{}".to_vec();
    let point = checkpoint_over(&log);
    let why = EntryInvalid::KindUnknown(String::new());
    assert_eq!(verify_log(log, &[&point]).unwrap_err(), LogFault::NoEntry { index: 3, why });
}

#[test]
fn contradicting_foreign_and_absent_checkpoints_are_refused() {
    let log = leaves(5);
    let good = checkpoint_over(&log);
    let forged = signed(Head { size: 5, root: NodeHash([1; 32]) });
    assert_eq!(LogVerifier::new(&[&good, &forged]).unwrap_err(), LogFault::Checkpoints);
    assert_eq!(LogVerifier::new(&[]).unwrap_err(), LogFault::Checkpoints);
    let key = LogKey::new("other.example/log", log_key().public()).unwrap();
    let foreign = Checkpoint::new(&key, *good.head()).sign(&key, &sign_with(1)).unwrap();
    assert_eq!(LogVerifier::new(&[&good, &foreign]).unwrap_err(), LogFault::Checkpoints);
    assert!(verify_log(log, &[&good, &good]).is_ok());
}
