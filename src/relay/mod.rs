//! The relay: carries ciphertext and public keys between enclaves. It can neither read nor keep what it carries.
//!
//! A program of its own; `docs/relay.md` is its wire. The robot is the counterparty VASP used in tests and in the sandbox.

mod config;
mod deliver;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod mark;
pub mod robot;
mod serve;
mod shelf;
mod state;
#[cfg(test)]
mod tests;

pub use self::config::{Config, ConfigFault, Limits, Member};
pub use self::serve::{RelayFault, Standing, serve};
