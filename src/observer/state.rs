//! What was said: the number of the last statement of each kind that was taken, up to where each Safe was told of, and what each
//! page of deposit addresses was said to hold. One small file, replaced as a whole; one process at a time has it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ethereum::{Address, ChainId};
use crate::evidence::StatementKind;

/// Up to where a Safe was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The nonce that is told of next.
    pub nonce: u64,
    /// The height of the last block that was looked through.
    pub height: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    numbers: BTreeMap<String, u64>,
    #[serde(default)]
    safes: BTreeMap<String, Cursor>,
    #[serde(default)]
    deposits: BTreeMap<String, String>,
}

/// What a statement that was taken told, beside its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing that is kept.
    Nothing,
    /// Of a Safe up to the cursor.
    Safe(ChainId, Address, Cursor),
    /// What lies on a page of a treasury's deposit addresses, by a mark of it.
    Page(ChainId, Address, u32, String),
}

/// Why the file serves nobody.
#[derive(Debug, thiserror::Error)]
pub enum StateFault {
    /// It is not there.
    #[error("there is no file `{0}`")]
    Missing(PathBuf),
    /// Another process has it.
    #[error("another process has `{0}`")]
    Taken(PathBuf),
    /// It cannot be read.
    #[error("`{path}` cannot be read: {problem}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It cannot be written; what was there is still there, or what was to be written is.
    #[error("`{path}` cannot be written: {error}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// What was said, and the file of it.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    content: Content,
    // The lock ends with it.
    _lock: File,
}

impl State {
    /// Opens the file that is there, for this process alone.
    pub fn open(path: &Path) -> Result<Self, StateFault> {
        if !path.is_file() {
            return Err(StateFault::Missing(path.to_owned()));
        }
        Self::locked(path)
    }

    /// Opens the file, or begins one that says nothing. Nothing is written yet.
    pub fn begin(path: &Path) -> Result<Self, StateFault> {
        Self::locked(path)
    }

    fn locked(path: &Path) -> Result<Self, StateFault> {
        let unwritable = |error| StateFault::Unwritable { path: path.to_owned(), error };
        // a file of its own: the one it guards is replaced
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(beside(path, ".lock"))
            .map_err(unwritable)?;
        lock.try_lock().map_err(|_| StateFault::Taken(path.to_owned()))?;
        let unreadable = |problem: String| StateFault::Unreadable { path: path.to_owned(), problem };
        let content = match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| unreadable(error.message().to_owned()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Content::default(),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        Ok(Self { path: path.to_owned(), content, _lock: lock })
    }

    /// The number of the last statement of this kind that was taken; zero, where none ever was.
    pub fn last(&self, kind: StatementKind) -> u64 {
        self.content.numbers.get(kind.as_str()).copied().unwrap_or_default()
    }

    /// Up to where a Safe was told of.
    pub fn cursor(&self, chain: ChainId, safe: Address) -> Option<Cursor> {
        self.content.safes.get(&name(chain, safe)).copied()
    }

    /// Notes from where a Safe is told of; one that is there already stays, and the answer says so.
    pub fn begin_safe(&mut self, chain: ChainId, safe: Address, cursor: Cursor) -> Result<bool, StateFault> {
        if self.cursor(chain, safe).is_some() {
            return Ok(false);
        }
        let mut content = self.content.clone();
        content.safes.insert(name(chain, safe), cursor);
        self.write(content).map(|()| true)
    }

    /// The mark of what was told last of a page of deposit addresses.
    pub fn page(&self, chain: ChainId, treasury: Address, page: u32) -> Option<&str> {
        self.content.deposits.get(&page_name(chain, treasury, page)).map(String::as_str)
    }

    /// Notes a statement that was taken, with what it told.
    pub fn note(&mut self, kind: StatementKind, number: u64, told: Told) -> Result<(), StateFault> {
        let mut content = self.content.clone();
        content.numbers.insert(kind.as_str().to_owned(), number);
        match told {
            Told::Nothing => {}
            Told::Safe(chain, safe, cursor) => {
                content.safes.insert(name(chain, safe), cursor);
            }
            Told::Page(chain, treasury, page, mark) => {
                content.deposits.insert(page_name(chain, treasury, page), mark);
            }
        }
        self.write(content)
    }

    /// The old file or the new one is there, whatever happens; memory follows the file.
    fn write(&mut self, content: Content) -> Result<(), StateFault> {
        let write = || -> std::io::Result<()> {
            let text = toml::to_string(&content).map_err(std::io::Error::other)?;
            let fresh = beside(&self.path, ".new");
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, &self.path)?;
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error| StateFault::Unwritable { path: self.path.clone(), error })?;
        self.content = content;
        Ok(())
    }
}

fn name(chain: ChainId, safe: Address) -> String {
    format!("{chain}/{}", crate::withdrawal::evm_address::spell(safe))
}

fn page_name(chain: ChainId, treasury: Address, page: u32) -> String {
    format!("{}/{page}", name(chain, treasury))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
