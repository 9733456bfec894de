//! What an observer has stated: the number of its last statement of each kind that was taken. Kept by the observer itself,
//! for nobody else can be believed in it: who kept a statement back would name the one before.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::cli::problem::Problem;
use crate::evidence::StatementKind;

/// The record beside a statement key.
pub struct Record {
    path: PathBuf,
    numbers: BTreeMap<String, u64>,
}

impl Record {
    /// Reads the record beside this key; an empty one, where there is none yet.
    pub fn beside(statement_key: &Path) -> Result<Self, Problem> {
        let mut name = statement_key.as_os_str().to_owned();
        name.push(".last");
        let path = PathBuf::from(name);
        let numbers = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| unreadable(&path, &error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Problem::file(&path, &error)),
        };
        Ok(Self { path, numbers })
    }

    /// The number of the last statement of this kind; without one, says how to go on.
    pub fn last(&self, kind: StatementKind) -> Result<u64, Problem> {
        self.numbers.get(kind.as_str()).copied().ok_or_else(|| {
            let problem =
                format!("is missing, and {} knows no {} statement", self.path.display(), kind.as_str());
            let cure = "give the number of the last statement of this kind, or 0 if this key never made one";
            Problem::config("--after", problem, cure)
        })
    }

    /// Notes a statement that was taken, durably: the old record or the new one is there, whatever happens.
    pub fn note(mut self, kind: StatementKind, number: u64) -> Result<(), Problem> {
        self.numbers.insert(kind.as_str().to_owned(), number);
        let text: String = self.numbers.iter().map(|(kind, number)| format!("{kind} = {number}\n")).collect();
        let fresh = self.path.with_extension("last.new");
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::create(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, &self.path)
        };
        write().map_err(|error| Problem::file(&self.path, &error))
    }
}

fn unreadable(path: &Path, error: &toml::de::Error) -> Problem {
    let problem = format!("cannot be read: {}", error.message());
    Problem::config(
        path.display().to_string(),
        problem,
        "write `<kind> = <number>` a line, or give --after and remove it",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_noted_is_read_again_and_nothing_else_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("observer-key");
        let open = || Record::beside(&key).unwrap();
        assert!(open().last(StatementKind::Coins).is_err());
        open().note(StatementKind::Coins, 7).unwrap();
        open().note(StatementKind::Price, 9).unwrap();
        open().note(StatementKind::Coins, 8).unwrap();
        assert_eq!(open().last(StatementKind::Coins).ok(), Some(8));
        assert_eq!(open().last(StatementKind::Price).ok(), Some(9));
        assert!(open().last(StatementKind::Chain).is_err());
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["observer-key.last"]);
        std::fs::write(dir.path().join("observer-key.last"), "coins = x").unwrap();
        assert!(Record::beside(&key).is_err());
    }
}
