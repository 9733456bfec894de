//! Owns whether settings make sense by themselves. Does not know what the trust file pins; that is `guard`.

use super::{Ages, AssetSettings, FreezeRules, Settings, SettingsError, asset_field};
use crate::tiers::{Tier, TierError, Tiers};

const PRICE_MOVE_BP_LIMIT: u32 = 10_000;
const SETTLE_S_LIMIT: u64 = 86_400;
const AGE_S_LIMIT: u64 = 604_800;
/// Without a delay worth the name, whoever steals the request key empties the wallet at once.
const DELAY_S_MIN: u64 = 3_600;
const DELAY_S_LIMIT: u64 = 2_592_000;
/// Time for somebody to freeze again before what was resumed signs.
const RESUME_DELAY_S_MIN: u64 = 60;
const TEXT_LIMIT: usize = 200;

impl Settings {
    /// Checks every field and names the first that cannot be used.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.ages.validate()?;
        self.travel_rule.validate().map_err(|no| {
            let cure = "write each step with jurisdiction, from (RFC 3339) and floor_krw, and name your own";
            SettingsError::new("travel_rule", no.to_string(), cure)
        })?;
        if !(DELAY_S_MIN..=DELAY_S_LIMIT).contains(&self.self_hosted_delay_s) {
            return Err(SettingsError::new(
                "self_hosted_delay_s",
                format!("is {}", self.self_hosted_delay_s),
                "set a number of seconds from 3600 (an hour) to 2592000 (30 days)",
            ));
        }
        self.freeze.validate()?;
        checked_tiers("tiers", &self.tiers)?;
        if self.assets.is_empty() {
            return Err(SettingsError::new("assets", "is empty", "set at least one asset with its limits"));
        }
        self.refill.validate()?;
        self.validate_share()?;
        self.assets.iter().try_for_each(|(asset, settings)| settings.validate(asset))
    }
}

impl FreezeRules {
    fn validate(&self) -> Result<(), SettingsError> {
        if !(RESUME_DELAY_S_MIN..=DELAY_S_LIMIT).contains(&self.resume_delay_s) {
            return Err(SettingsError::new(
                "freeze.resume_delay_s",
                format!("is {}", self.resume_delay_s),
                "set a number of seconds from 60 to 2592000 (30 days)",
            ));
        }
        let needs =
            [("freeze.resume_needs", &self.resume_needs), ("freeze.queued_needs", &self.queued_needs)];
        match needs.into_iter().find(|(_, needs)| !needs.is_usable()) {
            Some((field, _)) => Err(SettingsError::new(
                field,
                "names a group without a name, more than 16 groups, or a count that is not from 1 to 16",
                "write { group = count }",
            )),
            None => Ok(()),
        }
    }
}

impl Ages {
    fn validate(&self) -> Result<(), SettingsError> {
        let ages = [
            ("ages.clearance_s", self.clearance_s),
            ("ages.price_s", self.price_s),
            ("ages.position_s", self.position_s),
            ("ages.chain_s", self.chain_s),
        ];
        match ages.into_iter().find(|(_, age)| !(1..=AGE_S_LIMIT).contains(age)) {
            Some((field, age)) => Err(SettingsError::new(
                field,
                format!("is {age}"),
                "set a number of seconds from 1 to 604800 (a week)",
            )),
            None => Ok(()),
        }
    }
}

impl AssetSettings {
    fn validate(&self, asset: &str) -> Result<(), SettingsError> {
        if !plain(asset) {
            return Err(SettingsError::new(
                format!("assets.{asset:?}"),
                "is no asset id",
                "write its CAIP-19 id without blanks",
            ));
        }
        self.validate_order(asset)?;
        self.validate_price(asset)?;
        self.validate_lists(asset)?;
        checked_tiers(&asset_field(asset, "tiers"), &self.tiers).map(|_| ())
    }

    /// A narrower limit above a wider one is a typing error more often than a wish.
    fn validate_order(&self, asset: &str) -> Result<(), SettingsError> {
        let pairs = [
            ("unsigned_per_tx_limit", self.unsigned_per_tx_limit, "per_tx_limit", self.per_tx_limit),
            (
                "unsigned_per_tx_limit",
                self.unsigned_per_tx_limit,
                "unsigned_daily_limit",
                self.unsigned_daily_limit,
            ),
            ("unsigned_daily_limit", self.unsigned_daily_limit, "daily_limit", self.daily_limit),
            ("per_tx_limit", self.per_tx_limit, "hourly_limit", self.hourly_limit),
            ("hourly_limit", self.hourly_limit, "daily_limit", self.daily_limit),
            ("fee_tx_max", self.fee_tx_max, "fee_lineage_max", self.fee_lineage_max),
            ("fee_lineage_max", self.fee_lineage_max, "fee_budget_daily", self.fee_budget_daily),
        ];
        match pairs.into_iter().find(|(_, narrow, _, wide)| narrow > wide) {
            Some((name, narrow, other, wide)) => Err(SettingsError::new(
                asset_field(asset, name),
                format!("is {narrow}, above `{other}` of {wide}"),
                "lower it, or raise the wider limit; amounts are in base units",
            )),
            None => Ok(()),
        }
    }

    fn validate_price(&self, asset: &str) -> Result<(), SettingsError> {
        if !(1..=PRICE_MOVE_BP_LIMIT).contains(&self.price_move_bp_max) {
            return Err(SettingsError::new(
                asset_field(asset, "price_move_bp_max"),
                format!("is {}", self.price_move_bp_max),
                "set ten-thousandths from 1 to 10000; 500 is 5 %",
            ));
        }
        if !(1..=SETTLE_S_LIMIT).contains(&self.price_settle_s) {
            return Err(SettingsError::new(
                asset_field(asset, "price_settle_s"),
                format!("is {}", self.price_settle_s),
                "set a number of seconds from 1 to 86400 (a day)",
            ));
        }
        Ok(())
    }

    fn validate_lists(&self, asset: &str) -> Result<(), SettingsError> {
        let lists = [("deny", self.deny.as_slice()), ("allow", self.allow.as_deref().unwrap_or_default())];
        for (name, list) in lists {
            if let Some(entry) = list.iter().find(|entry| !plain(entry)) {
                return Err(SettingsError::new(
                    asset_field(asset, name),
                    format!("has the entry {entry:?}"),
                    "write each address without blanks, as the network spells it",
                ));
            }
        }
        Ok(())
    }
}

/// Printable, without blanks, not empty, not endless.
fn plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_LIMIT && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The tiers, if they are in order and none needs less than the one below.
pub(super) fn checked_tiers(field: &str, tiers: &[Tier]) -> Result<Tiers, SettingsError> {
    Tiers::new(tiers.to_vec()).map_err(|error| {
        let cure = match error {
            TierError::Order(_) => "write tiers from the lowest `from_krw` to the highest, each once",
            TierError::NeedsLess { .. } => "let every tier need at least what the tier below it needs",
            TierError::Count(_) => "write needs = { group = count } with counts from 1 to 16",
        };
        SettingsError::new(field, error.to_string(), cure)
    })
}
