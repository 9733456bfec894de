//! MySQL and MariaDB: how a server is spoken to.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlPool, MySqlPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, MySqlConnection};

use super::conn::{Conn, READERS_MAX};

/// Strict, so that nothing is ever cut to fit; a lock is waited for 10 s at most.
const SESSION: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
    SESSION innodb_lock_wait_timeout = 10, SESSION transaction_isolation = 'REPEATABLE-READ'";
/// The same for MariaDB before 11.1, which has another name for the isolation level.
const SESSION_OLD: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
    SESSION innodb_lock_wait_timeout = 10, SESSION tx_isolation = 'REPEATABLE-READ'";
/// The error number of an unknown system variable.
const UNKNOWN_VARIABLE: u16 = 1193;

/// A server and a database on it.
pub(super) struct Server(MySqlConnectOptions);

fn is_unknown_variable(error: &dyn DatabaseError) -> bool {
    error.try_downcast_ref::<MySqlDatabaseError>().is_some_and(|error| error.number() == UNKNOWN_VARIABLE)
}

async fn prepare(conn: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    match conn.execute(SESSION).await {
        Err(sqlx::Error::Database(error)) if is_unknown_variable(&*error) => {
            conn.execute(SESSION_OLD).await.map(drop)
        }
        other => other.map(drop),
    }
}

impl Server {
    pub(super) fn new(options: &MySqlConnectOptions) -> Self {
        let options = options.clone().charset("utf8mb4").statement_cache_capacity(256);
        Self(options.disable_statement_logging())
    }

    /// A connection that may write.
    pub(super) async fn connect(&self) -> Result<Conn, sqlx::Error> {
        let mut conn = MySqlConnection::connect_with(&self.0).await?;
        prepare(&mut conn).await?;
        Ok(Conn::MySql(Box::new(conn)))
    }

    /// Connections for reading.
    pub(super) fn readers(&self) -> MySqlPool {
        MySqlPoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(|conn, _| Box::pin(prepare(conn)))
            .connect_lazy_with(self.0.clone())
    }
}
