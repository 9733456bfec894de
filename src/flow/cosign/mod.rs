//! The other party: key B. It decides again, by itself, from its own trust file, policy, counters, clock, store and log,
//! and believes nothing that the signer says.
//!
//! Read [`desk`] (one question from witness to signature), [`judge`] (what one transaction must be), then [`state`].

pub mod desk;
pub mod judge;
pub mod load;
pub mod state;

pub use desk::Cosigner;
