//! Owns the laws of the log: one spelling of every entry, note and key, and no proof of what is not in the tree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ed25519_dalek::{Signer as _, SigningKey};

use super::checkpoint::{Checkpoint, VerifiedCheckpoint, read_note, text_of};
use super::cosignature::Cosignature;
use super::entry::Entry;
use super::frontier::Frontier;
use super::hash::{Head, LeafHash, NodeHash};
use super::key::{LogKey, WitnessKey};
use super::kind::EntryKind;
use super::proof::{ConsistencyProof, InclusionProof, verify_consistency, verify_inclusion};
use crate::withdrawal::Seconds;
use crate::withdrawal::fuzzing::texts_of;

const NAME: &str = "exchange.example/signer";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Leaves: what is read has these bytes alone, and says the same when made anew from what it says.
pub(crate) fn entry(data: &[u8]) {
    match Entry::parse(data) {
        Ok(entry) => {
            assert_eq!(entry.leaf(), data);
            let fields = entry.fields().map(|(name, value)| (name.to_owned(), value.to_owned()));
            let again = Entry::new(entry.kind(), entry.at(), fields).unwrap();
            assert_eq!(again.leaf(), data);
            for name in entry.kind().required() {
                assert!(entry.field(name).is_some(), "`{name}` is required");
            }
        }
        Err(no) => assert!(!no.to_string().is_empty()),
    }
}

pub(crate) fn entry_seeds() -> Vec<Vec<u8>> {
    let made = |kind: &EntryKind| {
        let fields = |value: &str| {
            kind.required().iter().map(|name| ((*name).to_owned(), value.to_owned())).collect::<Vec<_>>()
        };
        let hash = "ab".repeat(32);
        ["17", "word", hash.as_str()]
            .into_iter()
            .find_map(|value| Entry::new(*kind, Seconds(1_800_000_000), fields(value)).ok())
    };
    let mut all: Vec<_> = EntryKind::ALL.iter().filter_map(made).map(|entry| entry.to_leaf()).collect();
    all.push(br#"{"at":"1800000000","kind":"genesis","origin":"a/b"}"#.to_vec());
    all
}

/// Checkpoints, notes, cosignatures and verifier keys: one spelling each, and none holds that nobody signed.
pub(crate) fn note(data: &[u8]) {
    let own = LogKey::new(NAME, key().verifying_key().as_bytes()).unwrap();
    let witness = WitnessKey::new(NAME, key().verifying_key().as_bytes()).unwrap();
    if let Ok(checkpoint) = Checkpoint::parse_body(data) {
        assert_eq!(checkpoint.body().as_bytes(), data);
        let signed = checkpoint.sign(&own, &|body| key().sign(body).to_bytes());
        if let Ok(signed) = &signed {
            assert_eq!(VerifiedCheckpoint::open(signed.note(), &own).unwrap().head(), checkpoint.head());
        }
        assert_eq!(signed.is_ok(), checkpoint.origin() == NAME, "signed for another log, or not for ours");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(note) = read_note(text) {
        assert_eq!(text_of(&note).unwrap(), text);
    }
    if let Ok(opened) = VerifiedCheckpoint::open(text, &own) {
        assert_eq!((opened.note(), opened.origin()), (text, NAME));
        assert!(text.starts_with(&opened.body()));
    }
    if let Ok(opened) = Cosignature::open(text, &witness) {
        let line = opened.line().unwrap();
        assert!(text.contains(line.trim_end()));
    }
    if let Ok(key) = LogKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = WitnessKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
}

pub(crate) fn note_seeds() -> Vec<Vec<u8>> {
    let own = LogKey::new(NAME, key().verifying_key().as_bytes()).unwrap();
    let head = Head { size: 17, root: NodeHash([3; 32]) };
    let checkpoint = Checkpoint::new(&own, head);
    let signed = checkpoint.sign(&own, &|body| key().sign(body).to_bytes()).unwrap();
    let mut all = vec![
        checkpoint.body().into_bytes(),
        signed.note().as_bytes().to_vec(),
        own.to_string().into_bytes(),
        WitnessKey::new(NAME, key().verifying_key().as_bytes()).unwrap().to_string().into_bytes(),
    ];
    all.extend(texts_of(include_str!("../../tests/vectors/audit/notes.json")));
    all
}

/// How many leaves the tree of [`proof`] has at most.
const LEAVES_MAX: u8 = 40;

fn head_of(size: u8) -> Head {
    let mut frontier = Frontier::default();
    (0..size).for_each(|n| frontier.push(LeafHash::of(&[n]), &mut |_, _| {}));
    frontier.head()
}

/// Proofs: of a small tree nothing is proved but what is true of it, and sizes of 64 bits are looked at without counting to them.
///
/// The bytes: three small numbers, a large one, and the hashes.
pub(crate) fn proof(data: &[u8]) {
    let Some((&[old, new, index], rest)) = data.split_first_chunk::<3>() else { return };
    let Some((large, rest)) = rest.split_first_chunk::<8>() else { return };
    let hashes: Vec<&[u8]> = rest.chunks(32).collect();
    let inclusion = InclusionProof::from_wire(&hashes);
    let consistency = ConsistencyProof::from_wire(&hashes);
    let (Ok(inclusion), Ok(consistency)) = (inclusion, consistency) else { return };
    assert_eq!(InclusionProof::from_wire(&inclusion.to_wire()).unwrap().to_wire(), inclusion.to_wire());
    let (old, new) = (head_of(old % LEAVES_MAX), head_of(new % LEAVES_MAX));
    if verify_inclusion(LeafHash::of(&[index]), large[0].into(), &new, &inclusion).is_ok() {
        assert!(index == large[0] && u64::from(index) < new.size, "a leaf that is not there");
    }
    if verify_consistency(&old, &new, &consistency).is_ok() {
        assert!(old.size <= new.size);
    }
    if verify_consistency(&new, &Head { size: old.size, root: new.root }, &consistency).is_ok() {
        assert!(old.size == new.size || new.size == 0, "two trees of one root");
    }
    let large = u64::from_be_bytes(*large);
    let huge = Head { size: large, root: new.root };
    assert!(verify_inclusion(LeafHash::of(b"nowhere"), large.wrapping_sub(1), &huge, &inclusion).is_err());
    let _ = verify_consistency(&new, &huge, &consistency);
    let _ = verify_consistency(&huge, &new, &consistency);
}

pub(crate) fn proof_seeds() -> Vec<Vec<u8>> {
    let leaf = |n: u8| NodeHash::from(LeafHash::of(&[n]));
    let pair = NodeHash::of(leaf(0), leaf(1));
    let front =
        |old: u8, new: u8, index: u8| [&[old, new, index][..], &[index, 0, 0, 0, 0, 0, 0, 0]].concat();
    vec![
        [front(2, 3, 2), pair.0.to_vec()].concat(),
        [front(1, 3, 0), leaf(1).0.to_vec(), leaf(2).0.to_vec()].concat(),
        [front(2, 3, 1), leaf(2).0.to_vec()].concat(),
        [front(0, 1, 0), Vec::new()].concat(),
        [vec![3, 3, 1, 255, 255, 255, 255, 255, 255, 255, 255], vec![9; 96]].concat(),
    ]
}
