//! Countersign: a hot-wallet signing service with multisig orchestration.
//!
//! The rooms, from the ground up. A floor uses only floors below it; two rooms on one floor do not know each other.

pub mod enclave;
pub mod relay;
pub mod withdrawal;
