//! Owns the sanctions door: whether an address or a name stands on a list. Lists come from files; an outside screener stands
//! behind the same trait. What cannot be screened is not clear.
//!
//! A file has one address, or one name, on each line; blank lines and what follows `#` count as nothing. Looking is wide on
//! purpose: letter case, accents, blanks and the order of a name's words part nobody from the list. A hit stops; people look.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::backend::Working;
use super::ivms::{Name, Person};

/// The largest file of a list, in bytes.
const FILE_SIZE_MAX: u64 = 64 << 20;
/// The most words of a name that are looked at.
const WORDS_MAX: usize = 12;
/// The most words of a name whose every order is looked at (24 orders); of a longer one, each word comes first once.
const EVERY_ORDER_MAX: usize = 4;

/// Who and what is to be screened.
pub struct Subject<'a> {
    /// Addresses of either side.
    pub addresses: &'a [&'a str],
    /// Persons of either side.
    pub persons: &'a [Person],
}

/// What the screen says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screening {
    /// Nothing was found.
    Clear,
    /// An address stands on a list.
    AddressListed,
    /// A name stands on a list.
    NameListed,
    /// It could not be found out: not clear.
    Unknown,
}

/// Whoever screens.
pub trait Screener: Send + Sync + 'static {
    /// Looks for all of it.
    fn screen<'a>(&'a self, subject: &'a Subject<'a>) -> Working<'a, Screening>;

    /// Under which number its lists stand now: what was clear under one is clear until there is another. None: nothing stays clear.
    fn version(&self) -> Option<u64> {
        None
    }

    /// Takes up what has changed; called now and then, where it may block.
    fn refresh(&self) {}
}

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
enum Kind {
    Addresses,
    Names,
}

#[derive(Default)]
struct Known {
    addresses: HashSet<String>,
    names: HashSet<String>,
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

fn stamp(path: &Path) -> io::Result<(SystemTime, u64)> {
    let about = std::fs::metadata(path)?;
    Ok((about.modified()?, about.len()))
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
    fn take(&mut self, kind: Kind, line: &str) -> bool {
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

    fn look(&self, subject: &Subject<'_>) -> Screening {
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

/// Without the scheme of a payment link, in lower case: bech32 has both cases, and of base58 too much is found rather than too little.
fn fold_address(text: &str) -> String {
    let text = text.trim();
    text.split_once(':').map_or(text, |(_, rest)| rest.trim_start()).to_lowercase()
}

fn spellings(name: &Name) -> Vec<String> {
    let mut all = words(name.primary.as_str());
    all.extend(name.secondary.iter().flat_map(|given| words(given.as_str())));
    orders(&all)
}

/// The words of a name in lower case without accents and signs.
fn words(text: &str) -> Vec<String> {
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_uppercase).collect();
    let plain: String = plain.chars().flat_map(char::to_lowercase).nfkc().collect();
    let word = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    plain.split([' ', ',', '\t', '\u{3000}']).map(word).filter(|w| !w.is_empty()).collect()
}

/// The words written together in their orders: `Kim Jong Un`, `Un Jong Kim` and `JongUn, Kim` meet.
fn orders(words: &[String]) -> Vec<String> {
    let words: Vec<&str> = words.iter().take(WORDS_MAX).map(String::as_str).collect();
    if words.len() <= EVERY_ORDER_MAX {
        return permutations(&words);
    }
    let mut sorted = words.clone();
    sorted.sort_unstable();
    let turned =
        (0..words.len()).map(|first| words.iter().cycle().skip(first).take(words.len()).copied().collect());
    turned.chain([sorted.concat()]).collect()
}

fn permutations(words: &[&str]) -> Vec<String> {
    if words.len() < 2 {
        return words.iter().map(|&word| word.to_owned()).collect();
    }
    let after = |first: usize, word: &str| {
        let rest: Vec<&str> =
            words.iter().enumerate().filter(|(at, _)| *at != first).map(|(_, w)| *w).collect();
        permutations(&rest).into_iter().map(move |end| format!("{word}{end}")).collect::<Vec<_>>()
    };
    words.iter().enumerate().flat_map(|(at, word)| after(at, word)).collect()
}

/// What stands on a list is found when it is asked for as it stands there, by its own line alone.
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub(super) mod fuzzing {
    use super::*;
    use crate::enclave::ivms::Text;

    /// Lines of a list: of addresses if the first byte is even, of names otherwise.
    pub(crate) fn lists(data: &[u8]) {
        let Some((kind, bytes)) = data.split_first() else { return };
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let kind = if kind % 2 == 0 { Kind::Addresses } else { Kind::Names };
        let mut all = Known::default();
        for line in text.lines() {
            let mut alone = Known::default();
            assert_eq!(alone.take(kind, line), all.take(kind, line));
            let entry = line.split('#').next().unwrap_or_default().trim();
            if alone.addresses.is_empty() && alone.names.is_empty() {
                continue;
            }
            let bare = entry.split_once(':').map_or(entry, |(_, rest)| rest).trim();
            let name = |primary: &str| Name { primary: Text::new(primary.to_owned()), secondary: None };
            let person = |text: &str| Person { is_legal: false, names: vec![name(text)], phonetic: vec![] };
            let (persons, expected) = match kind {
                Kind::Addresses => (vec![], Screening::AddressListed),
                Kind::Names => (vec![person(entry), person(&entry.to_lowercase())], Screening::NameListed),
            };
            for known in [&alone, &all] {
                let subject = Subject { addresses: &[bare], persons: &[] };
                let found = bare.contains(':') || known.look(&subject) == expected;
                assert!(kind == Kind::Names || found, "`{bare}` is not found");
                let subject = Subject { addresses: &[entry], persons: &[] };
                assert!(kind == Kind::Names || known.look(&subject) == expected, "`{entry}` is not found");
                for person in &persons {
                    let subject = Subject { addresses: &[], persons: std::slice::from_ref(person) };
                    assert_eq!(known.look(&subject), expected, "`{entry}` is not found");
                }
            }
        }
    }

    pub(crate) fn list_seeds() -> Vec<Vec<u8>> {
        [
            "\u{0}# addresses\nbc1qexample\nbitcoin:1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2 # why\n0xABCDEF\n",
            "\u{1}Kim Minsu\n김민수\nJosé da Silva, Jr.\n# nobody\nÅsa Öberg # x\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::ivms::Text;
    use super::*;

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
