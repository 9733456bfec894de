//! Owns the laws of names and places: comparing names has no order, and a list lets through what stands on it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::IpAddr;

use unicode_normalization::UnicodeNormalization;

use super::allow::AllowList;
use super::exchange::Place;
use super::ivms::{Name, Person, Text};
use super::name::same_name;

pub(crate) use super::screen::fuzzing::{list_seeds, lists};

/// Two persons, a name on each line, the given name behind a comma, an empty line between the two.
pub(crate) fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, second) = text.split_once("\n\n").unwrap_or((text, text));
    for is_legal in [false, true] {
        let (a, b) = (person(first, is_legal), person(second, is_legal));
        let found = same_name(&a, &b);
        assert_eq!(found, same_name(&b, &a), "whoever is asked first");
        assert_eq!(found, same_name(&person(&first.nfc().to_string(), is_legal), &b), "composed");
        assert_eq!(found, same_name(&person(&first.nfd().to_string(), is_legal), &b), "taken apart");
        assert!(
            same_name(&a, &Person { is_legal: !is_legal, names: b.names.clone(), phonetic: vec![] })
                .is_none()
        );
        let letters = |person: &Person| {
            person.names.iter().any(|name| name.primary.as_str().chars().any(|c| c.is_ascii_alphabetic()))
        };
        assert!(!letters(&a) || same_name(&a, &a).is_some(), "nobody is like himself");
        let nobody = Person { is_legal, names: vec![], phonetic: vec![] };
        assert!(same_name(&a, &nobody).is_none() && same_name(&nobody, &nobody).is_none());
    }
}

fn person(text: &str, is_legal: bool) -> Person {
    let name = |line: &str| {
        let (primary, secondary) = line.split_once(',').map_or((line, None), |(p, s)| (p, Some(s)));
        let text = |text: &str| Text::new(text.to_owned());
        Name { primary: text(primary), secondary: secondary.map(text) }
    };
    Person { is_legal, names: text.lines().take(8).map(name).collect(), phonetic: vec![] }
}

pub(crate) fn name_seeds() -> Vec<Vec<u8>> {
    [
        "Robbins,Taylor\n\nTAYLOR,robbins",
        "김,민수\nKim,Minsu\n\n민수,김",
        "Straße 7 AG\n\nSTRASSE 7 ag",
        "Å\u{30a}\u{3000}ﬀ,ǅ\n\nﾊﾝ",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Lists of addresses, an entry on each line, and places of the backend.
pub(crate) fn places(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let entries: Vec<&str> = text.lines().collect();
    let list = AllowList::parse(&entries);
    if list.is_ok() {
        for entry in &entries {
            let alone = AllowList::parse(&[entry]).expect("an entry of a good list is good");
            let address = entry.trim().split('/').next().unwrap_or_default();
            let address: IpAddr = address.parse().expect("an entry begins with an address");
            assert!(alone.admits(address) && list.as_ref().is_ok_and(|list| list.admits(address)), "{entry}");
        }
    }
    let place = Place::parse(text, None);
    if let Ok(place) = &place {
        assert!(text.len() <= super::exchange::line::URL_LEN_MAX);
        assert_eq!(place.is_plain(), text.to_ascii_lowercase().starts_with("http://"));
    }
    let nowhere = AllowList::parse(&["192.0.2.1"]).unwrap();
    assert!(Place::parse(text, Some(&nowhere)).is_err() || place.is_ok());
}

pub(crate) fn place_seeds() -> Vec<Vec<u8>> {
    [
        "10.0.0.0/8\n192.0.2.7\n2001:db8::/32\n::1",
        "::ffff:10.0.0.0/104\n::ffff:192.0.2.1",
        "http://10.1.2.3:8080/verify?x=1",
        "https://backend.example/a",
        "http://[::ffff:127.0.0.1]/",
        "http://0x7f.1/",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
