//! The keystore's file: written once and never over another, read only where its owner alone can.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::keystore::KeystoreError;

/// A keystore is about 700 bytes; nothing near this size is one.
const FILE_LEN_MAX: u64 = 8192;

/// Writes a keystore with mode 0600 and makes it durable: file, name and directory.
///
/// The bytes are complete before the name appears, and the name is taken by linking, which never replaces: after a
/// crash there is a whole keystore or none.
pub fn create_file(path: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    let (directory, draft) = places(path)?;
    if path.symlink_metadata().is_ok() {
        return Err(KeystoreError::Exists(shown(path)));
    }
    let written = write_new(&draft, bytes).and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(KeystoreError::Exists(shown(path))),
        other => other.map_err(io(path)),
    });
    let removed = std::fs::remove_file(&draft);
    written?;
    removed.map_err(io(&draft))?;
    File::open(&directory).and_then(|d| d.sync_all()).map_err(io(&directory))
}

/// Reads a keystore file; refuses one that group or others can reach, and what is no regular file.
pub fn read_file(path: &Path) -> Result<Vec<u8>, KeystoreError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => KeystoreError::Missing(shown(path)),
        _ => io(path)(source),
    })?;
    // Asked of the open file, not of the name, which could point elsewhere by now.
    let metadata = file.metadata().map_err(io(path))?;
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() {
        return Err(KeystoreError::Corrupted("it is not a regular file"));
    }
    if mode & 0o077 != 0 {
        return Err(KeystoreError::TooOpen { path: shown(path), mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_LEN_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(io(path))?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(KeystoreError::Corrupted("it is too large to be a keystore"));
    }
    Ok(bytes)
}

fn places(path: &Path) -> Result<(PathBuf, PathBuf), KeystoreError> {
    let invalid = || io(path)(ErrorKind::InvalidInput.into());
    let name = path.file_name().ok_or_else(invalid)?.to_string_lossy();
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let draft = directory.join(format!(".{name}.{}.new", std::process::id()));
    Ok((directory, draft))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io(path))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> KeystoreError {
    let path = shown(path);
    move |source| KeystoreError::Io { path, source }
}
