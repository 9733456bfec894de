//! Where a passphrase comes from: a file or an inherited descriptor. Never an argument, never the environment.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::secret::SecretBytes;
use crate::withdrawal::Code;

/// Longest passphrase, in bytes.
pub const PASSPHRASE_LEN_MAX: usize = 4096;

/// A place to read a passphrase from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseSource {
    /// A file, such as a systemd credential.
    File(PathBuf),
    /// The number of a file descriptor the process inherited open; a pipe is best, since it leaves nothing on a disk.
    ///
    /// Number 0 is read as it is. Others are opened again through `/proc/self/fd`, so what is behind them must be
    /// readable for the service's own user; the inherited descriptor itself stays open until the process ends.
    Descriptor(u32),
}

/// A passphrase cannot be read. No variant holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// There is nothing to read from.
    #[error("the passphrase cannot be read from {place}: {source}")]
    Unreadable {
        /// The file or descriptor.
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Everyone on the machine can read it.
    #[error("`{place}` has mode {mode:04o} and can be read by everyone; run `chmod 600 {place}`")]
    TooOpen {
        /// The file.
        place: String,
        /// Its permission bits.
        mode: u32,
    },
    /// There is nothing in it.
    #[error("the passphrase in {place} is empty")]
    Empty {
        /// The file or descriptor.
        place: String,
    },
    /// Too much is in it.
    #[error("the passphrase in {place} is longer than {PASSPHRASE_LEN_MAX} bytes")]
    TooLong {
        /// The file or descriptor.
        place: String,
    },
}

impl PassphraseError {
    /// The stable code it is answered with.
    pub const fn code(&self) -> Code {
        Code::ConfigInvalid
    }
}

impl PassphraseSource {
    /// Reads to the end and drops one line feed there. The bytes are taken as they are.
    ///
    /// A file that everyone can read is refused; one that its group can read is not, since systemd hands credentials
    /// to a service user that way.
    pub fn read(&self) -> Result<SecretBytes, PassphraseError> {
        let place = match self {
            Self::File(path) => path.display().to_string(),
            Self::Descriptor(number) => format!("file descriptor {number}"),
        };
        let unreadable = |source| PassphraseError::Unreadable { place: place.clone(), source };
        let mut file = self.file().map_err(unreadable)?;
        if matches!(self, Self::File(_)) {
            let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
            if mode & 0o007 != 0 {
                return Err(PassphraseError::TooOpen { place, mode });
            }
        }
        let read = SecretBytes::read_from(&mut file, PASSPHRASE_LEN_MAX).map_err(unreadable)?;
        let Some(secret) = read.map(SecretBytes::without_last_line_feed) else {
            return Err(PassphraseError::TooLong { place });
        };
        if secret.is_empty() { Err(PassphraseError::Empty { place }) } else { Ok(secret) }
    }

    fn file(&self) -> std::io::Result<File> {
        match self {
            Self::File(path) => File::open(path),
            // Past the buffer of `Stdin`, which is never wiped.
            Self::Descriptor(0) => std::io::stdin().as_fd().try_clone_to_owned().map(File::from),
            Self::Descriptor(number) => File::open(format!("/proc/self/fd/{number}")),
        }
    }
}
