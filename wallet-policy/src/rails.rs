//! Owns the guard rails: the laws compiled in, which no file can loosen. Knows nothing of Cedar and not its answer.
//!
//! The same table words the detail of each code, also for the three rules that stand only in the policy files.

use crate::assess::{Assessment, AssetRules};
use crate::code::{Effect, PolicyCode};
use crate::decision::Finding;
use crate::facts::{Clearance, Facts, Kind};

/// What a rail looks at.
pub(crate) struct Case<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) rules: &'a AssetRules,
    pub(crate) told: &'a Assessment,
}

/// One law.
#[derive(Clone, Copy)]
pub(crate) struct Rail {
    /// Its name in a finding.
    pub(crate) id: &'static str,
    /// What it says.
    pub(crate) code: PolicyCode,
    /// The kinds of transaction it holds for.
    pub(crate) kinds: &'static [Kind],
    /// Whether it stands by itself, or only words the detail of a rule in the files.
    pub(crate) guards: bool,
    /// Whether it is broken.
    pub(crate) broken: fn(&Case<'_>) -> bool,
    /// How exactly.
    pub(crate) detail: fn(&Case<'_>) -> String,
}

const EVERY: &[Kind] = &Kind::ALL;
const WITHDRAW: &[Kind] = &[Kind::Withdraw];
const PINNED: &[Kind] = &[Kind::Sweep, Kind::Refill, Kind::Consolidate, Kind::Refuel];
/// What goes out of this wallet's hands.
const LEAVES: &[Kind] = &[Kind::Withdraw, Kind::Refuel];
/// A refuel lowers the share, and without gas no sweep reaches the chain.
const JUDGED_BY_SHARE: &[Kind] = &[Kind::Withdraw, Kind::Refill];
const NEEDS_POSITION: &[Kind] = &[Kind::Withdraw, Kind::Refill, Kind::Refuel];
/// A sweep needs neither price nor position nor room in a rolling limit (L12).
const NOT_SWEEP: &[Kind] = &[Kind::Withdraw, Kind::Refill, Kind::Consolidate, Kind::Refuel];

macro_rules! rails {
    ($($id:literal $code:ident $kinds:ident $guards:ident |$case:ident| $broken:expr, $detail:expr;)*) => {
        /// Every law, one code each.
        pub(crate) const RAILS: &[Rail] = &[$(Rail {
            id: $id,
            code: PolicyCode::$code,
            kinds: $kinds,
            guards: rails!(@ $guards),
            broken: |$case| $broken,
            detail: |$case| { let _ = $case; $detail },
        },)*];
    };
    (@ guard) => { true };
    (@ words) => { false };
}

rails! {
    "guard/sums-fit" PolicyFault EVERY guard |c| !c.told.sums_fit,
        "a sum of amounts does not fit 128 bits".to_owned();
    "guard/clearance" NoClearance WITHDRAW guard |c| !c.told.clearance_given && !c.told.clearance_pending,
        "no clearance of the travel rule".to_owned();
    "guard/clearance-pending" ClearancePending WITHDRAW guard |c| c.told.clearance_pending,
        "the beneficiary VASP has not answered".to_owned();
    "guard/clearance-expired" ClearanceExpired WITHDRAW guard |c| c.told.clearance_given && !c.told.clearance_fresh,
        clearance_detail(c);
    "guard/unnamed-total" UnnamedTotalReached WITHDRAW guard |c| !c.told.within_unnamed_total,
        unnamed_detail(c);
    "guard/destination-own" DestinationOwn WITHDRAW guard |c| c.facts.destination.own,
        "the destination is an address of this wallet".to_owned();
    "guard/kind" KindNotAllowed PINNED guard |c| !c.facts.destination.pinned,
        format!("a {} pays a destination that is neither pinned nor self-derived", c.facts.kind.as_str());
    "guard/limit-per-transaction" LimitPerTransaction LEAVES guard |c| !c.told.within_transaction_limit,
        format!("{} is above {}", c.facts.amount, c.rules.settings.per_tx_limit);
    "guard/limit-unsigned" LimitUnsigned WITHDRAW guard |c| !c.told.within_unsigned_limit,
        format!("{} is above {}, and no VASP signed the clearance", c.facts.amount, c.rules.settings.unsigned_per_tx_limit);
    "guard/unsigned-total" UnsignedTotalReached WITHDRAW guard |c| !c.told.within_unsigned_total,
        format!("{} on top of {} within a day is above {}, and no VASP signed the clearance", c.facts.amount, c.facts.spent.unsigned_day, c.rules.settings.unsigned_daily_limit);
    "guard/limit-rolling" LimitRolling NOT_SWEEP guard |c| !c.told.within_hourly_limit || !c.told.within_daily_limit,
        rolling_detail(c);
    "guard/fee-cap" FeeAboveCap EVERY guard |c| !fees_within(c.told),
        fee_detail(c);
    "guard/fee-budget" FeeBudgetSpent EVERY guard |c| !c.told.fee_within_budget,
        format!("{} on top of {} within a day is above {}", c.facts.fee.paid, c.facts.spent.fee_day, c.rules.settings.fee_budget_daily);
    "guard/position" PositionStale NEEDS_POSITION guard |c| !c.told.position_fresh,
        format!("cold balance and coins were not both stated within {} s", c.rules.ages.position_s);
    "guard/price" PriceStale WITHDRAW guard |c| !c.told.price_fresh,
        format!("no price stated within {} s", c.rules.ages.price_s);
    "guard/price-moved" PriceMoved WITHDRAW guard |c| c.facts.price_moved,
        format!("the price moved by more than {} ten-thousandths", c.rules.settings.price_move_bp_max);
    "guard/chain" FeeRateStale NOT_SWEEP guard |c| !c.told.fee_rate_fresh || !c.told.tip_fresh,
        format!("no fee rate and tip stated within {} s", c.rules.ages.chain_s);
    "guard/hot-share" HotShareAboveLimit JUDGED_BY_SHARE guard |c| !c.told.hot_share_within_limit,
        share_detail(c);
    "guard/approvals" ApprovalRequired WITHDRAW guard |c| !c.told.approvals_enough,
        approvals_detail(c);
    "guard/requester" RequesterApproves EVERY guard |c| c.told.requester_approves,
        "who asked is among those who approved".to_owned();
    "guard/frozen" Frozen EVERY guard |c| c.facts.frozen,
        "signing is frozen".to_owned();

    "" DestinationDenied WITHDRAW words |c| c.told.destination_denied,
        "the destination is on the deny list".to_owned();
    "" DestinationNotAllowed WITHDRAW words |c| !c.told.destination_allowed,
        "an allow list is in force and the destination is not on it".to_owned();
    "" HotFundsShort LEAVES words |c| !c.told.hot_funds_enough,
        format!("{} and a fee of {} from {} spendable", c.facts.amount, c.facts.fee.leaving, c.facts.spendable);
}

impl Rail {
    fn is_broken(&self, case: &Case<'_>) -> bool {
        self.kinds.contains(&case.facts.kind) && (self.broken)(case)
    }

    fn finding(&self, case: &Case<'_>) -> (Effect, Finding) {
        let finding = Finding {
            code: self.code,
            policy: self.id.to_owned(),
            detail: (self.detail)(case),
            cure: self.code.cure().to_owned(),
        };
        (self.code.effect(), finding)
    }
}

/// What the laws say, whatever the policy files say.
pub(crate) fn broken<'a>(
    rails: &'a [Rail],
    case: &'a Case<'_>,
) -> impl Iterator<Item = (Effect, Finding)> + 'a {
    rails.iter().filter(|rail| rail.guards && rail.is_broken(case)).map(|rail| rail.finding(case))
}

