//! One log entry: a kind, a time and text fields, with exactly one spelling as bytes (RFC 8785). Knows no tree.

use std::collections::BTreeMap;
use std::fmt;

use super::hash::LeafHash;
use super::kind::{EntryKind, ROWS};
use crate::withdrawal::Seconds;

/// Longest value of one field, in bytes.
pub const VALUE_LEN_MAX: usize = 4096;
/// Longest leaf, in bytes.
pub const LEAF_LEN_MAX: usize = 65_536;

/// Why something is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryInvalid {
    /// Not a JSON object whose members are all strings, or larger than [`LEAF_LEN_MAX`].
    #[error("the leaf is not a JSON object of strings of at most {LEAF_LEN_MAX} bytes")]
    NotAnObject,
    /// Not the one canonical spelling.
    #[error("the leaf is not in the canonical form of RFC 8785")]
    NotCanonical,
    /// A kind this version does not know.
    #[error("kind `{0}` is not known")]
    KindUnknown(String),
    /// The time is not a decimal number of seconds.
    #[error("time `{0}` is not a decimal number of seconds")]
    TimeMalformed(String),
    /// A required field is not there.
    #[error("kind {kind} needs field `{field}`")]
    FieldMissing {
        /// The entry's kind.
        kind: &'static str,
        /// The field that is not there.
        field: &'static str,
    },
    /// A field that this kind does not have.
    #[error("kind {kind} has no field `{field}`")]
    FieldUnknown {
        /// The entry's kind.
        kind: &'static str,
        /// The field as it was spelled.
        field: String,
    },
    /// A field given twice.
    #[error("field `{0}` is given twice")]
    FieldTwice(&'static str),
    /// An empty value, one above [`VALUE_LEN_MAX`], one with control characters, or a digest that is none.
    #[error("field `{field}` {problem}")]
    ValueMalformed {
        /// The field.
        field: &'static str,
        /// What is wrong with its value.
        problem: &'static str,
    },
}

/// One entry of a log. Whatever exists of this type is canonical and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    kind: EntryKind,
    at: Seconds,
    fields: BTreeMap<&'static str, String>,
    leaf: Vec<u8>,
}

/// Collects the fields of an entry; problems show at [`EntryBuilder::build`].
#[derive(Debug)]
pub struct EntryBuilder {
    kind: EntryKind,
    at: Seconds,
    fields: Vec<(String, String)>,
}

impl EntryBuilder {
    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.fields.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a field where there is a value.
    #[must_use]
    pub fn field_opt(self, name: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Adds a list as one field, joined by single spaces; an empty list adds nothing.
    #[must_use]
    pub fn list(self, name: &str, values: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        let joined = values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ");
        if joined.is_empty() { self } else { self.field(name, joined) }
    }

    /// Checks all fields against the table of [`EntryKind`] and spells the leaf.
    pub fn build(self) -> Result<Entry, EntryInvalid> {
        Entry::new(self.kind, self.at, self.fields)
    }
}

impl Entry {
    /// Begins an entry.
    pub const fn builder(kind: EntryKind, at: Seconds) -> EntryBuilder {
        EntryBuilder { kind, at, fields: Vec::new() }
    }

    /// Makes an entry of exactly the fields its kind has.
    pub fn new(
        kind: EntryKind,
        at: Seconds,
        fields: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, EntryInvalid> {
        let fields = checked(kind, fields)?;
        let leaf = spelled(kind, at, &fields)?;
        Ok(Self { kind, at, fields, leaf })
    }

    /// Reads a leaf. Only the bytes that [`Entry::to_leaf`] gives are accepted.
    pub fn parse(leaf: &[u8]) -> Result<Self, EntryInvalid> {
        if leaf.len() > LEAF_LEN_MAX {
            return Err(EntryInvalid::NotAnObject);
        }
        let mut members: BTreeMap<String, String> =
            serde_json::from_slice(leaf).map_err(|_| EntryInvalid::NotAnObject)?;
        let kind = members.remove("kind").unwrap_or_default();
        let kind = EntryKind::parse(&kind).ok_or(EntryInvalid::KindUnknown(kind))?;
        let at = members.remove("at").unwrap_or_default();
        let at = at.parse().map(Seconds).map_err(|_| EntryInvalid::TimeMalformed(at))?;
        let entry = Self::new(kind, at, members)?;
        // duplicates, other orders, other escapes, blanks and leading zeros all end here
        if entry.leaf == leaf { Ok(entry) } else { Err(EntryInvalid::NotCanonical) }
    }

    /// What it reports.
    pub const fn kind(&self) -> EntryKind {
        self.kind
    }

    /// When it was written, by the clock of the log's own party.
    pub const fn at(&self) -> Seconds {
        self.at
    }

    /// A field's value, if the entry has it.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// All fields but kind and time, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.fields.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The canonical bytes: RFC 8785, members sorted by name, strings only.
    pub fn to_leaf(&self) -> Vec<u8> {
        self.leaf.clone()
    }

    /// The canonical bytes, borrowed.
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    /// The leaf's hash in the tree.
    pub fn leaf_hash(&self) -> LeafHash {
        LeafHash::of(&self.leaf)
    }
}

fn checked(
    kind: EntryKind,
    given: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<&'static str, String>, EntryInvalid> {
    let mut fields = BTreeMap::new();
    for (name, value) in given {
        let Some(name) = kind.field_name(&name) else {
            return Err(EntryInvalid::FieldUnknown { kind: kind.as_str(), field: name });
        };
        check_value(name, &value)?;
        if fields.insert(name, value).is_some() {
            return Err(EntryInvalid::FieldTwice(name));
        }
    }
    match kind.required().iter().find(|name| !fields.contains_key(*name)) {
        Some(field) => Err(EntryInvalid::FieldMissing { kind: kind.as_str(), field }),
        None => Ok(fields),
    }
}

fn check_value(field: &'static str, value: &str) -> Result<(), EntryInvalid> {
    let malformed = |problem| Err(EntryInvalid::ValueMalformed { field, problem });
    if value.is_empty() {
        return malformed("is empty; leave it out instead");
    }
    if value.len() > VALUE_LEN_MAX {
        return malformed("is longer than 4096 bytes");
    }
    if value.chars().any(char::is_control) {
        return malformed("holds a control character");
    }
    if field == ROWS && !is_hex_digest(value) {
        return malformed("is not a SHA-256 in lower-case hex");
    }
    Ok(())
}

fn is_hex_digest(value: &str) -> bool {
    value.len() == 64 && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Names are ASCII and sorted, values are strings without control characters: then plain JSON without blanks is the
/// form of RFC 8785. A test compares it with the general serialiser.
fn spelled(
    kind: EntryKind,
    at: Seconds,
    fields: &BTreeMap<&'static str, String>,
) -> Result<Vec<u8>, EntryInvalid> {
    let at = at.0.to_string();
    let mut members: BTreeMap<&str, &str> =
        fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
    members.insert("kind", kind.as_str());
    members.insert("at", &at);
    let leaf = serde_json::to_vec(&members).map_err(|_| EntryInvalid::NotAnObject)?;
    if leaf.len() > LEAF_LEN_MAX { Err(EntryInvalid::NotAnObject) } else { Ok(leaf) }
}
