//! Entries: one spelling for each, and nothing that is not in the table.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::audit::entry::VALUE_LEN_MAX;
use crate::audit::kind::ROWS;

fn full(kind: EntryKind) -> EntryBuilder {
    let names = kind.required().iter().chain(kind.optional());
    names.fold(Entry::builder(kind, Seconds(7)), |builder, name| builder.field(name, format!("a {name}")))
}

fn held(value: &str) -> Result<Entry, EntryInvalid> {
    Entry::builder(EntryKind::Held, Seconds(1)).field("withdrawal", value).field("code", "X").build()
}

#[test]
fn every_kind_reads_back_with_all_its_fields() {
    for &kind in EntryKind::ALL {
        let entry = full(kind).field(ROWS, "ab".repeat(32)).build().unwrap();
        let read = Entry::parse(&entry.to_leaf()).unwrap();
        assert_eq!(read, entry);
        assert_eq!(read.kind(), kind);
        assert_eq!(read.at(), Seconds(7));
        assert_eq!(read.fields().count(), kind.required().len() + kind.optional().len() + 1);
    }
}

#[test]
fn every_required_field_is_required_and_no_unknown_one_is_taken() {
    for &kind in EntryKind::ALL {
        for missing in kind.required() {
            let rest = kind.required().iter().filter(|name| *name != missing);
            let built = rest.fold(Entry::builder(kind, Seconds(1)), |b, name| b.field(name, "x")).build();
            assert_eq!(built, Err(EntryInvalid::FieldMissing { kind: kind.as_str(), field: missing }));
        }
        let built = full(kind).field("colour", "x").build();
        assert_eq!(
            built,
            Err(EntryInvalid::FieldUnknown { kind: kind.as_str(), field: "colour".to_owned() })
        );
    }
}

#[test]
fn the_leaf_is_the_canonical_form_sorted_by_name() {
    let leaf = entry(0).to_leaf();
    assert_eq!(
        String::from_utf8(leaf).unwrap(),
        r#"{"at":"1700000000","kind":"log_started","origin":"signer.example/log","party":"signer","version":"1"}"#
    );
}

