//! What is offered for gas: above what is needed now, below the caps.

use crate::ethereum::GasTerms;
use crate::node::Fees;

use super::facts::Wei;
use super::rules::Rules;

/// Gas costs more than may be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AboveCap {
    /// What a unit of gas would cost at least, in wei.
    pub needed: u128,
}

/// The most that a transaction of these terms can cost.
pub fn cost(gas: &GasTerms) -> Wei {
    gas.fee_max().and_then(|fee| u128::try_from(fee.units()).ok()).unwrap_or(Wei::MAX)
}

/// What a unit of gas costs at least, if it is to be in the next block.
pub fn needed(rules: &Rules, fees: &Fees) -> u128 {
    fees.base_fee_next.saturating_add(fees.tip.max(rules.tip_min))
}

/// Terms for a transaction that stands in nobody's place.
pub fn fresh(rules: &Rules, fees: &Fees, gas_limit: u64) -> Result<GasTerms, AboveCap> {
    let needed = needed(rules, fees);
    if needed > rules.fee_per_gas_cap {
        return Err(AboveCap { needed });
    }
    let margin = fees.base_fee_next.saturating_mul(u128::from(rules.base_fee_margin_percent)) / 100;
    let fee_per_gas_max = needed.saturating_add(margin).min(rules.fee_per_gas_cap);
    Ok(GasTerms { gas_limit, fee_per_gas_max, tip_per_gas_max: fees.tip.max(rules.tip_min) })
}

/// Terms that nodes take in the place of the old ones: raised as they want it, and at least what is needed now.
pub fn replacing(rules: &Rules, fees: &Fees, old: &GasTerms, gas_limit: u64) -> Result<GasTerms, AboveCap> {
    let least = old.raised(u128::MAX).ok_or(AboveCap { needed: u128::MAX })?;
    let raised = old.raised(rules.fee_per_gas_cap).ok_or(AboveCap { needed: least.fee_per_gas_max })?;
    let wished = fresh(rules, fees, gas_limit)?;
    Ok(GasTerms {
        gas_limit,
        fee_per_gas_max: raised.fee_per_gas_max.max(wished.fee_per_gas_max),
        tip_per_gas_max: raised.tip_per_gas_max.max(wished.tip_per_gas_max),
    })
}
