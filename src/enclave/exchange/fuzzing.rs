//! Owns the laws of the documented API: whatever the backend sends is an order that can be carried out, or a refusal of our own words.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::errors::Refused;
use super::fields::Wrong;
use super::{answers, asked, data_key, query};
use crate::enclave::answer::{Decision, Reason};
use crate::enclave::ivms::fuzzing::{NOW, numbers};
use crate::enclave::ivms::{Payload, are_required_codes};
use crate::enclave::{AssetInfo, Question, Verdict};
use crate::withdrawal::{Amount, Denomination, VaspId};

const UUID: &str = "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";

/// A refusal names its field, has a code and repeats nothing.
fn refused(wrong: Wrong) {
    assert!(!wrong.path.is_empty() && wrong.problem.is_ascii() && wrong.path.is_ascii(), "{wrong:?}");
    let refused = Refused::from(wrong);
    assert!(refused.status.is_client_error() && !refused.code.is_empty());
}

/// Bodies of orders and reports; the first byte chooses the call.
pub(crate) fn order(data: &[u8]) {
    let Some((call, bytes)) = data.split_first() else { return };
    match call % 5 {
        0 => match asked::user_order(bytes, NOW) {
            Err(no) => refused(no),
            Ok(order) => {
                let payload = Payload::parse(&order.payload, NOW).expect("an order's payload can be read");
                assert!(payload.demand_order(order.asset_info.is_exceeding_threshold).is_ok());
                assert!(are_required_codes(&order.required));
                ask(&payload, &order.asset_info, &order.required);
            }
        },
        1 => match asked::account_order(bytes, NOW) {
            Err(no) => refused(no),
            Ok(order) => assert!(Payload::parse(&order.payload, NOW).is_ok()),
        },
        2 => match asked::tx_report(bytes) {
            Err(no) => refused(no),
            Ok(report) => {
                assert!(report.tx_hash.bytes().all(|b| b.is_ascii_graphic()) && !report.tx_hash.is_empty());
                assert!(report.vout.is_none_or(|vout| vout.bytes().all(|b| b.is_ascii_digit())));
                assert_eq!(asked::uuid_of_path(&report.uuid), Ok(report.uuid));
            }
        },
        3 => match asked::error_report(bytes) {
            Err(no) => refused(no),
            Ok((uuid, _)) => assert_eq!(asked::uuid_of_path(&uuid), Ok(uuid)),
        },
        _ => match asked::inquiry(bytes) {
            Err(no) => refused(no),
            Ok(uuid) => assert_eq!(asked::uuid_of_path(&uuid), Ok(uuid)),
        },
    }
}

/// What is asked on is JSON, and an amount is exact or refused.
fn ask(payload: &Payload, info: &AssetInfo, required: &[String]) {
    let question = Question {
        uuid: UUID,
        originating_vasp: VaspId(7),
        symbol: &info.symbol,
        network: info.network.as_deref().unwrap_or_default(),
        destination: payload.account(),
        amount: Amount::from_sat(1),
        payload: Some(payload),
        asset_info: Some(info),
        required,
    };
    for text in [answers::user_question(&question), answers::account_question(&question)] {
        let _: serde_json::Value = serde_json::from_str(&text.unwrap()).expect("a question is JSON");
    }
    if let Ok(amount) = info.amount_of(Denomination::bitcoin().decimals()) {
        let plain = |text: &str| text.trim_start_matches('0').to_owned();
        let given = match info.amount.split_once('.') {
            Some((whole, fraction)) => format!("{whole}.{:0<8}", fraction.trim_end_matches('0')),
            None => format!("{}.00000000", info.amount),
        };
        assert_eq!(plain(&amount.in_coin(8)), plain(&given));
    }
    let _ = info.check_worth();
}

