//! The brake: whether a party may sign now, kept in memory for the moment before each signature and in a synced file for
//! the next start (law L15).
//!
//! Absent here: the store, the queue, the other party, and every other listener. Whatever hangs there, this answers.
//!
//! Read `standing` (what a freeze and a resume change), [`Brake`] (who may sign at this moment), `marker` (the file), then
//! [`Counter`] (whose word is taken).

mod brake;
mod counter;
mod marker;
mod standing;
#[cfg(test)]
mod tests;

pub use brake::{Brake, Leaving, Permit};
pub use counter::Counter;
pub use marker::FolderFault;
pub use standing::{Due, Freezing, Standing};
