//! The keys: a signing order in, a signature out. Seeds never leave; no chain is known; no bare hash from outside is signed.
//!
//! Reading order: `secret`, `memory` (where secrets lie) → `mnemonic`, `hd`, `account` (from words to keys) → `sealed`,
//! `keystore`, `file`, `passphrase` (at rest) → `order`, `signer`, `seat`, `verify`, `possession` (ECDSA) → `identity` (Ed25519).

pub mod account;
pub mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hd;
pub mod identity;
pub mod keystore;
pub mod memory;
pub mod mnemonic;
pub mod order;
pub mod passphrase;
pub mod possession;
mod sealed;
pub mod seat;
pub mod secret;
pub mod signer;
pub mod verify;

#[cfg(test)]
mod tests;

pub use crate::withdrawal::KeyRole;
pub use account::{AccountXpub, XpubError};
pub use file::{create_file, read_file};
pub use hd::HdError;
pub use identity::{IdentityError, IdentityKey, verify_ed25519};
pub use keystore::{KeystoreError, OpenKeystore, open, read_terms, seal};
pub use memory::{MemoryError, forbid_core_dumps, lock_process_memory};
pub use mnemonic::{MnemonicError, Phrase, Seed, WordList};
pub use order::{Branch, ChildIndex, OrderItem, SigningOrder};
pub use passphrase::{PassphraseError, PassphraseSource};
pub use possession::{POSSESSION_HEADING, verify_possession};
pub use sealed::{KeystoreRole, KeystoreTerms, SealCost};
pub use seat::{Seat, SeatKeys, SeatOrder, SeatSignature};
pub use secret::{Secret, Secret32, SecretBytes};
pub use signer::{EcdsaSignature, HotKey, SignError};
pub use verify::{verify_with_k256, verify_with_libsecp};
