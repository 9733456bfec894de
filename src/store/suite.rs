//! One list of tests, run on every database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::*;
use crate::withdrawal::Code;
use crate::withdrawal::time::Seconds;

/// A place for a store that nothing else uses.
struct Place {
    url: StoreUrl,
    text: String,
    _folder: tempfile::TempDir,
}

fn secret() -> StoreSecret {
    StoreSecret::take(&mut [7; 32])
}

impl Place {
    fn sqlite() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("sqlite:{}", folder.path().join("store.db").display());
        Some(Self { url: StoreUrl::parse(&text).unwrap(), text, _folder: folder })
    }

    async fn mariadb() -> Option<Self> {
        let text = crate::store::mariadb::database().await?;
        let url = StoreUrl::parse(&text).unwrap();
        Some(Self { url, text, _folder: tempfile::tempdir().unwrap() })
    }

    async fn create(&self) -> Store {
        Store::create(&self.url, &secret()).await.unwrap()
    }

    async fn open(&self) -> Result<Store, OpenFault> {
        Store::open(&self.url, &secret()).await
    }

    /// Changes the database behind the store's back. Returns how many rows were touched.
    async fn sql(&self, sql: &str) -> u64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.text.strip_prefix("sqlite:") {
            Some(path) => {
                let mut conn = sqlx::SqliteConnection::connect(path).await.unwrap();
                let done = conn.execute(sql).await.unwrap().rows_affected();
                conn.close().await.unwrap();
                done
            }
            None => {
                let mut conn = sqlx::MySqlConnection::connect(&self.text).await.unwrap();
                let done = conn.execute(sql).await.unwrap().rows_affected();
                conn.close().await.unwrap();
                done
            }
        }
    }
}

/// The same list for each database: a test is a function that is given a place.
macro_rules! suite {
    ($($name:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Place::sqlite().unwrap()).await;
            })+
        }
        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(place) = super::Place::mariadb().await {
                    super::$name(place).await;
                }
            })+
        }
    };
}

suite! {
    what_was_committed_is_read_back_after_opening_again
    a_new_store_is_empty_and_opens_again
    a_store_is_never_created_over_another
    a_store_is_never_created_by_opening
    an_unfinished_store_is_not_opened
    an_unknown_schema_version_is_refused
    another_secret_is_told_apart_from_an_altered_row
    the_loser_of_two_writers_changes_nothing
    a_stale_previous_tag_changes_nothing
    a_row_that_exists_cannot_be_new
    a_row_is_changed_many_times
    a_commit_that_is_malformed_changes_nothing
    a_row_without_an_entry_is_refused
    a_checkpoint_may_be_replaced_without_an_entry
    altering_any_column_is_seen_when_read_and_when_opened
    a_row_that_was_deleted_is_missed
    a_row_that_was_rolled_back_is_seen
    a_row_that_was_copied_or_swapped_is_seen
    a_row_that_was_added_is_seen
    a_row_moved_to_another_table_is_seen
    a_head_that_was_rolled_back_is_seen
    a_head_that_was_altered_is_seen
    a_log_entry_that_was_removed_is_missed
    keys_that_differ_in_case_or_blanks_are_different
    the_fault_table_holds
    a_lost_answer_is_settled_even_when_another_writer_went_on
    after_an_unknown_outcome_nothing_is_committed_before_reading_back
    pages_are_stable_while_rows_are_added
    a_page_begins_where_it_is_told
    many_rows_are_found_by_key
    a_large_commit_is_cut_into_statements
    of_two_racing_writers_exactly_one_wins_each_size
    a_writer_that_was_overtaken_catches_up
    a_lease_is_held_by_one_and_ends_by_itself
    a_dropped_commit_leaves_no_doubt_behind
    opening_shows_every_row_once
}

fn row(table: Table, key: &str, log_index: u64) -> RowWrite {
    RowWrite {
        table,
        key: key.to_owned(),
        state: "asked".to_owned(),
        at: Seconds(1_700_000_000),
        content: format!("{{\"of\":\"{key}\"}}"),
        log_index,
        previous: None,
    }
}

/// A commit of these rows with one entry; the rows' log index is set to it.
fn commit_on(head: &Head, rows: Vec<RowWrite>) -> Commit {
    commit_saying(head, "an entry", rows)
}

fn commit_saying(head: &Head, what: &str, mut rows: Vec<RowWrite>) -> Commit {
    rows.iter_mut().for_each(|row| row.log_index = head.size);
    let bytes = format!("{what} {}", head.size).into_bytes();
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    let root = Sha256::digest([head.root, hash].concat()).into();
    let size = head.size + 1;
    let new_head = Head { size, root, checkpoint: format!("log.example\n{size}\n") };
    Commit { expected: head.size, entries: vec![Leaf { bytes, hash }], new_head, rows }
}

async fn put(store: &Store, rows: Vec<RowWrite>) -> Vec<Tag> {
    store.commit(&commit_on(&store.head(), rows)).await.unwrap().tags
}

async fn filled(place: &Place) -> Store {
    let store = place.create().await;
    put(&store, vec![row(Table::Withdrawal, "wd_1", 0), row(Table::Withdrawal, "wd_2", 0)]).await;
    put(&store, vec![row(Table::Coin, "coin_1", 0)]).await;
    store
}

