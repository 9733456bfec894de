//! Owns the sandbox's policy: the numbers, and the guard that pins them in the trust file.

use super::ASSET;

/// What risk staff set. Each party gets its own copy.
pub fn settings() -> String {
    format!(
        r#"# Two people end a freeze, and an hour later it is over.
[freeze]
resume_delay_s = 3600
resume_needs = {{ treasury = 1, risk = 1 }}
queued_needs = {{ treasury = 1 }}

# Up to ten million won nobody is asked; from there on one person of the treasury.
[[tiers]]
from_krw = "10000000"
needs = {{ treasury = 1 }}

[assets."{ASSET}"]
share = "kisa-3-7"
min_sweep = "1000000"
per_tx_limit = "50000000"
hourly_limit = "200000000"
daily_limit = "1000000000"
fee_rate_max = "100000"
fee_tx_max = "100000"
fee_lineage_max = "200000"
fee_budget_daily = "2000000"
unnamed_total_daily_krw = "10000000"
price_move_bp_max = 500
price_settle_s = 60
"#
    )
}

/// The loosest that either party may load: exactly these settings.
pub fn guard() -> String {
    format!(
        r#"freeze_min = {{ resume_delay_s = 3600, resume_needs = {{ treasury = 1, risk = 1 }}, queued_needs = {{ treasury = 1 }} }}
tiers_min = [{{ from_krw = "10000000", needs = {{ treasury = 1 }} }}]

[assets."{ASSET}"]
share_max = "kisa-3-7"
min_sweep_max = "1000000"
per_tx_limit_max = "50000000"
hourly_limit_max = "200000000"
daily_limit_max = "1000000000"
fee_rate_max = "100000"
fee_tx_max = "100000"
fee_lineage_max = "200000"
fee_budget_daily_max = "2000000"
unnamed_total_daily_krw_max = "10000000"
price_move_bp_max = 500
price_settle_s_min = 60
"#
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use wallet_policy::settings::{Guard, Settings};

    #[test]
    fn the_guard_pins_exactly_the_settings() {
        let settings: Settings = toml::from_str(&super::settings()).unwrap();
        settings.validate().unwrap();
        let guard: Guard = toml::from_str(&super::guard()).unwrap();
        assert_eq!(guard, Guard::of(&settings));
    }
}
