//! The one way to change a store: log entries, rows and the head in one transaction.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use super::conn::{Conn, Statement};
use super::fault::{fault, is_overtaken};
use super::log::{HeadRow, hashes_between};
use super::row::{CONTENT_LEN_MAX, TaggedWrite};
use super::seal::{LedgerSum, Tag};
use super::{CommitError, Head, Moved, RowWrite, Store, StoreFault, Table, write};

/// How long a commit may take before its connection is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A leaf of the log and its hash (RFC 6962 section 2.1), which is taken as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The entry's bytes.
    pub bytes: Vec<u8>,
    /// The hash of the leaf.
    pub hash: [u8; 32],
}

/// What happens at once, or not at all.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The size of the log on which this was decided.
    pub expected: u64,
    /// The entries to be appended; at least one if there are rows.
    pub entries: Vec<Leaf>,
    /// The head afterwards. Its size is `expected` plus the number of entries.
    pub new_head: Head,
    /// The rows to be written; no key twice.
    pub rows: Vec<RowWrite>,
}

/// A commit that is on disk.
#[derive(Debug, PartialEq, Eq)]
pub struct Committed {
    /// The head it left behind.
    pub head: Head,
    /// The tags of its rows, in the order in which they were given.
    pub tags: Vec<Tag>,
}

/// What became of a commit whose outcome was unknown.
#[derive(Debug, PartialEq, Eq)]
pub enum Landing {
    /// It is on disk.
    Committed(Committed),
    /// It is not, and never will be; or it only replaced a checkpoint, which was replaced again since.
    NotCommitted,
}

/// Where a test can make a commit fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoint {
    /// Before anything is sent. Ends as `NotDone`.
    Before,
    /// After all statements, before COMMIT. Ends as `NotDone`.
    BeforeCommit,
    /// COMMIT is never sent, but this is not known. Ends as `Unknown`; reading back says `NotCommitted`.
    UnknownNotDone,
    /// COMMIT succeeds, but its answer is lost. Ends as `Unknown`; reading back says `Committed`.
    UnknownDone,
}

/// The verified state that the writer builds on.
pub(super) struct Sealed {
    pub(super) head: Head,
    pub(super) sum: LedgerSum,
    pub(super) seal: [u8; 32],
}

/// A commit that was sent and not answered.
struct Attempt {
    sealed: Sealed,
    hashes: Vec<[u8; 32]>,
    tags: Vec<Tag>,
}

/// The only connection that writes, and what it writes onto.
pub(super) struct Writer {
    conn: Option<Conn>,
    sealed: Sealed,
    pending: Option<Attempt>,
}

impl Writer {
    pub(super) fn new(conn: Conn, sealed: Sealed) -> Self {
        Self { conn: Some(conn), sealed, pending: None }
    }

    pub(super) fn into_conn(self) -> Option<Conn> {
        self.conn
    }

    /// Runs SQL on the writer's own connection.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(super) async fn run_for_test(&mut self, sql: String) {
        self.conn.as_mut().unwrap().execute(&Statement::new(sql)).await.unwrap();
    }

    pub(super) fn refuse_unsettled(&self) -> Result<(), StoreFault> {
        if self.pending.is_some() { Err(StoreFault::Unsettled) } else { Ok(()) }
    }
}

/// Why the statements before COMMIT did not all succeed. Nothing is durable in either case.
pub(super) enum Stopped {
    Conflict(Moved),
    Fault(StoreFault),
}

impl From<sqlx::Error> for Stopped {
    fn from(error: sqlx::Error) -> Self {
        if is_overtaken(&error) { Self::Conflict(Moved::Head) } else { Self::Fault(fault(&error)) }
    }
}

impl From<Stopped> for CommitError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Conflict(moved) => Self::Conflict(moved),
            Stopped::Fault(fault) => Self::NotDone(fault),
        }
    }
}

async fn patiently<T, E: From<Stopped>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(Stopped::Fault(StoreFault::Lost("no answer in 30 s".to_owned())).into()),
    }
}

