//! Owns the file of withdrawals: what is asked, what happens meanwhile, and what is expected to come of it.

use std::path::Path;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{ASSET, Fault};
use crate::withdrawal::{Amount, Asset};

/// The file in the repository, so that the program needs nothing beside it.
const BUILT_IN: &str = include_str!("../../sandbox/withdrawals.json");

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// The addresses that the counterparty's invented customers hold.
    pub robot: Holders,
    /// The withdrawals, in the order they are played.
    pub cases: Vec<Case>,
}

/// Who holds which address at the counterparty.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holders {
    /// A person whose identity was checked.
    pub robbins_taylor: String,
    /// A person whose identity was not.
    pub cook_ethan: String,
    /// A company, represented by Clarke Jason.
    pub garrit_studio: String,
    /// A person with a Korean name, whose identity was checked.
    pub kim_minsu: String,
    /// The same person's account on EVM chains.
    #[serde(default)]
    pub kim_minsu_evm: Option<String>,
}

/// One withdrawal, or one said again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What is asked; absent where an earlier request is sent again.
    #[serde(default)]
    pub request: Option<CaseRequest>,
    /// The request id whose signed bytes are sent again.
    #[serde(default)]
    pub repeats: Option<String>,
    /// What somebody else does once it is held.
    #[serde(default)]
    pub meanwhile: Option<Meanwhile>,
    /// What must come of it.
    pub expect: Expected,
}

/// What the exchange asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRequest {
    /// The idempotency key.
    pub request_id: String,
    /// Whose money it is.
    pub customer_ref: String,
    /// What, by its CAIP-19 id; Bitcoin where nothing is said.
    #[serde(default = "bitcoin", deserialize_with = "asset")]
    pub asset: Asset,
    /// Where to.
    pub destination: String,
    /// How much, in base units: satoshi, wei.
    #[serde(alias = "amount_sat", deserialize_with = "units")]
    pub amount: Amount,
    /// The most the fee may be, in base units of the chain's coin.
    #[serde(alias = "fee_sat_max", deserialize_with = "units")]
    pub fee_max: Amount,
    /// Who sends and who receives.
    pub ivms101: Value,
}

const fn bitcoin() -> Asset {
    ASSET
}

fn asset<'de, D: Deserializer<'de>>(from: D) -> Result<Asset, D::Error> {
    Asset::parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// A number, or its digits in a text where it is beyond what every reader of JSON takes.
fn units<'de, D: Deserializer<'de>>(from: D) -> Result<Amount, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Units {
        Number(u64),
        Text(String),
    }
    match Units::deserialize(from)? {
        Units::Number(number) => Ok(Amount::from_units(number.into())),
        Units::Text(text) => Amount::parse("amount", &text).map_err(D::Error::custom),
    }
}

/// What somebody else does while a withdrawal is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meanwhile {
    /// An operator reads the text, signs it and hands it in.
    Approve,
    /// The observer states a large deposit.
    Deposit,
}

/// What must come of a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// released, held, refused or invalid.
    pub outcome: String,
    /// The code of a refusal.
    #[serde(default)]
    pub code: Option<String>,
    /// The codes it was held with on the way, in order.
    #[serde(default)]
    pub held: Vec<String>,
}

impl Cases {
    /// Reads a file, or the one of the repository.
    pub fn read(path: Option<&Path>) -> Result<Self, Fault> {
        match path {
            None => Self::parse(BUILT_IN),
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Self::parse(&text.map_err(|no| Fault::Cases(format!("`{}`: {no}", path.display())))?)
            }
        }
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let cases: Self = serde_json::from_str(text).map_err(|no| Fault::Cases(no.to_string()))?;
        for case in &cases.cases {
            let one = case.request.is_some() != case.repeats.is_some();
            if !one {
                return Err(Fault::Cases(format!(
                    "case `{}` needs either `request` or `repeats`",
                    case.name
                )));
            }
        }
        Ok(cases)
    }
}

impl CaseRequest {
    /// The names of the one who sends.
    pub fn sender(&self) -> String {
        names(&self.ivms101, "originator", "originatorPersons")
    }

    /// The names of the one who receives.
    pub fn receiver(&self) -> String {
        names(&self.ivms101, "beneficiary", "beneficiaryPersons")
    }
}

/// The first person's names, local script first, as people write them.
fn names(payload: &Value, side: &str, persons: &str) -> String {
    let person = payload.get(side).and_then(|s| s.get(persons)).and_then(|list| list.get(0));
    let of = |list: &str| {
        let person = person.and_then(|p| p.get("naturalPerson").or_else(|| p.get("legalPerson")));
        let name =
            person.and_then(|p| p.get("name")).and_then(|n| n.get(list)).and_then(|list| list.get(0))?;
        let part = |key: &str| name.get(key).and_then(Value::as_str).unwrap_or_default();
        let gap = if list == "nameIdentifier" { " " } else { "" };
        let natural = format!("{}{gap}{}", part("primaryIdentifier"), part("secondaryIdentifier"));
        Some(format!("{natural}{}", part("legalPersonName")).trim().to_owned())
    };
    match (of("localNameIdentifier"), of("nameIdentifier")) {
        (Some(local), Some(latin)) => format!("{local} ({latin})"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "nobody named".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::bitcoin::Destination;
    use crate::withdrawal::{Code, Seconds};

    #[test]
    fn the_file_in_the_repository_reads_and_every_code_and_address_in_it_exists() {
        let cases = Cases::read(None).unwrap();
        for case in &cases.cases {
            let codes = case.expect.held.iter().chain(&case.expect.code);
            codes.for_each(|code| assert!(Code::parse(code).is_some(), "{code}"));
            let Some(request) = &case.request else { continue };
            let is_address = match request.asset {
                Asset::Bitcoin(network) => Destination::parse(&request.destination, network).is_ok(),
                Asset::Evm(_) => crate::ethereum::Destination::parse(&request.destination).is_ok(),
            };
            assert!(is_address || case.expect.outcome == "invalid", "{}", request.destination);
            let payload = request.ivms101.to_string();
            let read =
                crate::enclave::ivms::Payload::parse(payload.as_bytes(), Seconds(1_700_000_000)).unwrap();
            assert_eq!(read.account(), request.destination);
        }
    }

    #[test]
    fn a_name_is_shown_in_its_own_script_first() {
        let cases = Cases::read(None).unwrap();
        let request = cases.cases[0].request.as_ref().unwrap();
        assert_eq!(request.sender(), "홍길동 (HONG GILDONG)");
        assert_eq!(request.receiver(), "김민수 (KIM MINSU)");
    }

    #[test]
    fn a_case_that_neither_asks_nor_repeats_is_refused() {
        let text = r#"{"robot":{"robbins_taylor":"a","cook_ethan":"b","garrit_studio":"c","kim_minsu":"d"},
            "cases":[{"name":"x","expect":{"outcome":"released"}}]}"#;
        assert!(Cases::parse(text).is_err());
    }
}
