//! Choosing coins. `bdk_coin_select` only chooses; what is paid is computed here again in whole satoshi and checked.
//!
//! Its fee rate is an f32 and its own metric asserts on rounding errors of large amounts, so the metric is ours, in
//! integers, and the crate's search runs over it.

use ::bitcoin::OutPoint;
use bdk_coin_select::float::Ordf32;
use bdk_coin_select::{BnbMetric, Candidate, CoinSelector};

use super::MONEY_SAT_MAX;
use super::coin::Coin;
use super::fee::{INPUT_WEIGHT_MAX, INPUTS_MAX, OWN_DUST_SAT};
use super::settle::{FeeTerms, Need, OutputNeed, Rest, SelectError, Selection, Settled};
use crate::withdrawal::FeeRate;

/// Most candidates given to one selection.
pub const CANDIDATES_MAX: usize = 400;
/// How many steps the search for the cheapest set may take; a step is about a microsecond.
const SEARCH_STEPS_MAX: usize = 80;
/// What spending a change output later is assumed to cost: 10 sat/vB.
const LATER_RATE: FeeRate = FeeRate(10_000);

/// Chooses coins that pay `outputs` (and always the anchor, where there is one). Dust change goes to the fee, if the
/// caps allow it.
pub fn select(
    coins: &[Coin],
    anchor: Option<OutPoint>,
    outputs: &[OutputNeed],
    terms: &FeeTerms,
) -> Result<Selection, SelectError> {
    choose(coins, anchor, &Need::new(outputs, terms, Rest::ToFee)?)
}

/// Chooses coins that move at least what `cold` needs; a rest too small for change is moved too.
pub fn select_sweep(coins: &[Coin], cold: OutputNeed, terms: &FeeTerms) -> Result<Selection, SelectError> {
    choose(coins, None, &Need::new(&[cold], terms, Rest::ToFirstOutput)?)
}

/// Spends all of `coins` into one output of branch 1.
pub fn select_consolidation(coins: &[Coin], terms: &FeeTerms) -> Result<Selection, SelectError> {
    let need = Need { out_sat: 0, out_weight: 0, outputs: 0, terms: *terms, rest: Rest::ToFee };
    check_candidates(coins)?;
    if coins.len() > INPUTS_MAX {
        return Err(SelectError::Abnormal("more coins than one transaction may spend"));
    }
    match need.settle(coins.iter().map(|coin| coin.amount_sat).sum(), coins.len()) {
        Settled::Done { change_sat: None, .. } => Err(SelectError::NotEnough { missing_sat: OWN_DUST_SAT }),
        settled => need.finish(settled, coins.to_vec()),
    }
}

impl Need {
    /// The fee now, and the fee of spending the change later, in satoshi.
    fn cost(&self, fee_sat: u64, change_sat: Option<u64>) -> u64 {
        let later = LATER_RATE.fee_sat(INPUT_WEIGHT_MAX.div_ceil(4)).unwrap_or(0);
        fee_sat.saturating_add(change_sat.map_or(0, |_| later))
    }
}

/// The crate's search minimises this: the fee now, and the fee of spending the change later.
impl BnbMetric for Need {
    fn score(&mut self, set: &CoinSelector<'_>) -> Option<Ordf32> {
        match self.settle(set.selected_value(), set.selected_indices().len()) {
            Settled::Short { .. } => None,
            Settled::Done { fee_sat, vbytes, .. } if self.terms.caps.check(fee_sat, vbytes).is_err() => None,
            Settled::Done { fee_sat, change_sat, .. } => Some(Ordf32(self.cost(fee_sat, change_sat) as f32)),
        }
    }

    /// No set that contains this one costs less than the fee for the fewest inputs that can reach, without change.
    fn bound(&mut self, set: &CoinSelector<'_>) -> Option<Ordf32> {
        let (mut in_sat, mut inputs) = (set.selected_value(), set.selected_indices().len());
        let mut left = set.unselected();
        while let Settled::Short { .. } = self.settle(in_sat, inputs) {
            let (_, largest) = left.next()?;
            in_sat += largest.value;
            inputs += 1;
        }
        Some(Ordf32(self.fee_sat(self.vbytes(inputs, false)) as f32))
    }

