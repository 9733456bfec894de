//! How much is needed from cold, and for which withdrawals.

use wallet_policy::Units;
use wallet_policy::ratio::Position;
use wallet_policy::refill::{self, Flow};
use wallet_policy::settings::Fill;

use crate::desk::refills::EARMARKS_MAX;
use crate::flow::context::Context;
use crate::flow::ledger::Ledger;
use crate::flow::ledger::refills::EarmarkRow;
use crate::flow::weigh::sight;
use crate::withdrawal::{Code, Seconds};

/// A day, the window of the flow that need is forecast from.
const WINDOW_S: u64 = 86_400;

/// What held withdrawals and the flow of the last day will need, less what can be spent and what is on its way.
pub fn wanted(context: &Context, ledger: &Ledger, now: Seconds) -> Units {
    let waiting = ledger.open.values().filter(|o| o.row.reservation.is_none() && !o.row.is_final());
    let held: u128 = waiting
        .map(|o| o.request.request())
        .filter(|request| request.asset == context.asset)
        .map(|request| request.amount.units().saturating_add(request.fee_max.units()))
        .sum();
    let sums = &ledger.treasury.of(context.asset).sums;
    let at = wallet_policy::Seconds(now.0);
    // A clock that went back has no windows; then only what is held is needed.
    let of = |window: &wallet_policy::window::RollingSum| window.sum(at).unwrap_or_default();
    let flow = Flow { left: of(&sums.day), came: of(&sums.came), window_s: WINDOW_S };
    let horizon_s = context.policy.settings().refill.horizon_s;
    let need = refill::need(Units(held), flow, horizon_s).unwrap_or(Units(held));
    let coming: u64 = ledger.treasury.refills.open().map(|(_, row)| row.coming_sat()).sum();
    let there = u128::from(ledger.treasury.coins.spendable_sat()).saturating_add(u128::from(coming));
    Units(need.0.saturating_sub(there))
}

/// The position as a refill is judged: nothing earmarked deducted, and what is on its way counted as come.
pub(super) fn before(context: &Context, ledger: &Ledger, now: Seconds) -> Position {
    let seen = sight(context, ledger, context.asset, now).position();
    let earmarked = u128::from(ledger.earmarked_sat(now));
    let coming: u64 = ledger.treasury.refills.open().map(|(_, row)| row.coming_sat()).sum();
    let coming = u128::from(coming);
    Position {
        hot: Units(seen.hot.0.saturating_add(earmarked).saturating_add(coming)),
        cold: Units(seen.cold.0.saturating_sub(coming)),
    }
}

/// Held withdrawals that no refill was made for, in the order asked, for which that much is enough: as many as one refill
/// may have.
pub(super) fn earmarks(context: &Context, ledger: &Ledger, mut room_sat: u64) -> Vec<EarmarkRow> {
    let mut found = Vec::new();
    for open in ledger.queue.values().filter_map(|id| ledger.open.get(id)) {
        if found.len() == EARMARKS_MAX {
            break;
        }
        let waits = open.row.findings.iter().any(|f| f.code == Code::HotFundsShort.as_str());
        let id = open.id.to_string();
        let is_ours = open.request.request().asset == context.asset;
        if !is_ours || open.row.reservation.is_some() || !waits || ledger.treasury.refills.is_for(&id) {
            continue;
        }
        let amount_sat = open.request.request().amount.sat().unwrap_or(u64::MAX);
        let Some(left) = room_sat.checked_sub(amount_sat) else { continue };
        room_sat = left;
        let until = open.row.asked_at.saturating_add(context.settings.hold_s_max);
        found.push(EarmarkRow { withdrawal: id, amount_sat, until });
    }
    found
}

/// What is asked for where nobody names a figure: what is wanted, and no more than the share lets in.
pub(super) fn most_wanted(
    context: &Context,
    ledger: &Ledger,
    position: Position,
    promised_sat: u64,
    now: Seconds,
) -> u128 {
    let short = wanted(context, ledger, now);
    let all = earmarks(context, ledger, u64::MAX);
    let all_sat: u64 = all.iter().map(|e| e.amount_sat).fold(promised_sat, u64::saturating_add);
    let earmarked = Units(u128::from(all_sat));
    let rule = context.share_rule(context.asset);
    let fill_to = (context.policy.settings().refill.fill == Fill::Target).then_some(rule.target);
    let asked = refill::ask(short, position, earmarked, fill_to).unwrap_or(short);
    asked.min(refill::most(position, earmarked, rule.limit()).unwrap_or_default()).0
}