/// How exactly the facts bring about that code; `None` where they do not, or where the code is one that any rule may say,
/// and only the rule itself can tell.
pub(crate) fn detail(code: PolicyCode, case: &Case<'_>) -> Option<String> {
    use PolicyCode::{PolicyFault, PolicyHeld, PolicyRefused};
    if matches!(code, PolicyHeld | PolicyRefused | PolicyFault) {
        return None;
    }
    RAILS.iter().find(|rail| rail.code == code && rail.is_broken(case)).map(|rail| (rail.detail)(case))
}

const fn fees_within(told: &Assessment) -> bool {
    told.fee_rate_within_cap
        && told.fee_within_tx_cap
        && told.fee_within_lineage_cap
        && told.fee_within_request_cap
}

fn clearance_detail(c: &Case<'_>) -> String {
    match c.facts.clearance {
        Clearance::Given { expires_at, .. } if expires_at <= c.facts.now => {
            format!("the clearance expired at {}", expires_at.0)
        }
        _ => format!("the clearance is not from within the last {} s", c.rules.ages.clearance_s),
    }
}

fn unnamed_detail(c: &Case<'_>) -> String {
    let (spent, limit) = (c.facts.spent.unnamed_day, c.rules.settings.unnamed_total_daily_krw);
    match c.facts.value {
        Some(value) => {
            format!("{value} won on top of {spent} without a name match within a day is above {limit}")
        }
        None => "the value is not known, and the clearance has no name match".to_owned(),
    }
}

