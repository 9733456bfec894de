//! The statements of a commit: as few as the databases allow, whatever the number of rows.

use super::commit::{Sealed, Stopped};
use super::conn::{Bind, Columns, Conn, Dialect, FromColumns, Statement};
use super::fault::is_duplicate;
use super::log::HEAD;
use super::row::TaggedWrite;
use super::{Commit, Leaf, Moved, Table};

/// Most rows of one statement: 500 × 7 values stay below SQLite's 32,766 and MySQL's 65,535 placeholders.
const ROWS_MAX: usize = 500;
/// Most bytes of one statement's values: below the 16 MiB that MariaDB takes in one packet.
const BYTES_MAX: usize = 8 << 20;

const INSERT_COLUMNS: &str = " (row_key, state, at_s, content, log_index, tag) VALUES ";

/// Sends everything but COMMIT. The head comes first: in MySQL its row is the lock under which the rest is checked.
pub(super) async fn all(
    conn: &mut Conn,
    before: &Sealed,
    after: &Sealed,
    commit: &Commit,
    writes: &[TaggedWrite<'_>],
) -> Result<(), Stopped> {
    swap_head(conn, before, after).await?;
    insert_entries(conn, commit).await?;
    for table in Table::ALL {
        let of_table = |new: bool| {
            move |w: &&TaggedWrite<'_>| w.write.table == *table && w.write.previous.is_none() == new
        };
        let new: Vec<&TaggedWrite<'_>> = writes.iter().filter(of_table(true)).collect();
        for chunk in chunks(&new, |w| w.write.content.len()) {
            insert_rows(conn, *table, chunk).await?;
        }
        let changed: Vec<&TaggedWrite<'_>> = writes.iter().filter(of_table(false)).collect();
        for chunk in chunks(&changed, |w| w.write.content.len()) {
            match conn.dialect() {
                Dialect::Sqlite => update_sqlite(conn, *table, chunk).await?,
                Dialect::MySql => update_mysql(conn, *table, chunk).await?,
            }
        }
    }
    Ok(())
}

/// The head, under the lock that every writer takes.
pub(super) fn locked_head(dialect: Dialect) -> Statement<'static> {
    match dialect {
        // BEGIN IMMEDIATE has the lock already
        Dialect::Sqlite => Statement::new(HEAD),
        Dialect::MySql => Statement::new([HEAD, " FOR UPDATE"].concat()),
    }
}

/// Cuts a list so that no piece has too many rows or bytes.
fn chunks<T>(list: &[T], len: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut pieces, mut rest) = (Vec::new(), list);
    while !rest.is_empty() {
        let mut bytes = 0usize;
        let fitting = rest.iter().take(ROWS_MAX).take_while(|item| {
            bytes = bytes.saturating_add(len(item));
            bytes <= BYTES_MAX
        });
        // one alone always fits: the limits of a row are checked before
        let (piece, after) = rest.split_at(fitting.count().max(1));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The swap compares the seal, which covers size, root, checkpoint and all rows.
async fn swap_head(conn: &mut Conn, before: &Sealed, after: &Sealed) -> Result<(), Stopped> {
    let statement = Statement::new(
        "UPDATE log_head SET size = ?, root = ?, checkpoint = ?, seal = ? WHERE one = 1 AND size = ? AND seal = ?",
    )
    .with(Bind::Int(after.head.size as i64))
    .with(Bind::Bytes(&after.head.root))
    .with(Bind::Text(&after.head.checkpoint))
    .with(Bind::Bytes(&after.seal))
    .with(Bind::Int(before.head.size as i64))
    .with(Bind::Bytes(&before.seal));
    if conn.execute(&statement).await? == 1 { Ok(()) } else { Err(Stopped::Conflict(Moved::Head)) }
}

async fn insert_entries(conn: &mut Conn, commit: &Commit) -> Result<(), Stopped> {
    let mut idx = commit.expected as i64;
    for chunk in chunks(&commit.entries, |entry: &Leaf| entry.bytes.len()) {
        let into = insert_into(conn.dialect());
        let mut statement = Statement::new([into, "log_entry (idx, leaf, leaf_hash) VALUES "].concat());
        statement.repeat("(?,?,?)", chunk.len());
        for entry in chunk {
            statement.bind(Bind::Int(idx)).bind(Bind::Bytes(&entry.bytes)).bind(Bind::Bytes(&entry.hash));
            idx += 1;
        }
        duplicate_is(conn.execute(&statement).await, Moved::Head)?;
    }
    Ok(())
}

fn duplicate_is(done: Result<u64, sqlx::Error>, moved: Moved) -> Result<u64, Stopped> {
    match done {
        Err(error) if is_duplicate(&error) => Err(Stopped::Conflict(moved)),
        other => Ok(other?),
    }
}

fn bind_row<'a>(statement: &mut Statement<'a>, write: &'a TaggedWrite<'a>) {
    statement
        .bind(Bind::Key(&write.write.key))
        .bind(Bind::Key(&write.write.state))
        .bind(Bind::Int(write.at))
        .bind(Bind::Text(&write.write.content))
        .bind(Bind::Int(write.log_index))
        .bind(Bind::Bytes(&write.tag.0));
}

