//! The executor: carries finished Safe transactions to an EVM chain, pays their gas, and says what became of them.
//!
//! A program of its own. It holds one key, which only pays gas; it decides about no payment and believes no submitter. It
//! follows every nonce of its account and every Safe transaction it was given to the end, through crashes, full pools and
//! reorganisations (ADR 38). A Safe takes each of its nonces once, so nothing that is sent twice is paid twice.
//!
//! Reading order: `rules`, `job`, `slot`, `ledger`, `change` (what is known) → `facts`, `question` (what is asked) → `price`,
//! `observe`, `lane`, `plan`, `turn` (what follows: pure) → `rows`, `record`, `load` (what is durable) → `account` (the key) → `ask`
//! (the nodes) → `view`, `desk`, `take` (the outside) → `deliver`, `run` (the loop; the only clock) → `follow` (the signer), `tell`.

pub mod account;
mod ask;
mod change;
mod deliver;
mod desk;
mod facts;
pub mod follow;
mod job;
mod lane;
mod ledger;
mod load;
mod observe;
mod open;
mod plan;
mod price;
mod question;
mod record;
mod rows;
mod rules;
mod run;
mod slot;
mod take;
mod tell;
mod turn;
mod view;

pub use account::{Account, AccountFault};
pub use desk::{Desk, Submission, SubmitError};
pub use follow::Follower;
pub use job::{Effect, JobKey, Outcome};
pub use open::{OpenFault, Parts};
pub use rules::{Rules, RulesInvalid};
pub use run::Executor;
pub use tell::tell;
pub use view::{Books, Changes, JobView, Standing, State, Trouble};

#[cfg(test)]
mod tests;