fn rolling_detail(c: &Case<'_>) -> String {
    let (spent, set) = (c.facts.spent, &c.rules.settings);
    let Some(leaving) = c.facts.leaving() else { return "the sum does not fit 128 bits".to_owned() };
    if c.told.within_hourly_limit {
        return format!("{leaving} on top of {} within a day is above {}", spent.day, set.daily_limit);
    }
    format!("{leaving} on top of {} within an hour is above {}", spent.hour, set.hourly_limit)
}

fn fee_detail(c: &Case<'_>) -> String {
    let (fee, set, told) = (c.facts.fee, &c.rules.settings, c.told);
    if !told.fee_rate_within_cap {
        return format!("a rate of {} per 1000 vbytes is above {}", fee.rate, set.fee_rate_max);
    }
    if !told.fee_within_tx_cap {
        return format!("a fee of {} is above {} for one transaction", fee.paid, set.fee_tx_max);
    }
    if !told.fee_within_lineage_cap {
        return format!("fees of {} are above {} for one lineage", fee.lineage, set.fee_lineage_max);
    }
    match fee.request_max {
        Some(max) => format!("a fee of {} is above the request's {max}", fee.share),
        None => "the request states no fee cap".to_owned(),
    }
}

fn share_detail(c: &Case<'_>) -> String {
    let (position, rule) = (c.facts.position, c.rules.share);
    let share = rule.limit();
    let alone = rule
        .asset
        .is_none_or(|share| crate::ratio::within(position, share, c.rules.settings.min_sweep) == Some(true));
    if let (Some(total), true) = (rule.total, alone && c.facts.kind != Kind::Refill) {
        return match c.facts.in_total {
            None => format!("the total in won is not known, and at most {total} of it may rest hot"),
            Some(_) => {
                format!("more than {total} of the total in won rests hot, and this asset is above it too")
            }
        };
    }
    if c.facts.kind == Kind::Refill {
        return format!("after this refill and what it is for, more than {share} would rest hot");
    }
    match crate::ratio::surplus(position, share) {
        Some(surplus) => {
            format!("{} hot and {} cold is {surplus} above {share}", position.hot, position.cold)
        }
        None => "the share does not fit 128 bits".to_owned(),
    }
}

fn approvals_detail(c: &Case<'_>) -> String {
    let why = if c.facts.queued { "it was asked during a freeze and " } else { "" };
    match c.rules.required(c.facts) {
        Some(needs) => format!("{why}needs {needs}; {} approved", c.told.approvers),
        None => {
            "it was asked during a freeze, and `freeze.resume_needs` names nobody to approve it".to_owned()
        }
    }
}
