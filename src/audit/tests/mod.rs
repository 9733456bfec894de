//! Tests of the room: vectors of the standards, laws over random trees, and an oracle written from the RFC's definition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod entries;
mod never_panics;
mod notes;
mod proofs;
mod rfc6962;
mod whole_log;
mod witnessing;

use ed25519_dalek::{Signer as _, SigningKey};

use super::hash::{LeafHash, NodeHash};
use super::*;
use crate::withdrawal::Seconds;

/// RFC 6962 section 2.1 word for word, over all leaves, without any memory: slow and independent of the tree.
mod oracle {
    use super::{LeafHash, NodeHash};
    use sha2::{Digest, Sha256};

    fn split(n: usize) -> usize {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }

    pub(super) fn root(leaves: &[LeafHash]) -> NodeHash {
        match leaves {
            [] => NodeHash(Sha256::digest([]).into()),
            [leaf] => NodeHash(leaf.0),
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                let all = [&[1][..], &root(left).0, &root(right).0].concat();
                NodeHash(Sha256::digest(all).into())
            }
        }
    }

    pub(super) fn path(m: usize, leaves: &[LeafHash]) -> Vec<NodeHash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut path, other) =
            if m < k { (path(m, left), root(right)) } else { (path(m - k, right), root(left)) };
        path.push(other);
        path
    }

    pub(super) fn consistency(m: usize, leaves: &[LeafHash]) -> Vec<NodeHash> {
        subproof(m, leaves, true)
    }

    fn subproof(m: usize, leaves: &[LeafHash], whole: bool) -> Vec<NodeHash> {
        if m == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut path, other) = if m <= k {
            (subproof(m, left, whole), root(right))
        } else {
            (subproof(m - k, right, false), root(left))
        };
        path.push(other);
        path
    }
}

fn leaf_hashes(count: u64, flavour: u8) -> Vec<LeafHash> {
    (0..count).map(|n| LeafHash::of(&[&[flavour][..], &n.to_be_bytes()].concat())).collect()
}

fn head_of(leaves: &[LeafHash]) -> Head {
    Head { size: leaves.len() as u64, root: oracle::root(leaves) }
}

fn nothing_fetched() -> FetchedLeaves {
    FetchedLeaves::default()
}

const ORIGIN: &str = "signer.example/log";
const WITNESS: &str = "cosigner.example/witness";

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn log_key() -> LogKey {
    LogKey::new(ORIGIN, signing_key(1).verifying_key().as_bytes()).unwrap()
}

fn witness_key() -> WitnessKey {
    WitnessKey::new(WITNESS, signing_key(2).verifying_key().as_bytes()).unwrap()
}

fn sign_with(seed: u8) -> impl Fn(&[u8]) -> [u8; 64] {
    move |message| signing_key(seed).sign(message).to_bytes()
}

fn signed(head: Head) -> VerifiedCheckpoint {
    Checkpoint::new(&log_key(), head).sign(&log_key(), &sign_with(1)).unwrap()
}

fn entry(n: u64) -> Entry {
    let at = Seconds(1_700_000_000 + n);
    if n == 0 {
        return Entry::builder(EntryKind::LogStarted, at)
            .field("origin", ORIGIN)
            .field("party", "signer")
            .field("version", "1")
            .build()
            .unwrap();
    }
    Entry::builder(EntryKind::Held, at)
        .field("withdrawal", n)
        .field("code", "POSITION_STALE")
        .build()
        .unwrap()
}
