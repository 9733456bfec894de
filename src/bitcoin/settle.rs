//! What a set of coins amounts to: fee, change and rest, in whole satoshi. No search here, and no floats.

use ::bitcoin::OutPoint;

use super::MONEY_SAT_MAX;
use super::coin::Coin;
use super::fee::{
    self, FeeCaps, FeeError, OUTPUTS_MAX, OWN_DUST_SAT, OWN_OUTPUT_WEIGHT, RATE_BELIEVED_MAX, RATE_FLOOR,
};
use crate::withdrawal::{Code, FeeRate};

/// What an output weighs and pays; the selection needs to know no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputNeed {
    /// Its amount in satoshi.
    pub amount_sat: u64,
    /// Its weight in weight units.
    pub weight: u64,
}

impl OutputNeed {
    /// An output to a script of the hot or the cold wallet.
    pub const fn own(amount_sat: u64) -> Self {
        Self { amount_sat, weight: OWN_OUTPUT_WEIGHT }
    }
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
pub(super) enum Rest {
    ToFee,
    ToFirstOutput,
}

/// What has to be paid, in integers.
#[derive(Clone, Copy)]
pub(super) struct Need {
    pub(super) out_sat: u64,
    pub(super) out_weight: u64,
    pub(super) outputs: usize,
    pub(super) terms: FeeTerms,
    pub(super) rest: Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Short { missing_sat: u64 },
    Done { fee_sat: u64, change_sat: Option<u64>, extra_sat: u64, vbytes: u64 },
}

impl Need {
    pub(super) fn new(outputs: &[OutputNeed], terms: &FeeTerms, rest: Rest) -> Result<Self, SelectError> {
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

    pub(super) fn vbytes(&self, inputs: usize, change: bool) -> u64 {
        let own = change.then_some(OWN_OUTPUT_WEIGHT);
        // only the number and the sum of the weights count
        let weights = (0..self.outputs).map(|n| if n == 0 { self.out_weight } else { 0 }).chain(own);
        fee::vbytes(fee::weight_max(inputs, weights))
    }

    /// The least fee for that size: the rate, and above what is replaced by the relay floor.
    pub(super) fn fee_sat(&self, vbytes: u64) -> u64 {
        let by_rate = self.terms.rate.fee_sat(vbytes).unwrap_or(u64::MAX);
        let floor = RATE_FLOOR.fee_sat(vbytes).unwrap_or(u64::MAX);
        let by_replaced = self.terms.replaced_fee_sat.map_or(0, |old| old.saturating_add(floor));
        by_rate.max(floor).max(by_replaced)
    }

    /// Where the value of `inputs` coins worth `in_sat` goes.
    pub(super) fn settle(&self, in_sat: u64, inputs: usize) -> Settled {
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

    pub(super) fn finish(&self, settled: Settled, coins: Vec<Coin>) -> Result<Selection, SelectError> {
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
