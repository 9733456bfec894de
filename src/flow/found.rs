//! Withdrawals that memory no longer has: what the store keeps of them.

use std::collections::HashMap;

use super::Command;
use super::ledger::Ledger;
use super::ledger::journal::{Journal, JournalFault};
use super::ledger::rows::{self, WithdrawalRow};
use crate::store::Table;
use crate::withdrawal::{Seconds, WithdrawalId};

/// A withdrawal as the store has it, when memory no longer does.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its row.
    pub row: WithdrawalRow,
    /// The index of its newest log entry.
    pub log_index: u64,
    /// When it last changed.
    pub updated_at: Seconds,
}

/// Reads what the batch asks for and memory no longer has: final withdrawals.
pub async fn prefetch(
    journal: &Journal,
    ledger: &Ledger,
    batch: &[Command],
) -> Result<HashMap<WithdrawalId, Found>, JournalFault> {
    let asked = batch.iter().flat_map(|command| match command {
        Command::Ask { request, .. } => vec![request.id()],
        Command::Cancel { cancel, .. } => vec![cancel.withdrawal()],
        Command::Reject { rejection, .. } => vec![rejection.text().withdrawal()],
        Command::Answered { id, .. } => vec![*id],
        Command::State { statement, .. } => ledger.treasury.withdrawals_ended_by(statement.statement()),
        _ => Vec::new(),
    });
    let keys: Vec<String> =
        asked.filter(|id| !ledger.open.contains_key(id)).map(|id| id.to_string()).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let found = journal.rows(Table::Withdrawal, &keys).await?;
    found.into_iter().map(|row| found_of(row.key(), row.content(), row.log_index(), row.at())).collect()
}

fn found_of(
    key: &str,
    content: &str,
    log_index: u64,
    updated_at: Seconds,
) -> Result<(WithdrawalId, Found), JournalFault> {
    let unreadable = || JournalFault::Unreadable(key.to_owned());
    let id = WithdrawalId::parse(key).map_err(|_| unreadable())?;
    let row = rows::read(key, content).map_err(|_| unreadable())?;
    Ok((id, Found { row, log_index, updated_at }))
}