fn ledger_altered(opened: Result<Store, OpenFault>) -> bool {
    matches!(opened, Err(OpenFault::Store(StoreFault::LedgerAltered { .. })))
}

fn tampered(opened: Result<Store, OpenFault>, row_key: &str) -> bool {
    matches!(opened, Err(OpenFault::Store(StoreFault::Tampered { key, .. })) if key == row_key)
}

async fn what_was_committed_is_read_back_after_opening_again(place: Place) {
    let store = place.create().await;
    let commit = commit_on(&store.head(), vec![row(Table::Withdrawal, "wd_1", 0), row(Table::Coin, "c", 0)]);
    let done = store.commit(&commit).await.unwrap();
    assert_eq!((&done.head, done.tags.len()), (&commit.new_head, 2));
    store.close().await;

    let store = place.open().await.unwrap();
    assert_eq!(store.head(), commit.new_head);
    let found = store.row(Table::Withdrawal, "wd_1").await.unwrap().unwrap();
    assert_eq!((found.key(), found.state(), found.content()), ("wd_1", "asked", "{\"of\":\"wd_1\"}"));
    assert_eq!((found.at(), found.log_index(), found.tag()), (Seconds(1_700_000_000), 0, done.tags[0]));
    assert!(store.row(Table::Coin, "wd_1").await.unwrap().is_none());
    assert_eq!(store.leaves(0..1).await.unwrap(), [commit.entries[0].bytes.clone()]);
    assert_eq!(store.leaf_hashes(0..1).await.unwrap(), [commit.entries[0].hash]);
    assert_eq!(store.leaf_for(0).await.unwrap(), Some(commit.entries[0].bytes.clone()));
    assert_eq!(store.leaf_for(1).await.unwrap(), None);
    assert!(matches!(store.leaves(0..2).await, Err(StoreFault::LedgerAltered { .. })));
}

async fn a_new_store_is_empty_and_opens_again(place: Place) {
    let empty = place.create().await.head();
    assert_eq!(empty.size, 0);
    assert_eq!(empty.root, <[u8; 32]>::from(Sha256::digest(b"")));
    assert_eq!(place.open().await.unwrap().head(), empty);
}

async fn a_store_is_never_created_over_another(place: Place) {
    filled(&place).await.close().await;
    let again = Store::create(&place.url, &secret()).await;
    assert!(matches!(again, Err(OpenFault::AlreadyExists(_))));
    assert_eq!(place.open().await.unwrap().head().size, 2);
}

async fn a_store_is_never_created_by_opening(place: Place) {
    for _ in 0..2 {
        match (place.open().await, &place.url.0) {
            (Err(OpenFault::Missing(_)), url::Place::Sqlite(path)) => assert!(!path.exists()),
            (Err(OpenFault::NotAStore(_)), url::Place::MySql(_)) => {}
            (other, _) => panic!("opened or failed otherwise: {:?}", other.err()),
        }
    }
    if place.text.starts_with("mysql") {
        let elsewhere = StoreUrl::parse(&place.text.replacen("/t", "/no_such_", 1)).unwrap();
        assert!(matches!(Store::open(&elsewhere, &secret()).await, Err(OpenFault::Missing(_))));
    }
}

async fn an_unfinished_store_is_not_opened(place: Place) {
    place.create().await.close().await;
    place.sql("DELETE FROM store_schema").await;
    assert!(matches!(place.open().await, Err(OpenFault::NotAStore(_))));
    place.sql("DROP TABLE store_schema").await;
    assert!(matches!(place.open().await, Err(OpenFault::NotAStore(_))));
}

async fn an_unknown_schema_version_is_refused(place: Place) {
    filled(&place).await.close().await;
    place.sql("UPDATE store_schema SET version = 7").await;
    let opened = place.open().await;
    assert!(matches!(opened, Err(OpenFault::SchemaVersion { found: 7, known: 6 })));
    assert_eq!(opened.err().map(|fault| fault.code()), Some(Code::StoreOtherVersion));
}

async fn another_secret_is_told_apart_from_an_altered_row(place: Place) {
    filled(&place).await.close().await;
    let other = Store::open(&place.url, &StoreSecret::take(&mut [8; 32])).await;
    assert!(matches!(other, Err(OpenFault::WrongSecret)));
    assert_eq!(other.err().map(|fault| fault.code()), Some(Code::StoreOtherKey));
}

async fn the_loser_of_two_writers_changes_nothing(place: Place) {
    let first = filled(&place).await;
    let second = place.open().await.unwrap();
    put(&first, vec![row(Table::Coin, "first", 0)]).await;
    let lost = second.commit(&commit_on(&second.head(), vec![row(Table::Coin, "second", 0)])).await;
    assert!(matches!(lost, Err(CommitError::Conflict(Moved::Head))));
    assert!(second.row(Table::Coin, "second").await.unwrap().is_none());
    assert!(second.row(Table::Coin, "first").await.unwrap().is_some());
    // a head that is no longer ours is refused without asking the database
    let stale = commit_on(&Head { size: 1, root: [0; 32], checkpoint: String::new() }, Vec::new());
    assert!(matches!(first.commit(&stale).await, Err(CommitError::Conflict(Moved::Head))));
    assert_eq!(place.open().await.unwrap().head(), first.head());
}

