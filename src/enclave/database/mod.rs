//! Owns the enclave's own SQLite file: all of this room's SQL. Personal data and private keys reach it sealed.

mod adapter;
mod arrived;
mod commands;
mod data_keys;
mod deposits;
mod due;
mod handover;
mod held;
mod keys;
mod records;
mod rekey;
mod reports;
mod results;
mod retention;
mod row;
mod tellings;
pub(super) mod vault;
mod verifications;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Sqlite, SqlitePool, Transaction};

pub(super) use self::adapter::{OrderRow, OrderState};
pub(super) use self::commands::{Command, NewCommand};
pub use self::data_keys::KeyUse;
pub(super) use self::deposits::{NewDeposit, OpenDeposit};
pub(super) use self::handover::Handover;
use self::held::Held;
pub(super) use self::keys::OwnKey;
pub(super) use self::reports::{Standing, Written};
pub(super) use self::row::{Origin, Role, Settled, Signed, State, Verification};
pub(super) use self::tellings::{DueTelling, Telling};
use super::EnclaveFault;
use crate::enclave::database::vault::{Vault, VaultFault};
use crate::withdrawal::{Seconds, VaspId};

const SCHEMA: &str = "
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT;
PRAGMA user_version = 5;
";
const SCHEMA_VERSION: i64 = 5;
const READERS_MAX: u32 = 4;

