//! What must hold of this room, door by door.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod answers;
mod approvals;
mod freezes;
mod reports;
mod requests;
mod statements;
mod texts;
mod trusts;
mod vectors;
mod wallets;
