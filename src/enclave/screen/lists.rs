//! Owns lists in files: what may be one, when it is read again, and what stands on it.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use super::spelling::{fold_address, orders, spellings, words};
use super::{Screener, Screening, Subject};
use crate::enclave::backend::Working;

/// The largest file of a list, in bytes.
const FILE_SIZE_MAX: u64 = 64 << 20;

/// A list cannot be used. Names no content.
#[derive(Debug, thiserror::Error)]
pub enum ListFault {
    /// The file cannot be read.
    #[error("the list `{0}` cannot be read")]
    Read(PathBuf, #[source] io::Error),
    /// It is larger than any list.
    #[error("the list `{0}` has more than {FILE_SIZE_MAX} bytes")]
    TooLarge(PathBuf),
    /// It holds no entry: a download that failed looks like this.
    #[error("the list `{0}` is empty")]
    Empty(PathBuf),
    /// In the folder of the lists stands something else than a file that can be read: a link leads to files that are no list.
    #[error("`{0}` in the folder of the lists {1}")]
    Strange(PathBuf, &'static str),
    /// A line holds nothing that could be found.
    #[error("line {1} of the list `{0}` holds no letter and no digit")]
    Line(PathBuf, usize),
}

/// Lists in files, read again when they change.
pub struct Lists {
    files: Vec<(Kind, PathBuf)>,
    known: RwLock<Arc<Result<Known, ListFault>>>,
    /// How often they have been read.
    version: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Addresses,
    Names,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) addresses: HashSet<String>,
    pub(super) names: HashSet<String>,
    read: Vec<(SystemTime, u64)>,
    version: u64,
}

impl Known {
    fn count(&self) -> usize {
        self.addresses.len().saturating_add(self.names.len())
    }
}

impl Lists {
    /// Reads lists of addresses and lists of names.
    pub fn open(addresses: &[PathBuf], names: &[PathBuf]) -> Result<Self, ListFault> {
        let addresses = addresses.iter().map(|path| (Kind::Addresses, path.clone()));
        let files: Vec<_> = addresses.chain(names.iter().map(|path| (Kind::Names, path.clone()))).collect();
        let known = RwLock::new(Arc::new(Ok(read_all(&files)?)));
        Ok(Self { files, known, version: AtomicU64::new(0) })
    }

    /// Reads the files again if one has changed. While one cannot be read, nobody is clear.
    pub fn refresh(&self) {
        let known = self.known();
        let same = known.as_ref().as_ref().is_ok_and(|known| {
            let now = self.files.iter().map(|(_, path)| stamp(path).ok());
            now.eq(known.read.iter().copied().map(Some))
        });
        if same {
            return;
        }
        let mut fresh = read_all(&self.files);
        if let Ok(fresh) = &mut fresh {
            fresh.version = self.version.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        }
        match &fresh {
            Ok(fresh) => tracing::info!(
                addresses = fresh.addresses.len(),
                names = fresh.names.len(),
                "the screening lists were read again"
            ),
            Err(fault) => {
                tracing::error!(%fault, "nothing is clear until the screening lists can be read again")
            }
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
    }

    fn known(&self) -> Arc<Result<Known, ListFault>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look(&self, subject: &Subject<'_>) -> Screening {
        self.known().as_ref().as_ref().map_or(Screening::Unknown, |known| known.look(subject))
    }
}

impl Screener for Lists {
    fn screen<'a>(&'a self, subject: &'a Subject<'a>) -> Working<'a, Screening> {
        Box::pin(async { self.look(subject) })
    }

    fn version(&self) -> Option<u64> {
        self.known().as_ref().as_ref().ok().map(|known| known.version)
    }

    fn refresh(&self) {
        Self::refresh(self);
    }
}

/// When a plain file was changed, and how long it is. A link is followed nowhere, at no time.
fn stamp(path: &Path) -> io::Result<(SystemTime, u64)> {
    let about = std::fs::symlink_metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no plain file"));
    }
    Ok((about.modified()?, about.len()))
}

/// Whether nothing but files that can be read stands in the folder of the lists, listed or not: the enclave's process may read all of it.
pub fn check_folder(folder: &Path) -> Result<(), ListFault> {
    let fault = |error| ListFault::Read(folder.to_owned(), error);
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(fault)?);
        let strange = |what| Err(ListFault::Strange(path.clone(), what));
        if kind.is_symlink() {
            return strange("is a link");
        }
        if kind.is_dir() {
            return strange("is a folder");
        }
        if !kind.is_file() {
            return strange("is no plain file");
        }
        if std::fs::File::open(&path).is_err() {
            return strange("cannot be read");
        }
    }
    Ok(())
}

