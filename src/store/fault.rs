//! What can go wrong with a database, and whether the effect may have happened.

use sqlx::mysql::MySqlDatabaseError;
use sqlx::sqlite::SqliteError;

use super::Table;
use crate::withdrawal::Code;

/// The database, or what is in it, is broken. A read has no effect, so nothing can have happened.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// A row was changed by someone who does not have the key.
    #[error("the row `{key}` of table {table} was altered outside of this service")]
    Tampered {
        /// The table of the row.
        table: Table,
        /// The row's key as it stands in the database.
        key: String,
    },
    /// Every row is genuine, but together they are not what the newest commit left behind.
    #[error("rows were removed, added or put back, or the log head was: {what}")]
    LedgerAltered {
        /// Which comparison failed.
        what: &'static str,
    },
    /// No space is left for the database.
    #[error("the disk of the database is full")]
    Full,
    /// The database may only be read.
    #[error("the database is read-only")]
    ReadOnly,
    /// Another writer held the database for too long.
    #[error("the database is busy or does not answer in time")]
    Busy,
    /// The connection broke or could not be made.
    #[error("the connection to the database is lost: {0}")]
    Lost(String),
    /// An earlier commit has an unknown outcome: read it back first.
    #[error("an earlier commit is unsettled; it must be read back first")]
    Unsettled,
    /// The call itself makes no sense; a defect of the caller.
    #[error("malformed call: {0}")]
    Malformed(&'static str),
    /// Anything else the database says.
    #[error("the database refuses: {0}")]
    Database(String),
}

impl StoreFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Tampered { .. } | Self::LedgerAltered { .. } => Code::StoreTampered,
            Self::Full => Code::StoreFull,
            Self::Malformed(_) => Code::Internal,
            Self::ReadOnly | Self::Busy | Self::Lost(_) | Self::Unsettled | Self::Database(_) => {
                Code::StoreUnavailable
            }
        }
    }
}

/// Why a store cannot be created or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The address of the store cannot be read.
    #[error("the store's address {0}")]
    Url(&'static str),
    /// There is nothing at this address.
    #[error("there is no store at `{0}`; `init` creates one")]
    Missing(String),
    /// Something is there, but it is no finished store.
    #[error("what is at `{0}` is no store, or its creation was cut short")]
    NotAStore(String),
    /// A store must not be created over another one.
    #[error("there is something at `{0}` already")]
    AlreadyExists(String),
    /// The store was written by another version of this program.
    #[error("the store has schema version {found}, this program knows {known}")]
    SchemaVersion {
        /// What the database says.
        found: i64,
        /// What this program can read.
        known: i64,
    },
    /// The store was made with another secret.
    #[error("the store belongs to another key")]
    WrongSecret,
    /// The server answers a commit before it is on disk.
    #[error("the server does not keep commits safe: innodb_flush_log_at_trx_commit is {0}, it must be 1")]
    NotDurable(i64),
    /// The database or its content is broken.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl OpenFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Url(_) | Self::AlreadyExists(_) | Self::NotDurable(_) => Code::ConfigInvalid,
            Self::Missing(_) | Self::NotAStore(_) => Code::StoreMissing,
            Self::SchemaVersion { .. } => Code::StoreOtherVersion,
            Self::WrongSecret => Code::StoreOtherKey,
            Self::Store(fault) => fault.code(),
        }
    }
}

/// Who was faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// The log head: another writer has committed. Catch up, then decide again.
    Head,
    /// A row of this table: the given previous tag is not the stored one, or a new row is already there.
    Row(Table),
}

/// Why a commit was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Someone else moved first. Nothing happened.
    #[error("someone else was faster: {0:?}")]
    Conflict(Moved),
    /// It failed before COMMIT was sent. Nothing happened.
    #[error("nothing was committed: {0}")]
    NotDone(#[source] StoreFault),
    /// COMMIT itself failed: it may have happened. Read back before anything else.
    #[error("whether it was committed is unknown: {0}")]
    Unknown(#[source] StoreFault),
}

impl CommitError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Conflict(_) => Code::StoreUnavailable,
            Self::NotDone(fault) | Self::Unknown(fault) => fault.code(),
        }
    }

    /// Whether the effect may have happened.
    pub const fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// The primary result code of SQLite (`sqlite3.h`), or the error number of MySQL and MariaDB.
enum Number {
    Sqlite(i64),
    MySql(u16),
    None,
}

fn number(error: &sqlx::Error) -> Number {
    let Some(error) = error.as_database_error() else { return Number::None };
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return Number::MySql(error.number());
    }
    match error.try_downcast_ref::<SqliteError>() {
        Some(_) => match error.code().and_then(|code| code.parse::<i64>().ok()) {
            Some(code) => Number::Sqlite(code & 0xff),
            None => Number::None,
        },
        None => Number::None,
    }
}

/// Sorts an error of the driver into a fault.
pub(super) fn fault(error: &sqlx::Error) -> StoreFault {
    match number(error) {
        // SQLITE_BUSY, SQLITE_LOCKED
        Number::Sqlite(5 | 6) => return StoreFault::Busy,
        // SQLITE_FULL
        Number::Sqlite(13) => return StoreFault::Full,
        // SQLITE_READONLY
        Number::Sqlite(8) => return StoreFault::ReadOnly,
        // lock wait timeout, deadlock, too many connections (two kinds), record changed since it was read
        Number::MySql(1205 | 1213 | 1040 | 1203 | 1020) => return StoreFault::Busy,
        // disk full (two kinds), table full
        Number::MySql(1021 | 3 | 1114) => return StoreFault::Full,
        // option prevents statement, read-only (three kinds)
        Number::MySql(1290 | 1036 | 1792 | 1836) => return StoreFault::ReadOnly,
        // shutdown in progress, connection killed
        Number::MySql(1053 | 1927 | 3169) => return StoreFault::Lost(error.to_string()),
        Number::Sqlite(_) | Number::MySql(_) => return StoreFault::Database(error.to_string()),
        Number::None => {}
    }
    match error {
        sqlx::Error::PoolTimedOut => StoreFault::Busy,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreFault::Lost(error.to_string()),
        _ => StoreFault::Database(error.to_string()),
    }
}

/// Whether a row with this key is there already.
pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

/// Whether MySQL or MariaDB gave way to another writer: a deadlock, or a snapshot that is no longer the newest.
pub(super) fn is_overtaken(error: &sqlx::Error) -> bool {
    matches!(number(error), Number::MySql(1213 | 1020))
}

/// Whether the place, rather than the connection, is missing: no such file, no such database, no such table.
pub(super) fn is_absent(error: &sqlx::Error) -> bool {
    match number(error) {
        // SQLITE_CANTOPEN
        Number::Sqlite(code) => code == 14,
        // unknown database
        Number::MySql(code) => code == 1049,
        Number::None => false,
    }
}

/// Whether the place is there, but holds no tables of ours or is not a database at all.
pub(super) fn is_foreign(error: &sqlx::Error) -> bool {
    match number(error) {
        // SQLITE_ERROR (no such table), SQLITE_NOTADB
        Number::Sqlite(code) => matches!(code, 1 | 26),
        // no such table, unknown column
        Number::MySql(code) => matches!(code, 1146 | 1054),
        Number::None => false,
    }
}
