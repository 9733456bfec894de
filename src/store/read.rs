//! Reading rows. Each one is verified before it is returned.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::conn::{Bind, Statement};
use super::row::{KEY_LEN_MAX, RawRow, Row};
use super::{Store, StoreFault, Table};

/// Most rows of a page.
pub const PAGE_ROWS_MAX: usize = 1000;
/// Most keys that are looked up with one statement.
const KEYS_MAX: usize = 500;

const COLUMNS: &str = "SELECT row_key, state, at_s, content, log_index, tag FROM ";

/// Some rows, in the order in which they were last written, and where to go on.
#[derive(Debug)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// The token of the next page; `None` when this is the last one.
    pub next: Option<PageToken>,
}

/// Where a page ends. Good only for the table it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken {
    scope: [u8; 8],
    log_index: i64,
    key: String,
}

impl PageToken {
    /// Reads the printed form, or `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 4 * (KEY_LEN_MAX + 16) {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (scope, rest) = bytes.split_first_chunk::<8>()?;
        let (log_index, key) = rest.split_first_chunk::<8>()?;
        let key = String::from_utf8(key.to_vec()).ok()?;
        Some(Self { scope: *scope, log_index: i64::from_be_bytes(*log_index), key })
    }

    /// Before everything that was written with this log entry or a later one.
    pub fn from(table: Table, log_index: u64) -> Self {
        // no row has an empty key, and no log an index that SQL cannot hold
        let log_index = i64::try_from(log_index).unwrap_or(i64::MAX);
        Self { scope: Self::scope(table), log_index, key: String::new() }
    }

    fn scope(table: Table) -> [u8; 8] {
        let digest: [u8; 32] = Sha256::digest(table.name()).into();
        let mut scope = [0; 8];
        scope.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        scope
    }
}

impl std::fmt::Display for PageToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = [self.scope.as_slice(), &self.log_index.to_be_bytes(), self.key.as_bytes()].concat();
        f.write_str(&BASE64URL_NOPAD.encode(&bytes))
    }
}

/// The rows that come after this key, or the first ones, in the order of their keys.
pub(super) fn after_key(table: Table, after: Option<&str>, limit: i64) -> Statement<'_> {
    let mut statement = select(table, "");
    if let Some(after) = after {
        statement.push(" WHERE row_key > ?").bind(Bind::Key(after));
    }
    statement.push(" ORDER BY row_key LIMIT ?").bind(Bind::Int(limit));
    statement
}

fn select<'a>(table: Table, condition: &str) -> Statement<'a> {
    Statement::new([COLUMNS, table.sql_name(), condition].concat())
}

/// The rows that come after this point, in the order of log index and key.
fn after_point(table: Table, after: Option<&PageToken>, limit: i64) -> Statement<'_> {
    let mut statement = select(table, "");
    if let Some(PageToken { log_index, key, .. }) = after {
        statement.push(" WHERE log_index >= ? AND (log_index > ? OR row_key > ?)");
        statement.bind(Bind::Int(*log_index)).bind(Bind::Int(*log_index)).bind(Bind::Key(key));
    }
    statement.push(" ORDER BY log_index, row_key LIMIT ?").bind(Bind::Int(limit));
    statement
}

impl Store {
    async fn verified(&self, table: Table, statement: &Statement<'_>) -> Result<Vec<Row>, StoreFault> {
        let raw: Vec<RawRow> = self.backend.fetch(statement).await?;
        raw.into_iter().map(|row| row.verify(table, &self.seals)).collect()
    }

    /// The row with this key.
    pub async fn row(&self, table: Table, key: &str) -> Result<Option<Row>, StoreFault> {
        let mut statement = select(table, " WHERE row_key = ?");
        statement.bind(Bind::Key(key));
        Ok(self.verified(table, &statement).await?.into_iter().next())
    }

    /// The rows with these keys, as many as exist, in no order.
    pub async fn rows(&self, table: Table, keys: &[&str]) -> Result<Vec<Row>, StoreFault> {
        let mut all = Vec::with_capacity(keys.len());
        for keys in keys.chunks(KEYS_MAX) {
            let mut statement = select(table, " WHERE row_key IN (");
            statement.repeat("?", keys.len()).push(")");
            for key in keys {
                statement.bind(Bind::Key(key));
            }
            all.extend(self.verified(table, &statement).await?);
        }
        Ok(all)
    }

    /// A page of at most `limit` rows (1 to [`PAGE_ROWS_MAX`]), in the order of the log entries that wrote them. A row
    /// that is written while pages are read is seen again at its new place; no other row is seen twice or left out.
    ///
    /// Only [`Table::Withdrawal`], [`Table::Reservation`] and [`Table::Execution`] have an index for it; any other table is sorted for each page.
    pub async fn rows_page(
        &self,
        table: Table,
        after: Option<&PageToken>,
        limit: usize,
    ) -> Result<Page, StoreFault> {
        if limit == 0 || limit > PAGE_ROWS_MAX {
            return Err(StoreFault::Malformed("a page has 1 to 1000 rows"));
        }
        let scope = PageToken::scope(table);
        if after.is_some_and(|token| token.scope != scope) {
            return Err(StoreFault::Malformed("a page token belongs to another table"));
        }
        // one more than asked for tells whether there is a next page
        let wanted = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        let mut rows = self.verified(table, &after_point(table, after, wanted)).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| PageToken {
            scope,
            log_index: i64::try_from(row.log_index()).unwrap_or(i64::MAX),
            key: row.key().to_owned(),
        });
        Ok(Page { rows, next })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_token_comes_back_as_it_was_printed() {
        let token = PageToken { scope: [7; 8], log_index: 1_700_000_000, key: "주소 A".to_owned() };
        assert_eq!(PageToken::parse(&token.to_string()), Some(token));
        assert_eq!(PageToken::parse(""), None);
        assert_eq!(PageToken::parse("AAAA"), None);
        assert_eq!(PageToken::parse(&"A".repeat(5000)), None);
    }
}
