//! Owns the numbers of refills and of the reserve: how far need is looked ahead, and what may be open at a time.

use serde::{Deserialize, Serialize};

use super::SettingsError;
use crate::amount::Krw;

/// How much a refill brings. Either way none is made before more is needed than there is, and the share bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// What is needed and no more: the least rests hot, and the cold room opens about three times as often.
    Need,
    /// Up to where a sweep goes down to: close to the fewest openings of the cold room that are possible.
    Target,
}

impl Fill {
    /// The word in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Need => "need",
            Self::Target => "target",
        }
    }
}

/// How refills are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefillSettings {
    /// How much is asked for once more is needed than there is.
    pub fill: Fill,
    /// For how long the net flow of the last day is assumed to go on, in seconds.
    pub horizon_s: u64,
    /// The most inputs that the signing devices of the cold side take in one PSBT.
    pub inputs_max: u32,
    /// The most refills that are open at a time.
    pub open_max: u32,
    /// How long a refill may wait for its signatures, in seconds.
    pub expires_s: u64,
}

impl Default for RefillSettings {
    fn default() -> Self {
        Self { fill: Fill::Target, horizon_s: 21_600, inputs_max: 20, open_max: 3, expires_s: 86_400 }
    }
}

/// The reserve of the User Protection Act (art. 8): a part of what rests hot, and at least a floor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reserve {
    /// Ten-thousandths of the hot value.
    pub hot_bp: u32,
    /// The least it is, in won: three billion for an operator of a won market, half a billion for others.
    pub floor_krw: Krw,
}

impl Default for Reserve {
    fn default() -> Self {
        Self { hot_bp: 500, floor_krw: Krw(3_000_000_000) }
    }
}

impl Reserve {
    /// The figure for that much hot, rounded up.
    pub fn of(&self, hot: Krw) -> Option<Krw> {
        let part = hot.0.checked_mul(u128::from(self.hot_bp))?.div_ceil(10_000);
        Some(Krw(part).max(self.floor_krw))
    }
}

impl RefillSettings {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        let ranges = [
            ("refill.horizon_s", self.horizon_s, 604_800, "set a number of seconds up to 604800 (a week)"),
            ("refill.inputs_max", self.inputs_max.into(), 250, "set a number from 1 to 250"),
            ("refill.open_max", self.open_max.into(), 20, "set a number from 1 to 20"),
            (
                "refill.expires_s",
                self.expires_s,
                604_800,
                "set a number of seconds from 1 to 604800 (a week)",
            ),
        ];
        let wrong = |(name, value, most): (&str, u64, u64)| {
            value > most || (value == 0 && name != "refill.horizon_s")
        };
        match ranges.into_iter().find(|(name, value, most, _)| wrong((name, *value, *most))) {
            Some((name, value, _, cure)) => Err(SettingsError::new(name, format!("is {value}"), cure)),
            None => Ok(()),
        }
    }
}
