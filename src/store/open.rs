//! Creating a store, opening it, and verifying all of it.

use std::sync::Mutex as StdMutex;

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::commit::{Sealed, Writer};
use super::conn::{Backend, Bind, Columns, Conn, FromColumns, Statement};
use super::fault::{fault, is_absent, is_duplicate, is_foreign};
use super::log::{HEAD, HeadRow};
use super::read::after_key;
use super::row::RawRow;
use super::schema::{self, SCHEMA_VERSION};
use super::seal::{LedgerSum, Seals, StoreSecret};
use super::url::Place;
use super::{Head, OpenFault, Row, Store, StoreFault, StoreUrl, Table, mysql, sqlite};

/// Rows that are read at once while scanning.
const SCAN_ROWS: i64 = 2000;

/// What is told of each row while a store is scanned.
pub(super) type Visit<'a> = &'a mut (dyn FnMut(Row) + Send);

impl Store {
    /// Creates an empty store. SQLite: the file must not exist, its folder must. MySQL: the database must exist and
    /// hold no store. Only `init` calls this.
    pub async fn create(url: &StoreUrl, secret: &StoreSecret) -> Result<Self, OpenFault> {
        let seals = Seals::derive(secret)?;
        match &url.0 {
            Place::Sqlite(path) => {
                sqlite::create_file(path).map_err(|error| match error.kind() {
                    std::io::ErrorKind::AlreadyExists => OpenFault::AlreadyExists(url.to_string()),
                    std::io::ErrorKind::NotFound => OpenFault::Missing(url.to_string()),
                    std::io::ErrorKind::StorageFull => StoreFault::Full.into(),
                    std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
                        StoreFault::ReadOnly.into()
                    }
                    _ => StoreFault::Database(error.to_string()).into(),
                })?;
                if let Err(fault) = create_tables(url, &seals).await {
                    // this file was made a moment ago by this very call
                    sqlite::remove_file(path);
                    return Err(fault);
                }
            }
            Place::MySql(_) => create_tables(url, &seals).await?,
        }
        Self::open(url, secret).await
    }

    /// Opens a store and verifies every row, the number of log entries, and the seal.
    pub async fn open(url: &StoreUrl, secret: &StoreSecret) -> Result<Self, OpenFault> {
        Self::open_visiting(url, secret, &mut |_| {}).await
    }

    /// The same, and shows each row to `visit` on the way, so that a ledger is loaded in the same pass: table by table
    /// in the order of [`Table::ALL`], within a table by key. What was visited counts only if this returns `Ok`.
    pub async fn open_visiting(
        url: &StoreUrl,
        secret: &StoreSecret,
        visit: &mut (dyn FnMut(Row) + Send),
    ) -> Result<Self, OpenFault> {
        let seals = Seals::derive(secret)?;
        let backend = backend(url)?;
        let mut conn = connect(url, &backend).await?;
        check_schema(url, &mut conn, &seals).await?;
        if let Backend::MySql { .. } = backend {
            check_durability(&mut conn).await?;
        }
        let sealed = scan(&mut conn, &seals, visit).await?;
        Ok(Self {
            backend,
            seals,
            head: StdMutex::new(sealed.head.clone()),
            writer: Mutex::new(Writer::new(conn, sealed)),
            testing_only_fault: StdMutex::new(None),
        })
    }

    /// Takes over what other writers have committed since: verifies everything again and shows each row to `visit`.
    ///
    /// To be called after a commit lost against another writer's, or when a lease was taken.
    pub async fn catch_up(&self, visit: &mut (dyn FnMut(Row) + Send)) -> Result<Head, StoreFault> {
        let mut writer = self.writer.lock().await;
        writer.refuse_unsettled()?;
        let mut conn = self.backend.connect().await.map_err(|error| fault(&error))?;
        let sealed = scan(&mut conn, &self.seals, visit).await?;
        let head = sealed.head.clone();
        *writer = Writer::new(conn, sealed);
        self.set_head(&head);
        Ok(head)
    }
}

fn backend(url: &StoreUrl) -> Result<Backend, OpenFault> {
    match &url.0 {
        Place::Sqlite(path) => {
            if !path.is_file() {
                return Err(OpenFault::Missing(url.to_string()));
            }
            let file = sqlite::File::new(path);
            let readers = file.readers();
            Ok(Backend::Sqlite { file, readers })
        }
        Place::MySql(options) => {
            let server = Box::new(mysql::Server::new(options));
            let readers = server.readers();
            Ok(Backend::MySql { server, readers })
        }
    }
}

fn open_fault(url: &StoreUrl, error: &sqlx::Error) -> OpenFault {
    if is_absent(error) {
        return OpenFault::Missing(url.to_string());
    }
    if is_foreign(error) {
        return OpenFault::NotAStore(url.to_string());
    }
    fault(error).into()
}

async fn connect(url: &StoreUrl, backend: &Backend) -> Result<Conn, OpenFault> {
    backend.connect().await.map_err(|error| open_fault(url, &error))
}

struct SchemaRow {
    version: i64,
    secret_check: Vec<u8>,
}

impl FromColumns for SchemaRow {
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error> {
        Ok(Self { version: row.int(0)?, secret_check: row.bytes(1)? })
    }
}

struct Number(i64);

impl FromColumns for Number {
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error> {
        Ok(Self(row.int(0)?))
    }
}

const SCHEMA: &str = "SELECT version, secret_check FROM store_schema";

