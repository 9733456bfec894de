//! Owns the one text of settings that the policy's hash covers: equal settings give equal bytes, whatever their file
//! looked like.

use std::fmt::Write;

use super::{AssetSettings, Settings, ShareRule};
use crate::tiers::Tier;

impl Settings {
    /// One `name=value` a line in a fixed order; lists keep their members sorted and once.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        let ages = self.ages;
        line(&mut text, "ages.clearance_s", ages.clearance_s);
        line(&mut text, "ages.price_s", ages.price_s);
        line(&mut text, "ages.position_s", ages.position_s);
        line(&mut text, "ages.chain_s", ages.chain_s);
        line(&mut text, "travel_rule.own", &self.travel_rule.own);
        for step in self.travel_rule.lines() {
            line(&mut text, "travel_rule.step", step);
        }
        line(&mut text, "self_hosted_delay_s", self.self_hosted_delay_s);
        let freeze = &self.freeze;
        line(&mut text, "freeze.resume_delay_s", freeze.resume_delay_s);
        line(&mut text, "freeze.resume_needs", format_args!("{:?}", freeze.resume_needs.0));
        line(&mut text, "freeze.queued_needs", format_args!("{:?}", freeze.queued_needs.0));
        if let Some(total) = self.hot_share.total() {
            line(&mut text, "share.total", total);
        }
        line(&mut text, "refill.fill", self.refill.fill.as_str());
        line(&mut text, "refill.horizon_s", self.refill.horizon_s);
        line(&mut text, "refill.inputs_max", self.refill.inputs_max);
        line(&mut text, "refill.open_max", self.refill.open_max);
        line(&mut text, "refill.expires_s", self.refill.expires_s);
        line(&mut text, "reserve.hot_bp", self.reserve.hot_bp);
        line(&mut text, "reserve.floor_krw", self.reserve.floor_krw);
        tiers(&mut text, "tiers", &self.tiers);
        for (asset, settings) in &self.assets {
            settings.canonical((asset, self.share_rule(asset)), &mut text);
        }
        text
    }
}

impl AssetSettings {
    fn canonical(&self, (asset, rule): (&str, ShareRule), text: &mut String) {
        line(text, "asset", format_args!("{asset:?}"));
        match rule.asset {
            Some(share) => line(text, "share", share),
            None => line(text, "share", "total"),
        }
        line(text, "sweep_target", rule.target);
        line(text, "min_sweep", self.min_sweep);
        line(text, "per_tx_limit", self.per_tx_limit);
        line(text, "unsigned_per_tx_limit", self.unsigned_per_tx_limit);
        line(text, "unsigned_daily_limit", self.unsigned_daily_limit);
        line(text, "hourly_limit", self.hourly_limit);
        line(text, "daily_limit", self.daily_limit);
        line(text, "fee_rate_max", self.fee_rate_max);
        line(text, "fee_tx_max", self.fee_tx_max);
        line(text, "fee_lineage_max", self.fee_lineage_max);
        line(text, "fee_budget_daily", self.fee_budget_daily);
        line(text, "unnamed_total_daily_krw", self.unnamed_total_daily_krw);
        line(text, "price_move_bp_max", self.price_move_bp_max);
        line(text, "price_settle_s", self.price_settle_s);
        list(text, "deny", &self.deny);
        match &self.allow {
            None => line(text, "allow", "everything"),
            Some(allow) => list(text, "allow", allow),
        }
        tiers(text, "tiers", &self.tiers);
    }
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    // writing to a string cannot fail
    let _ = writeln!(text, "{name}={value}");
}

fn list(text: &mut String, name: &str, members: &[String]) {
    let sorted: std::collections::BTreeSet<&String> = members.iter().collect();
    line(text, name, format_args!("{sorted:?}"));
}

fn tiers(text: &mut String, name: &str, tiers: &[Tier]) {
    for tier in tiers {
        line(text, name, format_args!("{} {:?}", tier.from_krw, tier.needs.0));
    }
}
