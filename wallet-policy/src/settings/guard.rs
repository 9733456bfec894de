//! Owns how loose settings may be at most: what the trust file pins. Settings looser than their guard are not loaded.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::validate::checked_tiers;
use super::{Ages, AssetSettings, FreezeRules, Settings, SettingsError, ShareRule, asset_field};
use crate::amount::{Krw, Units};
use crate::ratio::Share;
use crate::threshold::Thresholds;
use crate::tiers::{Requirement, Tier};

/// The loosest settings this party accepts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// The oldest that facts may be allowed to be.
    #[serde(default)]
    pub ages_max: Ages,
    /// The highest thresholds of the travel rule; Korea's law where nothing is said.
    #[serde(default)]
    pub travel_rule_max: Thresholds,
    /// The shortest time for which a customer's own wallet must be known.
    #[serde(default = "super::self_hosted_delay_s")]
    pub self_hosted_delay_s_min: u64,
    /// The shortest delay of a resume, and the fewest people behind it and behind what was asked during a freeze.
    #[serde(default)]
    pub freeze_min: FreezeRules,
    /// The largest share of the total in won; where it is pinned, the total must be judged.
    #[serde(default)]
    pub total_share_max: Option<Share>,
    /// Whether the total alone may be judged, and no asset by itself.
    #[serde(default)]
    pub total_alone: bool,
    /// The fewest approvals for every asset.
    #[serde(default)]
    pub tiers_min: Vec<Tier>,
    /// The loosest settings of each asset; an asset that is not here cannot be enabled.
    pub assets: BTreeMap<String, AssetGuard>,
}

/// The loosest settings of one asset; each field bounds the setting of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetGuard {
    /// The largest share.
    #[serde(default)]
    pub share_max: Share,
    /// The largest surplus that may be let be.
    pub min_sweep_max: Units,
    /// The largest limit per transaction.
    pub per_tx_limit_max: Units,
    /// The largest limit per transaction whose clearance nobody signed; none is pinned where nothing is said.
    #[serde(default = "super::nothing")]
    pub unsigned_per_tx_limit_max: Units,
    /// The largest daily limit of what nobody signed; none is pinned where nothing is said.
    #[serde(default = "super::nothing")]
    pub unsigned_daily_limit_max: Units,
    /// The largest hourly limit.
    pub hourly_limit_max: Units,
    /// The largest daily limit.
    pub daily_limit_max: Units,
    /// The largest cap on the fee rate.
    pub fee_rate_max: Units,
    /// The largest cap on the fee of a transaction.
    pub fee_tx_max: Units,
    /// The largest cap on the fees of a lineage.
    pub fee_lineage_max: Units,
    /// The largest daily fee budget.
    pub fee_budget_daily_max: Units,
    /// The largest daily total without a name match, in won.
    pub unnamed_total_daily_krw_max: Krw,
    /// The widest band of the price.
    pub price_move_bp_max: u32,
    /// The shortest time a moved price must stand.
    pub price_settle_s_min: u64,
    /// The fewest approvals for this asset.
    #[serde(default)]
    pub tiers_min: Vec<Tier>,
}

const CURE: &str = "tighten it, or have the trust file's quorum pin a looser value";

impl Guard {
    /// The guard that these settings just pass: the next ones may be tighter and not looser.
    pub fn of(settings: &Settings) -> Self {
        let assets = settings
            .assets
            .iter()
            .map(|(id, s)| (id.clone(), AssetGuard::of(s, settings.share_rule(id))))
            .collect();
        Self {
            ages_max: settings.ages,
            travel_rule_max: settings.travel_rule.clone(),
            self_hosted_delay_s_min: settings.self_hosted_delay_s,
            freeze_min: settings.freeze.clone(),
            total_share_max: settings.hot_share.total(),
            total_alone: !settings.hot_share.scope().has_asset(),
            tiers_min: settings.tiers.clone(),
            assets,
        }
    }

    /// Names the first setting that is looser than this guard.
    pub fn check(&self, settings: &Settings) -> Result<(), SettingsError> {
        self.check_ages(&settings.ages)?;
        if let Some((at, _, whose)) = settings.travel_rule.looser_at(&self.travel_rule_max) {
            let problem = format!(
                "lets more pass without a name for {whose} from {} on than the trust file pins",
                at.0
            );
            return Err(SettingsError::new("travel_rule", problem, CURE));
        }
        if settings.self_hosted_delay_s < self.self_hosted_delay_s_min {
            let (delay, min) = (settings.self_hosted_delay_s, self.self_hosted_delay_s_min);
            let problem = format!("is {delay}, below the {min} the trust file pins");
            return Err(SettingsError::new("self_hosted_delay_s", problem, CURE));
        }
        self.check_freeze(&settings.freeze)?;
        self.check_total(settings)?;
        let general = checked_tiers("tiers", &settings.tiers)?;
        let floor = checked_tiers("guard.tiers_min", &self.tiers_min)?;
        for (asset, set) in &settings.assets {
            let Some(guard) = self.assets.get(asset) else {
                let field = format!("assets.{asset:?}");
                return Err(SettingsError::new(
                    field,
                    "is not in the trust file",
                    "have the trust file's quorum pin it",
                ));
            };
            guard.check(asset, (set, settings.share_rule(asset)))?;
            let field = asset_field(asset, "tiers");
            let own_floor = checked_tiers("guard.tiers_min", &guard.tiers_min)?;
            let needed = general.joined(&checked_tiers(&field, &set.tiers)?);
            if let Some(at) = needed.looser_at(&floor.joined(&own_floor)) {
                let problem = format!("needs fewer approvals from {at} won on than the trust file pins");
                return Err(SettingsError::new(field, problem, CURE));
            }
        }
        Ok(())
    }

