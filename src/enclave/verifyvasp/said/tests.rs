#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use serde_json::{Value, json};

use super::*;
use crate::withdrawal::{Amount, Asset as OwnAsset, Network};

const UUID: &str = "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";

fn names() -> Names {
    Names::new(OwnAsset::Bitcoin(Network::Regtest), "Bitcoin").unwrap()
}

fn item() -> Value {
    json!({
        "verificationId": 7, "verificationUuid": UUID, "result": "VERIFIED", "reason": "OK", "message": "Hong Gildong",
        "assetInfo": { "symbol": "BTC", "network": "Bitcoin", "amount": "0.00150000", "isExceedingThreshold": true,
            "tradePrice": "150000", "tradeCurrency": "KRW", "tradeISODatetime": "2026-01-31T00:00:00.123Z" },
        "txHash": null, "originatingVaspId": "1001", "originatorAccountNumber": "customer-17",
        "ivms101Originator": "{\"originatorPersons\":[{\"naturalPerson\":\"Hong Gildong\"}]}",
        "ivms101OriginatingVasp": "{}", "beneficiaryVaspId": "2002", "beneficiaryAccountNumber": "bcrt1q",
        "ivms101Beneficiary": { "beneficiaryPersons": ["Robbins Taylor"] }, "ivms101BeneficiaryVasp": null,
        "verifiedAt": "2026-01-31T00:00:05.000Z", "orderedAt": null, "createdAt": "2026-01-31T00:00:00.000Z",
    })
}

fn read(item: &Value) -> Result<RouteAnswer, Miss> {
    let item: Item = serde_json::from_str(&item.to_string()).map_err(|_| Miss::Unknown("json"))?;
    item.read("https://enclave.example", &names())
}

#[test]
fn a_record_is_read_without_any_person_in_it() {
    let item: Item = serde_json::from_str(&item().to_string()).unwrap();
    let said = item.read("https://enclave.example", &names()).unwrap();
    assert_eq!((said.result, said.reason.as_str()), (Some(Decision::Verified), "OK"));
    assert_eq!(
        (said.amount, said.verified_at),
        (Some(Amount::from_sat(150_000)), Some(Seconds(1_769_817_605)))
    );
    assert_eq!(item.trade_ms(), Some(1_769_817_600_123));
    let printed = format!("{item:?} {said:?}");
    for person in ["Hong", "Gildong", "Robbins", "Taylor", "customer-17", "Persons"] {
        assert!(!printed.contains(person), "{person}: {printed}");
    }
}

#[test]
fn bad_json_is_never_repeated() {
    let text = item().to_string().replace("\"txHash\":null", "\"txHash\":{\"Robbins\":1}");
    let fault =
        serde_json::from_str::<Item>(&text).map_err(|_| Miss::Unknown("it cannot be read")).unwrap_err();
    assert!(!fault.to_string().contains("Robbins"));
}

#[test]
fn only_the_documented_yes_is_a_yes() {
    let with = |result: Value, reason: Value| {
        let mut item = item();
        item["result"] = result;
        item["reason"] = reason;
        let said = read(&item).unwrap();
        (said.result, said.reason)
    };
    let table = [
        (json!("VERIFIED"), json!("OK"), Some(Decision::Verified), "OK"),
        (json!("VERIFIED"), Value::Null, Some(Decision::Verified), "OK"),
        (json!("VERIFIED"), json!("MISMATCHED-NAME"), None, "UNDEFINED-ERROR"),
        (json!("DENIED"), json!("UNVERIFIED-KYC"), Some(Decision::Denied), "UNVERIFIED-KYC"),
        (json!("DENIED"), json!("OK"), Some(Decision::Denied), "UNDEFINED-ERROR"),
        (json!("DENIED"), json!("Hong Gildong"), Some(Decision::Denied), "UNDEFINED-ERROR"),
        (json!("UNKNOWN"), Value::Null, Some(Decision::Denied), "UNKNOWN-ADDRESS"),
        (json!("ERROR"), json!("USER-CANCELED"), Some(Decision::Error), "USER-CANCELED"),
        (json!("TRANSFER_ERROR"), Value::Null, Some(Decision::Error), "UNDEFINED-ERROR"),
        (json!("WAIT"), Value::Null, None, "UNDEFINED-ERROR"),
        (json!("PENDING"), json!("OK"), None, "UNDEFINED-ERROR"),
        (json!("verified"), json!("OK"), None, "UNDEFINED-ERROR"),
        (Value::Null, Value::Null, None, "UNDEFINED-ERROR"),
    ];
    for (result, reason, expected, word) in table {
        assert_eq!(with(result.clone(), reason.clone()), (expected, word.to_owned()), "{result} {reason}");
    }
}

#[test]
fn another_asset_or_chain_or_an_amount_that_does_not_fit_is_none_of_ours() {
    for (field, value) in [
        ("symbol", json!("ETH")),
        ("network", json!("Ethereum")),
        ("network", Value::Null),
        ("amount", json!("0.001500001")),
        ("amount", json!("1e-3")),
    ] {
        let mut item = item();
        item["assetInfo"][field] = value.clone();
        let said = read(&item).unwrap();
        assert!(said.asset.is_none() || said.amount.is_none(), "{field} {value}");
    }
    let mut number = item();
    number["assetInfo"]["isExceedingThreshold"] = json!(1);
    assert!(read(&number).unwrap().named);
    number["assetInfo"]["isExceedingThreshold"] = json!(0);
    assert!(!read(&number).unwrap().named);
}

#[test]
fn what_is_missing_or_no_id_is_no_record() {
    for (field, value) in [
        ("verificationUuid", json!("robbins")),
        ("verificationUuid", json!("5f0c2d4e-7c1b-1a8e-9d51-2b6a0d3a9f10")),
        ("originatingVaspId", json!("minus one")),
        ("beneficiaryVaspId", json!(2002)),
        ("beneficiaryAccountNumber", Value::Null),
        ("assetInfo", Value::Null),
    ] {
        let mut item = item();
        item[field] = value.clone();
        assert!(read(&item).is_err(), "{field} {value}");
    }
}
