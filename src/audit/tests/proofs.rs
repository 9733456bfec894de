//! Laws of proofs: what is true is proved, nothing else is, and memory never changes an answer.

use proptest::prelude::*;

use super::*;
use crate::audit::proof::{PROOF_LEN_MAX, verify_consistency, verify_inclusion};

#[test]
fn every_leaf_of_every_small_tree_is_proved_as_the_definition_says() {
    let leaves = leaf_hashes(40, 0);
    let tree = Tree::rebuild(leaves.iter().copied());
    for size in 1..=leaves.len() {
        let head = head_of(&leaves[..size]);
        for index in 0..size {
            let proof = tree.prove_inclusion(index as u64, size as u64, &nothing_fetched()).unwrap();
            assert_eq!(proof.hashes(), oracle::path(index, &leaves[..size]));
            verify_inclusion(leaves[index], index as u64, &head, &proof).unwrap();
        }
    }
}

#[test]
fn all_pairs_of_sizes_up_to_seventy_are_consistent_and_no_other_history_is() {
    let leaves = leaf_hashes(70, 0);
    let tree = Tree::rebuild(leaves.iter().copied());
    let heads: Vec<_> = (0..=70).map(|size| head_of(&leaves[..size])).collect();
    for new in 0..=70_usize {
        for old in 0..=new {
            let proof = tree.prove_consistency(old as u64, new as u64, &nothing_fetched()).unwrap();
            if old > 0 {
                assert_eq!(proof.hashes(), oracle::consistency(old, &leaves[..new]));
            }
            verify_consistency(&heads[old], &heads[new], &proof).unwrap();

            let mut forged = heads[old];
            forged.root.0[7] ^= 1;
            assert!(verify_consistency(&forged, &heads[new], &proof).is_err(), "{old} {new}");
            let mut forged = heads[new];
            forged.root.0[31] ^= 0x80;
            // everything with leaves appends to the empty tree; only there is the new root not looked at
            assert_eq!(verify_consistency(&heads[old], &forged, &proof).is_ok(), old == 0 && new > 0);
            if old < new {
                assert!(verify_consistency(&heads[new], &heads[old], &proof).is_err());
            }
        }
    }
}

#[test]
fn a_forked_log_cannot_be_proved_to_append() {
    let honest = leaf_hashes(50, 0);
    for changed in 0..30 {
        let mut forked = honest.clone();
        forked[changed] = LeafHash::of(b"another story");
        let tree = Tree::rebuild(forked);
        let proof = tree.prove_consistency(30, 50, &nothing_fetched()).unwrap();
        assert!(verify_consistency(&head_of(&honest[..30]), &tree.head(), &proof).is_err(), "{changed}");
    }
}

#[test]
fn leaves_that_left_memory_are_named_fetched_and_give_the_same_proofs() {
    let leaves = leaf_hashes(1500, 0);
    let mut small = Tree::with_window(256);
    small.extend(leaves.iter().copied());
    let full = Tree::rebuild(leaves.iter().copied());
    let stored =
        |range: std::ops::Range<u64>| Some(leaves[range.start as usize..range.end as usize].to_vec());
    let mut needed_some = 0;
    for (index, size) in
        [(0, 1500), (255, 256), (256, 1499), (700, 701), (1000, 1300), (1300, 1500), (1499, 1500)]
    {
        let expected = full.prove_inclusion(index, size, &nothing_fetched()).unwrap();
        assert_eq!(small.prove_inclusion(index, size, &stored).unwrap(), expected);
        if let Err(TreeFault::LeavesNeeded(ranges)) = small.prove_inclusion(index, size, &nothing_fetched()) {
            needed_some += 1;
            assert!(ranges.len() <= 3, "{ranges:?}");
            assert!(ranges.iter().map(|range| range.end - range.start).sum::<u64>() < 512, "{ranges:?}");
            let mut fetched = FetchedLeaves::default();
            for range in ranges {
                fetched.insert(range.start, stored(range).unwrap());
            }
            assert_eq!(small.prove_inclusion(index, size, &fetched).unwrap(), expected);
        }
    }
    assert!(needed_some >= 4);
    for (old, new) in [(1, 1500), (255, 1500), (300, 301), (777, 1234), (1400, 1500)] {
        let expected = full.prove_consistency(old, new, &nothing_fetched()).unwrap();
        assert_eq!(small.prove_consistency(old, new, &stored).unwrap(), expected);
        assert_eq!(small.head_at(old, &stored).unwrap(), head_of(&leaves[..old as usize]));
    }
}

#[test]
fn what_lies_in_the_window_needs_no_stored_leaf() {
    let leaves = leaf_hashes(3000, 0);
    let mut tree = Tree::with_window(512);
    tree.extend(leaves.iter().copied());
    for back in 1..=200 {
        tree.prove_inclusion(3000 - back, 3000, &nothing_fetched()).unwrap();
        tree.prove_consistency(3000 - back, 3000, &nothing_fetched()).unwrap();
    }
}

