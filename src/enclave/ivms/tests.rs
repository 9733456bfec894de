//! The standard's rules one by one, and whatever bytes a stranger may send.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: Seconds = Seconds(1_700_000_000);

fn korean() -> Value {
    let text = include_str!("../../../tests/vectors/ivms/korean-natural.json");
    serde_json::from_str(text).unwrap()
}

fn company() -> Value {
    let text = include_str!("../../../tests/vectors/ivms/legal-with-representative.json");
    serde_json::from_str(text).unwrap()
}

fn parse(value: &Value) -> Result<Payload, Invalid> {
    Payload::parse(value.to_string().as_bytes(), NOW)
}

/// What is said about a payload after one change at a JSON pointer (`null` removes).
fn changed(mut value: Value, pointer: &str, to: Value) -> String {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match (value.pointer_mut(parent).unwrap(), to) {
        (Value::Object(members), Value::Null) => drop(members.remove(name)),
        (Value::Object(members), to) => drop(members.insert(name.to_owned(), to)),
        (Value::Array(items), to) => items.push(to),
        _ => unreachable!(),
    }
    parse(&value).map_or_else(|no| no.problem, |_| "fine".into())
}

#[test]
fn the_sample_payloads_are_read() {
    for value in [korean(), company()] {
        let payload = parse(&value).unwrap();
        assert!(payload.demand_persons().is_ok());
        assert!(!payload.account().is_empty());
    }
    let persons = parse(&company()).unwrap().beneficiaries();
    assert_eq!(persons.iter().map(|p| p.is_legal).collect::<Vec<_>>(), [true, false]);
    assert_eq!(parse(&korean()).unwrap().beneficiaries()[0].names.len(), 2);
}

#[test]
fn each_rule_names_its_element() {
    const ORIGINATOR: &str = "/originator/originatorPersons/0/naturalPerson";
    const COMPANY: &str = "/originator/originatorPersons/0/legalPerson";
    let at = |tail: &str| format!("{ORIGINATOR}{tail}");
    let of = |tail: &str| format!("{COMPANY}{tail}");
    let korean_cases = [
        (at("/dateAndPlaceOfBirth"), Value::Null, "(C1)"),
        (at("/dateAndPlaceOfBirth/dateOfBirth"), json!("2023-11-14"), "dateOfBirth` is not in the past (C2)"),
        (at("/dateAndPlaceOfBirth/dateOfBirth"), json!("1990-02-30"), "is no date"),
        (at("/dateAndPlaceOfBirth/dateOfBirth"), json!("1990-1-3"), "is no date"),
        (at("/countryOfResidence"), json!("UK"), "(C3)"),
        (at("/nationality"), json!("kr"), "(C3)"),
        (at("/name/nameIdentifier/0/nameIdentifierType"), json!("ALIA"), "(C6)"),
        (at("/name/nameIdentifier/0/nameIdentifierType"), json!("NAME"), "is none of"),
        (at("/name/nameIdentifier/0/primaryIdentifier"), json!(""), "primaryIdentifier` is missing"),
        (at("/name/nameIdentifier/0/primaryIdentifier"), json!("x".repeat(101)), "the limit is 100"),
        (at("/name/nameIdentifier/0/primaryIdentifier"), json!("a\nb"), "control character"),
        (at("/name/nameIdentifier/0/primaryIdentifier"), json!(7), "is not a text"),
        (at("/name/nameIdentifier"), json!([]), "nameIdentifier` is missing"),
        (at("/name/nameIdentifier"), json!("KIM"), "is not a list"),
        (at("/colour"), json!("red"), "has a member, number 5, which the standard does not know"),
        (
            at("/geographicAddress"),
            json!([{"addressType": "HOME", "country": "KR", "streetName": "a"}]),
            "(C8)",
        ),
        (
            at("/geographicAddress"),
            json!([{"addressType": "HOME", "addressLine": ["a"]}]),
            "country` is missing",
        ),
        ("/originator/originatorPersons/1".into(), json!({"naturalPerson": {}}), "is missing"),
        ("/originator/originatorPersons/0/legalPerson".into(), json!({}), "is missing"),
        ("/beneficiary/accountNumber/1".into(), json!("second"), "has 2 entries, the limit is 1"),
        ("/beneficiary".into(), Value::Null, "`beneficiary` is missing"),
    ];
    let company_cases = [
        (of("/name/nameIdentifier/0/legalPersonNameIdentifierType"), json!("SHRT"), "(C5)"),
        (of("/nationalIdentification/nationalIdentifierType"), json!("CCPT"), "(C7)"),
        (of("/nationalIdentification/countryOfIssue"), json!("KR"), "(C9)"),
        (of("/nationalIdentification/registrationAuthority"), json!("RA000657"), "(C9)"),
        (of("/nationalIdentification/registrationAuthority"), json!("KR"), "is no registration authority"),
        (of("/nationalIdentification/nationalIdentifierType"), json!("TXID"), "(C9)"),
        (of("/nationalIdentification/nationalIdentifier"), json!("5493001KJTIIGC8Y1R13"), "(C11"),
        (of("/nationalIdentification"), Value::Null, "(C4)"),
    ];
    for (pointer, to, expected) in korean_cases {
        let said = changed(korean(), &pointer, to.clone());
        assert!(said.contains(expected), "{pointer} = {to}: {said}");
    }
    for (pointer, to, expected) in company_cases {
        let said = changed(company(), &pointer, to.clone());
        assert!(said.contains(expected), "{pointer} = {to}: {said}");
    }
}

