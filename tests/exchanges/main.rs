//! The enclave against an exchange's backend that shares no line with us: Python's standard library, in a process of its own.
//!
//! The Python is `$COUNTERSIGN_PYTHON` or `python3`. Without one the tests say loudly that they were skipped; with
//! `COUNTERSIGN_REQUIRE_PYTHON=1` they fail instead.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod backend;
#[path = "../parties/mod.rs"]
mod parties;
mod play;
mod two_enclaves;
mod world;
