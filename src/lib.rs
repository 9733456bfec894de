//! Countersign: a hot-wallet signing service with multisig orchestration.
//!
//! The rooms, from the ground up. A floor uses only floors below it; two rooms on one floor do not know each other.

// words: what was asked, how far it has come, why not
pub mod withdrawal;
// the counter between faces and flow, in plain words; and the generated wire types
pub mod desk;
pub mod wire;
// rules: pure computation
pub mod audit;
pub mod bitcoin;
pub mod ethereum;
pub mod evidence;
pub mod keys;
// certificates and roles
pub mod pki;
// doors: one outside thing each
pub mod cosigner;
pub mod enclave;
pub mod freeze;
pub mod node;
pub mod store;
// the way to whoever else holds key B
pub mod custodian;
// the story
pub mod flow;
// faces
pub mod grpc;
// programs of their own
pub mod executor;
pub mod observer;
pub mod relay;
// the terminal, above everything that it starts
pub mod cli;
pub mod sandbox;
// what is fed to every reader of the rooms
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
