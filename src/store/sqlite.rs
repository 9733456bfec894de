//! SQLite: how its file is created and opened.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::conn::{Conn, READERS_MAX};

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(5);

/// Page cache of the writer, in KiB (SQLite wants it negative): the indices over random keys stay in memory.
const CACHE_KIB: &str = "-65536";
/// Pages in the WAL before they are moved into the database: 32 MiB, so that a page that changes often moves once.
const CHECKPOINT_PAGES: &str = "8192";

/// A database file that exists.
pub(super) struct File(PathBuf);

impl File {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.0)
            .create_if_missing(false)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging()
    }

    /// A connection that may write. WAL is a property of the file; asking for it again costs nothing.
    pub(super) async fn connect(&self) -> Result<Conn, sqlx::Error> {
        let options = self
            .options()
            .journal_mode(SqliteJournalMode::Wal)
            .statement_cache_capacity(512)
            .pragma("cache_size", CACHE_KIB)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
        let conn = sqlx::SqliteConnection::connect_with(&options).await?;
        Ok(Conn::Sqlite(Box::new(conn)))
    }

    /// Connections that cannot write.
    pub(super) fn readers(&self) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
            .connect_lazy_with(self.options().pragma("query_only", "ON"))
    }
}

/// Creates an empty file that only its owner can read; fails if there is anything at this path.
pub(super) fn create_file(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.sync_all()?;
    sync_folder(path)
}

/// Takes an unfinished file away again, with what SQLite puts beside it.
pub(super) fn remove_file(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "removing an unfinished database file"),
        }
    }
}

/// A new name is durable only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::File::open(folder)?.sync_all()
}
