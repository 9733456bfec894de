//! Deposits: coins that have arrived are matched with the verification they belong to, or their possible senders are asked.
//!
//! Knows outputs, addresses and amounts that the own backend hands in; asks for no person and hands none out. Nothing is credited here.

pub(super) mod desk;
pub(super) mod matching;
pub(super) mod words;
pub(super) mod work;
