//! The finished transactions of released withdrawals. Each stands once, in the row of its reservation, however many it pays; it is
//! looked up where it is shown.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use data_encoding::HEXLOWER;

use super::ledger::journal::JournalFault;
use super::ledger::rows::{self, ReleasedRow, ReservationRow, WithdrawalRow};
use crate::store::{Row, Store, Table};
use crate::withdrawal::Outcome;

/// A transaction with both signatures, as its rail gives it.
pub struct Finished {
    /// What the rows of the withdrawals it pays keep of it.
    pub released: ReleasedRow,
    /// The raw transaction; of a Safe the data of a call of `execTransaction`.
    pub transaction: Arc<[u8]>,
}

/// Finished transactions, by their reservations as the rows name them.
#[derive(Default)]
pub struct Transactions(HashMap<String, Arc<[u8]>>);

impl Transactions {
    /// Takes one up.
    pub fn put(&mut self, reservation: String, transaction: Arc<[u8]>) {
        self.0.insert(reservation, transaction);
    }

    /// What a withdrawal was released with: nothing where it is not, and nothing where it is and its transaction was not read.
    pub fn of(&self, row: &WithdrawalRow) -> Option<&[u8]> {
        self.0.get(reservation_of(row)?).map(AsRef::as_ref)
    }

    /// Reads those of these rows that are not there yet. One that is released has one: where it cannot be read, all others are, and
    /// this fails.
    pub async fn read<'a>(
        &mut self,
        store: &Store,
        released: impl Iterator<Item = &'a WithdrawalRow>,
    ) -> Result<(), JournalFault> {
        let wanted: BTreeSet<&str> =
            released.filter_map(reservation_of).filter(|id| !self.0.contains_key(*id)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted: Vec<&str> = wanted.into_iter().collect();
        for row in store.rows(Table::Reservation, &wanted).await? {
            if let Some(transaction) = transaction_of(&row) {
                self.put(row.key().to_owned(), transaction);
            }
        }
        match wanted.into_iter().find(|id| !self.0.contains_key(*id)) {
            Some(missing) => Err(JournalFault::Unreadable(missing.to_owned())),
            None => Ok(()),
        }
    }
}

fn transaction_of(row: &Row) -> Option<Arc<[u8]>> {
    let read: ReservationRow = rows::read(row.key(), row.content()).ok()?;
    HEXLOWER.decode(read.tx_hex?.as_bytes()).ok().map(Into::into)
}

/// The reservation that a released withdrawal was paid by.
fn reservation_of(row: &WithdrawalRow) -> Option<&str> {
    row.reservation.as_deref().filter(|_| row.outcome() == Outcome::Released)
}
