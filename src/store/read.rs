//! Reading rows. Each one is verified before it is returned.

use data_encoding::BASE64URL_NOPAD;
use futures_util::stream::{self, Stream, TryStreamExt};
use sha2::{Digest, Sha256};

use crate::withdrawal::time::Seconds;

use super::conn::{Bind, Statement};
use super::row::{KEY_LEN_MAX, RawRow, Row};
use super::{Store, StoreFault, Table};

/// Most rows of a page.
pub const PAGE_ROWS_MAX: usize = 1000;
/// Most keys that are looked up with one statement.
const KEYS_MAX: usize = 500;

const COLUMNS: &str = "SELECT row_key, state, at_s, content, log_index, tag FROM ";

/// Which rows a page shows. Both parts are optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only rows in this state.
    pub state: Option<String>,
    /// Only rows with this time or a later one.
    pub from_at: Option<Seconds>,
}

/// Some rows, ordered by time and key, and where to go on.
#[derive(Debug)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// The token of the next page; `None` when this is the last one.
    pub next: Option<PageToken>,
}

/// Where a page ends. Good only for the table and filter it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken {
    scope: [u8; 8],
    at: i64,
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
        let (at, key) = rest.split_first_chunk::<8>()?;
        let key = String::from_utf8(key.to_vec()).ok()?;
        Some(Self { scope: *scope, at: i64::from_be_bytes(*at), key })
    }

    fn scope(table: Table, filter: &Filter) -> [u8; 8] {
        let mut hash = Sha256::new();
        hash.update(format!("{table}\n{:?}\n{:?}", filter.state, filter.from_at));
        let digest: [u8; 32] = hash.finalize().into();
        let mut scope = [0; 8];
        scope.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        scope
    }
}

impl std::fmt::Display for PageToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = [self.scope.as_slice(), &self.at.to_be_bytes(), self.key.as_bytes()].concat();
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

/// The rows that come after this point, in the order of time and key.
fn after_point<'a>(
    table: Table,
    state: Option<&'a str>,
    from: i64,
    after: Option<(i64, &'a str)>,
    limit: i64,
) -> Statement<'a> {
    let mut statement = select(table, " WHERE ");
    if let Some(state) = state {
        statement.push("state = ? AND ").bind(Bind::Key(state));
    }
    match after {
        None => {
            statement.push("at_s >= ?").bind(Bind::Int(from));
        }
        Some((at, key)) => {
            statement.push("at_s >= ? AND (at_s > ? OR row_key > ?)");
            statement.bind(Bind::Int(at.max(from))).bind(Bind::Int(at)).bind(Bind::Key(key));
        }
    }
    statement.push(" ORDER BY at_s, row_key LIMIT ?").bind(Bind::Int(limit));
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

    /// A page of at most `limit` rows (1 to [`PAGE_ROWS_MAX`]), ordered by time and key. A row that is written with a
    /// later time while pages are read is seen again at its new place; no other row is seen twice or left out.
    pub async fn rows_page(
        &self,
        table: Table,
        filter: &Filter,
        after: Option<&PageToken>,
        limit: usize,
    ) -> Result<Page, StoreFault> {
        if limit == 0 || limit > PAGE_ROWS_MAX {
            return Err(StoreFault::Malformed("a page has 1 to 1000 rows"));
        }
        let scope = PageToken::scope(table, filter);
        if after.is_some_and(|token| token.scope != scope) {
            return Err(StoreFault::Malformed("a page token belongs to another table or filter"));
        }
        let from = filter.from_at.map_or(Ok(0), |at| i64::try_from(at.0));
        let from = from.map_err(|_| StoreFault::Malformed("a time is out of range"))?;
        let point = after.map(|token| (token.at, token.key.as_str()));
        // one more than asked for tells whether there is a next page
        let wanted = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        let statement = after_point(table, filter.state.as_deref(), from, point, wanted);
        let mut rows = self.verified(table, &statement).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| PageToken {
            scope,
            at: i64::try_from(row.at().0).unwrap_or(i64::MAX),
            key: row.key().to_owned(),
        });
        Ok(Page { rows, next })
    }

    /// All rows in these states, state by state, within a state ordered by time and key. Read page by page.
    pub fn rows_in_state<'a>(
        &'a self,
        table: Table,
        states: &'a [&'a str],
    ) -> impl Stream<Item = Result<Row, StoreFault>> + Send + 'a {
        let pages = stream::iter(states.iter().map(Ok::<_, StoreFault>)).map_ok(move |state| {
            let filter = Filter { state: Some((*state).to_owned()), from_at: None };
            stream::try_unfold(Some((filter, None::<PageToken>)), move |place| async move {
                let Some((filter, token)) = place else { return Ok(None) };
                let page = self.rows_page(table, &filter, token.as_ref(), PAGE_ROWS_MAX).await?;
                let next = page.next.map(|token| (filter, Some(token)));
                Ok(Some((stream::iter(page.rows.into_iter().map(Ok)), next)))
            })
            .try_flatten()
        });
        pages.try_flatten()
    }

    /// All rows of a table in the order of their keys. Read page by page.
    pub fn all_rows(&self, table: Table) -> impl Stream<Item = Result<Row, StoreFault>> + Send + '_ {
        stream::try_unfold(None::<String>, move |after| async move {
            let statement = after_key(table, after.as_deref(), PAGE_ROWS_MAX as i64);
            let rows = self.verified(table, &statement).await?;
            let Some(next) = rows.last().map(|row| row.key().to_owned()) else { return Ok(None) };
            Ok(Some((stream::iter(rows.into_iter().map(Ok)), Some(next))))
        })
        .try_flatten()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_token_comes_back_as_it_was_printed() {
        let token = PageToken { scope: [7; 8], at: 1_700_000_000, key: "주소 A".to_owned() };
        assert_eq!(PageToken::parse(&token.to_string()), Some(token));
        assert_eq!(PageToken::parse(""), None);
        assert_eq!(PageToken::parse("AAAA"), None);
        assert_eq!(PageToken::parse(&"A".repeat(5000)), None);
    }
}
