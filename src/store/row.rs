//! Rows as they are read and as they are written. What is in a row's content is not known here.

use crate::withdrawal::time::Seconds;

use super::conn::{Columns, FromColumns};
use super::seal::{Seals, Tag, Tagged};
use super::{StoreFault, Table};

/// Longest key of a row, in bytes.
pub const KEY_LEN_MAX: usize = 191;
/// Longest state of a row, in bytes.
pub const STATE_LEN_MAX: usize = 32;
/// Longest content of a row and longest leaf of the log, in bytes.
pub const CONTENT_LEN_MAX: usize = 4 << 20;

/// A row whose tag was verified.
#[derive(Debug)]
pub struct Row {
    table: Table,
    key: String,
    state: String,
    at: Seconds,
    content: String,
    log_index: u64,
    tag: Tag,
}

impl Row {
    /// The table it is in.
    pub const fn table(&self) -> Table {
        self.table
    }

    /// Its key, unique within the table. Case and trailing blanks matter.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A short word to find it by.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The time it is sorted by.
    pub const fn at(&self) -> Seconds {
        self.at
    }

    /// Its content, JSON.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Gives up the content.
    pub fn into_content(self) -> String {
        self.content
    }

    /// The log entry that this row was last written with.
    pub const fn log_index(&self) -> u64 {
        self.log_index
    }

    /// Its tag: to be given as `previous` when the row is written again.
    pub const fn tag(&self) -> Tag {
        self.tag
    }
}

/// A row to be written.
#[derive(Debug, Clone)]
pub struct RowWrite {
    /// The table it goes to.
    pub table: Table,
    /// Its key: 1 to [`KEY_LEN_MAX`] bytes.
    pub key: String,
    /// A short word to find it by: at most [`STATE_LEN_MAX`] bytes.
    pub state: String,
    /// The time it is sorted by.
    pub at: Seconds,
    /// Its content, JSON: at most [`CONTENT_LEN_MAX`] bytes.
    pub content: String,
    /// The index of the log entry of the same commit that tells of this change.
    pub log_index: u64,
    /// The tag of the row it replaces; `None` for a new row.
    pub previous: Option<Tag>,
}

/// A write with numbers as SQL has them, and its tag.
pub(super) struct TaggedWrite<'a> {
    pub(super) write: &'a RowWrite,
    pub(super) at: i64,
    pub(super) log_index: i64,
    pub(super) tag: Tag,
}

impl<'a> TaggedWrite<'a> {
    pub(super) fn new(write: &'a RowWrite, seals: &Seals) -> Result<Self, StoreFault> {
        if write.key.is_empty() || write.key.len() > KEY_LEN_MAX {
            return Err(StoreFault::Malformed("a row's key must have 1 to 191 bytes"));
        }
        if write.state.len() > STATE_LEN_MAX {
            return Err(StoreFault::Malformed("a row's state must have at most 32 bytes"));
        }
        if write.content.len() > CONTENT_LEN_MAX {
            return Err(StoreFault::Malformed("a row's content must have at most 4 MiB"));
        }
        let at =
            i64::try_from(write.at.0).map_err(|_| StoreFault::Malformed("a row's time is out of range"))?;
        let log_index = i64::try_from(write.log_index)
            .map_err(|_| StoreFault::Malformed("a log index is out of range"))?;
        let (key, state, content) = (write.key.as_str(), write.state.as_str(), write.content.as_str());
        let tag = seals.tag(&Tagged { table: write.table, key, state, at, content, log_index });
        Ok(Self { write, at, log_index, tag })
    }
}

/// A row as it stands in the database: nothing about it is believed yet.
pub(super) struct RawRow {
    pub(super) key: String,
    fields: Option<RawFields>,
}

struct RawFields {
    state: String,
    at: i64,
    content: String,
    log_index: i64,
    tag: [u8; 32],
}

impl FromColumns for RawRow {
    /// A column of a wrong type is damage too, so it is kept for [`RawRow::verify`] and not reported here.
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error> {
        let fields = || {
            Some(RawFields {
                state: row.key(1).ok()?,
                at: row.int(2).ok()?,
                content: row.text(3).ok()?,
                log_index: row.int(4).ok()?,
                tag: row.bytes(5).ok()?.try_into().ok()?,
            })
        };
        Ok(match row.key(0) {
            Ok(key) => Self { key, fields: fields() },
            Err(_) => Self { key: "?".to_owned(), fields: None },
        })
    }
}

impl RawRow {
    /// The one door to a [`Row`]: compares the tag.
    pub(super) fn verify(self, table: Table, seals: &Seals) -> Result<Row, StoreFault> {
        let Self { key, fields } = self;
        let Some(RawFields { state, at, content, log_index, tag }) = fields else {
            return Err(StoreFault::Tampered { table, key });
        };
        let right = seals.tag(&Tagged { table, key: &key, state: &state, at, content: &content, log_index });
        let (Ok(at), Ok(log_index)) = (u64::try_from(at), u64::try_from(log_index)) else {
            return Err(StoreFault::Tampered { table, key });
        };
        if !bool::from(subtle::ConstantTimeEq::ct_eq(right.0.as_slice(), tag.as_slice())) {
            return Err(StoreFault::Tampered { table, key });
        }
        Ok(Row { table, key, state, at: Seconds(at), content, log_index, tag: right })
    }
}
