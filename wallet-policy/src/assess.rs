//! Owns all arithmetic of a decision: facts and settings in, plain yes-or-no answers out. Decides nothing.
//!
//! Every answer is phrased so that `false` is the answer of a fact that is missing or does not fit 128 bits, except
//! where the name says that something bad is so.

use std::collections::BTreeSet;

use crate::amount::{Seconds, Units};
use crate::facts::{Clearance, Facts, Kind};
use crate::ratio;
use crate::settings::{Ages, AssetSettings, FreezeRules, ShareRule};
use crate::tiers::{self, Requirement, Tiers};

/// The settings of one asset, prepared for asking.
#[derive(Debug)]
pub(crate) struct AssetRules {
    pub(crate) settings: AssetSettings,
    pub(crate) ages: Ages,
    pub(crate) share: ShareRule,
    deny: BTreeSet<String>,
    allow: Option<BTreeSet<String>>,
    tiers: Tiers,
    /// Who at least approves what was asked during a freeze; `None` lets none of it leave.
    queued: Option<Requirement>,
}

impl AssetRules {
    pub(crate) fn new(
        settings: &AssetSettings,
        share: ShareRule,
        ages: Ages,
        tiers: Tiers,
        freeze: &FreezeRules,
    ) -> Self {
        let deny = settings.deny.iter().map(|d| d.to_ascii_lowercase()).collect();
        let allow = settings.allow.as_ref().map(|list| list.iter().cloned().collect());
        let queued = freeze.queued().cloned();
        Self { settings: settings.clone(), ages, share, deny, allow, tiers, queued }
    }

    /// Who has to approve; `None` where nobody could.
    pub(crate) fn required(&self, facts: &Facts) -> Option<Requirement> {
        let of_tier = self.tiers.required(facts.value).cloned().unwrap_or_default();
        if !facts.queued {
            return Some(of_tier);
        }
        self.queued.as_ref().map(|queued| of_tier.joined(queued))
    }
}

/// The answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Assessment {
    pub(crate) clearance_given: bool,
    pub(crate) clearance_pending: bool,
    pub(crate) clearance_fresh: bool,
    pub(crate) within_unnamed_total: bool,
    pub(crate) destination_denied: bool,
    pub(crate) destination_allowed: bool,
    pub(crate) within_transaction_limit: bool,
    pub(crate) within_unsigned_limit: bool,
    pub(crate) within_unsigned_total: bool,
    pub(crate) within_hourly_limit: bool,
    pub(crate) within_daily_limit: bool,
    pub(crate) fee_rate_within_cap: bool,
    pub(crate) fee_within_tx_cap: bool,
    pub(crate) fee_within_lineage_cap: bool,
    pub(crate) fee_within_request_cap: bool,
    pub(crate) fee_within_budget: bool,
    pub(crate) position_fresh: bool,
    pub(crate) price_fresh: bool,
    pub(crate) fee_rate_fresh: bool,
    pub(crate) tip_fresh: bool,
    pub(crate) hot_share_within_limit: bool,
    pub(crate) hot_share_bp: u16,
    pub(crate) hot_funds_enough: bool,
    pub(crate) approvals_enough: bool,
    pub(crate) approvers: usize,
    pub(crate) requester_approves: bool,
    /// Whether every sum fitted 128 bits.
    pub(crate) sums_fit: bool,
}