async fn a_stale_previous_tag_changes_nothing(place: Place) {
    let store = filled(&place).await;
    let old = store.row(Table::Coin, "coin_1").await.unwrap().unwrap().tag();
    let changed = RowWrite { state: "spent".into(), previous: Some(old), ..row(Table::Coin, "coin_1", 0) };
    put(&store, vec![changed.clone()]).await;
    // with one good row beside it: nothing of the commit must remain
    let good = row(Table::Coin, "coin_2", 0);
    let stale = store.commit(&commit_on(&store.head(), vec![good, changed])).await;
    assert!(matches!(stale, Err(CommitError::Conflict(Moved::Row(Table::Coin)))));
    assert!(store.row(Table::Coin, "coin_2").await.unwrap().is_none());
    let missing = RowWrite { previous: Some(old), ..row(Table::Coin, "never_there", 0) };
    let lost = store.commit(&commit_on(&store.head(), vec![missing])).await;
    assert!(matches!(lost, Err(CommitError::Conflict(Moved::Row(Table::Coin)))));
    put(&store, vec![row(Table::Coin, "coin_3", 0)]).await;
    assert_eq!(place.open().await.unwrap().head(), store.head());
}

async fn a_row_that_exists_cannot_be_new(place: Place) {
    let store = filled(&place).await;
    let again = store.commit(&commit_on(&store.head(), vec![row(Table::Coin, "coin_1", 0)])).await;
    assert!(matches!(again, Err(CommitError::Conflict(Moved::Row(Table::Coin)))));
    assert_eq!(place.open().await.unwrap().head(), store.head());
}

async fn a_row_is_changed_many_times(place: Place) {
    let store = filled(&place).await;
    let mut tags = put(&store, vec![row(Table::Setting, "a", 0), row(Table::Setting, "b", 0)]).await;
    for i in 0..5 {
        let change = |key: &str, tag: Tag| RowWrite {
            content: format!("{{\"i\":{i}}}"),
            at: Seconds(i),
            previous: Some(tag),
            ..row(Table::Setting, key, 0)
        };
        tags = put(
            &store,
            vec![change("a", tags[0]), change("b", tags[1]), row(Table::Coin, &format!("n{i}"), 0)],
        )
        .await;
    }
    assert_eq!(store.row(Table::Setting, "b").await.unwrap().unwrap().content(), "{\"i\":4}");
    assert_eq!(place.open().await.unwrap().head(), store.head());
}

async fn a_commit_that_is_malformed_changes_nothing(place: Place) {
    let store = filled(&place).await;
    let head = store.head();
    let with = |row: RowWrite| commit_on(&head, vec![row]);
    let mut wrong_size = commit_on(&head, Vec::new());
    wrong_size.new_head.size += 1;
    let twice = commit_on(&head, vec![row(Table::Coin, "x", 0), row(Table::Coin, "x", 0)]);
    let malformed = [
        wrong_size,
        twice,
        with(row(Table::Coin, "", 0)),
        with(row(Table::Coin, &"k".repeat(192), 0)),
        with(RowWrite { state: "s".repeat(33), ..row(Table::Coin, "x", 0) }),
        with(RowWrite { at: Seconds(u64::MAX), ..row(Table::Coin, "x", 0) }),
        with(RowWrite { content: "c".repeat(CONTENT_LEN_MAX + 1), ..row(Table::Coin, "x", 0) }),
    ];
    for commit in malformed {
        let refused = store.commit(&commit).await;
        assert!(matches!(refused, Err(CommitError::NotDone(StoreFault::Malformed(_)))), "{refused:?}");
    }
    assert_eq!(place.open().await.unwrap().head(), head);
    put(&store, vec![RowWrite { key: "k".repeat(191), state: "s".repeat(32), ..row(Table::Coin, "", 0) }])
        .await;
    assert_eq!(place.open().await.unwrap().head().size, head.size + 1);
}

async fn a_row_without_an_entry_is_refused(place: Place) {
    let store = filled(&place).await;
    for log_index in [0, 2] {
        let silent = Commit {
            expected: 2,
            entries: Vec::new(),
            new_head: store.head(),
            rows: vec![row(Table::Coin, "x", log_index)],
        };
        let refused = store.commit(&silent).await;
        assert!(matches!(refused, Err(CommitError::NotDone(StoreFault::Malformed(_)))));
    }
}

async fn a_checkpoint_may_be_replaced_without_an_entry(place: Place) {
    let store = filled(&place).await;
    let new_head = Head { checkpoint: "with a cosignature\n".to_owned(), ..store.head() };
    let other = place.open().await.unwrap();
    let cosigned = Commit { expected: 2, entries: Vec::new(), new_head: new_head.clone(), rows: Vec::new() };
    store.commit(&cosigned).await.unwrap();
    assert_eq!(place.open().await.unwrap().head(), new_head);
    // the size is the same, and still the other writer's view is an old one
    let lost = other.commit(&commit_on(&other.head(), Vec::new())).await;
    assert!(matches!(lost, Err(CommitError::Conflict(Moved::Head))));
}

