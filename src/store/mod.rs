//! The store: rows, the log and its head, in SQLite or MySQL/MariaDB. All SQL is here, and nothing decides here: what a
//! row means, when it may change and what the log's root must be are not known.
//!
//! - A change is one [`Commit`]: log entries, rows and the new head in one transaction, by compare-and-swap (L21).
//! - Every row carries a keyed tag, and the head a seal over all rows (L23): an altered row is seen when it is read, a
//!   removed, added or rolled-back one when the store is opened. A database that was put back as a whole is genuine in
//!   itself: that the head is older than what was witnessed is seen by the witness (L22), not here.
//! - The leaves of the log are covered by its root, which is in the seal; rebuilding it is not done here.

mod commit;
mod conn;
mod fault;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lease;
mod log;
mod mysql;
mod open;
mod read;
mod row;
mod schema;
mod seal;
mod sqlite;
mod table;
mod url;
mod write;

#[cfg(test)]
mod mariadb;
#[cfg(test)]
mod suite;

use std::sync::{Mutex as StdMutex, PoisonError};

use tokio::sync::Mutex;

pub use commit::{Commit, Committed, FaultPoint, Landing, Leaf};
pub use fault::{CommitError, Moved, OpenFault, StoreFault};
pub use lease::Lease;
pub use read::{PAGE_ROWS_MAX, Page, PageToken};
pub use row::{CONTENT_LEN_MAX, KEY_LEN_MAX, Row, RowWrite, STATE_LEN_MAX};
pub use seal::{StoreSecret, Tag};
pub use table::Table;
pub use url::StoreUrl;

use commit::Writer;
use conn::Backend;
use seal::Seals;

/// The head of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How many entries the log has.
    pub size: u64,
    /// The root hash of the tree over them (RFC 6962).
    pub root: [u8; 32],
    /// The signed checkpoint of this size and root (C2SP tlog-checkpoint), or nothing at size 0.
    pub checkpoint: String,
}

/// An open store whose whole content was verified.
pub struct Store {
    backend: Backend,
    seals: Seals,
    head: StdMutex<Head>,
    writer: Mutex<Writer>,
    testing_only_fault: StdMutex<Option<FaultPoint>>,
}

impl Store {
    /// The newest head this store has committed, or had verified when it was opened or caught up.
    pub fn head(&self) -> Head {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_head(&self, head: &Head) {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone_from(head);
    }

    /// Makes the next commit fail at this point. For tests of what comes after a fault; nothing else calls it.
    pub fn testing_only_fault(&self, point: FaultPoint) {
        *self.testing_only_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
    }

    fn take_testing_only_fault(&self) -> Option<FaultPoint> {
        self.testing_only_fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Closes all connections, after the commit that is under way.
    pub async fn close(self) {
        if let Some(conn) = self.writer.into_inner().into_conn() {
            conn.close().await;
        }
        self.backend.close().await;
    }
}