#[test]
fn two_customers_on_one_side_are_refused() {
    let mut value = korean();
    let list = value.pointer_mut("/originator/originatorPersons").unwrap().as_array_mut().unwrap();
    list.push(list[0].clone());
    assert!(parse(&value).unwrap_err().problem.contains("several customers"));
}

#[test]
fn a_member_given_twice_is_refused_in_either_spelling() {
    let text = korean().to_string();
    let twice = text.replacen("{\"naturalPerson\"", "{\"naturalPerson\":{},\"naturalPerson\"", 1);
    assert!(Payload::parse(twice.as_bytes(), NOW).unwrap_err().problem.contains("given twice"));
    let both = text.replacen("\"dateAndPlaceOfBirth\"", "\"dataAndPlaceOfBirth\":{\"dateOfBirth\":\"1990-01-31\",\"placeOfBirth\":\"x\"},\"dateAndPlaceOfBirth\"", 1);
    assert!(Payload::parse(both.as_bytes(), NOW).unwrap_err().problem.contains("two spellings"));
}

#[test]
fn the_canonical_form_is_rfc_8785_and_a_fixed_point() {
    for value in [korean(), company()] {
        let canonical = parse(&value).unwrap().canonical();
        let again = Payload::parse(canonical.as_bytes(), NOW).unwrap();
        assert_eq!(*again.canonical(), *canonical);
        let read: Value = serde_json::from_str(&canonical).unwrap();
        assert_eq!(serde_json_canonicalizer::to_string(&read).unwrap(), *canonical);
        let beneficiary = Beneficiary::parse(again.beneficiary_canonical().as_bytes(), NOW).unwrap();
        assert_eq!(*beneficiary.canonical(), *again.beneficiary_canonical());
    }
}

#[test]
fn other_spellings_are_the_same_payload() {
    let text = company().to_string();
    let plain = parse(&company()).unwrap();
    for (from, to) in [
        ("\"postcode\"", "\"postCode\""),
        ("\"customerIdentification\"", "\"customerNumber\""),
        ("\"originatorPersons\"", "\"originatorPerson\""),
        ("\"nameIdentifierType\"", "\"naturalPersonNameIdentifierType\""),
    ] {
        assert!(text.contains(from), "{from}");
        let other = Payload::parse(text.replace(from, to).as_bytes(), NOW).unwrap();
        assert_eq!(*other.canonical(), *plain.canonical(), "{to}");
    }
}

#[test]
fn nothing_of_a_payload_is_printed() {
    let payload = parse(&korean()).unwrap();
    let said = format!("{payload:?} {:?}", payload.beneficiaries());
    assert!(!said.contains("KIM") && !said.contains('김') && said.contains('…'), "{said}");
}

/// Whatever was said no to, no piece of it is repeated.
fn is_discreet(no: &Invalid) -> bool {
    !no.problem.contains("SECRET")
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Payload::parse(&bytes, NOW).is_err());
        let _ = Beneficiary::parse(&bytes, NOW);
    }

    #[test]
    fn a_payload_with_any_piece_replaced_is_handled_and_never_quoted(at in 0usize..2000, with in "(SECRET|\"|\\{|\\}|\\[|\\]|,|:|\\\\u0000|1e9)") {
        let mut text = korean().to_string();
        let at = (0..=at.min(text.len())).rev().find(|n| text.is_char_boundary(*n)).unwrap();
        text.insert_str(at, &with);
        if let Err(no) = Payload::parse(text.as_bytes(), NOW) {
            prop_assert!(is_discreet(&no), "{}", no);
        }
    }
}
