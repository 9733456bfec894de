//! Loading: the rows of a start make a ledger. A row that cannot be read stops the start.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;

use crate::ethereum::{Address, ChainId, SafeWallet, SignedSafeTx};
use crate::flow::ledger::journal::JournalFault;
use crate::store::{Row, Table};

use super::job::JobKey;
use super::ledger::Ledger;
use super::rows::{ACCOUNT_KEY, AccountRow, JobRow, SlotRow};

/// Reads the rows of a start, one after the other, in the order of the tables.
pub struct Reader<'a> {
    wallets: &'a BTreeMap<Address, SafeWallet>,
    account: Option<AccountRow>,
    jobs: BTreeMap<JobKey, JobRow>,
    ledger: Ledger,
    highest: Option<u64>,
    unreadable: Option<String>,
    unpinned: Option<String>,
}

impl<'a> Reader<'a> {
    /// A reader that knows these Safes.
    pub const fn new(wallets: &'a BTreeMap<Address, SafeWallet>) -> Self {
        let ledger = Ledger { next: None, slots: BTreeMap::new(), jobs: BTreeMap::new() };
        Self {
            wallets,
            account: None,
            jobs: BTreeMap::new(),
            ledger,
            highest: None,
            unreadable: None,
            unpinned: None,
        }
    }

    /// Takes a row.
    pub fn take(&mut self, row: &Row) {
        let read = match row.table() {
            Table::Setting if row.key() == ACCOUNT_KEY => self.account(row.content()),
            Table::Execution => self.job(row.key(), row.content()),
            Table::ExecutionCall => self.call(row.key(), row.content()),
            Table::AccountNonce => self.slot(row.key(), row.content()),
            _ => Some(()),
        };
        if read.is_none() {
            self.unreadable.get_or_insert_with(|| format!("{} {}", row.table(), row.key()));
        }
    }

    fn account(&mut self, content: &str) -> Option<()> {
        self.account = Some(serde_json::from_str(content).ok()?);
        Some(())
    }

    fn job(&mut self, key: &str, content: &str) -> Option<()> {
        let row: JobRow = serde_json::from_str(content).ok()?;
        let key = JobKey::parse(key)?;
        if !row.is_over() {
            self.jobs.insert(key, row);
        }
        Some(())
    }

    /// The bytes are read anew, signatures and all.
    fn call(&mut self, key: &str, content: &str) -> Option<()> {
        let key = JobKey::parse(key)?;
        let Some(row) = self.jobs.remove(&key) else { return Some(()) };
        let data = HEXLOWER.decode(content.as_bytes()).ok()?;
        let Some(wallet) = self.wallets.get(&key.safe) else {
            self.unpinned.get_or_insert_with(|| key.to_string());
            return Some(());
        };
        let tx = SignedSafeTx::read(&data, key.nonce, wallet).ok()?;
        let job = row.job(key, tx)?;
        self.ledger.jobs.insert(key, job);
        Some(())
    }

    fn slot(&mut self, key: &str, content: &str) -> Option<()> {
        let row: SlotRow = serde_json::from_str(content).ok()?;
        let slot = row.slot(key.parse().ok()?)?;
        self.highest = self.highest.max(Some(slot.nonce));
        if slot.end.is_none() {
            self.ledger.slots.insert(slot.nonce, slot);
        }
        Some(())
    }

    /// The ledger and its account, or the row that cannot be read.
    pub fn finish(mut self) -> Result<(Ledger, Option<AccountRow>), JournalFault> {
        if let Some(job) = self.unpinned {
            return Err(JournalFault::Unpinned(job));
        }
        if let Some(row) = self.unreadable {
            return Err(JournalFault::Unreadable(row));
        }
        if let Some((key, _)) = self.jobs.first_key_value() {
            return Err(JournalFault::Unreadable(format!("{} {key}", Table::ExecutionCall)));
        }
        let after = self.highest.map(|nonce| nonce.saturating_add(1));
        self.ledger.next = self.account.as_ref().map(|row| row.next).max(after);
        Ok((self.ledger, self.account))
    }
}

/// The chain of an account's row.
pub fn chain_of(row: &AccountRow) -> Option<ChainId> {
    ChainId::new(row.chain)
}
