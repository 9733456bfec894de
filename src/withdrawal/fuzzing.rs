//! Owns the laws of words that anything may be fed to: one spelling each, and a refusal that says what, where and how to mend it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{
    Amount, Asset, Chain, Code, CustomerRef, Invalid, KeyRole, Krw, Network, Organisation, RequestId, VaspId,
    WithdrawalId,
};

/// The longest clause that a refusal may be, in characters: what came is shortened before it is shown.
const PROBLEM_LEN_MAX: usize = 501;

/// A refusal names code, field and cure, is of one bounded line, and its code is one that is documented.
pub(crate) fn told(no: &Invalid) {
    assert_eq!(Code::parse(no.code.as_str()), Some(no.code));
    assert!(!no.field.is_empty() && !no.problem.is_empty() && !no.cure.is_empty(), "{no:?}");
    assert!(no.problem.chars().count() <= PROBLEM_LEN_MAX, "a long refusal: {}", no.problem.len());
    assert!(!no.problem.chars().any(char::is_control), "a refusal of several lines: {no:?}");
}

/// What is read is written byte for byte the same; what is not is refused well.
pub(crate) fn same<T: ToString>(text: &str, read: Result<T, Invalid>) -> Option<T> {
    match read {
        Ok(value) => {
            assert_eq!(value.to_string(), text);
            Some(value)
        }
        Err(no) => {
            told(&no);
            None
        }
    }
}

/// Every text within a JSON file of vectors: seeds for whoever reads texts.
pub(crate) fn texts_of(json: &str) -> Vec<Vec<u8>> {
    fn collect(value: &serde_json::Value, into: &mut Vec<Vec<u8>>) {
        match value {
            serde_json::Value::String(text) => into.push(text.clone().into_bytes()),
            serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, into)),
            serde_json::Value::Object(members) => members.values().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    collect(&serde_json::from_str(json).unwrap(), &mut all);
    all
}

/// Amounts, ids, assets, networks, roles and codes.
pub(crate) fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(amount) = same(text, Amount::parse("amount", text)) {
        assert!(!amount.is_zero());
        let (whole, fraction) =
            amount.in_coin(8).split_once('.').map(|(w, f)| (w.to_owned(), f.to_owned())).unwrap();
        assert_eq!(fraction.len(), 8);
        assert_eq!(format!("{whole}{fraction}").trim_start_matches('0'), text);
        assert_eq!(amount.sat().map(Amount::from_sat), amount.sat().map(|_| amount));
        let worth = |price| Krw::of(amount, Krw(price), 8);
        if let (Some(less), Some(more)) = (worth(1_000), worth(1_001)) {
            assert!(less <= more && less.0 > 0);
        }
    }
    if let Some(asset) = same(text, Asset::parse(text)) {
        match asset.chain() {
            Chain::Bitcoin(network) => assert!(text.contains(network.caip2_reference())),
            Chain::Evm(chain) => assert!(text.starts_with(&format!("{chain}/"))),
        }
    }
    same(text, Network::parse(text));
    same(text, Chain::parse(text));
    same(text, VaspId::parse(text));
    same(text, WithdrawalId::parse(text));
    let organisation = same(text, Organisation::parse(text));
    let request = same(text, RequestId::parse(text));
    if let (Some(organisation), Some(request)) = (organisation, request) {
        let id = WithdrawalId::of(&organisation, &request);
        assert_eq!(WithdrawalId::parse(&id.to_string()), Ok(id));
    }
    same(text, CustomerRef::parse(text));
    assert!(Code::parse(text).is_none_or(|code| code.as_str() == text));
    assert!(KeyRole::parse(text).is_none_or(|role| role.as_str() == text));
}

pub(crate) fn word_seeds() -> Vec<Vec<u8>> {
    [
        "1",
        "150000",
        "340282366920938463463374607431768211455",
        "2100000000000000",
        "0",
        "-1",
        "1e5",
        "007",
        "hanbit",
        "w-000001",
        "customer 31337",
        "4855741808338010592",
        "regtest",
        "testnet4",
        "mainnet",
        "bip122:000000000019d6689c085ae165831e93/slip44:0",
        "0123456789abcdef0123456789abcdef",
        "FIELD_MALFORMED",
        "signer",
        "고객 17",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
