//! The client commands: what the exchange, observers, operators and auditors ask of a running service, over the wire only.

pub mod address;
mod agent;
pub mod approvals;
pub mod approve;
mod attested;
pub mod audit;
pub mod connect;
pub mod freeze;
pub mod health;
pub mod observe;
pub mod parties;
pub mod position;
pub mod record;
pub mod refill;
pub mod resume;
mod sign;
pub mod statement;
pub mod view;
pub mod wallet;
pub mod withdraw;
pub mod withdrawals;
