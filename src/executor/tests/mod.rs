//! The executor without nodes: a table of faults, and a made-up chain that does its worst.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod durable;
mod faults;
mod made_up;
mod submission;
mod world;