fn read_all(files: &[(Kind, PathBuf)]) -> Result<Known, ListFault> {
    let mut known = Known::default();
    for (kind, path) in files {
        let fault = |error| ListFault::Read(path.clone(), error);
        // Before the content: a change meanwhile is noticed the next time.
        let stamp = stamp(path).map_err(fault)?;
        if stamp.1 > FILE_SIZE_MAX {
            return Err(ListFault::TooLarge(path.clone()));
        }
        known.read.push(stamp);
        let before = known.count();
        for (at, line) in std::fs::read_to_string(path).map_err(fault)?.lines().enumerate() {
            if !known.take(*kind, line) {
                return Err(ListFault::Line(path.clone(), at.saturating_add(1)));
            }
        }
        if known.count() == before {
            return Err(ListFault::Empty(path.clone()));
        }
    }
    Ok(known)
}

impl Known {
    /// Notes what one line lists, if it lists something; `false` if it tries to and no letter or digit stands there.
    pub(super) fn take(&mut self, kind: Kind, line: &str) -> bool {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            return true;
        }
        let found = match kind {
            Kind::Addresses => vec![fold_address(entry)],
            Kind::Names => orders(&words(entry)),
        };
        if found.iter().all(String::is_empty) {
            return false;
        }
        match kind {
            Kind::Addresses => self.addresses.extend(found),
            Kind::Names => self.names.extend(found),
        }
        true
    }

    pub(super) fn look(&self, subject: &Subject<'_>) -> Screening {
        if subject.addresses.iter().any(|address| self.addresses.contains(&fold_address(address))) {
            return Screening::AddressListed;
        }
        let names = subject.persons.iter().flat_map(|person| person.names.iter().chain(&person.phonetic));
        if names.flat_map(spellings).any(|name| self.names.contains(&name)) {
            return Screening::NameListed;
        }
        Screening::Clear
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::enclave::ivms::{Name, Person, Text};

    fn person(primary: &str, secondary: &str) -> Person {
        let text = |t: &str| Text::new(t.to_owned());
        let name =
            Name { primary: text(primary), secondary: (!secondary.is_empty()).then(|| text(secondary)) };
        Person { is_legal: false, names: vec![name], phonetic: Vec::new() }
    }

    fn lists(dir: &Path, addresses: &str, names: &str) -> Lists {
        std::fs::write(dir.join("addresses"), addresses).unwrap();
        std::fs::write(dir.join("names"), names).unwrap();
        Lists::open(&[dir.join("addresses")], &[dir.join("names")]).unwrap()
    }

    fn of_name(lists: &Lists, primary: &str, secondary: &str) -> Screening {
        lists.look(&Subject { addresses: &[], persons: &[person(primary, secondary)] })
    }

    fn of_address(lists: &Lists, address: &str) -> Screening {
        lists.look(&Subject { addresses: &["bc1qother", address], persons: &[] })
    }

    #[test]
    fn a_listed_name_is_found_in_any_case_order_and_spacing() {
        let dir = tempfile::tempdir().unwrap();
        let lists = lists(
            dir.path(),
            "bc1qlisted",
            "# a list\n\nPAK, Ju Song # one of them\n홍길동\nJosé Álvarez\n3M Trading Co.\nEins Zwei Drei Vier Fünf\n",
        );
        for (primary, secondary) in [
            ("Pak", "Ju Song"),
            ("PAK", "JU-SONG"),
            ("Ju Song", "Pak"),
            ("Ju Song Pak", ""),
            ("홍", "길동"),
            ("Jose", "Alvarez"),
            ("ÁLVAREZ", "JOSÉ"),
            ("Pak", "Song Ju"),
            ("Vier", "Drei Zwei Fünf Eins"),
            ("3M TRADING CO", ""),
        ] {
            assert_eq!(of_name(&lists, primary, secondary), Screening::NameListed, "{primary} {secondary}");
        }
        for (primary, secondary) in
            [("Pak", "Ju"), ("Pak", "Song Jun"), ("홍", "길"), ("Taylor", "Robbins"), ("", "")]
        {
            assert_eq!(of_name(&lists, primary, secondary), Screening::Clear, "{primary} {secondary}");
        }
    }

    #[test]
    fn a_blank_behind_the_prefix_of_a_link_hides_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let lists = lists(dir.path(), "bitcoin: bc1qlisted # why\n", "Kim");
        for address in ["bc1qlisted", "bitcoin:bc1qlisted", "BITCOIN: BC1QLISTED"] {
            assert_eq!(of_address(&lists, address), Screening::AddressListed, "{address}");
        }
    }

    #[test]
    fn a_listed_account_is_found_with_any_tag_behind_it_and_no_tag_alone() {
        let dir = tempfile::tempdir().unwrap();
        let account = "rLHzPsX6oXkzU2qL12kHCH8G8cnZv1rBJh";
        let tagged = format!("{account}:12345");
        for entry in [account, tagged.as_str()] {
            let lists = lists(dir.path(), &format!("{entry}\n"), "Kim");
            for address in [account.to_owned(), format!("{account}:7"), format!("ripple:{account}:7")] {
                assert_eq!(of_address(&lists, &address), Screening::AddressListed, "{address}");
            }
            assert_eq!(of_address(&lists, "rOther6oXkzU2qL12kHCH8G8cnZv1rBJh:12345"), Screening::Clear);
        }
    }

    #[test]
    fn a_listed_address_is_found_in_any_case_and_as_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let lists = lists(dir.path(), "bc1qlisted\n1BoatSLRHtKNngkdXEeobR76b53LETtpyT\n", "Kim");
        for address in
            ["bc1qlisted", "BC1QLISTED", "bitcoin:bc1qlisted", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"]
        {
            assert_eq!(of_address(&lists, address), Screening::AddressListed, "{address}");
        }
        assert_eq!(of_address(&lists, "bc1qliste"), Screening::Clear);
    }

    #[test]
    fn a_changed_list_is_read_again_and_a_missing_one_clears_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let lists = lists(dir.path(), "bc1qone\n", "Kim\n");
        assert_eq!(of_address(&lists, "bc1qtwo"), Screening::Clear);
        std::fs::write(dir.path().join("addresses"), "bc1qone\nbc1qtwo\n").unwrap();
        lists.refresh();
        assert_eq!(of_address(&lists, "bc1qtwo"), Screening::AddressListed);
        std::fs::rename(dir.path().join("names"), dir.path().join("gone")).unwrap();
        lists.refresh();
        assert_eq!(of_address(&lists, "bc1qother"), Screening::Unknown);
        std::fs::rename(dir.path().join("gone"), dir.path().join("names")).unwrap();
        lists.refresh();
        assert_eq!(of_address(&lists, "bc1qthree"), Screening::Clear);
    }

    #[test]
    fn a_folder_of_lists_holds_files_that_can_be_read_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (dir.path().join("lists"), dir.path().join("elsewhere"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(&elsewhere, "Kim\n").unwrap();
        std::fs::write(folder.join("names"), "Kim\n").unwrap();
        check_folder(&folder).unwrap();
        let strange = |what: &str| match check_folder(&folder) {
            Err(ListFault::Strange(path, found)) => assert_eq!((path, found), (folder.join("x"), what)),
            other => panic!("{what}: {other:?}"),
        };
        std::os::unix::fs::symlink(&elsewhere, folder.join("x")).unwrap();
        strange("is a link");
        std::fs::remove_file(folder.join("x")).unwrap();
        std::fs::create_dir(folder.join("x")).unwrap();
        strange("is a folder");
        std::fs::remove_dir(folder.join("x")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.join("x")).unwrap());
        strange("is no plain file");
        assert!(matches!(check_folder(&elsewhere), Err(ListFault::Read(..))));
    }

    #[test]
    fn a_list_that_becomes_a_link_clears_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let lists = lists(dir.path(), "bc1qone\n", "Kim\n");
        std::fs::rename(dir.path().join("names"), dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("names")).unwrap();
        lists.refresh();
        assert_eq!(of_address(&lists, "bc1qother"), Screening::Unknown);
        assert!(Lists::open(&[], &[dir.path().join("names")]).is_err());
    }

    #[test]
    fn a_list_that_cannot_be_meant_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("names");
        assert!(matches!(Lists::open(&[], std::slice::from_ref(&path)), Err(ListFault::Read(..))));
        std::fs::write(&path, "Kim\n\n...\n").unwrap();
        assert!(matches!(Lists::open(&[], std::slice::from_ref(&path)), Err(ListFault::Line(_, 3))));
        std::fs::write(&path, "# nobody\n\n").unwrap();
        assert!(matches!(Lists::open(&[], std::slice::from_ref(&path)), Err(ListFault::Empty(_))));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(Lists::open(&[], &[path]), Err(ListFault::Read(..))));
    }
}
