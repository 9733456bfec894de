//! The reference tree of eight leaves: known roots and known proofs.

use data_encoding::HEXLOWER;
use serde_json::Value;

use super::*;
use crate::audit::proof::{verify_consistency, verify_inclusion};

const VECTORS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/audit/rfc6962.json"));

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn node(value: &Value) -> NodeHash {
    NodeHash(bytes(value).try_into().unwrap())
}

fn nodes(value: &Value) -> Vec<NodeHash> {
    value.as_array().unwrap().iter().map(node).collect()
}

struct Reference {
    vectors: Value,
    leaves: Vec<LeafHash>,
    heads: Vec<Head>,
    tree: Tree,
}

fn reference() -> Reference {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let leaves: Vec<_> =
        vectors["leaves"].as_array().unwrap().iter().map(|leaf| LeafHash::of(&bytes(leaf))).collect();
    let roots = std::iter::once(node(&vectors["empty_root"])).chain(nodes(&vectors["roots"]));
    let heads = (0..).zip(roots).map(|(size, root)| Head { size, root }).collect();
    let tree = Tree::rebuild(leaves.iter().copied());
    Reference { vectors, leaves, heads, tree }
}

#[test]
fn the_reference_roots_are_reached_at_every_size() {
    let known = reference();
    let mut growing = Tree::default();
    assert_eq!(growing.head(), known.heads[0]);
    for (n, leaf) in known.leaves.iter().enumerate() {
        growing.extend([*leaf]);
        assert_eq!(growing.head(), known.heads[n + 1]);
        assert_eq!(known.tree.head_at(n as u64, &nothing_fetched()).unwrap(), known.heads[n]);
    }
    assert_eq!(known.heads.len(), 9);
}

#[test]
fn the_reference_inclusion_proofs_are_made_and_accepted() {
    let known = reference();
    for vector in known.vectors["inclusion"].as_array().unwrap() {
        let (index, size) = (vector["index"].as_u64().unwrap(), vector["size"].as_u64().unwrap());
        let proof = known.tree.prove_inclusion(index, size, &nothing_fetched()).unwrap();
        assert_eq!(proof.hashes(), nodes(&vector["proof"]), "{index} in {size}");
        verify_inclusion(known.leaves[index as usize], index, &known.heads[size as usize], &proof).unwrap();
    }
}

#[test]
fn the_reference_consistency_proofs_are_made_and_accepted() {
    let known = reference();
    for vector in known.vectors["consistency"].as_array().unwrap() {
        let (old, new) = (vector["old"].as_u64().unwrap(), vector["new"].as_u64().unwrap());
        let proof = known.tree.prove_consistency(old, new, &nothing_fetched()).unwrap();
        assert_eq!(proof.hashes(), nodes(&vector["proof"]), "{old} to {new}");
        verify_consistency(&known.heads[old as usize], &known.heads[new as usize], &proof).unwrap();
    }
}
