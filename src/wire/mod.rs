//! The wire: the generated protobuf types, their translation to and from the desk's words, and the way errors travel.
//!
//! Translation only: it knows what a field looks like, never what it means for a withdrawal.

pub mod addresses;
pub mod approvals;
pub mod audit;
pub mod channel;
pub mod cosign;
pub mod field;
pub mod freeze;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod refills;
pub mod releases;
pub mod statements;
pub mod status;
pub mod wallets;
pub mod withdrawals;

/// The generated types of `proto/countersign/v1`.
#[allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::indexing_slicing)]
pub mod v1 {
    tonic::include_proto!("countersign.v1");
}

/// The compiled descriptor set of `proto/countersign/v1`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("countersign.v1");

/// The most items in one message that carries a batch.
pub const BATCH_LEN_MAX: usize = 1000;
/// The size of a page where the caller names none.
pub const PAGE_SIZE_DEFAULT: u32 = 50;
/// The largest page.
pub const PAGE_SIZE_MAX: u32 = 500;