    fn requires_ordering_by_descending_value_pwu(&self) -> bool {
        true
    }
}

fn check_candidates(coins: &[Coin]) -> Result<(), SelectError> {
    if coins.len() > CANDIDATES_MAX {
        return Err(SelectError::Abnormal("more candidates than a selection takes; give it a short list"));
    }
    let total = coins.iter().map(|coin| u128::from(coin.amount_sat)).sum::<u128>();
    if total > u128::from(MONEY_SAT_MAX) || coins.iter().any(|coin| coin.amount_sat == 0) {
        return Err(SelectError::Abnormal("coins of nothing, or of more than there is"));
    }
    Ok(())
}

fn choose(coins: &[Coin], anchor: Option<OutPoint>, need: &Need) -> Result<Selection, SelectError> {
    check_candidates(coins)?;
    let candidates: Vec<Candidate> = coins
        .iter()
        .map(|coin| Candidate {
            value: coin.amount_sat,
            weight: INPUT_WEIGHT_MAX,
            input_count: 1,
            is_segwit: true,
        })
        .collect();
    if anchor.is_none()
        && let Some(alone) = alone(coins, need)
    {
        return alone;
    }
    let mut set = CoinSelector::new(&candidates);
    if let Some(anchor) = anchor {
        let at = coins.iter().position(|coin| coin.outpoint == anchor);
        set.select(at.ok_or(SelectError::AnchorMissing(anchor))?);
    }
    set.sort_candidates_by_descending_value_pwu();
    let mut best = set.clone();
    if best.run_bnb(*need, SEARCH_STEPS_MAX).is_ok() {
        // what the search returns has its dead branches banned: only the chosen places are of use
        for at in best.selected_indices() {
            set.select(*at);
        }
    }
    reach(set, coins, need)
}

/// The cheapest single coin that pays by itself, if one does.
///
/// No search is made then: every further input costs more now, and a search as short as ours finds the rare set that
/// needs no change too seldom to be worth it (it costs as much as two signatures).
fn alone(coins: &[Coin], need: &Need) -> Option<Result<Selection, SelectError>> {
    let cost = |coin: &Coin| match need.settle(coin.amount_sat, 1) {
        Settled::Short { .. } => None,
        Settled::Done { fee_sat, vbytes, .. } if need.terms.caps.check(fee_sat, vbytes).is_err() => None,
        Settled::Done { fee_sat, change_sat, .. } => Some(need.cost(fee_sat, change_sat)),
    };
    let priced = coins.iter().filter_map(|coin| Some((cost(coin)?, coin)));
    let (_, coin) = priced.min_by_key(|(cost, coin)| (*cost, coin.amount_sat))?;
    Some(need.finish(need.settle(coin.amount_sat, 1), vec![*coin]))
}

/// Adds the largest coins left until the set pays and its fee is within the caps, or nothing is left to add.
fn reach(mut set: CoinSelector<'_>, coins: &[Coin], need: &Need) -> Result<Selection, SelectError> {
    loop {
        let chosen: Vec<Coin> = set.apply_selection(coins).copied().collect();
        if chosen.len() > INPUTS_MAX {
            let missing_sat = chosen.iter().skip(INPUTS_MAX).map(|coin| coin.amount_sat).sum();
            return Err(SelectError::NotEnough { missing_sat });
        }
        let settled = need.settle(set.selected_value(), chosen.len());
        // with change a fee only grows by more coins; without, what is left over may become change
        let changed = matches!(settled, Settled::Done { change_sat: Some(_), .. });
        match need.finish(settled, chosen) {
            Err(error) if changed || !set.select_next() => return Err(error),
            Err(_) => {}
            done => return done,
        }
    }
}
