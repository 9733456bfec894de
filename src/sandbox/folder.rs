//! Owns the temporary folder: made for its owner only, removed at the end however the sandbox ends, unless it is to be kept.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Fault;

/// The sandbox's folder. Dropping it removes it.
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes a new folder under the system's temporary one, or the one named, which is then kept.
    pub fn create(keep: Option<&Path>) -> Result<Self, Fault> {
        let path = match keep {
            Some(path) => std::path::absolute(path).map_err(|source| Fault::file(path.display(), source))?,
            None => std::env::temp_dir().join(format!("countersign-sandbox-{}", hex_id()?)),
        };
        let folder = Self { path, keep: keep.is_some() };
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder.path)
            .map_err(|source| Fault::file(folder.path.display(), source))?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays.
    pub const fn is_kept(&self) -> bool {
        self.keep
    }

    /// A place in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a folder in it.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.at(name);
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|source| Fault::file(path.display(), source))?;
        Ok(path)
    }

    /// Writes a new file for its owner only.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Fault> {
        let path = self.at(name);
        let mut open = fs::OpenOptions::new();
        let file = open.write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| Fault::file(path.display(), source))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed now is the system's to clear away; there is nobody left to tell.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// 32 fresh bytes of the system's generator.
pub fn fresh() -> Result<[u8; 32], Fault> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| Fault::setup("a key", "the system gives no randomness"))?;
    Ok(bytes)
}

fn hex_id() -> Result<String, Fault> {
    let id: Vec<u8> = fresh()?.into_iter().take(6).collect();
    Ok(data_encoding::HEXLOWER.encode(&id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_is_its_owners_and_goes_when_it_is_dropped() {
        let folder = Folder::create(None).unwrap();
        let path = folder.path().to_owned();
        folder.folder("signer").unwrap();
        let file = folder.write("signer/key", "secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_is_there_already_is_neither_used_nor_removed() {
        let own = tempfile::tempdir().unwrap();
        assert!(Folder::create(Some(own.path())).is_err());
        assert!(own.path().exists());
    }
}
