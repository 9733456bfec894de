//! The laws of the house, each a test named after it. Where a law says what a stolen party cannot do, the test plays it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod adapter;
mod adapter_process;
mod approvals;
mod attacks;
mod batches;
mod brakes;
mod carried;
#[allow(dead_code)]
#[path = "../ethereum/chain.rs"]
mod chain;
#[allow(dead_code)]
#[path = "../ethereum/chance.rs"]
mod chance;
mod contract_wallets;
mod custodian;
mod deposits;
mod doors;
mod emptying;
#[allow(dead_code)]
#[path = "../ethereum/token.rs"]
mod evm_token;
mod facts;
mod foreign;
mod freeze;
mod half_registered;
mod happens;
mod lanes;
mod log;
mod masked;
mod node;
mod odd_tokens;
mod pages;
#[path = "../parties/mod.rs"]
mod parties;
#[path = "../exchanges/play.rs"]
mod play;
mod policy;
mod processes;
#[allow(dead_code)]
#[path = "../ethereum/proxy.rs"]
mod proxy;
#[path = "../ethereum/published.rs"]
mod published;
mod refill;
mod refuel;
mod requests;
mod safe_facts;
mod safes;
mod self_hosted;
mod server;
mod share;
mod story;
mod terminal;
mod thief;
mod transactions;
mod travel_rule;
mod verifyvasp;
mod voids;
mod wall;
mod world;