async fn altering_any_column_is_seen_when_read_and_when_opened(place: Place) {
    let store = filled(&place).await;
    let tag_hex = "00".repeat(32);
    let tag_sql = format!("tag = X'{tag_hex}'");
    let changes =
        ["state = 'released'", "at_s = at_s + 1", "at_s = -1", "content = '{}'", "log_index = 1", &tag_sql];
    for change in changes {
        place.sql("CREATE TABLE kept AS SELECT * FROM row_withdrawal WHERE row_key = 'wd_1'").await;
        assert_eq!(place.sql(&format!("UPDATE row_withdrawal SET {change} WHERE row_key = 'wd_1'")).await, 1);
        let read = store.row(Table::Withdrawal, "wd_1").await;
        let seen =
            matches!(&read, Err(StoreFault::Tampered { table: Table::Withdrawal, key }) if key == "wd_1");
        assert!(seen, "{change}: {read:?}");
        assert!(store.rows(Table::Withdrawal, &["wd_2", "wd_1"]).await.is_err(), "{change}");
        assert!(store.rows_page(Table::Withdrawal, None, 10).await.is_err(), "{change}");
        assert!(tampered(place.open().await, "wd_1"), "{change}");
        place.sql("DELETE FROM row_withdrawal WHERE row_key = 'wd_1'").await;
        place.sql("INSERT INTO row_withdrawal SELECT * FROM kept").await;
        place.sql("DROP TABLE kept").await;
    }
    assert!(place.open().await.is_ok(), "the row that was put back is the right one");
    place.sql("UPDATE row_withdrawal SET row_key = 'wd_9' WHERE row_key = 'wd_1'").await;
    assert!(matches!(store.row(Table::Withdrawal, "wd_9").await, Err(StoreFault::Tampered { .. })));
    assert!(tampered(place.open().await, "wd_9"));
}

async fn a_row_that_was_deleted_is_missed(place: Place) {
    filled(&place).await.close().await;
    assert_eq!(place.sql("DELETE FROM row_coin").await, 1);
    assert!(ledger_altered(place.open().await));
}

async fn a_row_that_was_rolled_back_is_seen(place: Place) {
    let store = filled(&place).await;
    place.sql("CREATE TABLE kept AS SELECT * FROM row_coin").await;
    let tag = store.row(Table::Coin, "coin_1").await.unwrap().unwrap().tag();
    put(
        &store,
        vec![RowWrite { state: "spent".into(), previous: Some(tag), ..row(Table::Coin, "coin_1", 0) }],
    )
    .await;
    assert!(place.open().await.is_ok());
    place.sql("DELETE FROM row_coin").await;
    place.sql("INSERT INTO row_coin SELECT * FROM kept").await;
    // the row is genuine by itself, and so it cannot be told when it is read alone
    assert_eq!(store.row(Table::Coin, "coin_1").await.unwrap().unwrap().state(), "asked");
    assert!(ledger_altered(place.open().await));
    assert!(matches!(store.catch_up(&mut |_| {}).await, Err(StoreFault::LedgerAltered { .. })));
}

async fn a_row_that_was_copied_or_swapped_is_seen(place: Place) {
    filled(&place).await.close().await;
    place.sql("UPDATE row_withdrawal SET row_key = 'x' WHERE row_key = 'wd_1'").await;
    place.sql("UPDATE row_withdrawal SET row_key = 'wd_1' WHERE row_key = 'wd_2'").await;
    place.sql("UPDATE row_withdrawal SET row_key = 'wd_2' WHERE row_key = 'x'").await;
    assert!(tampered(place.open().await, "wd_1"));
}

async fn a_row_that_was_added_is_seen(place: Place) {
    filled(&place).await.close().await;
    let copy = "INSERT INTO row_coin SELECT '', state, at_s, content, log_index, tag FROM row_coin";
    place.sql(copy).await;
    assert!(tampered(place.open().await, ""));
}

async fn a_row_moved_to_another_table_is_seen(place: Place) {
    filled(&place).await.close().await;
    place.sql("INSERT INTO row_approval SELECT * FROM row_withdrawal WHERE row_key = 'wd_1'").await;
    place.sql("DELETE FROM row_withdrawal WHERE row_key = 'wd_1'").await;
    assert!(tampered(place.open().await, "wd_1"));
}

async fn a_head_that_was_rolled_back_is_seen(place: Place) {
    let store = filled(&place).await;
    place.sql("CREATE TABLE kept AS SELECT * FROM log_head").await;
    put(&store, Vec::new()).await;
    assert!(place.open().await.is_ok());
    place.sql("DELETE FROM log_head").await;
    place.sql("INSERT INTO log_head SELECT * FROM kept").await;
    assert!(ledger_altered(place.open().await));
    let lost = store.commit(&commit_on(&store.head(), Vec::new())).await;
    assert!(matches!(lost, Err(CommitError::Conflict(Moved::Head))));
    // with the newest entry removed as well, this store was never any further: only a witness knows better (L22)
    place.sql("DELETE FROM log_entry WHERE idx = 2").await;
    assert_eq!(place.open().await.unwrap().head().size, 2);
}

