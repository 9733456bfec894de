//! Owns the sample that every test of the policy starts from: one withdrawal to which nothing is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod laws;
mod load;
mod loosened;
mod readme;
mod share;
mod table;
mod threshold;

use crate::code::PolicyCode;
use crate::facts::{Approval, Clearance, Destination, Fee, Kind, Spent, Stated};
use crate::ratio::Position;
use crate::{BUILT_IN, Decision, Facts, Guard, Krw, Policy, PolicyError, Seconds, Settings, Units, Verdict};

pub(super) const BTC: &str = "bip122:000000000019d6689c085ae165831e93/slip44:0";

/// Permits everything: what is left is what the laws say.
pub(super) const PERMIT_ALL: (&str, &str) =
    ("all.cedar", r#"@id("all") permit (principal, action, resource);"#);

pub(super) const SETTINGS: &str = r#"
[freeze]
resume_needs = { treasury = 1, risk = 1 }
queued_needs = { treasury = 1 }

[[tiers]]
from_krw = "10000000"
needs = { treasury = 1 }

[[tiers]]
from_krw = "1000000000"
needs = { treasury = 2, risk = 1 }

[assets."bip122:000000000019d6689c085ae165831e93/slip44:0"]
share = "kisa-3-7"
min_sweep = "1000000"
per_tx_limit = "10000000"
unsigned_per_tx_limit = "2000000"
unsigned_daily_limit = "5000000"
hourly_limit = "50000000"
daily_limit = "100000000"
fee_rate_max = "200000"
fee_tx_max = "50000"
fee_lineage_max = "100000"
fee_budget_daily = "1000000"
unnamed_total_daily_krw = "50000000"
price_move_bp_max = 500
price_settle_s = 60
deny = ["bc1qdenied", "BC1QUPPER"]
allow = ["bc1qpayee", "bc1qupper", "bc1qdenied2", "BC1QDENIED"]
"#;

/// As [`SETTINGS`] where it matters, with every table that may be left out.
pub(super) const SHARED: &str = r#"
self_hosted_delay_s = 90000
[ages]
price_s = 300
[travel_rule]
own = "JP"
steps = [{ jurisdiction = "JP", from = "2025-06-01T00:00:00+09:00", direction = "incoming", floor_krw = "5" }]
[hot_share]
preset = "user-protection-act-2-8"
[refill]
open_max = 2
[reserve]
hot_bp = 400
[assets.x]
sweep_target = "1/9"
min_sweep = "1"
per_tx_limit = "340282366920938463463374607431768211455"
hourly_limit = "340282366920938463463374607431768211455"
daily_limit = "340282366920938463463374607431768211455"
fee_rate_max = "1"
fee_tx_max = "1"
fee_lineage_max = "1"
fee_budget_daily = "1"
unnamed_total_daily_krw = "1"
price_move_bp_max = 1
price_settle_s = 1
tiers = [{ from_krw = "1", needs = { a = 1 } }]
"#;

pub(super) fn settings() -> Settings {
    toml::from_str(SETTINGS).unwrap()
}

pub(super) fn load(files: &[(&str, &str)], settings: Settings) -> Result<Policy, PolicyError> {
    let guard = Guard::of(&settings);
    Policy::load(files, settings, &guard)
}

pub(super) fn built_in() -> Policy {
    load(BUILT_IN, settings()).unwrap()
}

pub(super) fn permissive() -> Policy {
    load(&[PERMIT_ALL], settings()).unwrap()
}

pub(super) fn facts(kind: Kind) -> Facts {
    let now = Seconds(1_000_000);
    let recently = Some(Seconds(999_900));
    let own = kind != Kind::Withdraw;
    Facts {
        kind,
        organisation: "exchange".into(),
        asset: BTC.into(),
        now,
        requesters: ["acme".to_owned(), "park".to_owned()].into(),
        destination: Destination { address: "bc1qpayee".into(), own, pinned: own },
        beneficiary_vasp: "vasp".into(),
        amount: Units(1_000_000),
        value: Some(Krw(1_500_000)),
        clearance: match kind {
            Kind::Withdraw => Clearance::Given {
                at: Seconds(999_000),
                expires_at: Seconds(1_002_000),
                named: false,
                signed: true,
            },
            _ => Clearance::Absent,
        },
        fee: Fee {
            rate: Units(10_000),
            paid: Units(3_000),
            leaving: Units(3_000),
            lineage: Units(6_000),
            share: Units(3_000),
            request_max: (!own).then_some(Units(10_000)),
        },
        spent: Spent {
            hour: Units(0),
            day: Units(0),
            fee_day: Units(0),
            unnamed_day: Krw(0),
            unsigned_day: Units(0),
        },
        stated: Stated { position: recently, price: recently, fee_rate: recently, tip: recently },
        price_moved: false,
        position: match kind {
            Kind::Refill => Position { hot: Units(20_000_000), cold: Units(80_000_000) },
            _ => Position { hot: Units(30_000_000), cold: Units(70_000_000) },
        },
        in_total: None,
        earmarked: Units(0),
        spendable: Units(20_000_000),
        approvals: vec![],
        frozen: false,
        queued: false,
    }
}

pub(super) fn by(person: &str, groups: &[&str]) -> Approval {
    Approval { person: person.to_owned(), groups: groups.iter().map(|g| (*g).to_owned()).collect() }
}

/// The codes of a no, in order; empty is a release.
pub(super) fn codes(decision: &Decision) -> Vec<PolicyCode> {
    match decision.verdict() {
        Verdict::Release => vec![],
        Verdict::Hold(findings) | Verdict::Refuse(findings) => findings.iter().map(|f| f.code).collect(),
    }
}
