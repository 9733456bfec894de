//! Owns the door for the exchange's own backend: the documented calls beside [`Enclave::verify`], and what follows a yes.

use super::order::{AccountOrder, AccountReply, ErrorReport, Ordered, UserOrder, VaspListed};
use super::record::{Page, Record, Search};
use super::{Enclave, EnclaveFault, Transfer};
use crate::withdrawal::VaspId;

impl Enclave {
    /// Takes an order to verify a person and writes it down; the outcome comes as a callback and stands in the record.
    ///
    /// An asset this VASP does not know is taken and denied at once, without anybody being asked.
    /// Errors: [`EnclaveFault::Invalid`], [`EnclaveFault::VaspUnknown`], [`EnclaveFault::QueueFull`], and [`EnclaveFault::RelayAway`]
    /// where the relay has no uuid for it.
    pub async fn order_user(&self, order: UserOrder) -> Result<Ordered, EnclaveFault> {
        let _ = order;
        Err(EnclaveFault::RelayAway)
    }

    /// Asks whether an address is one of the other VASP's, and waits a bounded time for the answer.
    ///
    /// Errors: as [`Enclave::order_user`], and [`EnclaveFault::NoAnswer`] (`REQUEST-TIMEOUT`) where nobody answers in time.
    pub async fn order_account(&self, order: AccountOrder) -> Result<AccountReply, EnclaveFault> {
        let _ = order;
        Err(EnclaveFault::NoAnswer)
    }

    /// The record of a verification, of either role, however it was born.
    pub async fn verification(&self, uuid: &str) -> Result<Option<Record>, EnclaveFault> {
        let _ = uuid;
        Ok(None)
    }

    /// Searches the records. Errors: [`EnclaveFault::Invalid`] where page or rows per page are out of range.
    pub async fn search(&self, search: &Search) -> Result<Page, EnclaveFault> {
        Ok(Page { count: 0, page: search.page, rpp: search.rpp, records: Vec::new() })
    }

    /// Reports the transaction of a verified transfer: written down here, and told the other side until it has it.
    ///
    /// The same report again changes nothing. Another transaction may be reported while the last is not known to be final.
    /// Errors: [`EnclaveFault::Unknown`], [`EnclaveFault::State`], [`EnclaveFault::Invalid`].
    pub async fn report_tx(&self, uuid: &str, tx_hash: &str, vout: Option<&str>) -> Result<(), EnclaveFault> {
        let _ = (uuid, tx_hash, vout);
        Err(EnclaveFault::Unknown)
    }

    /// The same for a withdrawal, by the digest (hex) of its request.
    pub async fn report_tx_of(
        &self,
        request_digest: &str,
        tx_hash: &str,
        vout: Option<&str>,
    ) -> Result<(), EnclaveFault> {
        let _ = (request_digest, tx_hash, vout);
        Err(EnclaveFault::Unknown)
    }

    /// Reports that a verified transfer will finally not happen: its record is `ERROR` from now on, here and on the other side.
    ///
    /// The same report again changes nothing. Errors: as [`Enclave::report_tx`].
    pub async fn report_error(&self, uuid: &str, report: &ErrorReport) -> Result<(), EnclaveFault> {
        let _ = (uuid, report);
        Err(EnclaveFault::Unknown)
    }

    /// The same for a withdrawal, by the digest (hex) of its request.
    pub async fn report_error_of(
        &self,
        request_digest: &str,
        report: &ErrorReport,
    ) -> Result<(), EnclaveFault> {
        let _ = (request_digest, report);
        Err(EnclaveFault::Unknown)
    }

    /// Asks the sending VASP how far the transfer of a verification has come that this VASP was asked about.
    ///
    /// Errors: [`EnclaveFault::Unknown`], and [`EnclaveFault::NoAnswer`] where nobody answers in time.
    pub async fn inquire(&self, uuid: &str) -> Result<Transfer, EnclaveFault> {
        let _ = uuid;
        Err(EnclaveFault::Unknown)
    }

    /// The VASPs that can be asked, with the relay's word on whether they are there.
    pub async fn vasps(&self) -> Vec<VaspListed> {
        Vec::new()
    }

    /// The own id.
    pub fn vasp(&self) -> VaspId {
        self.room.vasp
    }
}
