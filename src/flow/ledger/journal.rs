//! A party's durable side: its store and its log as one thing. What is drafted becomes true in one commit, or not at all.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use crate::audit::entry::VALUE_LEN_MAX;
use crate::audit::{
    Checkpoint, ConsistencyProof, Entry, EntryInvalid, EntryKind, FetchedLeaves, Head as TreeHead,
    InclusionProof, LeafHash, LogKey, NodeHash, Tree, TreeFault, VerifiedCheckpoint,
};
use crate::desk::DeskError;
use crate::keys::IdentityKey;
use crate::store::{
    Commit, CommitError, Head, Landing, Leaf, OpenFault, Row, RowWrite, Store, StoreFault, StoreSecret,
    StoreUrl, Table, Tag,
};
use crate::withdrawal::{Code, Seconds};

/// Why a draft did not become true, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// The store says no, or does not answer.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenFault),
    /// The commit failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The log's own arithmetic says no.
    #[error(transparent)]
    Tree(#[from] TreeFault),
    /// The log in the store does not have the root its head says.
    #[error("the log's rows do not give the root of its head")]
    LogAltered,
    /// A row cannot be read by this version.
    #[error("the row `{0}` cannot be read by this version")]
    Unreadable(String),
    /// A row is about a Safe that is not pinned any more, and what it says is not over.
    #[error(
        "`{0}` is not over, and the trust file does not name its Safe any more: name it again until it is"
    )]
    Unpinned(String),
    /// An entry was drafted with fields its kind does not have: a defect.
    #[error("an entry is malformed: {0}")]
    Entry(#[from] EntryInvalid),
    /// The checkpoint could not be signed.
    #[error("the checkpoint cannot be signed: {0}")]
    Checkpoint(String),
}

impl JournalFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Store(fault) => fault.code(),
            Self::Open(fault) => fault.code(),
            Self::Commit(error) => error.code(),
            Self::LogAltered => Code::StoreTampered,
            Self::Unpinned(_) => Code::TrustFileInvalid,
            Self::Tree(_) | Self::Unreadable(_) | Self::Entry(_) | Self::Checkpoint(_) => Code::Internal,
        }
    }

    /// Whether the effect may have happened.
    pub const fn may_have_happened(&self) -> bool {
        matches!(self, Self::Commit(e) if e.may_have_happened())
    }

    /// What a caller is told.
    pub fn desk_error(&self) -> DeskError {
        DeskError::Fault {
            code: self.code(),
            detail: self.to_string(),
            may_have_happened: self.may_have_happened(),
        }
    }
}

/// How much of somebody else's text an entry keeps, in characters of at most four bytes.
const SPELLED_LEN_MAX: usize = VALUE_LEN_MAX / 4;

/// What one commit will write.
pub struct Draft {
    base: u64,
    now: Seconds,
    entries: Vec<Entry>,
    rows: Vec<RowWrite>,
    places: HashMap<(Table, String), usize>,
    broken: Option<EntryInvalid>,
}

impl Draft {
    /// Writes an entry down and returns its index in the log.
    pub fn entry(&mut self, kind: EntryKind, fields: &[(&str, &dyn Display)]) -> u64 {
        let builder = fields.iter().fold(Entry::builder(kind, self.now), |b, (name, value)| {
            let text = value.to_string();
            if text.is_empty() { b } else { b.field(name, text) }
        });
        match builder.build() {
            Ok(entry) => self.entries.push(entry),
            // The commit will fail with it: an entry that cannot be written is a change that must not happen.
            Err(invalid) => self.broken = Some(invalid),
        }
        self.last_index()
    }

    /// What an entry can spell of a text that somebody else made: no control characters, and no more than one field holds.
    pub fn spelled(text: &str) -> String {
        text.chars().filter(|c| !c.is_control()).take(SPELLED_LEN_MAX).collect()
    }

    /// The index of the newest entry.
    pub fn last_index(&self) -> u64 {
        let count = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        self.base.saturating_add(count).saturating_sub(1)
    }

    /// The bytes of the newest entry.
    pub fn last_leaf(&self) -> Vec<u8> {
        self.entries.last().map(Entry::to_leaf).unwrap_or_default()
    }

    /// Writes a row with the newest entry's index. A row written twice in one commit keeps its last content.
    pub fn row(&mut self, table: Table, key: String, state: &str, at: Seconds, content: String) {
        let log_index = self.last_index();
        let write = RowWrite {
            table,
            key: key.clone(),
            state: state.to_owned(),
            at,
            content,
            log_index,
            previous: None,
        };
        match self.places.get(&(table, key.clone())).and_then(|at| self.rows.get_mut(*at)) {
            Some(before) => *before = write,
            None => {
                self.places.insert((table, key), self.rows.len());
                self.rows.push(write);
            }
        }
    }

    /// When it is written.
    pub const fn now(&self) -> Seconds {
        self.now
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.rows.is_empty()
    }
}

/// What readers of the log need, beside the writer.
pub struct LogView {
    store: Arc<Store>,
    tree: RwLock<Tree>,
    note: RwLock<String>,
    cosigned: RwLock<Option<(u64, String)>>,
    key: LogKey,
}

