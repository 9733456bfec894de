//! Owns the numbers and lists the risk staff keep: what they are, whether they make sense, and their canonical text.
//!
//! Amounts are decimal strings of base units. Unknown fields are refused when read; `validate` names field and cure.

mod canonical;
mod guard;
mod refill;
mod share;
mod validate;

pub use guard::{AssetGuard, Guard};
pub use refill::{Fill, RefillSettings, Reserve};
pub use share::{HotShare, Preset, Scope, ShareRule};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amount::{Krw, Units};
use crate::ratio::Share;
use crate::threshold::Thresholds;
use crate::tiers::{Requirement, Tier};

/// Everything the risk staff set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How old facts may be.
    #[serde(default)]
    pub ages: Ages,
    /// From which value on a name must be matched; Korea's law where nothing is said.
    #[serde(default)]
    pub travel_rule: Thresholds,
    /// How long a customer's own wallet is known before it may be paid without a VASP's answer, in seconds (L3).
    #[serde(default = "self_hosted_delay_s")]
    pub self_hosted_delay_s: u64,
    /// Who ends a freeze, and after how long.
    #[serde(default)]
    pub freeze: FreezeRules,
    /// What may rest hot, for every asset.
    #[serde(default)]
    pub hot_share: HotShare,
    /// How refills from cold are made.
    #[serde(default)]
    pub refill: RefillSettings,
    /// What the daily statement says of the reserve.
    #[serde(default)]
    pub reserve: Reserve,
    /// Tiers of approval for every asset.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// Each asset that may leave, by its CAIP-19 id.
    pub assets: BTreeMap<String, AssetSettings>,
}

/// A day.
pub(crate) const fn self_hosted_delay_s() -> u64 {
    86_400
}

/// No base unit.
pub(crate) const fn nothing() -> Units {
    Units(0)
}

/// Who ends a freeze, and after how long (L15). Any one operator begins one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreezeRules {
    /// How long a resume that its quorum has signed waits before it takes effect, in seconds.
    pub resume_delay_s: u64,
    /// Who must sign a resume. Where nobody is named no freeze can be ended.
    pub resume_needs: Requirement,
    /// Who at least must approve what was asked during a freeze; the same as for a resume where nobody is named.
    pub queued_needs: Requirement,
}

impl Default for FreezeRules {
    fn default() -> Self {
        let nobody = Requirement::default();
        Self { resume_delay_s: 3_600, resume_needs: nobody.clone(), queued_needs: nobody }
    }
}

impl FreezeRules {
    /// Who at least must approve what was asked during a freeze; `None` where nobody is named, and then nothing of it
    /// leaves.
    pub fn queued(&self) -> Option<&Requirement> {
        [&self.queued_needs, &self.resume_needs].into_iter().find(|needs| !needs.is_empty())
    }
}

/// How old facts may be, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ages {
    /// The travel rule's answer.
    pub clearance_s: u64,
    /// The price.
    pub price_s: u64,
    /// The cold balance.
    pub position_s: u64,
    /// Fee rate and tip.
    pub chain_s: u64,
}

impl Default for Ages {
    fn default() -> Self {
        Self { clearance_s: 1_800, price_s: 600, position_s: 900, chain_s: 1_800 }
    }
}

/// What is set for one asset. Limits have no default: without them nothing starts (L7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetSettings {
    /// The share that may rest hot; the preset's where nothing is said, and three tenths where there is none.
    #[serde(default)]
    pub share: Option<Share>,
    /// The share that a sweep goes down to; five sixths of the limit where nothing is said.
    #[serde(default)]
    pub sweep_target: Option<Share>,
    /// A surplus below this many base units is within the share.
    pub min_sweep: Units,
    /// The most one withdrawal may pay, in base units.
    pub per_tx_limit: Units,
    /// The most one withdrawal may pay whose clearance nobody signed, in base units; nothing where nothing is said (L4).
    #[serde(default = "nothing")]
    pub unsigned_per_tx_limit: Units,
    /// The most that may leave within a day on clearances that nobody signed, in base units; nothing where nothing is said (L4).
    #[serde(default = "nothing")]
    pub unsigned_daily_limit: Units,
    /// The most that may leave within an hour, fees included.
    pub hourly_limit: Units,
    /// The most that may leave within a day, fees included.
    pub daily_limit: Units,
    /// The highest fee rate, in base units per 1,000 virtual bytes.
    pub fee_rate_max: Units,
    /// The highest fee of one transaction.
    pub fee_tx_max: Units,
    /// The highest fee over all bumps of one transaction.
    pub fee_lineage_max: Units,
    /// The most that may go into fees within a day, over all kinds.
    pub fee_budget_daily: Units,
    /// The most that may leave within a day without a name match, in won (L3, L4).
    pub unnamed_total_daily_krw: Krw,
    /// How far a price may move at once, in ten-thousandths.
    pub price_move_bp_max: u32,
    /// How long a moved price must stand before it is believed, in seconds.
    pub price_settle_s: u64,
    /// Destinations that are never paid. Letter case is ignored: denying too much is the safe side.
    #[serde(default)]
    pub deny: Vec<String>,
    /// Where there is one, only these destinations are paid. Compared letter by letter.
    #[serde(default)]
    pub allow: Option<Vec<String>>,
    /// Tiers of approval for this asset, on top of those for every asset.
    #[serde(default)]
    pub tiers: Vec<Tier>,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}; {cure}")]
pub struct SettingsError {
    /// Where it stands, such as `assets."btc".daily_limit`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub cure: &'static str,
}

impl SettingsError {
    fn new(field: impl Into<String>, problem: impl Into<String>, cure: &'static str) -> Self {
        Self { field: field.into(), problem: problem.into(), cure }
    }
}

/// The name of a setting of one asset.
fn asset_field(asset: &str, name: &str) -> String {
    format!("assets.{asset:?}.{name}")
}
