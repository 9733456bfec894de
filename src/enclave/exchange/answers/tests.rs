//! Tests of the five calls: what is written is what the network documents, and no answer is a yes by mistake.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;
use crate::enclave::ivms::Payload;
use crate::withdrawal::{Amount, VaspId};

const UUID: &str = "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";
const NOW: Seconds = Seconds(1_800_000_000);

fn payload() -> Payload {
    let person = json!([{ "naturalPerson": { "name": { "nameIdentifier": [
        { "primaryIdentifier": "Robbins", "secondaryIdentifier": "Taylor", "nameIdentifierType": "LEGL" }] },
        "dateAndPlaceOfBirth": { "dateOfBirth": "1990-01-31", "placeOfBirth": "Seoul" } } }]);
    let both = json!({
        "originator": { "originatorPersons": person, "accountNumber": ["customer-17"] },
        "beneficiary": { "beneficiaryPersons": person, "accountNumber": ["bc1q"] },
    });
    Payload::parse(both.to_string().as_bytes(), NOW).unwrap()
}

fn question<'a>(
    payload: Option<&'a Payload>,
    info: Option<&'a AssetInfo>,
    required: &'a [String],
) -> Question<'a> {
    Question {
        uuid: UUID,
        originating_vasp: VaspId(u64::MAX),
        symbol: "BTC",
        network: "mainnet",
        destination: "bc1q",
        amount: Amount::from_sat(150_000),
        payload,
        asset_info: info,
        required,
    }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_questions_are_those_of_the_documented_api() {
    let asked = value(&account_question(&question(None, None, &[])).unwrap());
    let expected = json!({ "originatingVaspId": "18446744073709551615", "symbol": "BTC", "network": "mainnet",
        "version": "1.0", "ivms101": { "beneficiary": { "accountNumber": ["bc1q"] } } });
    assert_eq!(asked, expected);

    let (payload, required) = (payload(), ["ACCOUNT_NUMBER".to_owned(), "NATURAL_PERSON_NAME".to_owned()]);
    let info = AssetInfo {
        symbol: "BTC".into(),
        network: None,
        amount: "0.0015".into(),
        is_exceeding_threshold: false,
        trade_price: "150000".into(),
        trade_currency: "KRW".into(),
        trade_iso_datetime: "2026-01-31T00:00:00Z".into(),
    };
    let asked = value(&user_question(&question(Some(&payload), Some(&info), &required)).unwrap());
    assert_eq!(asked["verificationUuid"], UUID);
    assert_eq!(asked["requiredBeneficiaryInfo"], "ACCOUNT_NUMBER,NATURAL_PERSON_NAME");
    assert_eq!(asked["assetInfo"]["tradeISODatetime"], "2026-01-31T00:00:00Z");
    assert_eq!(asked["assetInfo"]["isExceedingThreshold"], false);
    assert_eq!(asked["ivms101"]["originator"]["accountNumber"], json!(["customer-17"]));
    assert_eq!(asked["ivms101"]["beneficiary"]["accountNumber"], json!(["bc1q"]));
    assert_eq!((&asked["version"], asked.as_object().unwrap().len()), (&json!("1.0"), 6));

    let asked = value(&transaction_question(UUID).unwrap());
    assert_eq!(asked, json!({ "verificationUuid": UUID }));
    let told = value(&callback("TX_REPORT", r#"{"txHash":"ab"}"#).unwrap());
    assert_eq!(told, json!({ "callbackType": "TX_REPORT", "data": { "txHash": "ab" } }));
}

#[test]
fn no_worth_is_made_up_where_the_originator_stated_none() {
    let payload = payload();
    let asked = value(&user_question(&question(Some(&payload), None, &[])).unwrap());
    let known = json!({ "symbol": "BTC", "network": "mainnet", "amount": "0.00150000", "isExceedingThreshold": true });
    assert_eq!(asked["assetInfo"], known);
    assert_eq!(asked["requiredBeneficiaryInfo"], "ACCOUNT_NUMBER,NATURAL_PERSON_NAME");
}

fn beneficiary(account: &str) -> Value {
    json!({ "beneficiary": { "accountNumber": [account], "beneficiaryPersons": [{ "naturalPerson": { "name": {
        "nameIdentifier": [{ "primaryIdentifier": "Robbins", "nameIdentifierType": "LEGL" }] } } }] } })
}

fn user(answer: &Value) -> Result<(Decision, Reason, Option<String>), LineFault> {
    let verdict = user_answer(answer.to_string().as_bytes(), NOW)?;
    assert_eq!(verdict.beneficiary.is_some(), verdict.decision == Decision::Verified);
    Ok((verdict.decision, verdict.reason, verdict.message))
}

#[test]
fn a_yes_about_a_person_is_a_whole_answer_or_none() {
    let good =
        json!({ "result": "VERIFIED", "reason": "OK", "version": "1.0", "ivms101": beneficiary("bc1q") });
    assert_eq!(user(&good), Ok((Decision::Verified, Reason::Ok, None)));
    let with = |key: &str, value: Value| {
        let mut other = good.clone();
        other[key] = value;
        other
    };
    let without = |key: &str| {
        let mut other = good.clone();
        other.as_object_mut().unwrap().remove(key);
        other
    };
    for read in [without("version"), with("message", json!("x".repeat(2000))), with("extra", json!([1]))] {
        assert_eq!(user(&read), Ok((Decision::Verified, Reason::Ok, None)), "{read}");
    }
    let mut older = without("result");
    older["verificationResult"] = json!("VERIFIED");
    assert_eq!(user(&older), Ok((Decision::Verified, Reason::Ok, None)));
    for (no, field) in [
        (with("result", json!("verified")), "result"),
        (with("result", json!(true)), "result"),
        (with("result", json!("VERIFIED ")), "result"),
        (without("result"), "result"),
        (with("verificationResult", json!("VERIFIED")), "result"),
        (without("reason"), "reason"),
        (with("reason", json!("MISMATCHED-NAME")), "`result` and `reason` contradict each other"),
        (with("reason", json!("SOMETHING-NEW")), "`result` and `reason` contradict each other"),
        (with("version", json!("2.0")), "version"),
        (without("ivms101"), "ivms101"),
        (with("ivms101", json!({})), "ivms101.beneficiary"),
        (with("ivms101", json!({ "beneficiary": { "accountNumber": [] } })), "ivms101.beneficiary"),
        (
            with("ivms101", json!({ "beneficiary": { "accountNumber": ["bc1q"] } })),
            "ivms101.beneficiary.beneficiaryPersons",
        ),
        (json!([]), "body"),
        (json!("VERIFIED"), "body"),
    ] {
        assert_eq!(user(&no).err(), Some(LineFault::Malformed(field)), "{no}");
    }
    for no in ["", "<html>", "{\"result\":\"VERIFIED\"", "{\"result\":\"VERIFIED\",\"result\":\"VERIFIED\"}"]
    {
        assert_eq!(user_answer(no.as_bytes(), NOW).err(), Some(LineFault::Malformed("body")), "{no}");
    }
}

#[test]
fn another_address_given_back_is_passed_on_as_it_is() {
    let other = json!({ "result": "VERIFIED", "reason": "OK", "ivms101": beneficiary("bc1q-other") });
    let verdict = user_answer(other.to_string().as_bytes(), NOW).unwrap();
    assert_eq!(verdict.beneficiary.unwrap().account(), "bc1q-other");
}

#[test]
fn a_no_needs_no_persons_and_keeps_its_message() {
    let table = [
        (
            json!({ "result": "DENIED", "reason": "LACK-OF-INFORMATION", "message": "NATURAL_PERSON_NATIONALITY" }),
            (Decision::Denied, Reason::LackOfInformation, Some("NATURAL_PERSON_NATIONALITY".to_owned())),
        ),
        (
            json!({ "result": "DENIED", "reason": "SOMETHING-NEW" }),
            (Decision::Denied, Reason::UndefinedError, None),
        ),
        (json!({ "result": "DENIED" }), (Decision::Denied, Reason::UndefinedError, None)),
        (
            json!({ "result": "DENIED", "reason": "REQUEST-TIMEOUT" }),
            (Decision::Denied, Reason::UndefinedError, None),
        ),
        (
            json!({ "result": "DENIED", "reason": "MISMATCHED-NAME", "ivms101": beneficiary("bc1q") }),
            (Decision::Denied, Reason::MismatchedName, None),
        ),
        (json!({ "result": "UNKNOWN" }), (Decision::Denied, Reason::UnknownAddress, None)),
        (json!({ "result": "ERROR", "reason": "OK" }), (Decision::Error, Reason::UndefinedError, None)),
        (json!({ "result": "PENDING" }), (Decision::Error, Reason::UndefinedError, None)),
    ];
    for (answer, expected) in table {
        assert_eq!(user(&answer), Ok(expected), "{answer}");
    }
    let contradiction = json!({ "result": "DENIED", "reason": "OK" });
    assert!(user(&contradiction).is_err());
}

#[test]
fn an_address_is_answered_in_either_spelling() {
    let account = |answer: Value| {
        account_answer(answer.to_string().as_bytes()).map(|v| (v.decision, v.reason)).map_err(|_| ())
    };
    let at = "2026-01-31T00:00:00Z";
    let yes = json!({ "accountVerificationResult": "VERIFIED", "verifiedAt": at });
    assert_eq!(account(yes), Ok((Decision::Verified, Reason::Ok)));
    assert_eq!(
        account(json!({ "result": "VERIFIED", "reason": "OK" })),
        Ok((Decision::Verified, Reason::Ok))
    );
    let no = json!({ "accountVerificationResult": "DENIED", "reason": "UNKNOWN-ADDRESS", "verifiedAt": at });
    assert_eq!(account(no), Ok((Decision::Denied, Reason::UnknownAddress)));
    for bad in [
        json!({}),
        json!({ "accountVerificationResult": "OK" }),
        json!({ "accountVerificationResult": null }),
    ] {
        assert_eq!(account(bad.clone()), Err(()), "{bad}");
    }
}

#[test]
fn a_transfer_is_the_one_that_was_asked_about() {
    let read = |answer: Value| transaction_answer(answer.to_string().as_bytes(), UUID);
    let mined = read(
        json!({ "verificationUuid": UUID, "transactionStatus": "WAIT-CONFIRM", "txHash": "ab", "vout": 1 }),
    );
    let expected =
        Transfer { status: TransferStatus::WaitConfirm, tx_hash: Some("ab".into()), vout: Some("1".into()) };
    assert_eq!(mined, Ok(expected));
    let waiting =
        read(json!({ "verificationUuid": UUID, "transactionStatus": "PENDING", "txHash": "", "vout": null }));
    assert_eq!(waiting, Ok(Transfer { status: TransferStatus::Pending, tx_hash: None, vout: None }));
    for bad in [
        json!({ "verificationUuid": "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f11", "transactionStatus": "CONFIRMED" }),
        json!({ "transactionStatus": "CONFIRMED" }),
        json!({ "verificationUuid": UUID, "transactionStatus": "DONE" }),
        json!({ "verificationUuid": UUID, "transactionStatus": "CONFIRMED", "txHash": "a b" }),
        json!({ "verificationUuid": UUID, "transactionStatus": "CONFIRMED", "txHash": "a".repeat(129) }),
        json!({ "verificationUuid": UUID, "transactionStatus": "CONFIRMED", "vout": -1 }),
    ] {
        assert!(read(bad.clone()).is_err(), "{bad}");
    }
}