#[test]
fn only_quotation_marks_and_backslashes_are_escaped() {
    // RFC 8785 section 3.2.2.2: everything else that may stand in a value stands there as itself
    let leaf = held("€$ A'B\"\\ / < \u{1f600} ö \u{fb33}").unwrap().to_leaf();
    let text = String::from_utf8(leaf).unwrap();
    let value = "€$ A'B\\\"\\\\ / < \u{1f600} ö \u{fb33}";
    assert_eq!(text, format!(r#"{{"at":"1","code":"X","kind":"held","withdrawal":"{value}"}}"#));
}

#[test]
fn the_canonicalizer_sorts_the_names_of_the_rfc_8785_example() {
    // RFC 8785 section 3.2.3: by UTF-16 code units, so the emoji (a surrogate pair) comes before U+FB33
    let names = ["\u{20ac}", "\r", "\u{fb33}", "1", "\u{1f600}", "\u{80}", "\u{f6}"];
    let object: BTreeMap<&str, &str> = names.iter().map(|name| (*name, "v")).collect();
    let text = serde_json_canonicalizer::to_string(&object).unwrap();
    let expected = "{\"\\r\":\"v\",\"1\":\"v\",\"\u{80}\":\"v\",\"\u{f6}\":\"v\",\"\u{20ac}\":\"v\",\"\u{1f600}\":\"v\",\"\u{fb33}\":\"v\"}";
    assert_eq!(text, expected);
}

proptest! {
    #[test]
    fn a_leaf_is_what_the_general_serialiser_of_rfc_8785_gives(value in "[^\\p{Cc}]{1,40}", at in any::<u64>()) {
        let entry = Entry::builder(EntryKind::Held, Seconds(at));
        let leaf = entry.field("withdrawal", &value).field("code", "X").build().unwrap().to_leaf();
        let at = at.to_string();
        let object = BTreeMap::from([("withdrawal", value.as_str()), ("kind", "held"), ("code", "X"), ("at", &at)]);
        prop_assert_eq!(leaf, serde_json_canonicalizer::to_vec(&object).unwrap());
    }
}

#[test]
fn another_spelling_of_the_same_entry_is_not_canonical() {
    let spellings = [
        r#"{"kind":"held","at":"1","code":"X","withdrawal":"w"}"#,
        r#"{ "at":"1","code":"X","kind":"held","withdrawal":"w"}"#,
        r#"{"at":"1","code":"X","kind":"held","withdrawal":"w"} "#,
        r#"{"at":"1","code":"X","kind":"held","withdrawal":"\u0077"}"#,
        r#"{"at":"01","code":"X","kind":"held","withdrawal":"w"}"#,
        r#"{"at":"+1","code":"X","kind":"held","withdrawal":"w"}"#,
        r#"{"at":"1","code":"Y","code":"X","kind":"held","withdrawal":"w"}"#,
        r#"{"at":"1","code":"X","kind":"held","kind":"held","withdrawal":"w"}"#,
    ];
    for text in spellings {
        assert_eq!(Entry::parse(text.as_bytes()), Err(EntryInvalid::NotCanonical), "{text}");
    }
    assert!(Entry::parse(br#"{"at":"1","code":"X","kind":"held","withdrawal":"w"}"#).is_ok());
}

#[test]
fn what_is_not_an_object_of_strings_is_no_entry() {
    let long = format!(r#"{{"at":"1","code":"{}"}}"#, "x".repeat(70_000));
    for text in [
        "",
        "[]",
        "1",
        "null",
        r#"{"at":1}"#,
        r#"{"at":"1","kind":{}}"#,
        "{}x",
        "{\"at\":\"\\ud800\"}",
        &long,
    ] {
        assert_eq!(Entry::parse(text.as_bytes()), Err(EntryInvalid::NotAnObject), "{text:.60}");
    }
    assert_eq!(Entry::parse(b"{\"at\":\"\xff\"}"), Err(EntryInvalid::NotAnObject));
    assert_eq!(Entry::parse(b"{}"), Err(EntryInvalid::KindUnknown(String::new())));
    assert_eq!(
        Entry::parse(br#"{"at":"1","kind":"paid"}"#),
        Err(EntryInvalid::KindUnknown("paid".to_owned()))
    );
    for at in ["", "-1", "1.0", "18446744073709551616", "1 "] {
        let leaf = format!(r#"{{"at":"{at}","kind":"held"}}"#);
        assert_eq!(Entry::parse(leaf.as_bytes()), Err(EntryInvalid::TimeMalformed(at.to_owned())));
    }
}

#[test]
fn values_are_bounded_present_and_without_control_characters() {
    assert!(held(&"x".repeat(VALUE_LEN_MAX)).is_ok());
    let too_long = "x".repeat(VALUE_LEN_MAX + 1);
    for value in ["", "a\nb", "a\u{0}", "\u{7f}", "\u{85}", "tab\t", too_long.as_str()] {
        assert!(
            matches!(held(value), Err(EntryInvalid::ValueMalformed { field: "withdrawal", .. })),
            "{value:?}"
        );
    }
    for rows in ["abc".to_owned(), "AB".repeat(32), "zz".repeat(32)] {
        let built = full(EntryKind::Held).field(ROWS, rows).build();
        assert!(matches!(built, Err(EntryInvalid::ValueMalformed { field: ROWS, .. })));
    }
}

#[test]
fn a_field_is_given_once() {
    let built = full(EntryKind::Held).field("code", "again").build();
    assert_eq!(built, Err(EntryInvalid::FieldTwice("code")));
    let built = full(EntryKind::Held).field("kind", "asked").build();
    assert!(matches!(built, Err(EntryInvalid::FieldUnknown { .. })));
}

#[test]
fn an_absent_option_and_an_empty_list_add_no_field() {
    let built = Entry::builder(EntryKind::Signed, Seconds(1))
        .field("reservation", "r")
        .field("txid", "t")
        .field_opt("detail", None::<&str>)
        .field_opt("signature", Some("s"))
        .list("withdrawals", ["a", "b"])
        .list("withdrawal", [""; 0])
        .build()
        .unwrap();
    assert_eq!(built.field("withdrawals"), Some("a b"));
    assert_eq!(built.field("signature"), Some("s"));
    assert_eq!((built.field("detail"), built.field("withdrawal")), (None, None));
}

proptest! {
    #[test]
    fn any_printable_value_reads_back_to_the_same_entry(value in "\\PC{1,60}") {
        prop_assume!(!value.chars().any(char::is_control));
        let entry = held(&value).unwrap();
        let read = Entry::parse(entry.leaf()).unwrap();
        prop_assert_eq!(read.field("withdrawal"), Some(value.as_str()));
        prop_assert_eq!(read.leaf_hash(), entry.leaf_hash());
    }

    #[test]
    fn a_leaf_with_any_bit_changed_is_another_entry_or_none(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut leaf = entry(3).to_leaf();
        let at = at.index(leaf.len());
        leaf[at] ^= 1 << bit;
        if let Ok(other) = Entry::parse(&leaf) {
            prop_assert_eq!(other.to_leaf(), leaf);
            prop_assert_ne!(other, entry(3));
        }
    }
}
