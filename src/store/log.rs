//! The log as stored: leaves, their hashes, the head. It computes no root.

use std::ops::Range;

use super::conn::{Bind, Columns, FromColumns, Statement};
use super::{Head, Store, StoreFault};

/// Most entries that are read with one statement.
const ENTRIES_MAX: u64 = 4096;

pub(super) const HEAD: &str = "SELECT size, root, checkpoint, seal FROM log_head";

/// The head as it stands in the database; its seal is not compared yet.
pub(super) struct HeadRow {
    pub(super) head: Head,
    pub(super) seal: [u8; 32],
}

fn fixed(bytes: Vec<u8>) -> Result<[u8; 32], sqlx::Error> {
    bytes.try_into().map_err(|_| sqlx::Error::Decode("not 32 bytes".into()))
}

impl FromColumns for HeadRow {
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error> {
        let size = u64::try_from(row.int(0)?).map_err(|_| sqlx::Error::Decode("a negative size".into()))?;
        let head = Head { size, root: fixed(row.bytes(1)?)?, checkpoint: row.text(2)? };
        Ok(Self { head, seal: fixed(row.bytes(3)?)? })
    }
}

struct LeafRow(i64, Vec<u8>);

impl FromColumns for LeafRow {
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error> {
        Ok(Self(row.int(0)?, row.bytes(1)?))
    }
}

pub(super) struct HashRow(pub(super) i64, pub(super) [u8; 32]);

impl FromColumns for HashRow {
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error> {
        Ok(Self(row.int(0)?, fixed(row.bytes(1)?)?))
    }
}

pub(super) fn hashes_between(from: i64, to: i64) -> Statement<'static> {
    Statement::new("SELECT idx, leaf_hash FROM log_entry WHERE idx >= ? AND idx < ? ORDER BY idx")
        .with(Bind::Int(from))
        .with(Bind::Int(to))
}

/// Cuts a range into pieces that are read with one statement each.
fn pieces(range: Range<u64>) -> Result<Vec<(i64, i64)>, StoreFault> {
    let out_of_range = |_| StoreFault::Malformed("a log index is out of range");
    let (mut from, end) = (range.start, range.end);
    let mut pieces = Vec::new();
    while from < end {
        let to = end.min(from.saturating_add(ENTRIES_MAX));
        pieces.push((i64::try_from(from).map_err(out_of_range)?, i64::try_from(to).map_err(out_of_range)?));
        from = to;
    }
    Ok(pieces)
}

const GAP: StoreFault = StoreFault::LedgerAltered { what: "a log entry is missing" };

/// Every index from `from` to `to` must be there, in order.
fn without_gap<T>(rows: Vec<(i64, T)>, from: i64, to: i64, all: &mut Vec<T>) -> Result<(), StoreFault> {
    let mut next = from;
    for (idx, value) in rows {
        if idx != next {
            return Err(GAP);
        }
        next += 1;
        all.push(value);
    }
    if next == to { Ok(()) } else { Err(GAP) }
}

impl Store {
    /// The leaves with these indices, in order. All of them must exist; a range beyond the head is a fault.
    ///
    /// Nothing here vouches for them: a reader recomputes the root and compares it with a signed checkpoint.
    pub async fn leaves(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, StoreFault> {
        let mut all = Vec::new();
        for (from, to) in pieces(range)? {
            let statement =
                Statement::new("SELECT idx, leaf FROM log_entry WHERE idx >= ? AND idx < ? ORDER BY idx")
                    .with(Bind::Int(from))
                    .with(Bind::Int(to));
            let rows: Vec<LeafRow> = self.backend.fetch(&statement).await?;
            without_gap(rows.into_iter().map(|r| (r.0, r.1)).collect(), from, to, &mut all)?;
        }
        Ok(all)
    }

    /// The hashes of the leaves with these indices, in order, as they were given at commit.
    pub async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<[u8; 32]>, StoreFault> {
        let mut all = Vec::new();
        for (from, to) in pieces(range)? {
            let rows: Vec<HashRow> = self.backend.fetch(&hashes_between(from, to)).await?;
            without_gap(rows.into_iter().map(|r| (r.0, r.1)).collect(), from, to, &mut all)?;
        }
        Ok(all)
    }

    /// The leaf with this index, or `None` beyond the end of the log.
    pub async fn leaf_for(&self, index: u64) -> Result<Option<Vec<u8>>, StoreFault> {
        let index = i64::try_from(index).map_err(|_| StoreFault::Malformed("a log index is out of range"))?;
        let statement =
            Statement::new("SELECT idx, leaf FROM log_entry WHERE idx = ?").with(Bind::Int(index));
        let rows: Vec<LeafRow> = self.backend.fetch(&statement).await?;
        Ok(rows.into_iter().next().map(|row| row.1))
    }
}
