//! The room against the standards' vectors, against itself, and against attackers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod attacks;
mod chain_word;
mod reading;
mod signing;
mod vectors;
mod words;

use super::fixture::*;
use super::*;
use crate::withdrawal::KeyRole;
