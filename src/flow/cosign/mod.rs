//! The other party: key B. It decides again, by itself, from its own trust file, policy, counters, clock, store and log,
//! and believes nothing that the signer says.
//!
//! Read `question` (from the witnessed head to the signatures), [`judge`] (what one transaction must be), `book` (what a
//! yes and a no leave behind), then [`state`].

mod attest;
mod book;
pub mod desk;
mod hear;
pub mod judge;
pub mod load;
mod party;
mod question;
mod refill;
pub mod state;
mod wallets;

pub use desk::Cosigner;