#[test]
fn whole_blocks_of_256_leaves_stay_in_memory_for_ever() {
    let mut tree = Tree::with_window(256);
    tree.extend(leaf_hashes(5000, 0));
    for index in [0, 255, 256, 1000, 4000] {
        let block = index / 256 * 256;
        let Err(TreeFault::LeavesNeeded(ranges)) = tree.prove_inclusion(index, 5000, &nothing_fetched())
        else {
            panic!("{index}");
        };
        assert!(
            ranges.iter().all(|range| range.start >= block && range.end <= block + 256),
            "{index} {ranges:?}"
        );
    }
    assert!(tree.prove_consistency(512, 5000, &nothing_fetched()).is_ok());
}

#[test]
fn a_source_that_gives_too_few_leaves_gives_no_proof() {
    let mut tree = Tree::with_window(256);
    tree.extend(leaf_hashes(1000, 0));
    let short =
        |range: std::ops::Range<u64>| Some(vec![LeafHash([0; 32]); (range.end - range.start - 1) as usize]);
    assert!(matches!(tree.prove_inclusion(3, 1000, &short), Err(TreeFault::LeavesNeeded(_))));
}

#[test]
fn a_batch_is_tried_out_dropped_or_taken_and_never_applied_twice() {
    let leaves = leaf_hashes(700, 0);
    let mut tree = Tree::default();
    let mut at = 0;
    for size in [1_usize, 64, 3, 256, 17, 64, 64, 100, 131] {
        let before = tree.head();
        let dropped = tree.append_batch(&leaf_hashes(size as u64, 9));
        assert_eq!(dropped.base(), before);
        drop(dropped);
        assert_eq!(tree.head(), before);

        let stale = tree.append_batch(&leaf_hashes(2, 8));
        let delta = tree.append_batch(&leaves[at..at + size]);
        at += size;
        let expected = head_of(&leaves[..at]);
        assert_eq!(delta.head(), expected);
        tree.apply(delta).unwrap();
        assert_eq!(tree.head(), expected);
        assert!(matches!(tree.apply(stale), Err(TreeFault::Stale { .. })));
        assert_eq!(tree.head(), expected);
    }
    let rebuilt = Tree::rebuild(leaves.iter().copied());
    for index in [0, 1, 64, 255, 256, 511, 699] {
        let grown = tree.prove_inclusion(index, 700, &nothing_fetched()).unwrap();
        assert_eq!(grown, rebuilt.prove_inclusion(index, 700, &nothing_fetched()).unwrap());
    }
}

#[test]
fn questions_beyond_the_tree_are_answered_with_a_fault() {
    let tree = Tree::rebuild(leaf_hashes(5, 0));
    let none = nothing_fetched();
    assert_eq!(tree.prove_inclusion(5, 5, &none), Err(TreeFault::IndexOutside { index: 5, size: 5 }));
    assert_eq!(tree.prove_inclusion(0, 0, &none), Err(TreeFault::IndexOutside { index: 0, size: 0 }));
    assert_eq!(tree.prove_inclusion(0, 6, &none), Err(TreeFault::SizeAhead { size: 6, known: 5 }));
    assert_eq!(
        tree.prove_consistency(1, u64::MAX, &none),
        Err(TreeFault::SizeAhead { size: u64::MAX, known: 5 })
    );
    assert_eq!(tree.prove_consistency(4, 3, &none), Err(TreeFault::SizesSwapped { old: 4, new: 3 }));
    assert_eq!(tree.prove_consistency(0, 5, &none).unwrap(), ConsistencyProof::empty());
    assert_eq!(tree.prove_consistency(5, 5, &none).unwrap(), ConsistencyProof::empty());
}

#[test]
fn a_proof_from_the_wire_has_bounded_length_and_whole_hashes() {
    let hash = vec![7_u8; 32];
    assert!(InclusionProof::from_wire(&vec![hash.clone(); PROOF_LEN_MAX]).is_ok());
    assert_eq!(
        InclusionProof::from_wire(&vec![hash.clone(); PROOF_LEN_MAX + 1]),
        Err(ProofInvalid::TooLong(PROOF_LEN_MAX + 1))
    );
    assert_eq!(ConsistencyProof::from_wire(&[hash.clone(), vec![1; 31]]), Err(ProofInvalid::HashLength(1)));
    assert_eq!(ConsistencyProof::from_wire(std::slice::from_ref(&hash)).unwrap().to_wire(), [hash]);
}

