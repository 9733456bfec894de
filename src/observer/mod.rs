//! The observer of EVM chains: a program of its own that asks several nodes, and signs what they agree on as statements.
//!
//! It decides nothing, judges nothing, and holds no key to coins. What it signs is read at one final block, and each party
//! judges it by its own pins. It speaks to the signer over the public wire, as `countersign observe` does; no clock is read but
//! at the top of [`run`].
//!
//! Reading order: [`watch`] (what is looked at) → `look` (what is asked, and what comes of it) → `executed` (what became of a
//! Safe's nonces) → [`deposits`] (what lies at deposit addresses) → [`state`] (what was said) → [`speak`] (signing and sending) → [`run`] (one turn, and the schedule).

pub mod deposits;
mod executed;
pub mod look;
pub mod run;
pub mod speak;
pub mod state;
pub mod watch;

#[cfg(test)]
mod tests;

pub use deposits::deposits_fact;
pub use look::{LookFault, begin, chain_fact, ownership_fact, safe_fact};
pub use run::{Observer, Turn};
pub use speak::{SpeakFault, Speaker};
pub use state::{Cursor, State, StateFault, Told};
pub use watch::{Bounds, Watch};
