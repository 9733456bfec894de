//! Owns the laws of persons: one canonical form, which reads back as the same, and no refusal that repeats what was sent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Beneficiary, PAYLOAD_LEN_MAX, Payload, REQUIRED_CODES, Raw, are_required_codes};
use crate::enclave::name::same_name;
use crate::withdrawal::fuzzing::told;
use crate::withdrawal::{Invalid, Seconds};

pub(crate) const NOW: Seconds = Seconds(1_800_000_000);

/// A refusal of persons is of our own words, which are ASCII: a name in another script cannot have slipped in.
pub(crate) fn told_nothing(no: &Invalid) {
    told(no);
    assert!(no.problem.is_ascii(), "a refusal repeats what it refuses: {}", no.problem);
}

/// What is called a number is one: nothing else is handed on under that name.
pub(in crate::enclave) fn numbers(raw: &Raw) {
    match raw {
        Raw::Number(text) => assert!(text.as_str().parse::<serde_json::Number>().is_ok(), "no number"),
        Raw::List(list) => list.iter().for_each(numbers),
        Raw::Object(members) => members.iter().for_each(|(_, value)| numbers(value)),
        Raw::Null | Raw::Text(_) | Raw::Truth(_) => {}
    }
}

/// IVMS101 JSON: a payload, and a beneficiary cut to what is required. The first byte chooses what that is.
pub(crate) fn payload(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else { return };
    match Payload::parse(bytes, NOW) {
        Err(no) => told_nothing(&no),
        Ok(payload) => {
            assert!(bytes.len() <= PAYLOAD_LEN_MAX);
            let canonical = payload.canonical();
            let _: serde_json::Value = serde_json::from_str(&canonical).expect("the canonical form is JSON");
            if canonical.len() <= PAYLOAD_LEN_MAX {
                let again =
                    Payload::parse(canonical.as_bytes(), NOW).expect("the canonical form is a payload");
                assert!(again == payload && *again.canonical() == *canonical);
            }
            let beneficiary = payload.beneficiary_canonical();
            if !beneficiary.is_empty() {
                let read =
                    Beneficiary::parse(beneficiary.as_bytes(), NOW).expect("its beneficiary stands alone");
                assert_eq!(*read.canonical(), *beneficiary);
                assert_eq!((read.account(), read.persons()), (payload.account(), payload.beneficiaries()));
                cut(read, choice);
            }
            for person in payload.beneficiaries().iter().chain(&payload.originators()) {
                let comparable = same_name(person, person).is_some();
                assert!(
                    comparable
                        || person.names.iter().all(|name| !name
                            .primary
                            .as_str()
                            .chars()
                            .any(char::is_alphabetic))
                );
            }
        }
    }
    match Beneficiary::parse(bytes, NOW) {
        Err(no) => told_nothing(&no),
        Ok(read) => cut(read, choice),
    }
}

/// What was there and required is there after the cut, nothing is required twice, and cutting again takes nothing.
fn cut(beneficiary: Beneficiary, choice: u8) {
    let required: Vec<String> = REQUIRED_CODES
        .into_iter()
        .enumerate()
        .filter(|(n, _)| choice == 255 || (usize::from(choice) >> (n % 7)) & 1 == 1)
        .map(|(_, code)| code.to_owned())
        .collect();
    assert!(are_required_codes(&required));
    let is_legal = beneficiary.persons().iter().any(|person| person.is_legal);
    let missing = beneficiary.missing(&required, is_legal);
    let before = beneficiary.canonical();
    let less = beneficiary.cut_to(&required);
    let after = less.canonical();
    assert!(after.len() <= before.len());
    let read = Beneficiary::parse(after.as_bytes(), NOW);
    if !after.contains("{}") && after.len() <= PAYLOAD_LEN_MAX {
        let read = read.expect("what is left is a beneficiary");
        assert_eq!(
            read.missing(&required, is_legal),
            missing,
            "the cut took what was required: {required:?}"
        );
        assert_eq!(*read.cut_to(&required).canonical(), *after);
    }
}

pub(crate) fn payload_seeds() -> Vec<Vec<u8>> {
    let natural = include_str!("../../../tests/vectors/ivms/korean-natural.json");
    let legal = include_str!("../../../tests/vectors/ivms/legal-with-representative.json");
    let mut all = Vec::new();
    for text in [natural, legal] {
        let vector: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut found = vec![vector.clone()];
        found.extend(vector.as_object().into_iter().flat_map(|members| members.values().cloned()));
        for value in found {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            all.extend([0u8, 77, 255].map(|choice| [&[choice], text.as_bytes()].concat()));
        }
    }
    all.push(b"\x7f{\"beneficiary\":{\"accountNumber\":[\"bc1q\"]}}".to_vec());
    all
}
