//! Owns the office for the exchange's own backend: the documented calls beside [`Enclave::verify`], and what follows a yes.

use super::asking::orders;
use super::deposits::desk;
use super::record::{Page, Record, Search};
use super::telling::{self, reports};
use super::{Deposit, DepositSearch, DepositSeen, Enclave, EnclaveFault, Transfer};
use crate::enclave::asking::order::{
    AccountOrder, AccountReply, ErrorReport, Ordered, UserOrder, VaspHealth, VaspListed,
};
use crate::enclave::telling::reports::Of;
use crate::withdrawal::VaspId;

impl Enclave {
    /// Takes an order to verify a person and writes it down; the outcome comes as a callback and stands in the record.
    ///
    /// An asset this VASP does not know is taken and denied at once, without anybody being asked.
    /// Errors: [`EnclaveFault::Invalid`], [`EnclaveFault::VaspUnknown`], [`EnclaveFault::QueueFull`], and [`EnclaveFault::RelayAway`]
    /// where the relay has no uuid for it.
    pub async fn order_user(&self, order: UserOrder) -> Result<Ordered, EnclaveFault> {
        orders::order_user(&self.room, order).await
    }

    /// Asks whether an address is one of the other VASP's, and waits a bounded time for the answer.
    ///
    /// Errors: as [`Enclave::order_user`], and [`EnclaveFault::NoAnswer`] (`REQUEST-TIMEOUT`) where nobody answers in time.
    pub async fn order_account(&self, order: AccountOrder) -> Result<AccountReply, EnclaveFault> {
        orders::order_account(&self.room, order).await
    }

    /// The record of a verification, of either role, however it was born.
    pub async fn verification(&self, uuid: &str) -> Result<Option<Record>, EnclaveFault> {
        Ok(self.room.db.record(uuid).await?)
    }

    /// Searches the records. Errors: [`EnclaveFault::Invalid`] where page or rows per page are out of range.
    pub async fn search(&self, search: &Search) -> Result<Page, EnclaveFault> {
        search.check()?;
        let (count, records) = self.room.db.records(search).await?;
        Ok(Page { count, page: search.page, rpp: search.rpp, records })
    }

    /// Reports the transaction of a verified transfer: written down here, and told the other side until it has it.
    ///
    /// The same report again changes nothing. Another transaction may be reported while the last is not known to be final.
    /// Errors: [`EnclaveFault::Unknown`], [`EnclaveFault::Invalid`], and [`EnclaveFault::State`] where it is not verified (there is
    /// nobody to tell) or its last transaction is final.
    pub async fn report_tx(&self, uuid: &str, tx_hash: &str, vout: Option<&str>) -> Result<(), EnclaveFault> {
        reports::report_tx(&self.room, Of::Uuid(uuid), tx_hash, vout).await
    }

    /// Reports that a verified transfer will finally not happen: its record is `ERROR` from now on, here and on the other side.
    ///
    /// The same report again changes nothing. Errors: as [`Enclave::report_tx`], and [`EnclaveFault::State`] for a withdrawal of the
    /// signer, which is cancelled there.
    pub async fn report_error(&self, uuid: &str, report: &ErrorReport) -> Result<(), EnclaveFault> {
        reports::report_error(&self.room, Of::Uuid(uuid), report).await
    }

    /// Asks the sending VASP how far the transfer of a verification has come that this VASP was asked about.
    ///
    /// Errors: [`EnclaveFault::Unknown`], and [`EnclaveFault::NoAnswer`] where nobody answers in time.
    pub async fn inquire(&self, uuid: &str) -> Result<Transfer, EnclaveFault> {
        reports::inquire(&self.room, uuid).await
    }

    /// Takes coins that have arrived: matched with the verification they belong to, or their possible senders are asked.
    ///
    /// Handed in again, it is the same deposit; one without a verification is then looked for once more.
    /// Errors: [`EnclaveFault::Invalid`], and [`EnclaveFault::Conflict`] where the same output had another address or amount before.
    pub async fn deposit_seen(&self, seen: DepositSeen) -> Result<Deposit, EnclaveFault> {
        desk::hand_in(&self.room, seen).await
    }

    /// One deposit, by its number.
    pub async fn deposit(&self, id: u64) -> Result<Option<Deposit>, EnclaveFault> {
        desk::find(&self.room, i64::try_from(id).unwrap_or(i64::MAX)).await
    }

    /// The newest deposits that are wanted, at most a hundred.
    pub async fn deposits(&self, search: &DepositSearch) -> Result<Vec<Deposit>, EnclaveFault> {
        desk::search(&self.room, search).await
    }

    /// The VASPs that can be asked, with the relay's word on whether they are there.
    pub async fn vasps(&self) -> Vec<VaspListed> {
        let up = telling::round::is_up(&self.room).await;
        let health = |vasp: &VaspId| {
            let name = vasp.to_string();
            if up.contains(&(name, true)) { VaspHealth::Up } else { VaspHealth::Down }
        };
        let mut others: Vec<VaspId> = self.room.peers.keys().copied().filter(|v| *v != self.vasp()).collect();
        others.sort_unstable();
        others.into_iter().map(|vasp| VaspListed { vasp, health: health(&vasp) }).collect()
    }

    /// The own id.
    pub fn vasp(&self) -> VaspId {
        self.room.vasp
    }
}