/// The enclave's database fails.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseFault {
    /// There is no database at that place.
    #[error("there is no enclave database at `{0}`")]
    Missing(String),
    /// There is one already.
    #[error("there is an enclave database at `{0}` already")]
    Exists(String),
    /// Its file cannot be made.
    #[error("the enclave database at `{0}` cannot be created")]
    File(String, #[source] io::Error),
    /// It was written by another version.
    #[error("the enclave database has schema version {0}, this program has {SCHEMA_VERSION}")]
    Version(i64),
    /// It was begun with another data key.
    #[error(
        "`enclave.data_key` (with `enclave.old_data_keys`) is not the key of the enclave database at `{0}`"
    )]
    OtherKey(String),
    /// SQLite fails; a write may have happened.
    #[error("the enclave database does not answer")]
    Sqlite(#[from] sqlx::Error),
    /// A sealed column does not open.
    #[error(transparent)]
    Vault(#[from] VaultFault),
}

/// The open database.
pub(super) struct Database {
    pool: SqlitePool,
    /// The one connection that writes: whoever wants to write next waits here in turn. Two that met in SQLite would sleep and try again.
    writer: SqlitePool,
    /// Another one once a new data key was taken over.
    vault: RwLock<Arc<Vault>>,
    held: Held,
    /// What is written down of each VASP beside a verification, in IVMS101.
    vasps: BTreeMap<VaspId, String>,
}

impl Database {
    /// Creates the file; refuses to touch an existing one.
    pub(super) async fn create(path: &Path) -> Result<(), DatabaseFault> {
        create_file(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => DatabaseFault::Exists(path.display().to_string()),
            _ => DatabaseFault::File(path.display().to_string(), error),
        })?;
        let laid_out = lay_out(path).await;
        if laid_out.is_err() {
            remove_file(path);
        }
        Ok(laid_out?)
    }

    /// Opens the file; never creates it. The first key it is opened with is its key, until one comes that brings it along as
    /// an older one.
    pub(super) async fn open(path: &Path, mut vault: Vault) -> Result<Self, DatabaseFault> {
        let pool = open_pool(path).await?;
        let writer = connect_at_most(path, 1).await?;
        if !data_keys::take_keys(&writer, &mut vault).await? {
            return Err(DatabaseFault::OtherKey(path.display().to_string()));
        }
        let (vault, held) = (RwLock::new(Arc::new(vault)), Held::default());
        Ok(Self { pool, writer, vault, held, vasps: BTreeMap::new() })
    }

    /// The same, which writes this down of VASPs.
    pub(super) fn saying(self, vasps: BTreeMap<VaspId, String>) -> Self {
        Self { vasps, ..self }
    }

    /// Reads without writing a row: whether it is of this version and, where a key is given, sealed with it. Gives the version of the
    /// newest directory it was started with. For its owner alone: SQLite may put its files beside it.
    pub(super) async fn look_at(path: &Path, vault: Option<&Vault>) -> Result<Option<u64>, DatabaseFault> {
        if !path.exists() {
            return Err(DatabaseFault::Missing(path.display().to_string()));
        }
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let options = options.busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        let seen = look(&pool, vault).await;
        pool.close().await;
        match seen? {
            (true, mark) => Ok(mark),
            (false, _) => Err(DatabaseFault::OtherKey(path.display().to_string())),
        }
    }

    /// How many values stand sealed with which key; no key is needed to see it.
    pub(super) async fn uses_of(path: &Path) -> Result<Vec<KeyUse>, DatabaseFault> {
        let pool = open_pool(path).await?;
        let uses = data_keys::uses(&pool).await;
        pool.close().await;
        uses
    }

    /// The keys at work, as they are now.
    pub(super) fn vault(&self) -> Arc<Vault> {
        self.vault.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it answers.
    pub(super) async fn is_well(&self) -> bool {
        sqlx::query_scalar::<_, i64>("SELECT 1").fetch_one(&self.pool).await.is_ok()
    }

    /// Begins a transaction that writes: it waits for its turn at once, and never finds in the middle that it has none. Until it ends,
    /// nothing else is written: who holds it writes through it alone.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Notes the version of the directory that is started with, before anything is served.
    ///
    /// Errors: [`EnclaveFault::DirectoryOld`] if it has worked with a newer one.
    pub(super) async fn take_directory(&self, version: u64) -> Result<(), EnclaveFault> {
        if self.directory_seen(version).await? {
            return Ok(());
        }
        self.close().await;
        Err(EnclaveFault::DirectoryOld(version))
    }

    /// Raises the mark of the newest directory to this version; whether it was not above it.
    async fn directory_seen(&self, version: u64) -> Result<bool, DatabaseFault> {
        let raise = sqlx::query(
            "INSERT INTO marks (name, number) VALUES ('directory', ?1) \
             ON CONFLICT (name) DO UPDATE SET number = ?1 WHERE number <= ?1",
        );
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        Ok(raise.bind(version).execute(&self.writer).await?.rows_affected() == 1)
    }

    /// Flushes and closes.
    pub(super) async fn close(&self) {
        self.writer.close().await;
        self.pool.close().await;
    }
}

/// Creates an empty file that only its owner can read, and makes its name durable. SQLite gives the files beside it the same mode.
fn create_file(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Takes an unfinished file away again, with what SQLite puts beside it.
fn remove_file(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let removed = std::fs::remove_file(&name);
        if let Err(error) =
            removed.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
        {
            tracing::warn!(%error, "an unfinished enclave database could not be removed");
        }
    }
}

/// Opens the file, if it is there and of this version.
async fn open_pool(path: &Path) -> Result<SqlitePool, DatabaseFault> {
    if !path.exists() {
        return Err(DatabaseFault::Missing(path.display().to_string()));
    }
    let pool = connect(path).await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await?;
    if version == SCHEMA_VERSION { Ok(pool) } else { Err(DatabaseFault::Version(version)) }
}

/// Whether no key is missing, and the mark of the newest directory.
async fn look(pool: &SqlitePool, vault: Option<&Vault>) -> Result<(bool, Option<u64>), DatabaseFault> {
    let mut within = pool.acquire().await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *within).await?;
    if version != SCHEMA_VERSION {
        return Err(DatabaseFault::Version(version));
    }
    let has_all = match vault {
        Some(vault) => data_keys::has_all(&mut within, vault).await?,
        None => true,
    };
    let mark = sqlx::query_scalar("SELECT number FROM marks WHERE name = 'directory'");
    let mark: Option<i64> = mark.fetch_optional(&mut *within).await?;
    Ok((has_all, mark.map(i64::unsigned_abs)))
}

async fn lay_out(path: &Path) -> Result<(), sqlx::Error> {
    let pool = connect(path).await?;
    let done = lay_tables(&pool).await;
    pool.close().await;
    done
}

