//! The whole house before a real chain: the program itself as signer, co-signer, relay, observer and executor, each a process of its
//! own with files, certificates and a trust file as the sandbox makes them, and nodes that cannot be relied upon.
//!
//! `$COUNTERSIGN_EVM` is a folder with `node_modules` (tests/components.sh brings it). Without it these tests say loudly that they
//! were skipped; with `COUNTERSIGN_REQUIRE_EVM=1` they fail instead.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../ethereum/chance.rs"]
mod chance;
mod parties;
#[allow(dead_code)]
#[path = "../ethereum/proxy.rs"]
mod proxy;
mod storm;
