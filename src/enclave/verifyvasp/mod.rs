//! The adapter: a real enclave server of the VerifyVASP network behind the same [`Door`](crate::enclave::Door) as the embedded module.
//! No VASP signs there, so what comes back is a report, and the co-signer asks by its own [`Route`].
//!
//! Reading order: `server` (the calls), `said` (what is believed of its answers, without persons), `members`
//! (who can be asked), `orders` (one verification for one
//! request, over every crash) and `transfer` (what is ordered, and the report of a result), `telling` (what follows), [`listener`] (the enclave server's calls to the exchange's backend, passed on),
//! [`route`]. No relay, no keys of VASPs, no evidence: a report is a claim until each party has gone through its own door.

mod adapter;
pub mod listener;
mod members;
mod names;
mod orders;
pub mod route;
mod said;
mod server;
mod telling;
mod transfer;

pub use self::adapter::{Adapter, AdapterSettings, REFRESH};
pub use self::names::Names;
pub use self::route::Route;
pub use self::server::{Miss, Settings, check_url};
