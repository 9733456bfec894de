//! What is handed over to whoever carries finished Safe transactions to their chains.

use super::{Caller, DeskError, PageOrder};
use crate::withdrawal::{SafePlace, Seconds};

/// A Safe transaction with both signatures: a withdrawal's, or a sweep's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeRelease {
    /// Which Safe, and which nonce it takes.
    pub place: SafePlace,
    /// What the owners signed, as the Safe's events name it.
    pub hash: String,
    /// The data of a call of `execTransaction`.
    pub data: Vec<u8>,
    /// The index of the log entry that released it.
    pub log_index: u64,
    /// When it was released.
    pub released_at: Seconds,
}

/// Some of them, in the order in which they were released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeReleases {
    /// The transactions.
    pub items: Vec<SafeRelease>,
    /// Where to go on, now or later: the list has no end.
    pub next: String,
}

/// The counter for finished Safe transactions.
#[tonic::async_trait]
pub trait ReleaseDesk: Send + Sync + 'static {
    /// Those that were released after the token. What a freeze withholds ends the list, with all that came after it.
    async fn safe_releases(&self, caller: &Caller, page: PageOrder) -> Result<SafeReleases, DeskError>;
}
