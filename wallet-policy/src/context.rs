//! Owns what a Cedar rule sees: one typed record, never JSON. Its names are those of `policies/schema.cedarschema`.

use std::collections::BTreeSet;

use cedar_policy::{Context, RestrictedExpression as Expr};

use crate::rails::Case;

/// Builds the record. Values in won that do not fit 64 bits are shown as the largest that does, and so is a value that
/// is not known: a rule that asks "is it more than" then says yes.
pub(crate) fn context(case: &Case<'_>) -> Result<Context, String> {
    let (facts, told) = (case.facts, case.told);
    let value = facts.value.map_or(i64::MAX, |v| clamped(v.0));
    let groups: BTreeSet<&str> = facts
        .approvals
        .iter()
        .filter(|a| !facts.requesters.contains(&a.person))
        .flat_map(|a| a.groups.iter().map(String::as_str))
        .collect();
    let texts = [
        ("beneficiaryVasp", Expr::new_string(facts.beneficiary_vasp.clone())),
        ("destination", Expr::new_string(facts.destination.address.clone())),
        ("approverGroups", Expr::new_set(groups.into_iter().map(|g| Expr::new_string(g.to_owned())))),
    ];
    let numbers = [
        ("valueKrw", value),
        ("hotShareBp", i64::from(told.hot_share_bp)),
        ("approvers", clamped(u128::try_from(told.approvers).unwrap_or(u128::MAX))),
    ];
    let numbers = numbers.map(|(name, number)| (name, Expr::new_long(number)));
    let answers = answers(case).map(|(name, answer)| (name, Expr::new_bool(answer)));
    let pairs = answers.into_iter().chain(numbers).chain(texts).map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

fn answers(case: &Case<'_>) -> [(&'static str, bool); 28] {
    let (facts, told) = (case.facts, case.told);
    [
        ("clearanceGiven", told.clearance_given),
        ("clearancePending", told.clearance_pending),
        ("clearanceFresh", told.clearance_fresh),
        ("withinUnnamedTotal", told.within_unnamed_total),
        ("destinationDenied", told.destination_denied),
        ("destinationAllowed", told.destination_allowed),
        ("destinationOwn", facts.destination.own),
        ("destinationPinned", facts.destination.pinned),
        ("withinTransactionLimit", told.within_transaction_limit),
        ("withinUnsignedLimit", told.within_unsigned_limit),
        ("withinUnsignedTotal", told.within_unsigned_total),
        ("withinHourlyLimit", told.within_hourly_limit),
        ("withinDailyLimit", told.within_daily_limit),
        ("feeRateWithinCap", told.fee_rate_within_cap),
        ("feeWithinTxCap", told.fee_within_tx_cap),
        ("feeWithinLineageCap", told.fee_within_lineage_cap),
        ("feeWithinRequestCap", told.fee_within_request_cap),
        ("feeWithinBudget", told.fee_within_budget),
        ("positionFresh", told.position_fresh),
        ("priceFresh", told.price_fresh),
        ("priceSettled", !facts.price_moved),
        ("feeRateFresh", told.fee_rate_fresh),
        ("tipFresh", told.tip_fresh),
        ("hotShareWithinLimit", told.hot_share_within_limit),
        ("hotFundsEnough", told.hot_funds_enough),
        ("approvalsEnough", told.approvals_enough),
        ("requesterApproves", told.requester_approves),
        ("frozen", facts.frozen),
    ]
}

fn clamped(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
