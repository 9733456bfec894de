//! May this leave? Facts in, decision out.
//!
//! This is the wallet policy of Countersign, its rules about money; it has nothing to do with the wallet policies of
//! BIP-0388. It is pure: no I/O, no clock, no randomness, and every set of facts has an answer. What is *absent*: it
//! verifies no signature, keeps no state and knows no chain; the caller hands in what it has proved by itself.
//!
//! Read in this order: [`facts`] what it is told, [`Policy::decide`] what it does, `policies/*.cedar` the rules as the
//! risk staff read them, `rails` the same laws compiled in, and then the arithmetic: [`ratio`], [`sweep`], [`refill`], [`window`],
//! [`tiers`], [`price`], [`threshold`].

pub mod amount;
mod assess;
mod code;
mod context;
mod decision;
pub mod facts;
mod outline;
mod policy;
pub mod price;
mod rails;
pub mod ratio;
pub mod refill;
mod rules;
pub mod settings;
pub mod sweep;
pub mod threshold;
pub mod tiers;
pub mod window;

pub use amount::{Krw, Seconds, Units};
pub use code::{Effect, PolicyCode};
pub use decision::{Decision, Finding, Verdict};
pub use facts::{Facts, Kind};
pub use outline::Outline;
pub use policy::{BUILT_IN, Policy, PolicyError};
pub use settings::{Guard, Settings, SettingsError};

#[cfg(test)]
mod tests;