#[test]
fn a_leaf_beyond_the_size_is_outside_whatever_the_proof() {
    let leaves = leaf_hashes(8, 0);
    let tree = Tree::rebuild(leaves.iter().copied());
    let proof = tree.prove_inclusion(7, 8, &nothing_fetched()).unwrap();
    for index in [8, 15, u64::MAX] {
        let found = verify_inclusion(leaves[7], index, &tree.head(), &proof);
        assert_eq!(found, Err(ProofInvalid::IndexOutside { index, size: 8 }));
    }
}

#[test]
fn the_empty_tree_admits_only_its_own_root() {
    let nowhere = Head { size: 0, root: NodeHash([1; 32]) };
    let empty = ConsistencyProof::empty();
    assert!(verify_consistency(&Head::EMPTY, &Head::EMPTY, &empty).is_ok());
    assert!(verify_consistency(&nowhere, &nowhere, &empty).is_err());
    assert!(verify_consistency(&Head::EMPTY, &nowhere, &empty).is_err());
    let one = ConsistencyProof::new(vec![NodeHash([1; 32])]).unwrap();
    assert!(verify_consistency(&Head::EMPTY, &head_of(&leaf_hashes(3, 0)), &one).is_err());
}

/// A proof with one bit changed, one hash added at either end, or one removed at either end.
fn mutations(hashes: &[NodeHash], bit: usize) -> Vec<Vec<NodeHash>> {
    let mut out = Vec::new();
    for at in 0..hashes.len() {
        let mut flipped = hashes.to_vec();
        flipped[at].0[bit / 8] ^= 1 << (bit % 8);
        out.push(flipped);
    }
    out.push([hashes, &[NodeHash([3; 32])]].concat());
    out.push([&[NodeHash([3; 32])], hashes].concat());
    if !hashes.is_empty() {
        out.push(hashes[1..].to_vec());
        out.push(hashes[..hashes.len() - 1].to_vec());
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn inclusion_is_proved_and_every_change_to_the_claim_fails(
        size in 1_u64..600, index in any::<prop::sample::Index>(), bit in 0_usize..256,
    ) {
        let leaves = leaf_hashes(size, 1);
        let index = index.index(leaves.len());
        let tree = Tree::rebuild(leaves.iter().copied());
        let (leaf, at, head) = (leaves[index], index as u64, tree.head());
        prop_assert_eq!(head, head_of(&leaves));
        let proof = tree.prove_inclusion(at, size, &nothing_fetched()).unwrap();
        prop_assert!(verify_inclusion(leaf, at, &head, &proof).is_ok());

        for changed in mutations(&proof.hashes(), bit) {
            let changed = InclusionProof::new(changed).unwrap();
            prop_assert!(verify_inclusion(leaf, at, &head, &changed).is_err());
        }
        let mut other = leaf;
        other.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_inclusion(other, at, &head, &proof).is_err());
        let mut forged = head;
        forged.root.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_inclusion(leaf, at, &forged, &proof).is_err());
        for wrong in [at.wrapping_sub(1), at + 1, at ^ 2] {
            prop_assert!(wrong == at || verify_inclusion(leaf, wrong, &head, &proof).is_err());
        }
    }

    // A proof alone does not pin the size down (RFC 6962 binds it by signing size and root together), so a wrong size
    // fails here because the root that belongs to it differs.
    #[test]
    fn inclusion_fails_under_the_head_of_any_other_size(
        size in 2_u64..400, other in 1_u64..400, index in any::<prop::sample::Index>(),
    ) {
        prop_assume!(size != other);
        let leaves = leaf_hashes(400, 1);
        let tree = Tree::rebuild(leaves.iter().copied());
        let index = index.index(size as usize);
        let proof = tree.prove_inclusion(index as u64, size, &nothing_fetched()).unwrap();
        let head = tree.head_at(other, &nothing_fetched()).unwrap();
        prop_assert!(verify_inclusion(leaves[index], index as u64, &head, &proof).is_err());
    }

    #[test]
    fn consistency_is_proved_and_every_change_to_the_claim_fails(
        new in 2_u64..600, old in any::<prop::sample::Index>(), bit in 0_usize..256,
    ) {
        let leaves = leaf_hashes(new, 2);
        let old = 1 + old.index(new as usize - 1) as u64;
        let tree = Tree::rebuild(leaves.iter().copied());
        let (from, to) = (tree.head_at(old, &nothing_fetched()).unwrap(), tree.head());
        let proof = tree.prove_consistency(old, new, &nothing_fetched()).unwrap();
        prop_assert!(verify_consistency(&from, &to, &proof).is_ok());
        for changed in mutations(&proof.hashes(), bit) {
            let changed = ConsistencyProof::new(changed).unwrap();
            prop_assert!(verify_consistency(&from, &to, &changed).is_err());
        }
        for (a, b) in [(old - 1, new), (old + 1, new)] {
            let (a, b) = (Head { size: a, ..from }, Head { size: b, ..to });
            prop_assert!(verify_consistency(&a, &b, &proof).is_err());
        }
    }
}
