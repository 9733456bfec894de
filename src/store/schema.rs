//! The tables in SQL. One list of statements for each database; the version stands in the database itself.

use super::Table;
use super::conn::Dialect;

/// The version of the tables below. A store with any other is not opened.
pub(super) const SCHEMA_VERSION: i64 = 6;

/// The statements that make an empty store, in order. `store_schema` comes last: what does not have it is unfinished.
pub(super) fn tables(dialect: Dialect) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for table in Table::ALL {
        all.extend(row_table(dialect, *table));
    }
    let fixed: &[&str] = match dialect {
        Dialect::Sqlite => &SQLITE,
        Dialect::MySql => &MYSQL,
    };
    all.extend(fixed.iter().map(|&sql| sql.to_owned()));
    all
}

/// Every index costs each write of a row: only tables that are read page by page have one beside their key.
fn row_table(dialect: Dialect, table: Table) -> Vec<String> {
    let name = table.sql_name();
    let is_listed = matches!(table, Table::Withdrawal | Table::Reservation | Table::Execution);
    match dialect {
        Dialect::Sqlite => {
            let rows = format!(
                "CREATE TABLE {name} (row_key TEXT NOT NULL PRIMARY KEY, state TEXT NOT NULL, at_s INTEGER NOT NULL, \
                 content TEXT NOT NULL, log_index INTEGER NOT NULL, tag BLOB NOT NULL) STRICT"
            );
            let index = format!("CREATE INDEX {name}_log ON {name} (log_index, row_key)");
            std::iter::once(rows).chain(is_listed.then_some(index)).collect()
        }
        // byte strings, because `utf8mb4_bin` still takes `a` and `a ` for the same key
        Dialect::MySql => {
            let index =
                if is_listed { format!(", INDEX {name}_log (log_index, row_key)") } else { String::new() };
            vec![format!(
                "CREATE TABLE IF NOT EXISTS {name} (row_key VARBINARY(191) NOT NULL PRIMARY KEY, \
                 state VARBINARY(32) NOT NULL, at_s BIGINT NOT NULL, \
                 content LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, log_index BIGINT NOT NULL, \
                 tag BINARY(32) NOT NULL{index}) ENGINE=InnoDB"
            )]
        }
    }
}

const SQLITE: [&str; 4] = [
    "CREATE TABLE log_entry (idx INTEGER NOT NULL PRIMARY KEY, leaf BLOB NOT NULL, leaf_hash BLOB NOT NULL) STRICT",
    "CREATE TABLE log_head (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, \
     root BLOB NOT NULL, checkpoint TEXT NOT NULL, seal BLOB NOT NULL) STRICT",
    "CREATE TABLE lease (name TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, until_s INTEGER NOT NULL) STRICT",
    "CREATE TABLE store_schema (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, \
     secret_check BLOB NOT NULL) STRICT",
];

const MYSQL: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS log_entry (idx BIGINT NOT NULL PRIMARY KEY, leaf LONGBLOB NOT NULL, \
     leaf_hash BINARY(32) NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS log_head (one BIGINT NOT NULL PRIMARY KEY, size BIGINT NOT NULL, \
     root BINARY(32) NOT NULL, checkpoint LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
     seal BINARY(32) NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS lease (name VARBINARY(191) NOT NULL PRIMARY KEY, holder VARBINARY(191) NOT NULL, \
     until_s BIGINT NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS store_schema (one BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL, \
     secret_check BINARY(32) NOT NULL) ENGINE=InnoDB",
];