async fn a_head_that_was_altered_is_seen(place: Place) {
    filled(&place).await.close().await;
    for column in ["root", "seal"] {
        place.sql("CREATE TABLE kept AS SELECT * FROM log_head").await;
        place.sql(&format!("UPDATE log_head SET {column} = X'{}'", "11".repeat(32))).await;
        assert!(ledger_altered(place.open().await), "{column}");
        place.sql("DELETE FROM log_head").await;
        place.sql("INSERT INTO log_head SELECT * FROM kept").await;
        place.sql("DROP TABLE kept").await;
        assert!(place.open().await.is_ok());
    }
    // of the same length
    assert_eq!(place.sql("UPDATE log_head SET checkpoint = REPLACE(checkpoint, '2', '3')").await, 1);
    assert!(ledger_altered(place.open().await));
    place.sql("DELETE FROM log_head").await;
    assert!(ledger_altered(place.open().await));
}

async fn a_log_entry_that_was_removed_is_missed(place: Place) {
    let store = filled(&place).await;
    put(&store, Vec::new()).await;
    place.sql("UPDATE log_entry SET idx = 7 WHERE idx = 1").await;
    assert!(ledger_altered(place.open().await));
    assert!(matches!(store.leaves(0..3).await, Err(StoreFault::LedgerAltered { .. })));
    place.sql("DELETE FROM log_entry WHERE idx = 7").await;
    assert!(ledger_altered(place.open().await));
}

async fn keys_that_differ_in_case_or_blanks_are_different(place: Place) {
    let store = place.create().await;
    let keys = ["a", "A", "a ", "á", "가", "\u{1100}\u{1161}"];
    put(&store, keys.iter().map(|key| row(Table::SeenRequest, key, 0)).collect()).await;
    for key in keys {
        let found = store.row(Table::SeenRequest, key).await.unwrap().unwrap();
        assert_eq!((found.key(), found.content()), (key, format!("{{\"of\":\"{key}\"}}").as_str()));
    }
    let tag = store.row(Table::SeenRequest, "a").await.unwrap().unwrap().tag();
    let wrong_case = RowWrite { previous: Some(tag), ..row(Table::SeenRequest, "A", 0) };
    let lost = store.commit(&commit_on(&store.head(), vec![wrong_case])).await;
    assert!(matches!(lost, Err(CommitError::Conflict(Moved::Row(_)))));
    assert_eq!(place.open().await.unwrap().head().size, 1);
}

async fn the_fault_table_holds(place: Place) {
    use FaultPoint::{Before, BeforeCommit, UnknownDone, UnknownNotDone};
    let store = filled(&place).await;
    for (i, (point, unknown, done)) in [
        (Before, false, false),
        (BeforeCommit, false, false),
        (UnknownNotDone, true, false),
        (UnknownDone, true, true),
    ]
    .into_iter()
    .enumerate()
    {
        let (before, key) = (store.head(), format!("f{i}"));
        let commit = commit_on(&before, vec![row(Table::Reservation, &key, 0)]);
        store.testing_only_fault(point);
        let error = store.commit(&commit).await.unwrap_err();
        assert_eq!(error.may_have_happened(), unknown, "{point:?}");
        if unknown {
            let landing = store.read_back(commit.new_head.size, &commit.new_head.root).await.unwrap();
            assert_eq!(matches!(landing, Landing::Committed(_)), done, "{point:?}");
            if let Landing::Committed(committed) = landing {
                let stored = store.row(Table::Reservation, &key).await.unwrap().unwrap();
                assert_eq!(committed.tags, [stored.tag()]);
            }
        }
        assert_eq!(store.row(Table::Reservation, &key).await.unwrap().is_some(), done, "{point:?}");
        assert_eq!(store.head(), if done { commit.new_head.clone() } else { before }, "{point:?}");
        // the same decision goes through afterwards, unless it already has
        if !done {
            store.commit(&commit).await.unwrap();
        }
        assert_eq!(place.open().await.unwrap().head(), store.head());
    }
}

async fn a_lost_answer_is_settled_even_when_another_writer_went_on(place: Place) {
    let store = filled(&place).await;
    for (point, landed) in [(FaultPoint::UnknownDone, true), (FaultPoint::UnknownNotDone, false)] {
        let commit = commit_saying(&store.head(), "mine", vec![row(Table::Coin, &format!("{point:?}"), 0)]);
        store.testing_only_fault(point);
        assert!(store.commit(&commit).await.unwrap_err().may_have_happened());
        let other = place.open().await.unwrap();
        let theirs = commit_saying(&other.head(), "theirs", Vec::new());
        other.commit(&theirs).await.unwrap();
        let landing = store.read_back(commit.new_head.size, &commit.new_head.root).await.unwrap();
        assert_eq!(matches!(landing, Landing::Committed(_)), landed);
        let lost = store.commit(&commit_on(&store.head(), Vec::new())).await;
        assert!(matches!(lost, Err(CommitError::Conflict(Moved::Head))));
        assert_eq!(store.catch_up(&mut |_| {}).await.unwrap(), other.head());
    }
}