async fn check_schema(url: &StoreUrl, conn: &mut Conn, seals: &Seals) -> Result<(), OpenFault> {
    let found: Vec<SchemaRow> =
        conn.fetch(&Statement::new(SCHEMA)).await.map_err(|error| open_fault(url, &error))?;
    let [row] = found.as_slice() else { return Err(OpenFault::NotAStore(url.to_string())) };
    if row.version != SCHEMA_VERSION {
        return Err(OpenFault::SchemaVersion { found: row.version, known: SCHEMA_VERSION });
    }
    if row.secret_check != seals.secret_check() {
        return Err(OpenFault::WrongSecret);
    }
    Ok(())
}

/// A server that answers before a commit is on disk would make "book first, sign second" untrue.
async fn check_durability(conn: &mut Conn) -> Result<(), OpenFault> {
    let statement = Statement::new("SELECT CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS SIGNED)");
    let found: Vec<Number> = conn.fetch(&statement).await.map_err(|error| fault(&error))?;
    match found.as_slice() {
        [Number(1)] => Ok(()),
        [Number(other)] => Err(OpenFault::NotDurable(*other)),
        _ => Err(OpenFault::NotDurable(-1)),
    }
}

async fn create_tables(url: &StoreUrl, seals: &Seals) -> Result<(), OpenFault> {
    let backend = backend(url)?;
    let mut conn = connect(url, &backend).await?;
    if let Backend::MySql { .. } = backend {
        match conn.fetch::<SchemaRow>(&Statement::new(SCHEMA)).await {
            Ok(rows) if rows.is_empty() => {}
            Ok(_) => return Err(OpenFault::AlreadyExists(url.to_string())),
            Err(error) if is_foreign(&error) => {}
            Err(error) => return Err(open_fault(url, &error)),
        }
    }
    let made = fill(&mut conn, seals).await.map_err(|error| {
        if is_duplicate(&error) { OpenFault::AlreadyExists(url.to_string()) } else { fault(&error).into() }
    });
    conn.close().await;
    made
}

/// MySQL commits each CREATE by itself; the last two rows make the store, and there is room for one of each only.
async fn fill(conn: &mut Conn, seals: &Seals) -> Result<(), sqlx::Error> {
    for sql in schema::tables(conn.dialect()) {
        conn.execute(&Statement::new(sql)).await?;
    }
    let head = Head { size: 0, root: Sha256::digest(b"").into(), checkpoint: String::new() };
    let seal = seals.seal(&head, &LedgerSum::EMPTY);
    let check = seals.secret_check();
    conn.begin_write().await?;
    let first =
        Statement::new("INSERT INTO log_head (one, size, root, checkpoint, seal) VALUES (1, 0, ?, '', ?)")
            .with(Bind::Bytes(&head.root))
            .with(Bind::Bytes(&seal));
    conn.execute(&first).await?;
    let second = Statement::new("INSERT INTO store_schema (one, version, secret_check) VALUES (1, ?, ?)")
        .with(Bind::Int(SCHEMA_VERSION))
        .with(Bind::Bytes(&check));
    conn.execute(&second).await?;
    conn.commit().await
}

/// Reads everything in one snapshot and compares it with the seal.
pub(super) async fn scan(conn: &mut Conn, seals: &Seals, visit: Visit<'_>) -> Result<Sealed, StoreFault> {
    let driver = |error: sqlx::Error| fault(&error);
    conn.begin_read().await.map_err(driver)?;
    let heads: Vec<HeadRow> = conn.fetch(&Statement::new(HEAD)).await.map_err(driver)?;
    let Ok([HeadRow { head, seal }]) = <[HeadRow; 1]>::try_from(heads) else {
        return Err(StoreFault::LedgerAltered { what: "there is not exactly one readable log head" });
    };
    let mut sum = LedgerSum::EMPTY;
    for table in Table::ALL {
        scan_table(conn, seals, *table, &mut |row: Row| {
            seals.toggle(&mut sum, &row.tag());
            visit(row);
        })
        .await?;
    }
    check_entries(conn, &head).await?;
    conn.commit().await.map_err(driver)?;
    let right = seals.seal(&head, &sum);
    if !bool::from(subtle::ConstantTimeEq::ct_eq(right.as_slice(), seal.as_slice())) {
        return Err(StoreFault::LedgerAltered { what: "the seal does not fit the rows and the head" });
    }
    Ok(Sealed { head, sum, seal: right })
}

async fn scan_table(
    conn: &mut Conn,
    seals: &Seals,
    table: Table,
    visit: Visit<'_>,
) -> Result<(), StoreFault> {
    let mut after: Option<String> = None;
    loop {
        let statement = after_key(table, after.as_deref(), SCAN_ROWS);
        let rows: Vec<RawRow> = conn.fetch(&statement).await.map_err(|error| fault(&error))?;
        let Some(last) = rows.last() else { return Ok(()) };
        let next = last.key.clone();
        for row in rows {
            visit(row.verify(table, seals)?);
        }
        after = Some(next);
    }
}

struct Entries {
    count: i64,
    first: i64,
    last: i64,
}

impl FromColumns for Entries {
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error> {
        Ok(Self { count: row.int(0)?, first: row.int(1)?, last: row.int(2)? })
    }
}

/// The entries must be as many as the head says, without a gap. Their bytes are covered by the root.
async fn check_entries(conn: &mut Conn, head: &Head) -> Result<(), StoreFault> {
    let statement =
        Statement::new("SELECT COUNT(*), COALESCE(MIN(idx), 0), COALESCE(MAX(idx), -1) FROM log_entry");
    let found: Vec<Entries> = conn.fetch(&statement).await.map_err(|error| fault(&error))?;
    let size = i64::try_from(head.size).unwrap_or(-1);
    match found.as_slice() {
        [e] if e.count == size && e.first == 0 && e.last == size - 1 => Ok(()),
        _ => {
            Err(StoreFault::LedgerAltered { what: "the log does not have as many entries as its head says" })
        }
    }
}
