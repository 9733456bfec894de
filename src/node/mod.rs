//! The door to EVM nodes: several endpoints are asked over JSON-RPC, and what enough of them say in the same words is a fact.
//!
//! It decides nothing and knows no withdrawal: it brings what `ethereum` judges. One node's word is a [`Said`]; a fact is an
//! [`Agreed`], which only counting makes; where too few agree there is [`NotAgreed`], and never a guess. State is read at a
//! block by its hash, so that all speak of the same chain.
//!
//! Reading order: `settings`, `said`, `fault` (words) → `hex`, `json`, `line`, `endpoint` (one node) → `nodes` (the quorum) →
//! `block`, `state`, `safe`, `call`, `transfers`, `executions`, `history`, `receipt`, `fees`, `send` (facts) → `trail` (following the chain).

mod abi;
pub mod block;
pub mod call;
mod endpoint;
pub mod executions;
pub mod fault;
pub mod fees;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hex;
pub mod history;
mod json;
mod line;
pub mod nodes;
pub mod receipt;
pub mod safe;
pub mod said;
pub mod send;
pub mod settings;
pub mod state;
pub mod trail;
pub mod transfers;

pub use block::{Block, FinalBlock};
pub use call::{Call, Estimate, Outcome};
pub use executions::Executed;
pub use fault::{EndpointFault, NotAgreed, Voice};
pub use fees::Fees;
pub use history::SafeLog;
pub use line::SetupFault;
pub use nodes::Nodes;
pub use receipt::{Inclusion, Settled};
pub use safe::SafeFault;
pub use said::{Agreed, Said};
pub use send::{Reached, SendWord, Sending};
pub use settings::{Bounds, Finality, Name, Place, Settings, Tag};
pub use trail::{Step, Trail, TrailFault};
pub use transfers::{Incoming, TransfersFault};

#[cfg(test)]
mod tests;
