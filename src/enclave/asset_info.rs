//! Owns what the network says of a transfer beside persons and address: asset, amount and worth, in the documented words.

use serde::{Deserialize, Serialize};

use crate::withdrawal::{Amount, Code, Invalid};

/// Longest decimal, in characters.
const DECIMAL_LEN_MAX: usize = 64;

/// `assetInfo` of the documented API. Decimals are texts and are passed on as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssetInfo {
    /// The ticker.
    pub symbol: String,
    /// The network's name, where the ticker alone does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// How much, in whole units.
    pub amount: String,
    /// Whether the transfer reaches the threshold of the originator's law.
    pub is_exceeding_threshold: bool,
    /// What the transfer is worth.
    pub trade_price: String,
    /// In which currency (ISO 4217).
    pub trade_currency: String,
    /// When it was worth that (ISO 8601, UTC).
    #[serde(rename = "tradeISODatetime", alias = "tradeISODateTime")]
    pub trade_iso_datetime: String,
}

impl AssetInfo {
    /// The amount in base units of an asset with so many decimals: exact, or refused.
    pub(super) fn amount_of(&self, decimals: u32) -> Result<Amount, Invalid> {
        amount_of("assetInfo.amount", &self.amount, decimals)
    }

    /// Says no to a worth that cannot be read.
    pub(super) fn check_worth(&self) -> Result<(), Invalid> {
        if decimal(&self.trade_price).is_none() {
            return Err(malformed("assetInfo.tradePrice", "is no decimal number"));
        }
        if self.trade_currency.len() != 3 || !self.trade_currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(malformed("assetInfo.tradeCurrency", "is no ISO 4217 code"));
        }
        if self.trade_iso_datetime.len() > 40 || self.trade_iso_datetime.parse::<jiff::Timestamp>().is_err() {
            return Err(malformed("assetInfo.tradeISODatetime", "is no ISO 8601 time in UTC"));
        }
        Ok(())
    }
}

/// A decimal number of whole coins in base units: exact, or refused.
pub(super) fn amount_of(field: &'static str, text: &str, decimals: u32) -> Result<Amount, Invalid> {
    let no = |problem: &str| malformed(field, problem);
    let (whole, fraction) = decimal(text).ok_or_else(|| no("is no decimal number"))?;
    let decimals = usize::try_from(decimals).map_err(|_| no("is of an asset cut too small"))?;
    let kept = fraction.trim_end_matches('0');
    if kept.len() > decimals {
        return Err(no("has more decimals than the asset"));
    }
    let units = format!("{whole}{kept:0<decimals$}");
    let units = match units.trim_start_matches('0') {
        "" => "0",
        units => units,
    };
    Amount::parse(field, units)
}

/// Digits before and after the point.
fn decimal(text: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (text.len() <= DECIMAL_LEN_MAX && digits(whole) && digits(fraction)).then_some((whole, fraction))
}

fn malformed(field: &'static str, problem: &str) -> Invalid {
    Invalid::new(Code::FieldMalformed, field, problem, "send decimals as text, such as `0.015`")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn info(amount: &str) -> AssetInfo {
        AssetInfo {
            symbol: "BTC".into(),
            network: None,
            amount: amount.into(),
            is_exceeding_threshold: true,
            trade_price: "1500000.5".into(),
            trade_currency: "KRW".into(),
            trade_iso_datetime: "2026-01-02T03:04:05Z".into(),
        }
    }

    fn sat(amount: &str) -> Option<u64> {
        info(amount).amount_of(8).ok().and_then(Amount::sat)
    }

    #[test]
    fn an_amount_is_exact_or_refused() {
        for (text, expected) in [
            ("1", Some(100_000_000)),
            ("0.0015", Some(150_000)),
            ("0.00000001", Some(1)),
            ("00.10", Some(10_000_000)),
            ("1.000000000", Some(100_000_000)),
            ("20999999.9769", Some(2_099_999_997_690_000)),
            ("0.000000001", None),
            ("0", None),
            ("0.0", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            (".5", None),
            ("5.", None),
            ("1,5", None),
            ("", None),
            ("１", None),
        ] {
            assert_eq!(sat(text), expected, "{text}");
        }
    }

    #[test]
    fn a_worth_that_cannot_be_read_is_refused() {
        assert!(info("1").check_worth().is_ok());
        for broken in [
            AssetInfo { trade_price: "much".into(), ..info("1") },
            AssetInfo { trade_currency: "won".into(), ..info("1") },
            AssetInfo { trade_currency: "KRWW".into(), ..info("1") },
            AssetInfo { trade_iso_datetime: "yesterday".into(), ..info("1") },
            AssetInfo { trade_iso_datetime: "2026-01-02".into(), ..info("1") },
        ] {
            assert!(broken.check_worth().is_err());
        }
    }
}
