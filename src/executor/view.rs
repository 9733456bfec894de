//! What others are shown: each job's state, a cursor over changes, and how the executor stands.

use std::sync::Arc;

use crate::ethereum::{Address, B256};
use crate::store::{PageToken, Row, Store, StoreFault, StoreSecret, StoreUrl, Table};
use crate::withdrawal::Code;

use super::facts::Wei;
use super::job::{Effect, JobKey, Outcome};
use super::rows::{FOLLOWED_KEY, JobRow};

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing of it is under way; the code says why, where there is a reason.
    Waiting(Option<(Code, String)>),
    /// A transaction for it waits for a block.
    InFlight,
    /// It was executed in a block that may be undone.
    Included {
        /// The transaction.
        txid: B256,
        /// The number of its block.
        block: u64,
        /// What it came to there.
        effect: Effect,
    },
    /// What became of it, for good.
    Final(Outcome),
}

/// One job as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Its place.
    pub key: JobKey,
    /// What the owners signed.
    pub hash: B256,
    /// How far it has come.
    pub state: State,
    /// What its gas has cost in final blocks, in wei.
    pub gas_paid: Wei,
    /// Whether that can still grow.
    pub open: bool,
}

/// Some jobs in the order in which they changed, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The jobs as they stand now. One that changes again comes again.
    pub jobs: Vec<JobView>,
    /// Where to go on; the same as before where nothing changed.
    pub cursor: String,
}

/// A trouble as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Of what.
    pub subject: String,
    /// The stable code; its cure stands in docs/refusals.md.
    pub code: Code,
    /// More.
    pub detail: String,
}

/// How the executor stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who works instead, where this one stands by.
    pub stands_by: Option<String>,
    /// Why nothing is known or written now.
    pub fault: Option<(Option<Code>, String)>,
    /// The latest block that was worked on.
    pub block: Option<u64>,
    /// The account that pays gas.
    pub account: Option<Address>,
    /// The account's next nonce to be booked.
    pub next_nonce: Option<u64>,
    /// Nonces that wait for a block.
    pub waiting_nonces: usize,
    /// Nonces that have not ended.
    pub open_nonces: usize,
    /// Jobs that have not ended.
    pub open_jobs: usize,
    /// What the account has, in wei.
    pub balance: Wei,
    /// How much fuel it wants, in wei; for others to act on.
    pub refuel: Option<Wei>,
    /// Everything that is not as it should be.
    pub troubles: Vec<Trouble>,
}

/// The short word that a job's row is found by.
pub(super) const fn word_of(row: &JobRow) -> &'static str {
    match row {
        JobRow { outcome: Some(_), open: false, .. } => "final",
        JobRow { outcome: Some(_), .. } => "settled",
        JobRow { seen: Some(_), .. } => "included",
        JobRow { running: true, .. } => "in_flight",
        _ => "waiting",
    }
}

impl JobView {
    /// Reads a row; `None` if it cannot be read.
    pub(super) fn of(key: &str, content: &str) -> Option<Self> {
        Self::read(JobKey::parse(key)?, serde_json::from_str(content).ok()?)
    }

    pub(super) fn read(key: JobKey, row: JobRow) -> Option<Self> {
        let (hash, gas_paid, open) = (row.hash, row.gas_paid, row.open);
        let state = match (row.outcome, row.seen) {
            (Some(outcome), _) => State::Final(outcome.outcome()?),
            (None, Some(seen)) => {
                let effect = Effect::parse(&seen.effect)?;
                State::Included { txid: seen.txid, block: seen.block, effect }
            }
            (None, None) if row.running => State::InFlight,
            (None, None) => State::Waiting(match row.held {
                Some(held) => Some((Code::parse(&held.code)?, held.detail)),
                None => None,
            }),
        };
        Some(Self { key, hash, state, gas_paid, open })
    }
}

/// Reads jobs beside the loop, from what is durable.
#[derive(Clone)]
pub(super) struct Reader(pub Arc<Store>);

impl Reader {
    pub(super) async fn job(&self, key: &JobKey) -> Result<Option<JobView>, StoreFault> {
        let Some(row) = self.0.row(Table::Execution, &key.to_string()).await? else { return Ok(None) };
        read(&row).map(Some)
    }

    pub(super) fn newest(&self) -> String {
        PageToken::from(Table::Execution, self.0.head().size).to_string()
    }

    pub(super) async fn followed(&self) -> Result<String, StoreFault> {
        let row = self.0.row(Table::Setting, FOLLOWED_KEY).await?;
        Ok(row.map(|row| row.content().to_owned()).unwrap_or_default())
    }

    pub(super) async fn changes(&self, cursor: &str, limit: usize) -> Result<Changes, StoreFault> {
        let no = StoreFault::Malformed("the cursor is none of these");
        let after = if cursor.is_empty() { None } else { Some(PageToken::parse(cursor).ok_or(no)?) };
        let page = self.0.rows_page(Table::Execution, after.as_ref(), limit).await?;
        let jobs = page.rows.iter().map(read).collect::<Result<_, _>>()?;
        let end =
            page.rows.last().map(|row| PageToken::from(Table::Execution, row.log_index().saturating_add(1)));
        let next = page.next.or(end).map_or_else(|| cursor.to_owned(), |token| token.to_string());
        Ok(Changes { jobs, cursor: next })
    }
}

/// The ledger of an executor, read beside the process that works on it.
pub struct Books(Reader);

impl Books {
    /// Opens the store and verifies it. Nothing is written.
    pub async fn open(url: &StoreUrl, secret: &StoreSecret) -> Result<Self, crate::store::OpenFault> {
        Ok(Self(Reader(Arc::new(Store::open(url, secret).await?))))
    }

    /// Jobs that changed after the cursor, as the desk's own.
    pub async fn changes(&self, cursor: &str, limit: usize) -> Result<Changes, StoreFault> {
        self.0.changes(cursor, limit).await
    }
}

fn read(row: &Row) -> Result<JobView, StoreFault> {
    JobView::of(row.key(), row.content()).ok_or(StoreFault::Malformed("a job's row cannot be read"))
}
