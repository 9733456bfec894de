//! Owns what the network says of a transfer beside persons and address: asset, amount and worth, in the documented words.

use serde::{Deserialize, Serialize};

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