async fn after_an_unknown_outcome_nothing_is_committed_before_reading_back(place: Place) {
    let store = filled(&place).await;
    let commit = commit_on(&store.head(), Vec::new());
    assert!(store.read_back(commit.new_head.size, &commit.new_head.root).await.is_err());
    store.testing_only_fault(FaultPoint::UnknownDone);
    store.commit(&commit).await.unwrap_err();
    let refused = store.commit(&commit_on(&store.head(), Vec::new())).await;
    assert!(matches!(refused, Err(CommitError::NotDone(StoreFault::Unsettled))));
    assert!(matches!(store.catch_up(&mut |_| {}).await, Err(StoreFault::Unsettled)));
    assert!(store.read_back(commit.new_head.size, &[0; 32]).await.is_err());
    assert!(matches!(
        store.read_back(commit.new_head.size, &commit.new_head.root).await,
        Ok(Landing::Committed(_))
    ));
    put(&store, Vec::new()).await;
}

async fn pages_are_stable_while_rows_are_added(place: Place) {
    let store = place.create().await;
    let put_keys = async |keys: Vec<String>| {
        put(&store, keys.iter().map(|key| row(Table::Withdrawal, key, 0)).collect()).await
    };
    // many rows share a log index, so that the key decides
    for tens in 0..3 {
        put_keys((0..10).map(|i| format!("k{}", tens * 10 + i)).collect()).await;
    }
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let page = store.rows_page(Table::Withdrawal, token.as_ref(), 4).await.unwrap();
        assert!(page.rows.len() <= 4);
        seen.extend(page.rows.iter().map(|row| row.key().to_owned()));
        let n = seen.len();
        if n < 60 {
            put_keys(vec![format!("a{n}"), format!("z{n}")]).await;
        }
        let Some(next) = page.next else { break };
        token = Some(PageToken::parse(&next.to_string()).unwrap());
    }
    let old: Vec<_> = seen.iter().filter(|key| key.starts_with('k')).cloned().collect();
    assert_eq!(old, (0..30).map(|i| format!("k{i}")).collect::<Vec<_>>());
    // what came while pages were read comes after them, each once
    let added: Vec<_> = seen.iter().skip(30).collect();
    assert!(added.len() > 10 && !added.iter().any(|key| key.starts_with('k')));
    assert_eq!(added.iter().collect::<std::collections::BTreeSet<_>>().len(), added.len());
    assert!(store.rows_page(Table::Coin, token.as_ref(), 4).await.is_err());
    assert!(store.rows_page(Table::Coin, None, 0).await.is_err());
    assert!(store.rows_page(Table::Coin, None, 1001).await.is_err());
}

async fn a_page_begins_where_it_is_told(place: Place) {
    let store = place.create().await;
    for key in ["a", "b", "c"] {
        put(&store, vec![row(Table::Withdrawal, key, 0)]).await;
    }
    let log_index = store.row(Table::Withdrawal, "b").await.unwrap().unwrap().log_index();
    let keys = async |from: u64| {
        let token = PageToken::from(Table::Withdrawal, from);
        let page = store.rows_page(Table::Withdrawal, Some(&token), 10).await.unwrap();
        assert!(page.next.is_none());
        page.rows.iter().map(|row| row.key().to_owned()).collect::<Vec<_>>().join("")
    };
    assert_eq!(keys(0).await, "abc");
    assert_eq!(keys(log_index).await, "bc");
    assert_eq!(keys(log_index + 1).await, "c");
    assert_eq!(keys(u64::MAX).await, "");
}

