//! Owns the sandbox's policy: the numbers, and the guard that pins them in the trust file.

use super::ASSET;
use super::evm::{ETHER, USDT};
use crate::withdrawal::Asset;

/// One ether, in wei.
const ETHER_UNIT: u128 = 1_000_000_000_000_000_000;
/// A thousand of the token, in its base units.
const USDT_UNIT: u128 = 1_000_000_000;

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
{ether}{usdt}"#,
        ether = evm_asset(ETHER, ETHER_UNIT, false),
        usdt = evm_asset(USDT, USDT_UNIT, false),
    )
}

/// Ether and the token: at most five coins at once, twenty in an hour and a hundred in a day; of the token a thousand times as many.
/// Gas is paid by the executor; the caps bound what executing may cost. A guard spells each limit with an ending.
fn evm_asset(asset: Asset, unit: u128, is_guard: bool) -> String {
    let (min, settle) = if is_guard { ("_max", "_min") } else { ("", "") };
    format!(
        r#"
[assets."{asset}"]
share{min} = "kisa-3-7"
min_sweep{min} = "{tenth}"
per_tx_limit{min} = "{five}"
hourly_limit{min} = "{twenty}"
daily_limit{min} = "{hundred}"
fee_rate_max = "200000000000000"
fee_tx_max = "100000000000000000"
fee_lineage_max = "200000000000000000"
fee_budget_daily{min} = "10000000000000000000"
unnamed_total_daily_krw{min} = "10000000"
price_move_bp_max = 500
price_settle_s{settle} = 60
"#,
        tenth = unit / 10,
        five = 5 * unit,
        twenty = 20 * unit,
        hundred = 100 * unit,
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
{ether}{usdt}"#,
        ether = evm_asset(ETHER, ETHER_UNIT, true),
        usdt = evm_asset(USDT, USDT_UNIT, true),
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
