//! One connection and the readers' pool, the same for both databases. It knows no table.

use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlPool, MySqlRow};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use super::fault::fault;
use super::{StoreFault, mysql, sqlite};

/// The two families of SQL that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    MySql,
}

/// A value for a placeholder.
#[derive(Clone, Copy)]
pub(super) enum Bind<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    /// Text that is compared byte by byte: TEXT in SQLite, VARBINARY in MySQL, where even `utf8mb4_bin` takes
    /// `a` and `a ` for the same.
    Key(&'a str),
}

/// SQL with its values. The SQL consists of constants and placeholders only; every value is bound.
pub(super) struct Statement<'a> {
    sql: String,
    binds: Vec<Bind<'a>>,
    keep: bool,
}

impl<'a> Statement<'a> {
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), binds: Vec::new(), keep: true }
    }

    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    pub(super) fn bind(&mut self, bind: Bind<'a>) -> &mut Self {
        self.binds.push(bind);
        self
    }

    pub(super) fn with(mut self, bind: Bind<'a>) -> Self {
        self.binds.push(bind);
        self
    }

    /// Appends `group` once for each of `n`, separated by commas.
    pub(super) fn repeat(&mut self, group: &str, n: usize) -> &mut Self {
        self.sql.reserve((group.len() + 1).saturating_mul(n));
        for i in 0..n {
            if i > 0 {
                self.sql.push(',');
            }
            self.sql.push_str(group);
        }
        // a shape that big is unlikely to come again: do not let it push others out of the cache
        self.keep = self.keep && n <= 128;
        self
    }
}

/// The columns of a result, by position.
pub(super) trait Columns {
    fn int(&self, i: usize) -> Result<i64, sqlx::Error>;
    fn bytes(&self, i: usize) -> Result<Vec<u8>, sqlx::Error>;
    fn text(&self, i: usize) -> Result<String, sqlx::Error>;
    fn key(&self, i: usize) -> Result<String, sqlx::Error>;
}

impl Columns for SqliteRow {
    fn int(&self, i: usize) -> Result<i64, sqlx::Error> {
        self.try_get(i)
    }
    fn bytes(&self, i: usize) -> Result<Vec<u8>, sqlx::Error> {
        self.try_get(i)
    }
    fn text(&self, i: usize) -> Result<String, sqlx::Error> {
        self.try_get(i)
    }
    fn key(&self, i: usize) -> Result<String, sqlx::Error> {
        self.try_get(i)
    }
}

impl Columns for MySqlRow {
    fn int(&self, i: usize) -> Result<i64, sqlx::Error> {
        self.try_get(i)
    }
    fn bytes(&self, i: usize) -> Result<Vec<u8>, sqlx::Error> {
        self.try_get(i)
    }
    fn text(&self, i: usize) -> Result<String, sqlx::Error> {
        self.try_get(i)
    }
    fn key(&self, i: usize) -> Result<String, sqlx::Error> {
        String::from_utf8(self.try_get(i)?).map_err(|e| sqlx::Error::Decode(Box::new(e)))
    }
}

/// Something a result row can be read as.
pub(super) trait FromColumns: Sized + Send {
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error>;
}

macro_rules! prepared {
    ($statement:expr, $key:ident) => {{
        let statement = $statement;
        let mut query = sqlx::query(AssertSqlSafe(statement.sql.as_str())).persistent(statement.keep);
        for bind in &statement.binds {
            query = match *bind {
                Bind::Int(value) => query.bind(value),
                Bind::Bytes(value) => query.bind(value),
                Bind::Text(value) => query.bind(value),
                Bind::Key(value) => query.bind(value.$key()),
            };
        }
        query
    }};
}

fn read<T: FromColumns, R: Columns>(rows: &[R]) -> Result<Vec<T>, sqlx::Error> {
    rows.iter().map(|row| T::from_columns(row)).collect()
}

async fn fetch_sqlite<T: FromColumns>(
    conn: &mut SqliteConnection,
    statement: &Statement<'_>,
) -> Result<Vec<T>, sqlx::Error> {
    read(&prepared!(statement, as_str_again).fetch_all(conn).await?)
}