async fn many_rows_are_found_by_key(place: Place) {
    let store = place.create().await;
    put(&store, (0..1200).map(|i| row(Table::Address, &format!("a{i}"), 0)).collect()).await;
    let keys: Vec<String> = (600..1800).map(|i| format!("a{i}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut found: Vec<_> =
        store.rows(Table::Address, &keys).await.unwrap().iter().map(|row| row.key().to_owned()).collect();
    found.sort();
    let mut wanted: Vec<_> = (600..1200).map(|i| format!("a{i}")).collect();
    wanted.sort();
    assert_eq!(found, wanted);
    assert!(store.rows(Table::Address, &[]).await.unwrap().is_empty());
}

async fn a_large_commit_is_cut_into_statements(place: Place) {
    let store = place.create().await;
    let head = store.head();
    let entries: Vec<Leaf> = (0..1234u32)
        .map(|i| {
            let bytes = i.to_be_bytes().to_vec();
            Leaf { hash: Sha256::digest(&bytes).into(), bytes }
        })
        .collect();
    let mut rows: Vec<_> = (0..1100).map(|i| row(Table::Coin, &format!("c{i}"), i)).collect();
    // more bytes than one packet holds
    rows.extend((0..6).map(|i| RowWrite {
        content: "x".repeat(CONTENT_LEN_MAX),
        ..row(Table::Coin, &format!("big{i}"), i)
    }));
    let new_head = Head { size: 1234, root: [3; 32], checkpoint: "c".into() };
    let commit = Commit { expected: head.size, entries, new_head, rows: rows.clone() };
    let tags = store.commit(&commit).await.unwrap().tags;
    let changed: Vec<_> = rows
        .into_iter()
        .zip(tags)
        .map(|(row, tag)| RowWrite { state: "spent".into(), previous: Some(tag), ..row })
        .collect();
    put(&store, changed).await;
    let reopened = place.open().await.unwrap();
    assert_eq!(reopened.head(), store.head());
    assert_eq!(reopened.leaf_hashes(0..1235).await.unwrap().len(), 1235);
    assert_eq!(reopened.leaves(1233..1234).await.unwrap(), [1233u32.to_be_bytes().to_vec()]);
}

async fn of_two_racing_writers_exactly_one_wins_each_size(place: Place) {
    place.create().await.close().await;
    let contender = async |name: &'static str, url: StoreUrl| {
        let store = Store::open(&url, &secret()).await.unwrap();
        let mut won = Vec::new();
        while store.head().size < 40 {
            let head = store.head();
            let commit = commit_saying(&head, name, vec![row(Table::Coin, &format!("{}", head.size), 0)]);
            match store.commit(&commit).await {
                Ok(_) => won.push(head.size),
                Err(CommitError::Conflict(Moved::Head)) => drop(store.catch_up(&mut |_| {}).await.unwrap()),
                Err(CommitError::NotDone(StoreFault::Busy)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        won
    };
    let (a, b) = (place.url.clone(), place.url.clone());
    let (a, b) = tokio::join!(tokio::spawn(contender("a", a)), tokio::spawn(contender("b", b)));
    let mut all = [a.unwrap(), b.unwrap()].concat();
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
    let store = place.open().await.unwrap();
    assert_eq!(store.head().size, 40);
    assert_eq!(store.leaves(0..40).await.unwrap().len(), 40);
}

async fn a_writer_that_was_overtaken_catches_up(place: Place) {
    let first = filled(&place).await;
    let second = place.open().await.unwrap();
    put(&first, vec![row(Table::Coin, "new", 0)]).await;
    let mut keys = Vec::new();
    let head = second.catch_up(&mut |row| keys.push(row.key().to_owned())).await.unwrap();
    assert_eq!((head, keys.len()), (first.head(), 4));
    put(&second, vec![row(Table::Coin, "newer", 0)]).await;
    assert_eq!(place.open().await.unwrap().head(), second.head());
}

async fn a_lease_is_held_by_one_and_ends_by_itself(place: Place) {
    let (a, b) = (place.create().await, place.open().await.unwrap());
    let take = async |store: &Store, holder: &str, now: u64| {
        store.lease_take("decider", holder, 10, Seconds(now)).await.unwrap()
    };
    let held = |holder: &str, until: u64| Lease::Held { holder: holder.into(), until: Seconds(until) };
    assert_eq!(take(&a, "a", 100).await, Lease::Taken { until: Seconds(110) });
    assert_eq!(take(&b, "b", 105).await, held("a", 110));
    assert_eq!(take(&a, "a", 105).await, Lease::Taken { until: Seconds(115) });
    assert_eq!(take(&b, "b", 114).await, held("a", 115));
    assert_eq!(take(&b, "b", 115).await, Lease::Taken { until: Seconds(125) });
    a.lease_release("decider", "a").await.unwrap();
    assert_eq!(take(&a, "a", 116).await, held("b", 125));
    b.lease_release("decider", "b").await.unwrap();
    assert_eq!(take(&a, "a", 116).await, Lease::Taken { until: Seconds(126) });
    assert!(a.lease_take("", "a", 10, Seconds(1)).await.is_err());
    assert!(place.open().await.is_ok(), "leases are no part of the sealed ledger");
}

async fn a_dropped_commit_leaves_no_doubt_behind(place: Place) {
    let store = filled(&place).await;
    for polls in 1..40 {
        let commit = commit_on(&store.head(), vec![row(Table::Coin, &format!("p{polls}"), 0)]);
        {
            let mut dropped = Box::pin(store.commit(&commit));
            for _ in 0..polls {
                if futures_util::poll!(dropped.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let tried = store.commit(&commit_on(&store.head(), Vec::new())).await;
        if let Err(CommitError::NotDone(StoreFault::Unsettled)) = tried {
            store.read_back(commit.new_head.size, &commit.new_head.root).await.unwrap();
            put(&store, Vec::new()).await;
        } else {
            tried.unwrap();
        }
    }
    assert_eq!(place.open().await.unwrap().head(), store.head());
}

async fn opening_shows_every_row_once(place: Place) {
    filled(&place).await.close().await;
    let mut keys = Vec::new();
    Store::open_visiting(&place.url, &secret(), &mut |row| keys.push(row.key().to_owned())).await.unwrap();
    assert_eq!(keys, ["wd_1", "wd_2", "coin_1"]);
}

/// What only a server can do.
mod server {
    use super::*;

    #[tokio::test]
    async fn a_connection_that_the_server_closed_is_made_again() {
        let Some(place) = Place::mariadb().await else { return };
        let store = filled(&place).await;
        store.row(Table::Coin, "coin_1").await.unwrap();
        let database = place.text.split('/').nth(3).unwrap().split('?').next().unwrap();
        let mut root = sqlx::MySqlConnection::connect(&place.text).await.unwrap();
        let others = format!(
            "SELECT id FROM information_schema.processlist WHERE db = '{database}' AND id <> connection_id()"
        );
        let ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(others)).fetch_all(&mut root).await.unwrap();
        assert!(ids.len() >= 2, "a writer and a reader");
        for id in ids {
            root.execute(AssertSqlSafe(format!("KILL {id}"))).await.unwrap();
        }
        put(&store, vec![row(Table::Coin, "coin_2", 0)]).await;
        assert!(store.row(Table::Coin, "coin_2").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn an_outcome_stays_unknown_while_the_lost_connection_may_still_commit() {
        let Some(place) = Place::mariadb().await else { return };
        let store = filled(&place).await;
        // stands for the lost connection: its transaction holds the head and has not ended
        let mut lost = store.backend.connect().await.unwrap();
        let commit = commit_on(&store.head(), Vec::new());
        store.testing_only_fault(FaultPoint::UnknownNotDone);
        store.commit(&commit).await.unwrap_err();
        lost.begin_write().await.unwrap();
        lost.run("UPDATE log_head SET checkpoint = 'x'").await.unwrap();
        let (size, root) = (commit.new_head.size, commit.new_head.root);
        let reading = store.read_back(size, &root);
        tokio::pin!(reading);
        for _ in 0..1000 {
            assert!(futures_util::poll!(reading.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        lost.rollback().await.unwrap();
        assert_eq!(reading.await.unwrap(), Landing::NotCommitted);
    }
}

/// What only a file can suffer.
mod file {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn only_its_owner_can_read_a_new_file() {
        let place = Place::sqlite().unwrap();
        filled(&place).await.close().await;
        let url::Place::Sqlite(path) = &place.url.0 else { return };
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_no_store() {
        let place = Place::sqlite().unwrap();
        let url::Place::Sqlite(path) = &place.url.0 else { return };
        std::fs::write(path, vec![b'x'; 8192]).unwrap();
        assert!(matches!(place.open().await, Err(OpenFault::NotAStore(_))));
        assert!(matches!(Store::create(&place.url, &secret()).await, Err(OpenFault::AlreadyExists(_))));
        assert_eq!(std::fs::read(path).unwrap(), vec![b'x'; 8192]);
        std::fs::write(path, b"").unwrap();
        assert!(matches!(place.open().await, Err(OpenFault::NotAStore(_))));
    }

    #[tokio::test]
    async fn a_store_in_a_folder_that_does_not_exist_is_missing() {
        let url = StoreUrl::parse("sqlite:/no/such/folder/store.db").unwrap();
        assert!(matches!(Store::create(&url, &secret()).await, Err(OpenFault::Missing(_))));
    }

    #[tokio::test]
    async fn a_full_database_says_so_and_goes_on_when_there_is_room() {
        let place = Place::sqlite().unwrap();
        let store = filled(&place).await;
        store.run_as_writer("PRAGMA max_page_count = 1").await;
        let big = |key: &str| RowWrite { content: "x".repeat(1 << 20), ..row(Table::Coin, key, 0) };
        let head = store.head();
        let full = store.commit(&commit_on(&head, vec![big("big")])).await;
        assert!(matches!(full, Err(CommitError::NotDone(StoreFault::Full))), "{full:?}");
        assert_eq!(store.head(), head);
        // the limit went with the connection that met it
        put(&store, vec![big("big")]).await;
        assert_eq!(place.open().await.unwrap().head(), store.head());
    }

    #[tokio::test]
    async fn a_writer_waits_for_another_and_then_says_busy() {
        let place = Place::sqlite().unwrap();
        let store = filled(&place).await;
        let mut other = store.backend.connect().await.unwrap();
        other.begin_write().await.unwrap();
        let busy = store.commit(&commit_on(&store.head(), Vec::new())).await;
        assert!(matches!(busy, Err(CommitError::NotDone(StoreFault::Busy))), "{busy:?}");
        other.rollback().await.unwrap();
        put(&store, Vec::new()).await;
    }

    #[tokio::test]
    async fn a_database_that_may_only_be_read_says_so() {
        let place = Place::sqlite().unwrap();
        let store = filled(&place).await;
        store.run_as_writer("PRAGMA query_only = ON").await;
        let refused = store.commit(&commit_on(&store.head(), Vec::new())).await;
        assert!(matches!(refused, Err(CommitError::NotDone(StoreFault::ReadOnly))), "{refused:?}");
        assert_eq!(store.head().size, 2);
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let place = Place::sqlite().unwrap();
        let store = filled(&place).await;
        let conn::Backend::Sqlite { readers, .. } = &store.backend else { return };
        assert!(readers.execute("DELETE FROM row_coin").await.is_err());
        assert!(store.row(Table::Coin, "coin_1").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn every_commit_is_synced_to_disk() {
        let place = Place::sqlite().unwrap();
        let store = filled(&place).await;
        let mut conn = store.backend.connect().await.unwrap();
        let conn::Conn::Sqlite(conn) = &mut conn else { return };
        let of = async |conn: &mut sqlx::SqliteConnection, pragma: &'static str| -> String {
            sqlx::query_scalar(pragma).fetch_one(conn).await.unwrap()
        };
        assert_eq!(of(conn, "SELECT journal_mode FROM pragma_journal_mode").await, "wal");
        // FULL is 2
        assert_eq!(of(conn, "SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous").await, "2");
        assert_eq!(of(conn, "SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await, "1");
    }

    impl Store {
        /// Makes the writer's connection behave as on a full disk or a read-only one: SQLite answers the same.
        async fn run_as_writer(&self, sql: &str) {
            self.writer.lock().await.run_for_test(sql.to_owned()).await;
        }
    }
}