impl LogView {
    /// The newest head.
    pub fn head(&self) -> TreeHead {
        self.tree.read().unwrap_or_else(PoisonError::into_inner).head()
    }

    /// The newest head with its signed checkpoint. The tree may be ahead by the time it is used, never behind.
    pub fn signed_head(&self) -> (TreeHead, String) {
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        let note = self.note.read().unwrap_or_else(PoisonError::into_inner).clone();
        (tree.head(), note)
    }

    /// The newest checkpoint with a cosignature, or the newest one without where there is none yet.
    pub fn cosigned_head(&self) -> (u64, String) {
        let cosigned = self.cosigned.read().unwrap_or_else(PoisonError::into_inner).clone();
        cosigned.unwrap_or_else(|| {
            let (head, note) = self.signed_head();
            (head.size, note)
        })
    }

    /// Keeps a checkpoint that the co-signer has cosigned.
    pub fn put_cosigned(&self, size: u64, note: String) {
        *self.cosigned.write().unwrap_or_else(PoisonError::into_inner) = Some((size, note));
    }

    fn put(
        &self,
        tree: impl FnOnce(&mut Tree) -> Result<(), TreeFault>,
        note: String,
    ) -> Result<(), TreeFault> {
        let mut held = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        tree(&mut held)?;
        *self.note.write().unwrap_or_else(PoisonError::into_inner) = note;
        Ok(())
    }

    /// The key the log signs with.
    pub const fn key(&self) -> &LogKey {
        &self.key
    }

    /// That a leaf is in the tree of that size.
    pub async fn inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, JournalFault> {
        self.ask(|tree, old| tree.prove_inclusion(index, size, old)).await
    }

    /// That one size is the beginning of another.
    pub async fn consistency(&self, old_size: u64, size: u64) -> Result<ConsistencyProof, JournalFault> {
        self.ask(|tree, old| tree.prove_consistency(old_size, size, old)).await
    }

    /// The head at an earlier size.
    pub async fn head_at(&self, size: u64) -> Result<TreeHead, JournalFault> {
        self.ask(|tree, old| tree.head_at(size, old)).await
    }

    /// Leaves by range.
    pub async fn leaves(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, JournalFault> {
        Ok(self.store.leaves(range).await?)
    }

    async fn ask<T>(
        &self,
        question: impl Fn(&Tree, &FetchedLeaves) -> Result<T, TreeFault>,
    ) -> Result<T, JournalFault> {
        let mut fetched = FetchedLeaves::default();
        for _ in 0..4 {
            let answer = question(&self.tree.read().unwrap_or_else(PoisonError::into_inner), &fetched);
            match answer {
                Err(TreeFault::LeavesNeeded(ranges)) => {
                    for range in ranges {
                        let hashes = self.store.leaf_hashes(range.clone()).await?;
                        fetched.insert(range.start, hashes.into_iter().map(LeafHash));
                    }
                }
                answer => return Ok(answer?),
            }
        }
        Err(JournalFault::LogAltered)
    }
}

/// The durable side, in the hands of the one writer.
pub struct Journal {
    store: Arc<Store>,
    view: Arc<LogView>,
    identity: Arc<IdentityKey>,
    tags: HashMap<(Table, String), Tag>,
    /// Size and root of the commit of which it is not known what became.
    unsettled: Option<(u64, [u8; 32])>,
}

/// How many leaf hashes are read at once when the log is rebuilt.
const REBUILD_STEP: u64 = 65_536;

impl Journal {
    /// Opens a party's store, shows every row to `visit`, and rebuilds the log from its leaves.
    pub async fn open(
        url: &StoreUrl,
        secret: &StoreSecret,
        key: LogKey,
        identity: Arc<IdentityKey>,
        visit: &mut (dyn FnMut(&Row) + Send),
    ) -> Result<Self, JournalFault> {
        let mut tags = HashMap::new();
        let store = Store::open_visiting(url, secret, &mut |row: Row| {
            visit(&row);
            tags.insert((row.table(), row.key().to_owned()), row.tag());
        })
        .await?;
        let head = store.head();
        let tree = rebuild(&store, &head).await?;
        let view = LogView {
            store: Arc::new(store),
            tree: RwLock::new(tree),
            note: RwLock::new(head.checkpoint),
            cosigned: RwLock::default(),
            key,
        };
        Ok(Self { store: view.store.clone(), view: Arc::new(view), identity, tags, unsettled: None })
    }

    /// After a commit that failed or may have: believes only the store, and shows every row again.
    pub async fn catch_up(&mut self, visit: &mut (dyn FnMut(&Row) + Send)) -> Result<(), JournalFault> {
        if let Some((size, root)) = self.unsettled {
            // Either way the rows that are read next say how it ended.
            self.store.read_back(size, &root).await?;
            self.unsettled = None;
        }
        let mut tags = HashMap::new();
        let head = self
            .store
            .catch_up(&mut |row: Row| {
                visit(&row);
                tags.insert((row.table(), row.key().to_owned()), row.tag());
            })
            .await?;
        let tree = rebuild(&self.store, &head).await?;
        let replace = |held: &mut Tree| {
            *held = tree;
            Ok(())
        };
        self.view.put(replace, head.checkpoint)?;
        self.tags = tags;
        Ok(())
    }