/// The version is written last: a database that was not finished is never taken for one.
async fn lay_tables(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let rooms = [keys::SCHEMA, data_keys::SCHEMA, verifications::SCHEMA, reports::SCHEMA, commands::SCHEMA];
    let more = [deposits::SCHEMA, handover::SCHEMA, adapter::SCHEMA, tellings::SCHEMA];
    for tables in rooms.into_iter().chain(more) {
        sqlx::raw_sql(tables).execute(pool).await?;
    }
    for fence in data_keys::fences() {
        sqlx::raw_sql(AssertSqlSafe(fence)).execute(pool).await?;
    }
    sqlx::raw_sql(SCHEMA).execute(pool).await?;
    Ok(())
}

async fn connect(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    connect_at_most(path, READERS_MAX).await
}

async fn connect_at_most(path: &Path, connections: u32) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        // Freed pages are overwritten: a deleted row leaves nothing behind in the file.
        .pragma("secure_delete", "ON")
        // What does not fit is sorted in memory: a temporary file would hold rows, and the enclave's process can make none.
        .pragma("temp_store", "MEMORY");
    SqlitePoolOptions::new().max_connections(connections).connect_with(options).await
}

/// SQLite has no unsigned 64-bit integer; no point in time that matters lies beyond the signed one.
fn signed(at: Seconds) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn unsigned(at: i64) -> Seconds {
    Seconds(u64::try_from(at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::enclave::database::vault::DataKey;
    use crate::withdrawal::Code;

    fn vault(n: u8) -> Vault {
        Vault::new(&DataKey::new(&[n; 32])).unwrap()
    }

    #[tokio::test]
    async fn no_database_is_made_by_a_mistyped_path_and_none_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        assert!(matches!(Database::open(&path, vault(1)).await, Err(DatabaseFault::Missing(_))));
        assert!(!path.exists());
        Database::create(&path).await.unwrap();
        assert!(matches!(Database::create(&path).await, Err(DatabaseFault::Exists(_))));
        assert!(Database::open(&path, vault(1)).await.unwrap().is_well().await);
    }

    #[tokio::test]
    async fn the_database_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, vault(1)).await.unwrap();
        db.peer_keys_forget(crate::withdrawal::VaspId(1)).await.unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        }
    }

    #[tokio::test]
    async fn what_could_not_be_finished_is_taken_away_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        std::fs::create_dir(dir.path().join("enclave.db-wal")).unwrap();
        assert!(matches!(Database::create(&path).await, Err(DatabaseFault::Sqlite(_))));
        assert!(!path.exists());
        std::fs::remove_dir(dir.path().join("enclave.db-wal")).unwrap();
        Database::create(&path).await.unwrap();
    }

    #[tokio::test]
    async fn another_data_key_opens_nothing_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        Database::open(&path, vault(1)).await.unwrap().close().await;
        let fault = EnclaveFault::from(Database::open(&path, vault(2)).await.err().unwrap());
        assert_eq!(fault.code(), Code::StoreOtherKey);
        assert!(fault.to_string().contains("enclave.data_key") && fault.to_string().contains("enclave.db"));
        assert!(Database::open(&path, vault(1)).await.unwrap().is_well().await);
    }

    #[tokio::test]
    async fn a_directory_goes_forward_only_over_a_restart_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, vault(1)).await.unwrap();
        assert!(db.directory_seen(3).await.unwrap() && db.directory_seen(3).await.unwrap());
        db.close().await;
        let db = Database::open(&path, vault(1)).await.unwrap();
        assert!(!db.directory_seen(2).await.unwrap());
        assert!(db.directory_seen(4).await.unwrap() && !db.directory_seen(3).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_wants_to_write_waits_for_its_turn_and_who_reads_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = std::sync::Arc::new(Database::open(&path, vault(1)).await.unwrap());
        let held = db.begin().await.unwrap();
        let writing = (1..=64).map(|n| {
            tokio::spawn({
                let db = db.clone();
                async move { db.directory_seen(n).await.map(drop) }
            })
        });
        let writing: Vec<_> = writing.collect();
        assert!(db.is_well().await);
        assert!(writing.iter().all(|write| !write.is_finished()));
        held.commit().await.unwrap();
        for write in writing {
            write.await.unwrap().unwrap();
        }
        assert!(!db.directory_seen(63).await.unwrap() && db.directory_seen(64).await.unwrap());
    }
}
