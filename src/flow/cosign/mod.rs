//! The other party: key B. It decides again, by itself, from its own trust file, policy, counters, clock, store and log,
//! and believes nothing that the signer says.
//!
//! Read `route` (what its own enclave server says, where no VASP signs), `question` (from the witnessed head to the signatures),
//! [`judge`] (what one transaction must be), `book` (what a yes and a no leave behind), `void` (what is never signed),
//! [`custody`] (where somebody else holds the key; `custody_notes` and `custody_answer` are its two halves), then [`state`].

mod attest;
mod book;
pub mod custody;
mod custody_answer;
mod custody_notes;
pub mod desk;
mod hear;
pub mod judge;
pub mod load;
mod party;
pub mod prove;
mod question;
mod refill;
mod route;
pub mod state;
mod void;
mod wallets;

pub use custody::{Custody, KeyB};
pub use desk::Cosigner;