pub(crate) fn order_seeds() -> Vec<Vec<u8>> {
    let user = r#"{"keyType":"PerVasp","beneficiaryVaspId":"4855741808338010592","assetInfo":{"symbol":"BTC","network":"mainnet","amount":"0.0015","isExceedingThreshold":true,"tradePrice":"1500000","tradeCurrency":"KRW","tradeISODatetime":"2026-01-31T00:00:00.000Z"},"requiredBeneficiaryInfo":"ACCOUNT_NUMBER, NATURAL_PERSON_NAME","payload":{"version":"1.0","ivms101":{"originator":{"originatorPersons":[{"naturalPerson":{"name":{"nameIdentifier":[{"primaryIdentifier":"Hong","nameIdentifierType":"LEGL"}]},"dateAndPlaceOfBirth":{"dateOfBirth":"1990-01-31","placeOfBirth":"Seoul"}}}],"accountNumber":["customer-17"]},"beneficiary":{"beneficiaryPersons":[{"naturalPerson":{"name":{"nameIdentifier":[{"primaryIdentifier":"Robbins","nameIdentifierType":"LEGL"}]}}}],"accountNumber":["bc1q"]}}}}"#;
    let account = r#"{"keyType":"PerEoa","beneficiaryVaspId":"7","symbol":"BTC","payload":{"version":"1.0","ivms101":{"beneficiary":{"accountNumber":["bc1q"]}}}}"#;
    let bodies = [
        (0, user.to_owned()),
        (1, account.to_owned()),
        (2, format!(r#"{{"verificationUuid":"{UUID}","txHash":"ab","vout":0}}"#)),
        (
            3,
            format!(
                r#"{{"verificationId":"{UUID}","result":"DENIED","reason":"UNKNOWN-ADDRESS","message":"x"}}"#
            ),
        ),
        (4, format!(r#"{{"verificationUuid":"{UUID}"}}"#)),
    ];
    bodies.map(|(call, body)| [&[call], body.as_bytes()].concat()).to_vec()
}

/// What the backend answers; the first byte chooses the call. Only a whole answer is a yes.
pub(crate) fn answer(data: &[u8]) {
    let Some((call, bytes)) = data.split_first() else { return };
    if let Ok(raw) = crate::enclave::ivms::read_json(bytes) {
        numbers(&raw);
    }
    let sound = |verdict: Verdict| {
        assert_eq!(verdict.decision == Decision::Verified, verdict.reason == Reason::Ok);
        verdict
    };
    match call % 4 {
        0 => {
            if let Ok(verdict) = answers::account_answer(bytes) {
                assert!(sound(verdict).beneficiary.is_none());
            }
        }
        1 => {
            if let Ok(verdict) = answers::user_answer(bytes, NOW) {
                let verdict = sound(verdict);
                assert_eq!(verdict.beneficiary.is_some(), verdict.decision == Decision::Verified);
                assert!(verdict.beneficiary.is_none_or(|b| !b.persons().is_empty()));
            }
        }
        2 => {
            if let Ok(transfer) = answers::transaction_answer(bytes, UUID) {
                assert!(transfer.tx_hash.is_none_or(|hash| hash.bytes().all(|b| b.is_ascii_graphic())));
                // A number in any other form is no output's number.
                assert!(
                    transfer.vout.is_none_or(|vout| !vout.is_empty() && !vout.chars().any(char::is_control))
                );
            }
        }
        _ => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let _ = data_key::plain(text);
            let _ = super::Auth::new(text, None);
            let _ = super::Auth::new("token", Some(text));
            let _ = super::auth::OwnToken::new(text);
        }
    }
}

pub(crate) fn answer_seeds() -> Vec<Vec<u8>> {
    let bodies = [
        (0, r#"{"accountVerificationResult":"VERIFIED"}"#.to_owned()),
        (0, r#"{"result":"DENIED","reason":"UNKNOWN-ADDRESS","message":"no"}"#.to_owned()),
        (1, r#"{"result":"VERIFIED","reason":"OK","version":"1.0","ivms101":{"beneficiary":{"beneficiaryPersons":[{"naturalPerson":{"name":{"nameIdentifier":[{"primaryIdentifier":"Robbins","nameIdentifierType":"LEGL"}]}}}],"accountNumber":["bc1q"]}}}"#.to_owned()),
        (2, format!(r#"{{"verificationUuid":"{UUID}","transactionStatus":"CONFIRMED","txHash":"ab","vout":1}}"#)),
        (2, format!(r#"{{"verificationUuid":"{UUID}","transactionStatus":"PENDING","vout":{{"$serde_json::private::Number":"1"}}}}"#)),
        (3, "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=".to_owned()),
    ];
    bodies.map(|(call, body)| [&[call], body.as_bytes()].concat()).to_vec()
}

/// Queries of the two lists.
pub(crate) fn queries(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match query::search(text) {
        Err(no) => refused(no),
        Ok(search) => {
            assert!(search.rpp >= 1 && search.rpp <= crate::enclave::RPP_MAX && search.page >= 1);
            assert!(search.page.checked_mul(search.rpp).is_some(), "a page beyond counting");
        }
    }
    if let Err(no) = query::is_own_network(text) {
        refused(no);
    }
}

pub(crate) fn query_seeds() -> Vec<Vec<u8>> {
    [
        "fromDate=2026-01-31&toDate=2026-02-01&symbol=BTC&network=mainnet&txHash=ab&result=DENIED&actionType=SEND&oppositeVaspId=18446744073709551615&originatorAccountNumber=c%2017&beneficiaryAccountNumber=bc1q&page=2&rpp=100",
        "fromDate=2026-01-31T09:00:00%2B09:00&toDate=-009999-01-02",
        "protocol=ALL&includesAll=true",
        "page=42949672&rpp=100",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