    /// What readers need.
    pub fn view(&self) -> Arc<LogView> {
        self.view.clone()
    }

    /// A draft on top of the newest head.
    pub fn draft(&self, now: Seconds) -> Draft {
        Draft {
            base: self.view.head().size,
            now,
            entries: Vec::new(),
            rows: Vec::new(),
            places: HashMap::new(),
            broken: None,
        }
    }

    /// Whether there is a row with this key. The store is not asked.
    pub fn has(&self, table: Table, key: &str) -> bool {
        self.tags.contains_key(&(table, key.to_owned()))
    }

    /// The rows with these keys. Only keys that have a row are asked for: the tags in memory are those of all rows.
    pub async fn rows(&self, table: Table, keys: &[String]) -> Result<Vec<Row>, JournalFault> {
        let there = keys.iter().filter(|key| self.has(table, key));
        let keys: Vec<&str> = there.map(String::as_str).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store.rows(table, &keys).await?)
    }

    /// The store, for readers.
    pub fn store(&self) -> Arc<Store> {
        self.store.clone()
    }

    /// Makes a draft true: rows, entries and head in one transaction.
    pub async fn commit(&mut self, draft: Draft) -> Result<(), JournalFault> {
        if let Some(invalid) = draft.broken {
            return Err(invalid.into());
        }
        let hashes: Vec<LeafHash> = draft.entries.iter().map(Entry::leaf_hash).collect();
        let delta = self.view.tree.read().unwrap_or_else(PoisonError::into_inner).append_batch(&hashes);
        let head = delta.head();
        let note = self.sign(head)?;
        let mut rows = draft.rows;
        for row in &mut rows {
            row.previous = self.tags.get(&(row.table, row.key.clone())).copied();
        }
        let commit = Commit {
            expected: draft.base,
            entries: draft
                .entries
                .iter()
                .zip(&hashes)
                .map(|(entry, hash)| Leaf { bytes: entry.to_leaf(), hash: hash.0 })
                .collect(),
            new_head: Head { size: head.size, root: head.root.0, checkpoint: note.clone() },
            rows,
        };
        let committed = match self.store.commit(&commit).await {
            Err(CommitError::Unknown(fault)) => self.settle(&commit.new_head, fault).await?,
            done => done?,
        };
        for (row, tag) in commit.rows.into_iter().zip(committed.tags) {
            self.tags.insert((row.table, row.key), tag);
        }
        self.view.put(|tree| tree.apply(delta), note)?;
        Ok(())
    }

    /// A commit error means unknown: it is read back by size and root before anything else happens.
    async fn settle(
        &mut self,
        head: &Head,
        fault: StoreFault,
    ) -> Result<crate::store::Committed, JournalFault> {
        match self.store.read_back(head.size, &head.root).await {
            Ok(Landing::Committed(committed)) => Ok(committed),
            Ok(Landing::NotCommitted) => Err(CommitError::NotDone(fault).into()),
            Err(_) => {
                self.unsettled = Some((head.size, head.root));
                Err(CommitError::Unknown(fault).into())
            }
        }
    }

    fn sign(&self, head: TreeHead) -> Result<String, JournalFault> {
        let key = &self.view.key;
        // A signature that could not be made verifies as none, and the checkpoint is refused.
        let sign = |message: &[u8]| self.identity.sign_note(message).unwrap_or([0; 64]);
        let signed: VerifiedCheckpoint = Checkpoint::new(key, head)
            .sign(key, &sign)
            .map_err(|e| JournalFault::Checkpoint(e.to_string()))?;
        Ok(signed.note().to_owned())
    }
}

async fn rebuild(store: &Store, head: &Head) -> Result<Tree, JournalFault> {
    let mut tree = Tree::default();
    let mut from = 0;
    while from < head.size {
        let to = head.size.min(from.saturating_add(REBUILD_STEP));
        tree.extend(store.leaf_hashes(from..to).await?.into_iter().map(LeafHash));
        from = to;
    }
    let same = tree.head() == TreeHead { size: head.size, root: NodeHash(head.root) };
    if same { Ok(tree) } else { Err(JournalFault::LogAltered) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_wrote_can_always_be_spelled_in_an_entry() {
        for text in ["two\nlines\u{7}", &"x".repeat(5_000), &"😀".repeat(5_000), "\0", ""] {
            let detail = Draft::spelled(text);
            let entry = Entry::builder(EntryKind::Alarm, Seconds(1)).field("code", Code::Internal);
            let entry = if detail.is_empty() { entry } else { entry.field("detail", &detail) };
            assert!(entry.build().is_ok(), "{text:?}");
        }
        assert_eq!(Draft::spelled("two\nlines"), "twolines");
    }
}
