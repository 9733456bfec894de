//! Weights and fees: what a transaction of ours weighs at most, and between which bounds its fee must lie (law L8).

use crate::withdrawal::{Code, FeeRate};

/// Bytes of the witness script: OP_2, three pushes of 33 bytes, OP_3, OP_CHECKMULTISIG.
pub const WITNESS_SCRIPT_LEN: usize = 105;
/// Longest signature on the stack: low-S DER is at most 71 bytes (R may need a leading zero, S never), and the type byte.
pub const SIGNATURE_LEN_MAX: usize = 72;
/// Weight units of one of our inputs with its witness, at most.
///
/// Outside the witness: outpoint 36, empty script 1, sequence 4 = 41 bytes at 4. Witness: item count 1, empty item 1,
/// two signatures at 1 + 72, script at 1 + 105 = 254 bytes at 1.
pub const INPUT_WEIGHT_MAX: u64 = 41 * 4 + 1 + 1 + 2 * (1 + 72) + 1 + 105;
/// Weight units of an own P2WSH output: value 8, length 1, script 34.
pub const OWN_OUTPUT_WEIGHT: u64 = (8 + 1 + 34) * 4;
/// Smallest own output that is relayed, in satoshi (P2WSH at Bitcoin Core's dust rate of 3 sat/vB).
pub const OWN_DUST_SAT: u64 = 330;
/// The fee floor: 1 sat/vB, below which nodes do not relay by default.
pub const RATE_FLOOR: FeeRate = FeeRate(1_000);
/// No fee rate above this is believed, whatever a configuration says: 10,000 sat/vB.
pub const RATE_BELIEVED_MAX: FeeRate = FeeRate(10_000_000);
/// Most inputs in one transaction.
pub const INPUTS_MAX: usize = 250;
/// Most outputs in one transaction.
pub const OUTPUTS_MAX: usize = 250;

/// The most a transaction of `inputs` own inputs and these outputs' weights can weigh once signed, in weight units.
pub fn weight_max(inputs: usize, output_weights: impl IntoIterator<Item = u64>) -> u64 {
    let (count, outputs) = output_weights.into_iter().fold((0usize, 0u64), |(n, sum), w| (n + 1, sum + w));
    // version 4, lock time 4; marker and flag are witness bytes
    let frame = (4 + 4 + count_len(inputs) + count_len(count)) * 4 + 2;
    frame + inputs as u64 * INPUT_WEIGHT_MAX + outputs
}

/// Virtual bytes of a weight, rounded up (BIP-0141).
pub const fn vbytes(weight: u64) -> u64 {
    weight.div_ceil(4)
}

/// Weight units of an output with a script of that length (ours are all shorter than 253 bytes).
pub const fn output_weight(script_len: usize) -> u64 {
    (8 + count_len(script_len) + script_len as u64) * 4
}

const fn count_len(n: usize) -> u64 {
    match n {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        _ => 5,
    }
}

/// The most a fee may be. Every bound holds by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeCaps {
    /// The highest rate.
    pub rate_max: FeeRate,
    /// The most for one transaction, in satoshi.
    pub transaction_sat_max: u64,
    /// The sum of what the requests paid by it allow, in satoshi; `None` where no request is paid (a sweep).
    pub asked_sat_max: Option<u64>,
}

/// Why a fee is not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeeError {
    /// Below the floor: it would not be relayed.
    #[error("the fee of {fee_sat} sat is below the floor of {floor_sat} sat")]
    BelowFloor {
        /// The fee.
        fee_sat: u64,
        /// The least it must be.
        floor_sat: u64,
    },
    /// Above a cap.
    #[error("the fee of {fee_sat} sat is above the cap of {cap_sat} sat {cap}")]
    AboveCap {
        /// The fee.
        fee_sat: u64,
        /// The cap it breaks.
        cap_sat: u64,
        /// Which cap it is.
        cap: &'static str,
    },
}

impl FeeError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::BelowFloor { .. } => Code::TransactionMismatch,
            Self::AboveCap { .. } => Code::FeeAboveCap,
        }
    }
}

impl FeeCaps {
    /// The most any of the caps allows for a transaction of that size, and which one it is.
    fn tightest(&self, vbytes: u64) -> (u64, &'static str) {
        let rate = self.rate_max.min(RATE_BELIEVED_MAX).fee_sat(vbytes).unwrap_or(0);
        let caps = [
            (rate, "on the rate"),
            (self.transaction_sat_max, "for one transaction"),
            (self.asked_sat_max.unwrap_or(u64::MAX), "set by the request"),
        ];
        caps.into_iter().min_by_key(|(sat, _)| *sat).unwrap_or((0, "on the rate"))
    }

    /// Whether a fee for a transaction of at most that many virtual bytes lies between the floor and every cap.
    pub fn check(&self, fee_sat: u64, vbytes: u64) -> Result<(), FeeError> {
        let floor_sat = RATE_FLOOR.fee_sat(vbytes).unwrap_or(u64::MAX);
        if fee_sat < floor_sat {
            return Err(FeeError::BelowFloor { fee_sat, floor_sat });
        }
        let (cap_sat, cap) = self.tightest(vbytes);
        if fee_sat > cap_sat {
            return Err(FeeError::AboveCap { fee_sat, cap_sat, cap });
        }
        Ok(())
    }
}