    fn check_freeze(&self, freeze: &FreezeRules) -> Result<(), SettingsError> {
        let min = &self.freeze_min;
        if freeze.resume_delay_s < min.resume_delay_s {
            let problem =
                format!("is {}, below the {} the trust file pins", freeze.resume_delay_s, min.resume_delay_s);
            return Err(SettingsError::new("freeze.resume_delay_s", problem, CURE));
        }
        let none = Requirement::default();
        let pairs = [
            // Nobody named ends no freeze and releases nothing: the tightest there is.
            ("freeze.resume_needs", Some(&freeze.resume_needs).filter(|n| !n.is_empty()), &min.resume_needs),
            ("freeze.queued_needs", freeze.queued(), min.queued().unwrap_or(&none)),
        ];
        for (field, needs, least) in pairs {
            if needs.is_some_and(|needs| !needs.covers(least)) {
                let problem = format!("needs fewer people than the trust file pins ({least})");
                return Err(SettingsError::new(field, problem, CURE));
            }
        }
        Ok(())
    }

    fn check_total(&self, settings: &Settings) -> Result<(), SettingsError> {
        let total = settings.hot_share.total();
        match (self.total_share_max, total) {
            (Some(max), Some(total)) if !total.at_most(max) => {
                return Err(above("hot_share.total".to_owned(), total, max));
            }
            (Some(max), None) => {
                let problem = format!("does not judge the total, and the trust file pins {max} of it");
                return Err(SettingsError::new("hot_share.scope", problem, CURE));
            }
            _ => {}
        }
        if !settings.hot_share.scope().has_asset() && !self.total_alone {
            let problem = "judges the total alone, and the trust file has each asset judged";
            return Err(SettingsError::new("hot_share.scope", problem, CURE));
        }
        Ok(())
    }

    fn check_ages(&self, ages: &Ages) -> Result<(), SettingsError> {
        let pairs = [
            ("ages.clearance_s", ages.clearance_s, self.ages_max.clearance_s),
            ("ages.price_s", ages.price_s, self.ages_max.price_s),
            ("ages.position_s", ages.position_s, self.ages_max.position_s),
            ("ages.chain_s", ages.chain_s, self.ages_max.chain_s),
        ];
        match pairs.into_iter().find(|(_, age, max)| age > max) {
            Some((field, age, max)) => Err(above(field.to_owned(), age, max)),
            None => Ok(()),
        }
    }
}

impl AssetGuard {
    fn of(s: &AssetSettings, rule: ShareRule) -> Self {
        Self {
            share_max: rule.asset.unwrap_or_default(),
            min_sweep_max: s.min_sweep,
            per_tx_limit_max: s.per_tx_limit,
            unsigned_per_tx_limit_max: s.unsigned_per_tx_limit,
            unsigned_daily_limit_max: s.unsigned_daily_limit,
            hourly_limit_max: s.hourly_limit,
            daily_limit_max: s.daily_limit,
            fee_rate_max: s.fee_rate_max,
            fee_tx_max: s.fee_tx_max,
            fee_lineage_max: s.fee_lineage_max,
            fee_budget_daily_max: s.fee_budget_daily,
            unnamed_total_daily_krw_max: s.unnamed_total_daily_krw,
            price_move_bp_max: s.price_move_bp_max,
            price_settle_s_min: s.price_settle_s,
            tiers_min: s.tiers.clone(),
        }
    }

    fn check(&self, asset: &str, (s, rule): (&AssetSettings, ShareRule)) -> Result<(), SettingsError> {
        if let Some(share) = rule.asset.filter(|share| !share.at_most(self.share_max)) {
            return Err(above(asset_field(asset, "share"), share, self.share_max));
        }
        let most = [
            ("min_sweep", s.min_sweep.0, self.min_sweep_max.0),
            ("per_tx_limit", s.per_tx_limit.0, self.per_tx_limit_max.0),
            ("unsigned_per_tx_limit", s.unsigned_per_tx_limit.0, self.unsigned_per_tx_limit_max.0),
            ("unsigned_daily_limit", s.unsigned_daily_limit.0, self.unsigned_daily_limit_max.0),
            ("hourly_limit", s.hourly_limit.0, self.hourly_limit_max.0),
            ("daily_limit", s.daily_limit.0, self.daily_limit_max.0),
            ("fee_rate_max", s.fee_rate_max.0, self.fee_rate_max.0),
            ("fee_tx_max", s.fee_tx_max.0, self.fee_tx_max.0),
            ("fee_lineage_max", s.fee_lineage_max.0, self.fee_lineage_max.0),
            ("fee_budget_daily", s.fee_budget_daily.0, self.fee_budget_daily_max.0),
            ("unnamed_total_daily_krw", s.unnamed_total_daily_krw.0, self.unnamed_total_daily_krw_max.0),
            ("price_move_bp_max", u128::from(s.price_move_bp_max), u128::from(self.price_move_bp_max)),
        ];
        if let Some((name, set, max)) = most.into_iter().find(|(_, set, max)| set > max) {
            return Err(above(asset_field(asset, name), set, max));
        }
        if s.price_settle_s < self.price_settle_s_min {
            let problem =
                format!("is {}, below the {} the trust file pins", s.price_settle_s, self.price_settle_s_min);
            return Err(SettingsError::new(asset_field(asset, "price_settle_s"), problem, CURE));
        }
        Ok(())
    }
}

fn above(field: String, set: impl std::fmt::Display, max: impl std::fmt::Display) -> SettingsError {
    SettingsError::new(field, format!("is {set}, above the {max} the trust file pins"), CURE)
}
