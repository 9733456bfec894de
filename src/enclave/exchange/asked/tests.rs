//! Tests of what the exchange may ask: the documented bodies with their older spellings, and every mistake by its field alone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::errors::Refused;
use super::*;

const NOW: Seconds = Seconds(1_800_000_000);
const UUID: &str = "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";

fn persons(name: &str) -> Value {
    json!([{ "naturalPerson": {
        "name": { "nameIdentifier": [{ "primaryIdentifier": name, "nameIdentifierType": "LEGL" }] },
        "dateAndPlaceOfBirth": { "dateOfBirth": "1990-01-31", "placeOfBirth": "Seoul" } } }])
}

fn user() -> Value {
    json!({
        "keyType": "PerVasp", "beneficiaryVaspId": "4855741808338010592",
        "assetInfo": { "symbol": "BTC", "network": "mainnet", "amount": "0.0015", "isExceedingThreshold": true,
            "tradePrice": "1500000", "tradeCurrency": "KRW", "tradeISODatetime": "2026-01-31T00:00:00.000Z" },
        "requiredBeneficiaryInfo": "ACCOUNT_NUMBER, NATURAL_PERSON_NAME,ACCOUNT_NUMBER",
        "payload": { "version": "1.0", "ivms101": {
            "originator": { "originatorPersons": persons("Hong"), "accountNumber": ["customer-17"] },
            "beneficiary": { "beneficiaryPersons": persons("Robbins"), "accountNumber": ["bc1q"] } } },
    })
}

fn account() -> Value {
    json!({ "keyType": "PerAddress", "beneficiaryVaspId": "7", "symbol": "BTC",
        "payload": { "version": "1.0", "ivms101": { "beneficiary": { "accountNumber": ["bc1q"] } } } })
}

/// The same with another value at a path; `null` takes the member out.
fn with(mut body: Value, path: &str, value: Value) -> Value {
    let (head, name) = path.rsplit_once('/').unwrap();
    let object = body.pointer_mut(head).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(object.remove(name)),
        value => drop(object.insert(name.to_owned(), value)),
    }
    body
}

fn order(body: &Value) -> Result<UserOrder, Wrong> {
    user_order(body.to_string().as_bytes(), NOW)
}

#[test]
fn an_order_is_read_with_its_older_spellings() {
    let read = order(&user()).unwrap();
    assert_eq!((read.key_type, read.beneficiary_vasp), (KeyType::PerVasp, VaspId(4_855_741_808_338_010_592)));
    assert_eq!(read.required, ["ACCOUNT_NUMBER", "NATURAL_PERSON_NAME"]);
    assert_eq!(read.asset_info.amount, "0.0015");
    assert!(read.asset_info.is_exceeding_threshold);
    assert!(Payload::parse(&read.payload, NOW).unwrap().demand_persons().is_ok());

    let older = with(user(), "/keyType", json!("PerEoa"));
    assert_eq!(order(&older).unwrap().key_type, KeyType::PerAddress);
    assert_eq!(order(&with(user(), "/keyType", Value::Null)).unwrap().key_type, KeyType::PerVasp);
    let older = with(user(), "/assetInfo/isExceedingThreshold", json!(0));
    assert!(!order(&older).unwrap().asset_info.is_exceeding_threshold);
    let older = with(user(), "/assetInfo/tradeISODatetime", Value::Null);
    let older = with(older, "/assetInfo/tradeISODateTime", json!("2026-01-31T00:00:00Z"));
    assert_eq!(order(&older).unwrap().asset_info.trade_iso_datetime, "2026-01-31T00:00:00Z");
    assert_eq!(order(&with(user(), "/assetInfo/network", Value::Null)).unwrap().asset_info.network, None);

    let read = account_order(account().to_string().as_bytes(), NOW).unwrap();
    assert_eq!((read.key_type, read.symbol.as_str(), read.network), (KeyType::PerAddress, "BTC", None));
}

