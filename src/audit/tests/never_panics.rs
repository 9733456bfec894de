//! Bytes from anywhere give an answer, never a panic.

use proptest::prelude::*;

use super::*;
use crate::audit::proof::{verify_consistency, verify_inclusion};

fn hashes() -> impl Strategy<Value = Vec<NodeHash>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(NodeHash), 0..64)
}

/// Texts that get past the first checks of a note parser more often than pure noise does.
fn note_like() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just(ORIGIN.to_owned()),
        Just("\n".to_owned()),
        Just("\n\n— ".to_owned()),
        Just("— a AAAAAAA=\n".to_owned()),
        Just(signed(Head::EMPTY).note().to_owned()),
        Just("18446744073709551615".to_owned()),
        Just("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned()),
        "\\PC{0,20}",
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn entries_from_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Entry::parse(&bytes);
    }

    #[test]
    fn entries_from_any_object(members in prop::collection::btree_map("kind|at|code|[a-z]{1,5}|\\PC{0,4}", "held|7|\\PC{0,9}", 0..6)) {
        let leaf = serde_json::to_vec(&members).unwrap();
        if let Ok(entry) = Entry::parse(&leaf) {
            prop_assert_eq!(entry.to_leaf(), leaf);
        }
    }

    #[test]
    fn notes_keys_and_lines_from_any_text(text in note_like(), noise in "\\PC{0,200}") {
        for text in [&text, &noise] {
            let _ = VerifiedCheckpoint::open(text, &log_key());
            let _ = Cosignature::open(text, &witness_key());
            let _ = Cosignature::open_line(&signed(Head::EMPTY), text, &witness_key());
            let _ = LogKey::parse(text);
            let _ = WitnessKey::parse(text);
        }
    }

    #[test]
    fn bodies_from_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), text in note_like()) {
        let _ = Checkpoint::parse_body(&bytes);
        let _ = Checkpoint::parse_body(text.as_bytes());
    }

    #[test]
    fn proofs_of_any_hashes_and_any_sizes(
        path in hashes(), leaf in any::<[u8; 32]>(), root in any::<[u8; 32]>(),
        a in prop_oneof![any::<u64>(), Just(u64::MAX), 0_u64..9], b in prop_oneof![any::<u64>(), Just(u64::MAX), 0_u64..9],
    ) {
        let (old, new) = (Head { size: a, root: NodeHash(leaf) }, Head { size: b, root: NodeHash(root) });
        let inclusion = InclusionProof::new(path.clone()).unwrap();
        let consistency = ConsistencyProof::new(path).unwrap();
        prop_assert!(verify_inclusion(LeafHash(leaf), a, &new, &inclusion).is_err());
        prop_assert!(verify_consistency(&old, &new, &consistency).is_err());
    }
}
