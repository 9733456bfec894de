//! Real contracts judge the room `ethereum`: Safe 1.4.1 and 1.5.0 from their published packages, on anvil and on ganache.
//!
//! `$COUNTERSIGN_EVM` is a folder with `node_modules` (tests/components.sh brings it). Without it these tests say loudly
//! that they were skipped; with `COUNTERSIGN_REQUIRE_EVM=1` they fail instead.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod chain;
mod chance;
mod deposits;
mod executor;
mod nodes;
mod observer;
#[path = "../parties/mod.rs"]
mod parties;
mod paying;
mod peers;
mod pins;
mod proxy;
mod published;
mod rotation;
mod seats;
mod token;
mod torture;
mod world;
