//! The witness's decision, case by case of C2SP tlog-witness.

use super::*;
use crate::audit::proof::verify_consistency;
use crate::audit::witness::{witness, witness_older};

struct Log(Tree, Vec<LeafHash>);

fn log(count: u64, flavour: u8) -> Log {
    let leaves = leaf_hashes(count, flavour);
    Log(Tree::rebuild(leaves.iter().copied()), leaves)
}

impl Log {
    fn head(&self, size: u64) -> Head {
        head_of(&self.1[..size as usize])
    }

    fn proof(&self, old: u64, new: u64) -> ConsistencyProof {
        self.0.prove_consistency(old, new, &nothing_fetched()).unwrap()
    }
}

fn known(last: Head) -> Witnessed {
    Witnessed { origin: ORIGIN.to_owned(), last, root_at_size: None }
}

fn decide(known: &Witnessed, head: Head, old_size: u64, proof: &ConsistencyProof) -> Witness {
    witness(known, &Submission { checkpoint: &signed(head), old_size, proof })
}

#[test]
fn a_head_that_appends_is_accepted_from_the_first_one_on() {
    let log = log(40, 0);
    let mut last = Head::EMPTY;
    for size in [1, 2, 7, 8, 9, 31, 40] {
        match decide(&known(last), log.head(size), last.size, &log.proof(last.size, size)) {
            Witness::Accept(accepted) => {
                assert_eq!((accepted.head(), accepted.from()), (&log.head(size), &last));
                assert_eq!(accepted.origin(), ORIGIN);
                last = *accepted.head();
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_same_head_again_is_accepted_and_another_root_of_its_size_is_a_fork() {
    let (honest, other) = (log(9, 0), log(9, 1));
    let empty = ConsistencyProof::empty();
    assert!(matches!(decide(&known(honest.head(9)), honest.head(9), 9, &empty), Witness::Accept(_)));
    for old_size in [0, 5, 9] {
        let answer = decide(&known(honest.head(9)), other.head(9), old_size, &empty);
        assert!(matches!(answer, Witness::Fork(Fork::OtherRoot)), "{old_size}");
    }
}

#[test]
fn an_out_of_date_log_is_told_the_known_size_without_alarm() {
    let log = log(40, 0);
    for (size, old_size) in [(20, 10), (20, 20), (40, 10), (40, 35), (30, 0)] {
        let answer = decide(&known(log.head(30)), log.head(size), old_size, &log.proof(old_size, size));
        assert!(matches!(answer, Witness::Known { size: 30 }), "{size} {old_size} {answer:?}");
    }
    let first = decide(&known(Head::EMPTY), log.head(40), 7, &log.proof(7, 40));
    assert!(matches!(first, Witness::Known { size: 0 }));
}

#[test]
fn a_larger_head_that_cannot_be_proved_is_a_fork() {
    let (honest, forked) = (log(40, 0), log(40, 1));
    let known = known(honest.head(30));
    let answers = [
        decide(&known, forked.head(40), 30, &forked.proof(30, 40)),
        decide(&known, honest.head(40), 30, &honest.proof(29, 40)),
        decide(&known, honest.head(40), 30, &ConsistencyProof::empty()),
    ];
    assert!(answers.iter().all(|answer| matches!(answer, Witness::Fork(Fork::NotProved))), "{answers:?}");
}

#[test]
fn a_remembered_root_unmasks_a_fork_below_the_last_head() {
    let (honest, forked) = (log(40, 0), log(40, 1));
    let mut known = known(honest.head(30));
    known.root_at_size = Some(honest.head(20).root);
    let proof = honest.proof(10, 20);
    assert!(matches!(decide(&known, honest.head(20), 10, &proof), Witness::Known { size: 30 }));
    assert!(matches!(decide(&known, forked.head(20), 10, &proof), Witness::Fork(Fork::OtherRoot)));
}

#[test]
fn an_older_head_with_its_proof_is_known_and_without_it_a_fork() {
    let (honest, forked) = (log(40, 0), log(40, 1));
    let known = known(honest.head(30));
    let proof = honest.proof(20, 30);
    let answer = |head, proof: &ConsistencyProof| witness_older(&known, &signed(head), proof);
    assert!(matches!(answer(honest.head(20), &proof), Witness::Known { size: 30 }));
    assert!(matches!(answer(Head::EMPTY, &ConsistencyProof::empty()), Witness::Known { size: 30 }));
    assert!(matches!(answer(forked.head(20), &proof), Witness::Fork(Fork::NotProved)));
    assert!(matches!(answer(forked.head(20), &forked.proof(20, 30)), Witness::Fork(Fork::NotProved)));
    assert!(matches!(answer(forked.head(30), &proof), Witness::Fork(Fork::OtherRoot)));
    assert!(matches!(answer(honest.head(31), &proof), Witness::Malformed));
}

#[test]
fn another_log_and_an_impossible_old_size_are_turned_away() {
    let log = log(40, 0);
    let mut stranger = known(Head::EMPTY);
    stranger.origin = "other.example/log".to_owned();
    let empty = ConsistencyProof::empty();
    assert!(matches!(decide(&stranger, log.head(3), 0, &empty), Witness::OtherLog));
    assert!(matches!(decide(&known(log.head(30)), log.head(29), 30, &empty), Witness::Malformed));
}

#[test]
fn what_is_logged_is_proved_with_its_entry_and_nothing_else_is() {
    let entries: Vec<_> = (0..20).map(entry).collect();
    let tree = Tree::rebuild(entries.iter().map(Entry::leaf_hash));
    let checkpoint = signed(tree.head());
    let proof = tree.prove_inclusion(7, 20, &nothing_fetched()).unwrap();
    let logged = Logged::verify(&checkpoint, 7, entries[7].leaf(), &proof).unwrap();
    assert_eq!((logged.entry(), logged.index(), logged.head()), (&entries[7], 7, checkpoint.head()));
    for (index, leaf) in [(6, &entries[7]), (8, &entries[7]), (7, &entries[8]), (20, &entries[7])] {
        assert!(Logged::verify(&checkpoint, index, leaf.leaf(), &proof).is_err());
    }
    let unread = Tree::rebuild([LeafHash::of(b"no entry")]);
    let found = Logged::verify(&signed(unread.head()), 0, b"no entry", &InclusionProof::empty());
    assert!(matches!(found, Err(ProofInvalid::NoEntry(_))));
}

#[test]
fn an_entry_is_witnessed_only_under_an_accepted_head() {
    let entries: Vec<_> = (0..20).map(entry).collect();
    let tree = Tree::rebuild(entries.iter().map(Entry::leaf_hash));
    let accepted = match decide(&known(Head::EMPTY), tree.head(), 0, &ConsistencyProof::empty()) {
        Witness::Accept(accepted) => accepted,
        other => panic!("{other:?}"),
    };
    let proof = tree.prove_inclusion(7, 20, &nothing_fetched()).unwrap();
    let seen = accepted.prove_entry(7, entries[7].leaf(), &proof).unwrap();
    assert_eq!((seen.entry(), seen.index(), seen.head()), (&entries[7], 7, &tree.head()));
    let forked = Tree::rebuild((100..120).map(|n| entry(n).leaf_hash()));
    let proof = forked.prove_inclusion(7, 20, &nothing_fetched()).unwrap();
    assert_eq!(accepted.prove_entry(7, entry(107).leaf(), &proof).unwrap_err(), ProofInvalid::Wrong);
}

#[test]
fn an_own_log_is_the_witnessed_one_ahead_of_it_behind_it_or_forked() {
    let (own, other) = (log(30, 0), log(40, 1));
    let standing = |head| own.0.standing(&head, &nothing_fetched()).unwrap();
    assert_eq!(standing(own.head(30)), Standing::Same);
    assert_eq!(standing(other.head(30)), Standing::Forked);
    assert_eq!(standing(other.head(12)), Standing::Forked);
    assert_eq!(standing(other.head(31)), Standing::Behind { missing: 1 });
    assert_eq!(standing(Head { size: u64::MAX, ..Head::EMPTY }), Standing::Behind { missing: u64::MAX - 30 });
    for size in 0..30 {
        match standing(own.head(size)) {
            Standing::Ahead(proof) => verify_consistency(&own.head(size), &own.head(30), &proof).unwrap(),
            wrong => panic!("{size}: {wrong:?}"),
        }
    }
}
