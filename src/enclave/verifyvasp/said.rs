//! Owns reading what an enclave server says. Persons are skipped while it is read: no field here could hold one, and what cannot be
//! read is never repeated.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use uuid::{Uuid, Variant};

use super::names::Names;
use super::server::Miss;
use crate::enclave::answer::{Decision, Reason};
use crate::enclave::asset_info::AssetInfo;
use crate::evidence::RouteAnswer;
use crate::withdrawal::{Seconds, VaspId};

/// One verification as an enclave server keeps it. Members that are not here, all of IVMS101 among them, are passed over unread.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    verification_uuid: String,
    result: Option<String>,
    reason: Option<String>,
    asset_info: Asset,
    originating_vasp_id: String,
    beneficiary_vasp_id: String,
    beneficiary_account_number: String,
    tx_hash: Option<String>,
    verified_at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asset {
    symbol: String,
    network: Option<String>,
    amount: String,
    #[serde(deserialize_with = "truth")]
    is_exceeding_threshold: bool,
    #[serde(rename = "tradeISODatetime", alias = "tradeISODateTime")]
    trade_iso_datetime: Option<String>,
}

/// A page of verifications.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) count: u64,
    #[serde(alias = "verification")]
    pub(super) verifications: Vec<Item>,
}

/// A verification was begun.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    verification_uuid: String,
}

/// A report was taken, or not.
#[derive(Debug, Deserialize)]
pub(super) struct Taken {
    pub(super) result: bool,
}

/// Who we are there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Own {
    pub(super) vasp_id: String,
}

/// Who can be asked.
#[derive(Debug, Deserialize)]
pub(super) struct Vasps {
    pub(super) vasps: Vec<Listed>,
}

/// One VASP of the list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    pub(super) vasp_id: String,
    pub(super) health: String,
    pub(super) vasp_status: String,
}

/// Why it says no.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    code: String,
}

impl Refusal {
    /// The code, if it is one.
    pub(super) fn code(&self) -> Option<&str> {
        Some(&*self.code).filter(|code| is_code(code))
    }
}

impl Receipt {
    /// The verification's id.
    pub(super) fn uuid(&self) -> Result<Uuid, Miss> {
        uuid(&self.verification_uuid)
    }
}

impl Item {
    /// The verification's id.
    pub(super) fn uuid(&self) -> Result<Uuid, Miss> {
        uuid(&self.verification_uuid)
    }

    /// When the transfer was valued, in milliseconds since 1970, which is how an order of ours is known again.
    pub(super) fn trade_ms(&self) -> Option<i64> {
        Some(timestamp(self.asset_info.trade_iso_datetime.as_deref()?)?.as_millisecond())
    }

    /// The transaction that was reported.
    pub(super) fn tx_hash(&self) -> Option<&str> {
        self.tx_hash.as_deref()
    }

    /// What it says, in our words.
    pub(super) fn read(&self, route: &str, names: &Names) -> Result<RouteAnswer, Miss> {
        let info = AssetInfo {
            symbol: self.asset_info.symbol.clone(),
            network: self.asset_info.network.clone(),
            amount: self.asset_info.amount.clone(),
            is_exceeding_threshold: self.asset_info.is_exceeding_threshold,
            trade_price: String::new(),
            trade_currency: String::new(),
            trade_iso_datetime: String::new(),
        };
        let asset = names.asset(&info.symbol, info.network.as_deref());
        let (result, reason) = self.outcome();
        let vasp = |text: &str| VaspId::parse(text).map_err(|_| Miss::Unknown("a VASP's id cannot be read"));
        Ok(RouteAnswer {
            route: route.to_owned(),
            uuid: self.uuid()?,
            named: info.is_exceeding_threshold,
            originating_vasp: vasp(&self.originating_vasp_id)?,
            beneficiary_vasp: vasp(&self.beneficiary_vasp_id)?,
            asset,
            destination: self.beneficiary_account_number.clone(),
            amount: asset.and_then(|_| info.amount_of(names.denomination().decimals()).ok()),
            result,
            reason,
            verified_at: self.verified_at.as_deref().and_then(seconds),
        })
    }

    /// Yes, no, or could not tell; everything else waits, and a yes without its reason does too.
    fn outcome(&self) -> (Option<Decision>, String) {
        let given = self.reason.as_deref().filter(|reason| is_code(reason) && *reason != Reason::Ok.as_str());
        let said = |reason: Reason| given.unwrap_or(reason.as_str()).to_owned();
        match (self.result.as_deref(), self.reason.as_deref()) {
            (Some("VERIFIED"), Some("OK") | None) => {
                (Some(Decision::Verified), Reason::Ok.as_str().to_owned())
            }
            (Some("DENIED"), _) => (Some(Decision::Denied), said(Reason::UndefinedError)),
            (Some("UNKNOWN"), _) => (Some(Decision::Denied), said(Reason::UnknownAddress)),
            (Some("ERROR" | "TRANSFER_ERROR"), _) => (Some(Decision::Error), said(Reason::UndefinedError)),
            _ => (None, Reason::UndefinedError.as_str().to_owned()),
        }
    }
}

fn uuid(text: &str) -> Result<Uuid, Miss> {
    let read = Uuid::try_parse(text).ok();
    let version_4 = |uuid: &Uuid| uuid.get_version_num() == 4 && uuid.get_variant() == Variant::RFC4122;
    read.filter(version_4).ok_or(Miss::Unknown("a verification's id is no version 4 UUID"))
}

/// A code as the network writes them; no person fits into one.
fn is_code(text: &str) -> bool {
    let code = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(code)
}

fn timestamp(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok()
}

fn seconds(text: &str) -> Option<Seconds> {
    u64::try_from(timestamp(text)?.as_second()).ok().map(Seconds)
}

/// A truth value; older pages write 0 and 1.
fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    struct Truth;
    impl Visitor<'_> for Truth {
        type Value = bool;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("true or false")
        }

        fn visit_bool<E>(self, truth: bool) -> Result<bool, E> {
            Ok(truth)
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<bool, E> {
            match number {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(E::custom("neither 0 nor 1")),
            }
        }
    }
    from.deserialize_any(Truth)
}

#[cfg(test)]
mod tests;