fn check(commit: &Commit) -> Result<(), StoreFault> {
    let malformed = |what| Err(StoreFault::Malformed(what));
    let size = commit.expected.checked_add(commit.entries.len() as u64);
    if size != Some(commit.new_head.size) || i64::try_from(commit.new_head.size).is_err() {
        return malformed("the new size is not the old one plus the entries");
    }
    if commit.entries.iter().any(|entry| entry.bytes.len() > CONTENT_LEN_MAX) {
        return malformed("a leaf must have at most 4 MiB");
    }
    // INVARIANT: no row changes without an entry of the same commit that tells of it (L21)
    let told = commit.expected..commit.new_head.size;
    if !commit.rows.iter().all(|row| told.contains(&row.log_index)) {
        return malformed("a row does not name an entry of its own commit");
    }
    let mut seen: HashSet<(Table, &str)> = HashSet::with_capacity(commit.rows.len());
    if !commit.rows.iter().all(|row| seen.insert((row.table, &row.key))) {
        return malformed("a row is written twice in one commit");
    }
    Ok(())
}

impl Store {
    /// Writes all of it in one transaction. When this returns `Ok`, it is on disk.
    ///
    /// The swap is on the whole state: if anything at all was committed since the head this store knows, it is a
    /// conflict. A caller that loses must throw its decisions away, [`Store::catch_up`], and decide again. After
    /// `Unknown`, and if this future is dropped, every further commit is refused until [`Store::read_back`] has said
    /// what became of this one.
    pub async fn commit(&self, commit: &Commit) -> Result<Committed, CommitError> {
        check(commit).map_err(CommitError::NotDone)?;
        let mut writer = self.writer.lock().await;
        writer.refuse_unsettled().map_err(CommitError::NotDone)?;
        if commit.expected != writer.sealed.head.size {
            return Err(CommitError::Conflict(Moved::Head));
        }
        let testing_only = self.take_testing_only_fault();
        if testing_only == Some(FaultPoint::Before) {
            return Err(CommitError::NotDone(StoreFault::Lost("fault injected by a test".to_owned())));
        }
        let writes = self.tagged(commit).map_err(CommitError::NotDone)?;
        let attempt = self.attempt(&writer.sealed, commit, &writes);
        // from here on the connection belongs to this call: if the call is dropped, the transaction ends with it
        let mut conn = self.begun(writer.conn.take()).await?;
        let sent = patiently(write::all(&mut conn, &writer.sealed, &attempt.sealed, commit, &writes)).await;
        if sent.is_err() || testing_only == Some(FaultPoint::BeforeCommit) {
            if conn.rollback().await.is_ok() {
                writer.conn = Some(conn);
            }
            sent?;
            return Err(CommitError::NotDone(StoreFault::Lost("fault injected by a test".to_owned())));
        }
        writer.pending = Some(attempt);
        finish(&mut conn, testing_only).await.map_err(CommitError::Unknown)?;
        writer.conn = Some(conn);
        self.settle(&mut writer).ok_or(CommitError::Unknown(StoreFault::Unsettled))
    }

    /// Says what became of the commit that ended as `Unknown`, and makes the store usable again. `size` and `root` are
    /// those of its `new_head`. It waits until the database has forgotten the broken connection; until then, and while
    /// the database cannot be reached, this fails and the outcome stays unknown.
    pub async fn read_back(&self, size: u64, root: &[u8; 32]) -> Result<Landing, StoreFault> {
        let mut writer = self.writer.lock().await;
        let Some(attempt) = &writer.pending else {
            return Err(StoreFault::Malformed("there is no unsettled commit"));
        };
        if attempt.sealed.head.size != size || attempt.sealed.head.root != *root {
            return Err(StoreFault::Malformed("the unsettled commit is another one"));
        }
        let mut conn = self.backend.connect().await.map_err(|error| fault(&error))?;
        let landed = patiently(landed(&mut conn, &writer.sealed, attempt)).await;
        let landed = landed.map_err(|Unsure(fault)| fault)?;
        conn.rollback().await.map_err(|error| fault(&error))?;
        writer.conn = Some(conn);
        if landed && let Some(committed) = self.settle(&mut writer) {
            return Ok(Landing::Committed(committed));
        }
        writer.pending = None;
        Ok(Landing::NotCommitted)
    }