async fn fetch_mysql<T: FromColumns>(
    conn: &mut MySqlConnection,
    statement: &Statement<'_>,
) -> Result<Vec<T>, sqlx::Error> {
    read(&prepared!(statement, as_bytes).fetch_all(conn).await?)
}

/// Lets the macro above bind a key as text in one database and as bytes in the other.
trait AsStrAgain {
    fn as_str_again(&self) -> &str;
}

impl AsStrAgain for str {
    fn as_str_again(&self) -> &str {
        self
    }
}

/// A connection of one's own. Dropped in the middle of a transaction, it is closed and the transaction rolled back.
pub(super) enum Conn {
    Sqlite(Box<SqliteConnection>),
    MySql(Box<MySqlConnection>),
}

impl Conn {
    pub(super) const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// Runs fixed SQL that has no placeholders.
    pub(super) async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(conn) => conn.execute(sql).await.map(drop),
            Self::MySql(conn) => conn.execute(sql).await.map(drop),
        }
    }

    /// Runs a statement and returns how many rows it matched.
    pub(super) async fn execute(&mut self, statement: &Statement<'_>) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(conn) => {
                Ok(prepared!(statement, as_str_again).execute(&mut **conn).await?.rows_affected())
            }
            Self::MySql(conn) => {
                Ok(prepared!(statement, as_bytes).execute(&mut **conn).await?.rows_affected())
            }
        }
    }

    pub(super) async fn fetch<T: FromColumns>(
        &mut self,
        statement: &Statement<'_>,
    ) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::Sqlite(conn) => fetch_sqlite(conn, statement).await,
            Self::MySql(conn) => fetch_mysql(conn, statement).await,
        }
    }

    /// Begins a transaction that writes. SQLite takes the write lock at once, so that it can never fail later for
    /// having read first; MySQL takes the lock of the head row with the first statement after this one.
    pub(super) async fn begin_write(&mut self) -> Result<(), sqlx::Error> {
        match self.dialect() {
            Dialect::Sqlite => self.run("BEGIN IMMEDIATE").await,
            Dialect::MySql => self.run("START TRANSACTION").await,
        }
    }

    /// Begins a transaction that sees one state of the database throughout.
    pub(super) async fn begin_read(&mut self) -> Result<(), sqlx::Error> {
        match self.dialect() {
            Dialect::Sqlite => self.run("BEGIN").await,
            Dialect::MySql => self.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await,
        }
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.run("COMMIT").await
    }

    pub(super) async fn rollback(&mut self) -> Result<(), sqlx::Error> {
        self.run("ROLLBACK").await
    }

    /// Says good-bye. Not needed for safety.
    pub(super) async fn close(self) {
        let closed = match self {
            Self::Sqlite(conn) => conn.close().await,
            Self::MySql(conn) => conn.close().await,
        };
        if let Err(error) = closed {
            tracing::debug!(%error, "closing a database connection");
        }
    }
}

/// How to get at the database: new connections for the writer and for scans, a pool for readers.
pub(super) enum Backend {
    Sqlite { file: sqlite::File, readers: SqlitePool },
    MySql { server: Box<mysql::Server>, readers: MySqlPool },
}

/// How long a read may take, waiting for a connection included.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// Most connections that read at the same time.
pub(super) const READERS_MAX: u32 = 8;

impl Backend {
    pub(super) async fn connect(&self) -> Result<Conn, sqlx::Error> {
        match self {
            Self::Sqlite { file, .. } => file.connect().await,
            Self::MySql { server, .. } => server.connect().await,
        }
    }

    /// Reads outside of any transaction.
    pub(super) async fn fetch<T: FromColumns>(
        &self,
        statement: &Statement<'_>,
    ) -> Result<Vec<T>, StoreFault> {
        let fetching = async {
            match self {
                Self::Sqlite { readers, .. } => fetch_sqlite(&mut *readers.acquire().await?, statement).await,
                Self::MySql { readers, .. } => fetch_mysql(&mut *readers.acquire().await?, statement).await,
            }
        };
        match tokio::time::timeout(READ_PATIENCE, fetching).await {
            Ok(fetched) => fetched.map_err(|error| fault(&error)),
            Err(_) => Err(StoreFault::Busy),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { readers, .. } => readers.close().await,
            Self::MySql { readers, .. } => readers.close().await,
        }
    }
}
