//! What the exchange asks: the fields it signs (law L1). Personal data is not among them.

use super::{Amount, Asset, CustomerRef, Organisation, RequestId, Seconds, VaspId, WithdrawalId};

/// One withdrawal as the exchange signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawalRequest {
    /// Who asks.
    pub organisation: Organisation,
    /// The idempotency key.
    pub request_id: RequestId,
    /// Whose money it is.
    pub customer_ref: CustomerRef,
    /// What is to be paid.
    pub asset: Asset,
    /// Where to: an address in the asset's own spelling, already normalised.
    pub destination: String,
    /// How much the payee gets, in base units.
    pub amount: Amount,
    /// The most the network fee may be for this payment, in base units.
    pub fee_max: Amount,
    /// The VASP that holds the destination; [`VaspId::SELF_HOSTED`] for the customer's own wallet.
    pub beneficiary_vasp: VaspId,
    /// When the exchange signed.
    pub asked_at: Seconds,
}

impl WithdrawalRequest {
    /// The id every party computes for it.
    pub fn id(&self) -> WithdrawalId {
        WithdrawalId::of(&self.organisation, &self.request_id)
    }
}