impl Assessment {
    pub(crate) fn of(facts: &Facts, rules: &AssetRules) -> Self {
        let (set, ages, spent, fee) = (&rules.settings, rules.ages, &facts.spent, &facts.fee);
        let fresh = |at: Option<Seconds>, age_s| is_fresh(at, facts.now, age_s);
        let leaving = facts.leaving();
        let hour = leaving.and_then(|l| l.plus(spent.hour));
        let day = leaving.and_then(|l| l.plus(spent.day));
        let fee_day = fee.paid.plus(spent.fee_day);
        let hot_share = hot_share_within(facts, rules);
        let hot_share_bp = ratio::hot_bp(facts.position);
        let fits = |sum: Option<Units>, limit: Units| sum.is_some_and(|sum| sum <= limit);
        let (clearance_given, clearance_fresh, named) = clearance(facts, ages);
        let signed = !matches!(facts.clearance, Clearance::Given { signed: false, .. });
        let unnamed = facts.value.and_then(|v| v.plus(spent.unnamed_day));
        let unsigned_day = facts.amount.plus(spent.unsigned_day);
        let required = rules.required(facts);
        let satisfied =
            |required: &Requirement| tiers::satisfied(required, &facts.approvals, &facts.requesters);
        Self {
            clearance_given,
            clearance_pending: facts.clearance == Clearance::Pending,
            clearance_fresh,
            within_unnamed_total: named || unnamed.is_some_and(|sum| sum <= set.unnamed_total_daily_krw),
            destination_denied: is_denied(&facts.destination.address, &rules.deny),
            destination_allowed: rules.allow.as_ref().is_none_or(|a| a.contains(&facts.destination.address)),
            within_transaction_limit: facts.amount <= set.per_tx_limit,
            within_unsigned_limit: signed || facts.amount <= set.unsigned_per_tx_limit,
            within_unsigned_total: signed || fits(unsigned_day, set.unsigned_daily_limit),
            within_hourly_limit: fits(hour, set.hourly_limit),
            within_daily_limit: fits(day, set.daily_limit),
            fee_rate_within_cap: fee.rate <= set.fee_rate_max,
            fee_within_tx_cap: fee.paid <= set.fee_tx_max,
            fee_within_lineage_cap: fee.lineage <= set.fee_lineage_max,
            fee_within_request_cap: fee
                .request_max
                .map_or(facts.kind != Kind::Withdraw, |max| fee.share <= max),
            fee_within_budget: fits(fee_day, set.fee_budget_daily),
            position_fresh: fresh(facts.stated.position, ages.position_s),
            price_fresh: fresh(facts.stated.price, ages.price_s) && facts.value.is_some(),
            fee_rate_fresh: fresh(facts.stated.fee_rate, ages.chain_s),
            tip_fresh: fresh(facts.stated.tip, ages.chain_s),
            hot_share_within_limit: hot_share == Some(true),
            hot_share_bp: hot_share_bp.unwrap_or(10_000),
            hot_funds_enough: fits(facts.amount.plus(fee.leaving), facts.spendable),
            approvals_enough: required.as_ref().is_some_and(satisfied),
            approvers: approvers(facts),
            requester_approves: facts.approvals.iter().any(|a| facts.requesters.contains(&a.person)),
            sums_fit: hour.is_some()
                && day.is_some()
                && fee_day.is_some()
                && hot_share.is_some()
                && hot_share_bp.is_some()
                && facts.amount.plus(fee.paid).is_some()
                && (signed || unsigned_day.is_some())
                && (named || facts.value.is_none() || unnamed.is_some()),
        }
    }
}

/// Whether it was said at most `age_s` seconds ago. What lies ahead of the own clock is not fresh.
fn is_fresh(at: Option<Seconds>, now: Seconds, age_s: u64) -> bool {
    at.and_then(|at| now.0.checked_sub(at.0)).is_some_and(|age| age <= age_s)
}

/// Whether there is a clearance, whether it still holds, and whether the unnamed total can leave it out.
fn clearance(facts: &Facts, ages: Ages) -> (bool, bool, bool) {
    match facts.clearance {
        Clearance::Given { at, expires_at, named, .. } => {
            let fresh = is_fresh(Some(at), facts.now, ages.clearance_s) && facts.now < expires_at;
            (true, fresh, named)
        }
        Clearance::Absent | Clearance::Pending => (false, false, true),
    }
}

fn is_denied(address: &str, deny: &BTreeSet<String>) -> bool {
    !deny.is_empty() && deny.contains(&address.to_ascii_lowercase())
}

/// A withdrawal is judged by what rests hot now, a refill by what will rest hot once its withdrawals have left.
fn hot_share_within(facts: &Facts, rules: &AssetRules) -> Option<bool> {
    let (position, min_sweep, is_refill) =
        (facts.position, rules.settings.min_sweep, facts.kind == Kind::Refill);
    let alone = match rules.share.asset {
        None => true,
        Some(share) if is_refill => ratio::refill_allowed(position, facts.amount, facts.earmarked, share)?,
        Some(share) => ratio::within(position, share, min_sweep)?,
    };
    let in_total = match (rules.share.total, &facts.in_total) {
        (None, _) => true,
        // without a price of every asset the total is not known, and unknown is a no
        (Some(_), None) => false,
        (Some(share), Some(part)) if is_refill => {
            ratio::refill_allowed_in_total(position, (facts.amount, facts.earmarked), part, share)?
        }
        (Some(share), Some(part)) => ratio::within_total(position, part, share, min_sweep)?,
    };
    Some(alone && in_total)
}

fn approvers(facts: &Facts) -> usize {
    let people = facts.approvals.iter().map(|a| &a.person).filter(|p| !facts.requesters.contains(*p));
    people.collect::<BTreeSet<&String>>().len()
}