#[test]
fn every_wrong_field_of_an_order_is_named_and_no_value_is_repeated() {
    let long = || json!("kim".repeat(200));
    let table: Vec<(&str, Value, &str, &str)> = vec![
        ("/keyType", json!("kim"), "keyType", "INVALID-PARAMETER"),
        ("/keyType", json!(7), "keyType", "INVALID-PARAMETER"),
        ("/beneficiaryVaspId", Value::Null, "beneficiaryVaspId", "MISSING-PARAMETER"),
        ("/beneficiaryVaspId", json!(7), "beneficiaryVaspId", "INVALID-PARAMETER"),
        ("/beneficiaryVaspId", json!("kim"), "beneficiaryVaspId", "INVALID-PARAMETER"),
        ("/beneficiaryVaspId", json!("18446744073709551616"), "beneficiaryVaspId", "INVALID-PARAMETER"),
        ("/assetInfo", Value::Null, "assetInfo", "MISSING-PARAMETER"),
        ("/assetInfo", json!("kim"), "assetInfo", "INVALID-PARAMETER"),
        ("/assetInfo/symbol", json!(""), "assetInfo.symbol", "MISSING-PARAMETER"),
        ("/assetInfo/symbol", long(), "assetInfo.symbol", "PARAMETER-TOO-LONG"),
        ("/assetInfo/network", long(), "assetInfo.network", "PARAMETER-TOO-LONG"),
        ("/assetInfo/amount", Value::Null, "assetInfo.amount", "MISSING-PARAMETER"),
        ("/assetInfo/amount", json!(0.0015), "assetInfo.amount", "INVALID-PARAMETER"),
        ("/assetInfo/amount", json!("1e5"), "assetInfo.amount", "INVALID-PARAMETER"),
        ("/assetInfo/amount", json!("-1"), "assetInfo.amount", "INVALID-PARAMETER"),
        ("/assetInfo/amount", json!("0.000"), "assetInfo.amount", "INVALID-PARAMETER"),
        ("/assetInfo/amount", json!("1."), "assetInfo.amount", "INVALID-PARAMETER"),
        ("/assetInfo/amount", json!("9".repeat(65)), "assetInfo.amount", "PARAMETER-TOO-LONG"),
        (
            "/assetInfo/isExceedingThreshold",
            Value::Null,
            "assetInfo.isExceedingThreshold",
            "MISSING-PARAMETER",
        ),
        (
            "/assetInfo/isExceedingThreshold",
            json!("kim"),
            "assetInfo.isExceedingThreshold",
            "INVALID-PARAMETER",
        ),
        ("/assetInfo/tradePrice", json!("01"), "assetInfo.tradePrice", "INVALID-PARAMETER"),
        ("/assetInfo/tradeCurrency", json!("krw"), "assetInfo.tradeCurrency", "INVALID-PARAMETER"),
        (
            "/assetInfo/tradeISODatetime",
            json!("2026-01-31"),
            "assetInfo.tradeISODatetime",
            "INVALID-PARAMETER",
        ),
        (
            "/assetInfo/tradeISODatetime",
            json!("2026-01-31T09:00:00+09:00"),
            "assetInfo.tradeISODatetime",
            "INVALID-PARAMETER",
        ),
        (
            "/assetInfo/tradeISODateTime",
            json!("2026-01-31T00:00:00Z"),
            "assetInfo.tradeISODatetime",
            "INVALID-PARAMETER",
        ),
        ("/assetInfo/kim", json!(1), "assetInfo", "UNKNOWN-PARAMETER"),
        (
            "/requiredBeneficiaryInfo",
            Value::Null,
            "requiredBeneficiaryInfo",
            "MISSING-REQUIRED-BENEFICIARY-INFO",
        ),
        (
            "/requiredBeneficiaryInfo",
            json!("ACCOUNT_NUMBER,kim"),
            "requiredBeneficiaryInfo",
            "INVALID-PARAMETER",
        ),
        (
            "/requiredBeneficiaryInfo",
            json!(["ACCOUNT_NUMBER"]),
            "requiredBeneficiaryInfo",
            "INVALID-PARAMETER",
        ),
        ("/payload", Value::Null, "payload", "MISSING-PARAMETER"),
        ("/payload/version", json!("2.0"), "payload.version", "INVALID-PARAMETER"),
        ("/payload/version", Value::Null, "payload.version", "MISSING-PARAMETER"),
        ("/payload/ivms101", Value::Null, "payload.ivms101", "MISSING-PARAMETER"),
        ("/payload/ivms101", json!("kim"), "payload.ivms101", "INVALID-PARAMETER"),
        ("/payload/ivms101/originator", Value::Null, "payload.ivms101", "INVALID-PARAMETER"),
        (
            "/payload/ivms101/beneficiary/beneficiaryPersons",
            Value::Null,
            "payload.ivms101",
            "INVALID-PARAMETER",
        ),
        (
            "/payload/ivms101/beneficiary/accountNumber",
            json!(["kim", "lee"]),
            "payload.ivms101",
            "INVALID-PARAMETER",
        ),
        ("/payload/ivms101/beneficiary/kim", json!(1), "payload.ivms101", "INVALID-PARAMETER"),
        ("/payload/kim", json!(1), "payload", "UNKNOWN-PARAMETER"),
        ("/kim", json!(1), "body", "UNKNOWN-PARAMETER"),
    ];
    for (path, value, field, code) in table {
        let refused = Refused::from(order(&with(user(), path, value.clone())).unwrap_err());
        assert_eq!(
            (refused.status, refused.code),
            (StatusCode::BAD_REQUEST, code),
            "{path}={value}: {refused:?}"
        );
        assert!(refused.message.starts_with(&format!("`{field}` ")), "{path}={value}: {refused:?}");
        assert!(!refused.message.contains("kim") && !refused.message.contains("Robbins"), "{refused:?}");
    }
}

