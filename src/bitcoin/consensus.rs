//! The consensus rules' word on a finished transaction: Bitcoin Core's own script interpreter, over the prevouts.

use ::bitcoin::consensus::encode;
use ::bitcoin::{Transaction, TxOut};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT};

/// The rules do not accept a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusError {
    /// Not as many prevouts as inputs.
    #[error("{prevouts} prevouts are given for {inputs} inputs")]
    Count {
        /// How many prevouts are given.
        prevouts: usize,
        /// How many inputs there are.
        inputs: usize,
    },
    /// The bytes are no transaction.
    #[error("the bytes are no transaction")]
    Unreadable,
    /// A script does not accept its witness.
    #[error("input {at} is not accepted by the script it spends")]
    Refused {
        /// Which input.
        at: usize,
    },
}

/// Verifies every input of a transaction against what it spends, by all rules up to and including taproot.
pub fn verify_consensus(transaction: &Transaction, prevouts: &[TxOut]) -> Result<(), ConsensusError> {
    verify_bytes(&encode::serialize(transaction), prevouts)
}

/// The same over the bytes as they go out. Proves inputs only: amounts were checked before.
pub fn verify_bytes(bytes: &[u8], prevouts: &[TxOut]) -> Result<(), ConsensusError> {
    let transaction: Transaction = encode::deserialize(bytes).map_err(|_| ConsensusError::Unreadable)?;
    let inputs = transaction.input.len();
    if inputs != prevouts.len() || inputs == 0 {
        return Err(ConsensusError::Count { prevouts: prevouts.len(), inputs });
    }
    let spent = prevouts.iter().map(utxo).collect::<Option<Vec<Utxo>>>().ok_or(ConsensusError::Unreadable)?;
    for (at, prevout) in prevouts.iter().enumerate() {
        bitcoinconsensus::verify_with_flags(
            prevout.script_pubkey.as_bytes(),
            prevout.value.to_sat(),
            bytes,
            Some(&spent),
            at,
            VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT,
        )
        .map_err(|_| ConsensusError::Refused { at })?;
    }
    Ok(())
}

/// Points into the prevout, which outlives the call.
fn utxo(prevout: &TxOut) -> Option<Utxo> {
    let script = prevout.script_pubkey.as_bytes();
    Some(Utxo {
        script_pubkey: script.as_ptr(),
        script_pubkey_len: u32::try_from(script.len()).ok()?,
        value: i64::try_from(prevout.value.to_sat()).ok()?,
    })
}
