//! Refills from cold (law L13): booked first, attested by the co-signer, signed elsewhere, and recognised when they come.
//!
//! Everything here runs inside the deciding writer. No key of ours signs a refill; what is handed back is
//! checked and kept.

mod book;
mod cold;
mod need;
mod steps;
mod told;

use std::sync::Arc;

use wallet_policy::ratio::Position;

pub use self::cold::{COLD_COIN, swept_coin};
pub use self::need::wanted;
pub use self::steps::{attested, cancel, denied, expire, exported, import, tell_unseen};
pub use self::told::{attest_order, view, views};

use super::context::Context;
use super::facts::{FeeSeen, permit};
use super::ledger::Ledger;
use super::rail;
use super::weigh::sight;
use super::writer::Turn;
use crate::bitcoin::refill::{ColdCoin, Part, plan};
use crate::bitcoin::{Branch, OwnScript};
use crate::desk::DeskError;
use crate::freeze::Leaving;
use crate::withdrawal::{Amount, Code, Finding, Seconds};

/// A no that is an ordinary answer.
fn refused(code: Code, detail: impl Into<String>) -> DeskError {
    DeskError::Refused(Finding::new(code, detail))
}

/// Books a refill: the share is judged, the coins are chosen, and the whole of every transaction is written down.
pub fn request(
    context: &Context,
    ledger: &mut Ledger,
    turn: &mut Turn,
    by: &str,
    (amount, coins): (Option<Amount>, Vec<ColdCoin>),
) -> Result<String, DeskError> {
    if !context.brake.is_free(Leaving::Payment) {
        return Err(DeskError::Refused(context.brake.finding()));
    }
    let settings = context.policy.settings().refill;
    let now = turn.draft.now();
    let open = ledger.treasury.refills.open().count();
    if u32::try_from(open).unwrap_or(u32::MAX) >= settings.open_max {
        return Err(refused(Code::RefillsOpen, format!("{open} refills are open, which is the bound")));
    }
    let position = need::before(context, ledger, now);
    let promised_sat = ledger.treasury.refills.promised_sat(now, &|withdrawal| ledger.is_held(withdrawal));
    let sat = |units: u128| u64::try_from(units).unwrap_or(u64::MAX);
    let amount_sat = match amount {
        Some(amount) => amount.sat().unwrap_or(u64::MAX),
        None => sat(need::most_wanted(context, ledger, position, promised_sat, now)),
    };
    if amount_sat < crate::bitcoin::fee::OWN_DUST_SAT {
        let detail = "nothing waits for coins, or the share leaves no room for more";
        return Err(refused(Code::RefillNotNeeded, detail));
    }
    let room = sat(position.hot.0).saturating_add(amount_sat).saturating_sub(promised_sat);
    let earmarks = need::earmarks(context, ledger, room);
    let earmarked = earmarks.iter().map(|e| e.amount_sat).sum::<u64>().saturating_add(promised_sat);
    cold::remember(context, ledger, turn, &coins);
    let parts = parts(context, ledger, amount_sat)?;
    let (hot, index) = hot_script(context, ledger)?;
    let address = hot.address(context.wallet.network());
    allow(context, ledger, now, (position, &address, &parts, earmarked))?;
    let places = (hot.clone(), index);
    book::book(context, ledger, turn, by, (places, parts, earmarks), settings.expires_s)
}

fn hot_script(context: &Context, ledger: &mut Ledger) -> Result<(Arc<OwnScript>, u32), DeskError> {
    let index = ledger.addresses.change_index();
    let script = ledger.addresses.script(&context.wallet, Branch::Change, index);
    Ok((script.map_err(DeskError::Invalid)?, index))
}

fn parts(context: &Context, ledger: &Ledger, amount_sat: u64) -> Result<Vec<Part>, DeskError> {
    let chain = ledger.treasury.of(context.asset).facts.chain;
    let chain = chain.ok_or_else(|| refused(Code::FeeRateStale, "no fee rate was ever stated"))?;
    let inputs_max = usize::try_from(context.policy.settings().refill.inputs_max).unwrap_or(1);
    let caps = rail::bitcoin::caps(context, None);
    let coins = cold::cold_coins(context, ledger);
    plan(coins, amount_sat, inputs_max, (chain.value.fee_rate, &caps))
        .map_err(|error| refused(error.code(), error.to_string()))
}

fn allow(
    context: &Context,
    ledger: &Ledger,
    now: Seconds,
    (position, address, parts, earmarked): (Position, &str, &[Part], u64),
) -> Result<(), DeskError> {
    let amount: u64 = parts.iter().map(|part| part.amount_sat).sum();
    let paid_sat = parts.iter().map(|part| part.fee_sat).max().unwrap_or_default();
    let chain = ledger.treasury.of(context.asset).facts.chain;
    let (rate, paid) = (chain.map_or(0, |chain| u128::from(chain.value.fee_rate.0)), u128::from(paid_sat));
    let fee = FeeSeen { rate, paid, leaving: paid, lineage: paid, share: paid };
    let asked = (Amount::from_sat(amount), address.to_owned());
    let facts = sight(context, ledger, context.asset, now).of_refill(asked, fee, (position, earmarked));
    facts.and_then(|facts| permit(&context.policy, &facts)).map_err(DeskError::Refused)
}
