//! Choosing coins. `bdk_coin_select` only chooses; what is paid is computed here again in whole satoshi and checked.
//!
//! Its fee rate is an f32 and its own metric asserts on rounding errors of large amounts, so the metric is ours, in
//! integers, and the crate's search runs over it.

use ::bitcoin::OutPoint;
use bdk_coin_select::float::Ordf32;
use bdk_coin_select::{BnbMetric, Candidate, CoinSelector};

use super::MONEY_SAT_MAX;
use super::coin::Coin;
use super::fee::{
    self, FeeCaps, FeeError, INPUT_WEIGHT_MAX, INPUTS_MAX, OUTPUTS_MAX, OWN_DUST_SAT, OWN_OUTPUT_WEIGHT,
    RATE_BELIEVED_MAX, RATE_FLOOR,
};
use crate::withdrawal::{Code, FeeRate};

/// Most candidates given to one selection.
pub const CANDIDATES_MAX: usize = 400;
/// How many steps the search for the cheapest set may take.
const SEARCH_STEPS_MAX: usize = 300;
/// What spending a change output later is assumed to cost: 10 sat/vB.
const LATER_RATE: FeeRate = FeeRate(10_000);

/// What an output weighs and pays; the selection needs to know no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputNeed {
    /// Its amount in satoshi.
    pub amount_sat: u64,
    /// Its weight in weight units.
    pub weight: u64,
}

/// What the fee should be and must not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeTerms {
    /// The rate to pay.
    pub rate: FeeRate,
    /// The caps.
    pub caps: FeeCaps,
    /// The fee of the transaction this one replaces: BIP-0125 asks for that much more than the floor.
    pub replaced_fee_sat: Option<u64>,
}

/// The coins chosen, and where their value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The inputs; the anchor is among them.
    pub coins: Vec<Coin>,
    /// The fee in satoshi, between floor and caps.
    pub fee_sat: u64,
    /// What goes back to branch 1, in satoshi; at least [`OWN_DUST_SAT`].
    pub change_sat: Option<u64>,
    /// What goes on top of the first output's need, in satoshi: a sweep's rest that is too small for change.
    pub extra_sat: u64,
    /// Virtual bytes of the signed transaction, at most.
    pub vbytes: u64,
}

/// Why no coins were chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The candidates do not reach.
    #[error("the coins fall {missing_sat} sat short of what is to be paid")]
    NotEnough {
        /// How much is missing, in satoshi.
        missing_sat: u64,
    },
    /// The fee breaks a bound.
    #[error(transparent)]
    Fee(#[from] FeeError),
    /// The anchor is not among the candidates.
    #[error("the anchor `{0}` is not among the coins")]
    AnchorMissing(OutPoint),
    /// What was given cannot be meant.
    #[error("{0}")]
    Abnormal(&'static str),
}

impl SelectError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::NotEnough { .. } => Code::HotFundsShort,
            Self::Fee(error) => error.code(),
            Self::AnchorMissing(_) => Code::AnchorMismatch,
            Self::Abnormal(_) => Code::Internal,
        }
    }
}

/// Where a rest goes that is too small to come back as change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    ToFee,
    ToFirstOutput,
}

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

/// What has to be paid, in integers.
#[derive(Clone, Copy)]
struct Need {
    out_sat: u64,
    out_weight: u64,
    outputs: usize,
    terms: FeeTerms,
    rest: Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Short { missing_sat: u64 },
    Done { fee_sat: u64, change_sat: Option<u64>, extra_sat: u64, vbytes: u64 },
}

