//! The marker's file: written whole beside the old one, synced, put in its place, and its folder synced. What cannot be
//! read is a freeze.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::standing::Standing;

const NAME: &str = "freeze.json";
const NEW_NAME: &str = "freeze.json.new";
/// Longest marker, in bytes.
const LEN_MAX: u64 = 1_000_000;

/// Why a folder cannot hold a marker. A party that cannot be frozen does not start.
#[derive(Debug, thiserror::Error)]
#[error("`{folder}` cannot hold the marker of a freeze: {problem}")]
pub struct FolderFault {
    /// The folder.
    pub folder: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// The file in its folder.
pub(super) struct Marker {
    folder: PathBuf,
}

impl Marker {
    /// Takes a folder that is there, and gives what its marker says; none has never been frozen.
    pub(super) fn open(folder: &Path) -> Result<(Self, Standing), FolderFault> {
        let fault = |problem: String| FolderFault { folder: folder.to_owned(), problem };
        if !folder.is_dir() {
            return Err(fault("it is no folder; `countersign init` makes it".to_owned()));
        }
        let marker = Self { folder: folder.to_owned() };
        let standing = match File::open(folder.join(NAME)) {
            Ok(file) => match read(file) {
                Some(standing) => return marker.probed(standing).map_err(|error| fault(error.to_string())),
                None => Standing::unreadable(),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let standing = Standing::default();
                marker.write(&standing).map_err(|error| fault(error.to_string()))?;
                standing
            }
            Err(_) => Standing::unreadable(),
        };
        Ok((marker, standing))
    }

    /// Writes what was read once more: a folder that takes no marker must show now.
    fn probed(self, standing: Standing) -> std::io::Result<(Self, Standing)> {
        self.write(&standing)?;
        Ok((self, standing))
    }

    /// Makes it durable. Once this returns, a start after a crash reads it.
    pub(super) fn write(&self, standing: &Standing) -> std::io::Result<()> {
        let (new, place) = (self.folder.join(NEW_NAME), self.folder.join(NAME));
        let text = serde_json::to_string(standing)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
        file.write_all(format!("{text}\n{}\n", checksum(&text)).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &place)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// One line of JSON and the SHA-256 of that line; half a file is none.
fn read(file: File) -> Option<Standing> {
    let mut text = String::new();
    file.take(LEN_MAX).read_to_string(&mut text).ok()?;
    let (line, rest) = text.split_once('\n')?;
    if rest != format!("{}\n", checksum(line)) {
        return None;
    }
    serde_json::from_str(line).ok()
}

fn checksum(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}
