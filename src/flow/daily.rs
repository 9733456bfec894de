//! The day's close: where the money rested at a stated instant, written into the log once a day (Act on the Protection of
//! Virtual Asset Users, art. 7 and 8). A daily statement is that entry and nothing else, so it never changes.

use wallet_policy::Krw as PolicyKrw;

use super::context::Context;
use super::desk::SignerDesk;
use super::ledger::Ledger;
use super::ledger::journal::{JournalFault, LogView};
use super::position;
use super::writer::Turn;
use crate::audit::EntryKind;
use crate::desk::{AssetPosition, DailyStatement, DeskError};
use crate::store::Table;
use crate::withdrawal::{Asset, Code, Krw, Seconds};

/// Korea's time is nine hours ahead of UTC, in summer and winter.
const KST_S: u64 = 32_400;
const DAY_S: u64 = 86_400;
/// The key of the row that names the last day that was closed.
pub const LAST: &str = "daily/last";

/// The key of the row that stands with the close of an asset's day.
fn key(date: &str, asset: Asset) -> String {
    format!("daily/{date}/{asset}")
}

/// The number of the Korean day that it is, days since 1970-01-01.
const fn day_of(now: Seconds) -> u64 {
    now.plus(KST_S).0 / DAY_S
}

/// A day as `2026-11-21`; nothing where the calendar has no such day.
fn date_of(day: u64) -> Option<String> {
    let days = i64::try_from(day).ok()?;
    let noon = jiff::Timestamp::from_second(days.checked_mul(86_400)?).ok()?;
    Some(noon.to_string().chars().take(10).collect())
}

/// Closes the day that has ended, if that was not done yet. A day during which the service did not run is not made up
/// afterwards. The very first close is remembered with the first commit there is.
pub fn close_day(context: &Context, ledger: &mut Ledger, turn: &mut Turn) {
    let now = turn.draft.now();
    let ended = day_of(now).saturating_sub(1);
    match ledger.day_closed {
        Some(closed) if closed >= ended => return,
        None if turn.draft.is_empty() => return,
        None => {}
        Some(_) => {
            let Some(date) = date_of(ended) else { return };
            let assets: Vec<Asset> = ledger.treasury.accounts().map(|(asset, _)| asset).collect();
            for asset in assets {
                enter(context, ledger, turn, (asset, &date));
                turn.draft.row(Table::Setting, key(&date, asset), "daily", now, "{}".to_owned());
            }
        }
    }
    ledger.day_closed = Some(ended);
    turn.draft.row(Table::Setting, LAST.to_owned(), "daily", now, ended.to_string());
}

fn enter(context: &Context, ledger: &Ledger, turn: &mut Turn, (asset, date): (Asset, &str)) {
    let now = turn.draft.now();
    let seen = position::asset(context, ledger, asset, now);
    let AssetPosition { hot, cold, .. } = &seen;
    let (numerator, denominator) = seen.hot_share_max;
    let shown = |value: Option<String>| value.unwrap_or_default();
    let seconds = |at: Option<Seconds>| shown(at.map(|at| at.0.to_string()));
    let won = |krw: Option<Krw>| shown(krw.map(|krw| krw.to_string()));
    let reserve = seen.hot_value.and_then(|hot| context.policy.settings().reserve.of(PolicyKrw(hot.0)));
    let total_max = context.share_rule(asset).total.map(|share| share.to_string());
    turn.draft.entry(
        EntryKind::DailyPosition,
        &[
            ("date", &date),
            ("asset", &asset),
            ("hot", hot),
            ("cold", cold),
            ("in_transit", &seen.cold_in_transit),
            ("reserved", &seen.reserved),
            ("earmarked", &seen.earmarked),
            ("share_max", &format!("{numerator}/{denominator}")),
            ("total_share_max", &shown(total_max)),
            ("position_at", &seconds(seen.position_at)),
            ("price_krw", &won(seen.price)),
            ("price_at", &seconds(seen.price_at)),
            ("hot_krw", &won(seen.hot_value)),
            ("cold_krw", &won(seen.cold_value)),
            ("reserve_krw", &shown(reserve.map(|krw| krw.to_string()))),
            ("policy", &context.policy_hash()),
        ],
    );
}

/// The close of a day of the Bitcoin wallet, with the head of the log as it was right after it.
pub async fn statement(desk: &SignerDesk, log: &LogView, date: &str) -> Result<DailyStatement, DeskError> {
    let row = desk.store.row(Table::Setting, &key(date, desk.context.asset)).await;
    let row = row.map_err(|fault| JournalFault::from(fault).desk_error())?;
    let absent = || DeskError::not_found(format!("no day {date} was closed here"));
    let log_index = row.filter(|row| row.key() != LAST).ok_or_else(absent)?.log_index();
    let after = log_index.saturating_add(1);
    let leaves = log.leaves(log_index..after).await.map_err(|fault| fault.desk_error())?;
    let lost = || DeskError::nothing_happened(Code::StoreTampered, "the close's entry is missing");
    let leaf = leaves.into_iter().next().ok_or_else(lost)?;
    let head = log.head_at(after).await.map_err(|fault| fault.desk_error())?;
    Ok(DailyStatement {
        origin: log.key().name().to_owned(),
        log_index,
        leaf,
        tree_size: after,
        root: head.root.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_korea() {
        // 2026-11-21T15:00:00Z is midnight in Seoul
        let midnight = Seconds(1_795_273_200);
        assert_eq!(midnight.to_string(), "2026-11-21T15:00:00Z");
        let day = day_of(midnight);
        assert_eq!(date_of(day).as_deref(), Some("2026-11-22"));
        assert_eq!(day_of(Seconds(midnight.0 - 1)), day - 1);
        assert_eq!(date_of(u64::MAX), None);
    }
}