#[test]
fn an_address_order_names_exactly_one_address() {
    for (path, value, field) in [
        ("/symbol", Value::Null, "symbol"),
        ("/network", json!(1), "network"),
        ("/payload/ivms101/beneficiary/accountNumber", json!([]), "payload.ivms101"),
        ("/payload/ivms101/beneficiary/accountNumber", json!(["a", "b"]), "payload.ivms101"),
        ("/assetInfo", json!({}), "body"),
    ] {
        let no = account_order(with(account(), path, value).to_string().as_bytes(), NOW).unwrap_err();
        assert_eq!(no.path, field, "{path}");
    }
}

#[test]
fn reports_and_inquiries_name_a_verification() {
    let report = |body: Value| tx_report(body.to_string().as_bytes()).map(|r| (r.uuid, r.tx_hash, r.vout));
    let good = json!({ "verificationUuid": UUID, "txHash": "0xAb", "vout": 1 });
    assert_eq!(report(good.clone()), Ok((UUID.into(), "0xAb".into(), Some("1".into()))));
    assert_eq!(report(with(good.clone(), "/vout", Value::Null)).unwrap().2, None);
    let refused = |body: Value| Refused::from(report(body).unwrap_err());
    assert_eq!(
        refused(with(good.clone(), "/verificationUuid", Value::Null)).code,
        "MISSING-VERIFICATION-UUID"
    );
    for (path, value, field) in [
        ("/verificationUuid", json!("5f0c2d4e-7c1b-1a8e-9d51-2b6a0d3a9f10"), "verificationUuid"),
        ("/verificationUuid", json!("x".repeat(37)), "verificationUuid"),
        ("/txHash", Value::Null, "txHash"),
        ("/txHash", json!("a b"), "txHash"),
        ("/txHash", json!("a".repeat(129)), "txHash"),
        ("/vout", json!("one"), "vout"),
        ("/vout", json!(-1), "vout"),
        ("/vout", json!(1.5), "vout"),
    ] {
        assert_eq!(
            report(with(good.clone(), path, value.clone())).unwrap_err().path,
            field,
            "{path}={value}"
        );
    }

    let error = |body: Value| error_report(body.to_string().as_bytes());
    let good = json!({ "verificationId": UUID, "result": "ERROR", "reason": "USER-CANCELED", "message": "changed their mind" });
    let (uuid, read) = error(good.clone()).unwrap();
    assert_eq!((uuid.as_str(), read.result, read.reason.as_str()), (UUID, Decision::Error, "USER-CANCELED"));
    assert_eq!(error(with(good.clone(), "/result", json!("UNKNOWN"))).unwrap().1.result, Decision::Denied);
    for (path, value, field) in [
        ("/result", json!("WAIT"), "result"),
        ("/reason", Value::Null, "reason"),
        ("/message", json!("x".repeat(1025)), "message"),
        ("/verificationUuid", json!(UUID), "verificationUuid"),
    ] {
        assert_eq!(error(with(good.clone(), path, value)).unwrap_err().path, field, "{path}");
    }
    assert_eq!(
        inquiry(json!({ "verificationUuid": UUID.to_uppercase() }).to_string().as_bytes()),
        Ok(UUID.into())
    );
    assert_eq!(inquiry(b"{}").unwrap_err().flaw, Flaw::Missing);
    assert!(uuid_of_path("kim").is_err());
}
