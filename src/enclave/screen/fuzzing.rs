//! What stands on a list is found when it is asked for as it stands there, by its own line alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::lists::{Kind, Known};
use super::spelling::is_scheme;
use super::{Screening, Subject};
use crate::enclave::ivms::{Name, Person, Text};

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
        let link = entry.split_once(':').filter(|(scheme, _)| is_scheme(scheme));
        let bare = link.map_or(entry, |(_, rest)| rest).trim();
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