impl Need {
    fn new(outputs: &[OutputNeed], terms: &FeeTerms, rest: Rest) -> Result<Self, SelectError> {
        let abnormal = SelectError::Abnormal;
        if outputs.is_empty() || outputs.len() >= OUTPUTS_MAX {
            return Err(abnormal("no outputs, or more than one transaction may have"));
        }
        if outputs
            .iter()
            .any(|out| out.amount_sat == 0 || out.amount_sat > MONEY_SAT_MAX || out.weight > 1_000)
        {
            return Err(abnormal("an output of nothing, of more than there is, or of no standard size"));
        }
        if terms.rate < RATE_FLOOR || terms.rate > RATE_BELIEVED_MAX {
            return Err(abnormal("the fee rate is below 1 or above 10,000 sat/vB"));
        }
        let out_sat = outputs.iter().map(|out| out.amount_sat).sum();
        let out_weight = outputs.iter().map(|out| out.weight).sum();
        Ok(Self { out_sat, out_weight, outputs: outputs.len(), terms: *terms, rest })
    }

    fn vbytes(&self, inputs: usize, change: bool) -> u64 {
        let own = change.then_some(OWN_OUTPUT_WEIGHT);
        // only the number and the sum of the weights count
        let weights = (0..self.outputs).map(|n| if n == 0 { self.out_weight } else { 0 }).chain(own);
        fee::vbytes(fee::weight_max(inputs, weights))
    }

    /// The least fee for that size: the rate, and above what is replaced by the relay floor.
    fn fee_sat(&self, vbytes: u64) -> u64 {
        let by_rate = self.terms.rate.fee_sat(vbytes).unwrap_or(u64::MAX);
        let floor = RATE_FLOOR.fee_sat(vbytes).unwrap_or(u64::MAX);
        let by_replaced = self.terms.replaced_fee_sat.map_or(0, |old| old.saturating_add(floor));
        by_rate.max(floor).max(by_replaced)
    }

    /// Where the value of `inputs` coins worth `in_sat` goes.
    fn settle(&self, in_sat: u64, inputs: usize) -> Settled {
        let with_change = self.vbytes(inputs, true);
        let fee_sat = self.fee_sat(with_change);
        let left = in_sat.checked_sub(self.out_sat.saturating_add(fee_sat));
        if let Some(change_sat) = left.filter(|sat| *sat >= OWN_DUST_SAT) {
            return Settled::Done {
                fee_sat,
                change_sat: Some(change_sat),
                extra_sat: 0,
                vbytes: with_change,
            };
        }
        let vbytes = self.vbytes(inputs, false);
        let fee_sat = self.fee_sat(vbytes);
        let wanted = self.out_sat.saturating_add(fee_sat);
        match (in_sat.checked_sub(wanted), self.rest) {
            (None, _) => Settled::Short { missing_sat: wanted - in_sat },
            (Some(extra_sat), Rest::ToFirstOutput) => {
                Settled::Done { fee_sat, change_sat: None, extra_sat, vbytes }
            }
            (Some(rest), Rest::ToFee) => {
                Settled::Done { fee_sat: fee_sat + rest, change_sat: None, extra_sat: 0, vbytes }
            }
        }
    }

    fn finish(&self, settled: Settled, coins: Vec<Coin>) -> Result<Selection, SelectError> {
        match settled {
            Settled::Short { missing_sat } => Err(SelectError::NotEnough { missing_sat }),
            Settled::Done { fee_sat, change_sat, extra_sat, vbytes } => {
                self.terms.caps.check(fee_sat, vbytes)?;
                // INVARIANT: no satoshi appears or disappears (a property test holds this to account)
                Ok(Selection { coins, fee_sat, change_sat, extra_sat, vbytes })
            }
        }
    }
}

/// The crate's search minimises this: the fee now, and the fee of spending the change later.
impl BnbMetric for Need {
    fn score(&mut self, set: &CoinSelector<'_>) -> Option<Ordf32> {
        match self.settle(set.selected_value(), set.selected_indices().len()) {
            Settled::Short { .. } => None,
            Settled::Done { fee_sat, vbytes, .. } if self.terms.caps.check(fee_sat, vbytes).is_err() => None,
            Settled::Done { fee_sat, change_sat, .. } => {
                let later = LATER_RATE.fee_sat(INPUT_WEIGHT_MAX.div_ceil(4)).unwrap_or(0);
                Some(Ordf32((fee_sat + change_sat.map_or(0, |_| later)) as f32))
            }
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
