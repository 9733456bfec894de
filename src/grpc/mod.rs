//! The gRPC face: takes calls over mutual TLS, says who is calling, translates, and hands over to the desks.
//!
//! The gate stands before every method: certificate, role, place in the queue, deadline. Nothing is decided here about
//! money, and generated types stop here.

pub mod addresses;
pub mod approvals;
pub mod audit;
pub mod body;
pub mod client;
pub mod cosign;
pub mod errors;
pub mod freeze;
pub mod gate;
pub mod incoming;
pub mod refills;
pub mod releases;
pub mod roles;
pub mod server;
pub mod statements;
pub mod wallets;
pub mod withdrawals;

#[cfg(test)]
mod tests;

pub use client::{Client, ClientFault, ClientOrder, explain};
pub use server::{Desks, Drain, ENCLAVE_HEALTH, ServeFault, Server};

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Status};

use crate::desk::{Caller, DeskError};
use crate::withdrawal::{Code, Seconds};

/// Where the face takes the time from, to see whether a certificate still holds.
pub type Clock = Arc<dyn Fn() -> Seconds + Send + Sync>;

/// The system's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock before 1970 tells nothing: at the end of time every certificate has expired.
        Seconds(since.map_or(u64::MAX, |since| since.as_secs()))
    })
}

/// How much the face takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest message it reads, in bytes.
    pub message_bytes_max: usize,
    /// The most calls at work at a time; above it the answer is QUEUE_FULL.
    pub calls_max: usize,
    /// The most open streams at a time; above it the answer is QUEUE_FULL.
    pub streams_max: usize,
    /// The most connections; above it new ones wait in the system's own queue.
    pub connections_max: usize,
    /// The most TLS handshakes at a time; above it new connections wait in the system's own queue.
    pub handshakes_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_time_max: Duration,
    /// How long a call may take where the caller names no deadline, and the longest one may name.
    pub deadline: Duration,
    /// How long calls at work may take to finish once the service is told to stop.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 4 * 1024 * 1024,
            calls_max: 1024,
            streams_max: 256,
            connections_max: 1024,
            handshakes_max: 64,
            handshake_time_max: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
            drain_time_max: Duration::from_secs(20),
        }
    }
}

/// Who the gate let through. A request that came past the gate has one.
fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Status> {
    let caller = request.extensions().get::<Arc<Caller>>().cloned();
    caller.ok_or_else(|| DeskError::nothing_happened(Code::Unauthenticated, "nobody was let in").into())
}