    fn tagged<'a>(&self, commit: &'a Commit) -> Result<Vec<TaggedWrite<'a>>, StoreFault> {
        commit.rows.iter().map(|row| TaggedWrite::new(row, &self.seals)).collect()
    }

    /// What the store will be if this commit succeeds.
    fn attempt(&self, before: &Sealed, commit: &Commit, writes: &[TaggedWrite<'_>]) -> Attempt {
        let mut sum = before.sum;
        for write in writes {
            if let Some(previous) = &write.write.previous {
                self.seals.toggle(&mut sum, previous);
            }
            self.seals.toggle(&mut sum, &write.tag);
        }
        let head = commit.new_head.clone();
        let seal = self.seals.seal(&head, &sum);
        Attempt {
            sealed: Sealed { head, sum, seal },
            hashes: commit.entries.iter().map(|entry| entry.hash).collect(),
            tags: writes.iter().map(|write| write.tag).collect(),
        }
    }

    /// A connection within a transaction. One that was kept may have died since; then a new one is made.
    async fn begun(&self, kept: Option<Conn>) -> Result<Conn, CommitError> {
        if let Some(mut conn) = kept {
            match patiently(async { conn.begin_write().await.map_err(Stopped::from) }).await {
                Ok(()) => return Ok(conn),
                Err(Stopped::Fault(StoreFault::Lost(reason))) => tracing::warn!(%reason, "connecting again"),
                Err(stopped) => return Err(stopped.into()),
            }
        }
        let fresh = async {
            let mut conn = self.backend.connect().await?;
            conn.begin_write().await?;
            Ok::<_, Stopped>(conn)
        };
        Ok(patiently(fresh).await?)
    }

    /// The attempt has become the state.
    fn settle(&self, writer: &mut Writer) -> Option<Committed> {
        let Attempt { sealed, tags, .. } = writer.pending.take()?;
        self.set_head(&sealed.head);
        let head = sealed.head.clone();
        writer.sealed = sealed;
        Some(Committed { head, tags })
    }
}

/// Sends COMMIT. Any error leaves the outcome unknown.
async fn finish(conn: &mut Conn, testing_only: Option<FaultPoint>) -> Result<(), StoreFault> {
    let lost = || StoreFault::Lost("fault injected by a test".to_owned());
    if testing_only == Some(FaultPoint::UnknownNotDone) {
        return Err(lost());
    }
    let sent = patiently(async { conn.commit().await.map_err(|error| Unsure(fault(&error))) }).await;
    sent.map_err(|Unsure(fault)| fault)?;
    if testing_only == Some(FaultPoint::UnknownDone) { Err(lost()) } else { Ok(()) }
}

struct Unsure(StoreFault);

impl From<Stopped> for Unsure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Conflict(_) => Self(StoreFault::Busy),
            Stopped::Fault(fault) => Self(fault),
        }
    }
}

/// Whether the attempt is in the database. Takes the writers' lock first: a COMMIT that is still under way on a lost
/// connection holds that lock, so its outcome is final once the lock is ours.
async fn landed(conn: &mut Conn, before: &Sealed, attempt: &Attempt) -> Result<bool, Unsure> {
    let driver = |error: sqlx::Error| Unsure(fault(&error));
    conn.begin_write().await.map_err(driver)?;
    let heads: Vec<HeadRow> = conn.fetch(&write::locked_head(conn.dialect())).await.map_err(driver)?;
    let [HeadRow { seal, .. }] = heads.as_slice() else {
        return Err(Unsure(StoreFault::LedgerAltered { what: "there is not exactly one readable log head" }));
    };
    if *seal == attempt.sealed.seal {
        return Ok(true);
    }
    if *seal == before.seal {
        return Ok(false);
    }
    // another writer has gone on since: on top of this commit, or instead of it?
    let range = (before.head.size as i64, attempt.sealed.head.size as i64);
    let statement: Statement<'static> = hashes_between(range.0, range.1);
    let stored: Vec<super::log::HashRow> = conn.fetch(&statement).await.map_err(driver)?;
    Ok(!attempt.hashes.is_empty() && stored.iter().map(|row| row.1).eq(attempt.hashes.iter().copied()))
}
