//! What is handed over about deposit addresses.

use super::{Caller, DeskError, SignedText};
use crate::withdrawal::{Asset, CustomerRef, Organisation};

/// A deposit address asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressOrder {
    /// The exchange or one of its legal entities.
    pub organisation: Organisation,
    /// What is to be deposited there.
    pub asset: Asset,
    /// Whose address it is to be. The same reference gets the same address for ever.
    pub customer_ref: CustomerRef,
}

/// A deposit address with the co-signer's word for it (law L19).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressView {
    /// Whose it is.
    pub organisation: Organisation,
    /// What is deposited there.
    pub asset: Asset,
    /// Whose it is, as the exchange says.
    pub customer_ref: CustomerRef,
    /// The address.
    pub address: String,
    /// Its index on branch 0 of the wallet, or among the addresses of the treasury Safe.
    pub index: u32,
    /// The co-signer's `countersign address-attestation v1` text, signed with its attestation key.
    pub attestation: SignedText,
}

/// The counter for deposit addresses.
#[tonic::async_trait]
pub trait AddressDesk: Send + Sync + 'static {
    /// Gives one address.
    async fn create(&self, caller: &Caller, order: AddressOrder) -> Result<AddressView, DeskError> {
        let mut views = self.create_batch(caller, vec![order]).await?;
        views.pop().ok_or_else(|| {
            DeskError::may_have_happened(crate::withdrawal::Code::Internal, "no address came of the order")
        })
    }

    /// Gives one address for each order, in the same order.
    async fn create_batch(
        &self,
        caller: &Caller,
        orders: Vec<AddressOrder>,
    ) -> Result<Vec<AddressView>, DeskError>;
}