/// How an insertion begins. A failed one ends with a rollback of everything anyway; `OR FAIL` tells SQLite so, which
/// otherwise copies every page it touches to be able to undo this statement alone.
const fn insert_into(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "INSERT OR FAIL INTO ",
        Dialect::MySql => "INSERT INTO ",
    }
}

fn insert<'a>(dialect: Dialect, table: Table, rows: &[&'a TaggedWrite<'a>]) -> Statement<'a> {
    let mut statement = Statement::new([insert_into(dialect), table.sql_name(), INSERT_COLUMNS].concat());
    statement.repeat("(?,?,?,?,?,?)", rows.len());
    rows.iter().for_each(|row| bind_row(&mut statement, row));
    statement
}

async fn insert_rows(conn: &mut Conn, table: Table, rows: &[&TaggedWrite<'_>]) -> Result<(), Stopped> {
    duplicate_is(conn.execute(&insert(conn.dialect(), table, rows)).await, Moved::Row(table)).map(drop)
}

fn same_count(found: u64, wanted: usize, table: Table) -> Result<(), Stopped> {
    if found == wanted as u64 { Ok(()) } else { Err(Stopped::Conflict(Moved::Row(table))) }
}

/// One statement: each row is changed only where its stored tag is the one that was given.
async fn update_sqlite(conn: &mut Conn, table: Table, rows: &[&TaggedWrite<'_>]) -> Result<(), Stopped> {
    let mut statement =
        Statement::new("WITH v (row_key, state, at_s, content, log_index, tag, previous) AS (VALUES ");
    statement.repeat("(?,?,?,?,?,?,?)", rows.len());
    statement.push(") UPDATE OR FAIL ").push(table.sql_name()).push(
        " AS t SET state = v.state, at_s = v.at_s, content = v.content, log_index = v.log_index, tag = v.tag \
         FROM v WHERE t.row_key = v.row_key AND t.tag = v.previous",
    );
    for row in rows {
        bind_row(&mut statement, row);
        if let Some(previous) = &row.write.previous {
            statement.bind(Bind::Bytes(&previous.0));
        }
    }
    same_count(conn.execute(&statement).await?, rows.len(), table)
}

struct KeyTag(String, Vec<u8>);

impl FromColumns for KeyTag {
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error> {
        Ok(Self(row.key(0)?, row.bytes(1)?))
    }
}

/// Two statements: look (the head's row lock keeps every other writer out), then overwrite.
async fn update_mysql(conn: &mut Conn, table: Table, rows: &[&TaggedWrite<'_>]) -> Result<(), Stopped> {
    let mut look =
        Statement::new(["SELECT row_key, tag FROM ", table.sql_name(), " WHERE row_key IN ("].concat());
    look.repeat("?", rows.len()).push(") FOR UPDATE");
    for row in rows {
        look.bind(Bind::Key(&row.write.key));
    }
    let stored: Vec<KeyTag> = conn.fetch(&look).await?;
    let stored: std::collections::HashMap<&str, &[u8]> =
        stored.iter().map(|KeyTag(key, tag)| (key.as_str(), tag.as_slice())).collect();
    let as_given = rows.iter().filter(|row| {
        let previous = row.write.previous.as_ref().map(|tag| tag.0.as_slice());
        previous.is_some() && stored.get(row.write.key.as_str()).copied() == previous
    });
    same_count(as_given.count() as u64, rows.len(), table)?;
    let mut overwrite = insert(Dialect::MySql, table, rows);
    overwrite.push(
        " ON DUPLICATE KEY UPDATE state = VALUES(state), at_s = VALUES(at_s), content = VALUES(content), \
         log_index = VALUES(log_index), tag = VALUES(tag)",
    );
    conn.execute(&overwrite).await.map(drop).map_err(Stopped::from)
}
