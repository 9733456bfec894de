//! Owns what is kept of a policy so that a later one can be compared with it, and the comparison: whether the later one may
//! let something leave that the earlier one did not (L14). A doubt counts as yes.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::settings::{AssetSettings, Fill, Guard, RefillSettings, Settings};

/// What is kept of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outline {
    /// The policy's hash.
    #[serde(serialize_with = "hex", deserialize_with = "unhex")]
    hash: [u8; 32],
    /// The hash of the words its rules may use.
    schema: String,
    /// The hashes of the rules that permit: two rules that mean the same and are written differently are two.
    permits: BTreeSet<String>,
    /// The hashes of the rules that forbid.
    forbids: BTreeSet<String>,
    /// Its figures and lists.
    settings: Settings,
}

impl Outline {
    pub(crate) fn new(
        hash: [u8; 32],
        schema: String,
        (permits, forbids): (BTreeSet<String>, BTreeSet<String>),
        settings: Settings,
    ) -> Self {
        Self { hash, schema, permits, forbids, settings }
    }

    /// The policy's hash.
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Its figures and lists.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether this policy may let something leave that `old` did not, so that approvals under `old` no longer count.
    ///
    /// Of rules only two changes are known to loosen nothing: one more that forbids, and one less that permits. Every other
    /// change of a rule counts as looser, since nothing here proves the contrary.
    pub fn loosens(&self, old: &Self) -> bool {
        let rules_looser = self.schema != old.schema
            || !self.permits.is_subset(&old.permits)
            || !self.forbids.is_superset(&old.forbids);
        rules_looser || settings_loosen(&self.settings, &old.settings)
    }
}

/// Every field is named, so that a new one cannot be left out: it stands with what it is compared by.
fn settings_loosen(new: &Settings, old: &Settings) -> bool {
    let Settings {
        // the guard that the old settings just pass
        ages: _,
        travel_rule: _,
        self_hosted_delay_s: _,
        freeze: _,
        hot_share: _,
        tiers: _,
        refill,
        // only words of the daily statement
        reserve: _,
        assets,
    } = new;
    Guard::of(old).check(new).is_err()
        || refill_loosens(*refill, old.refill)
        || assets.iter().any(|(id, set)| {
            let Some(before) = old.assets.get(id) else { return true };
            let target_raised = !new.share_rule(id).target.at_most(old.share_rule(id).target);
            target_raised || lists_loosen(set, before)
        })
}

fn refill_loosens(new: RefillSettings, old: RefillSettings) -> bool {
    let RefillSettings { fill, horizon_s, inputs_max, open_max, expires_s } = new;
    (fill == Fill::Target && old.fill == Fill::Need)
        || horizon_s > old.horizon_s
        || inputs_max > old.inputs_max
        || open_max > old.open_max
        || expires_s > old.expires_s
}

fn lists_loosen(new: &AssetSettings, old: &AssetSettings) -> bool {
    let AssetSettings {
        // the guard that the old settings just pass
        share: _,
        min_sweep: _,
        per_tx_limit: _,
        unsigned_per_tx_limit: _,
        hourly_limit: _,
        daily_limit: _,
        unsigned_daily_limit: _,
        fee_rate_max: _,
        fee_tx_max: _,
        fee_lineage_max: _,
        fee_budget_daily: _,
        unnamed_total_daily_krw: _,
        price_move_bp_max: _,
        price_settle_s: _,
        tiers: _,
        // the figure in force is compared
        sweep_target: _,
        deny,
        allow,
    } = new;
    let undenied = old.deny.iter().any(|d| !deny.iter().any(|n| n.eq_ignore_ascii_case(d)));
    let allowed_more = match (allow, &old.allow) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(new), Some(old)) => new.iter().any(|n| !old.contains(n)),
    };
    undenied || allowed_more
}

fn hex<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&data_encoding::HEXLOWER.encode(hash))
}

fn unhex<'de, D: Deserializer<'de>>(de: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(de)?;
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok().and_then(|b| b.try_into().ok());
    bytes.ok_or_else(|| serde::de::Error::custom("the hash is not 64 lower-case hexadecimal digits"))
}
