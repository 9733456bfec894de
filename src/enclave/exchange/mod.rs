//! Both sides between the enclave and its own exchange: the calls to the exchange's backend, and the listener for the exchange's calls.
//!
//! Reading order: [`line`](mod@line) (one call to the backend), [`client`] (the four questions), [`data_key`] (the fifth, at boot), then
//! `listener`, `asked` and `told` (what the exchange asks of us, and what it is told), `arrived` (coins it has seen). No withdrawals, no policy, no keys to coins.

pub(super) mod answers;
mod arrived;
mod asked;
pub mod auth;
pub mod client;
pub mod data_key;
mod errors;
mod fields;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod line;
pub mod listener;
mod query;
mod told;

pub use self::auth::{Auth, AuthFault};
pub use self::client::{HttpBackend, Places};
pub use self::line::{Line, LineFault, Place, PlaceFault};
