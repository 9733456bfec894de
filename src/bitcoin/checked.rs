//! What the checker found good: a transaction that does exactly what was expected, and what can be asked of it.

use ::bitcoin::secp256k1::{Message, ecdsa};
use ::bitcoin::{EcdsaSighashType, Psbt, Transaction, Txid};

use super::check::TransactionKind;
use super::check_error::{CheckError, InputProblem};
use super::check_outputs::{Outputs, OwnOutputFound};
use super::coin::OwnCoin;
use super::descriptor::KeySlot;
use super::placing::VerifiedSignatures;

/// One input, found to be an own coin exactly as recorded.
#[derive(Debug)]
pub struct CheckedInput {
    pub(super) coin: OwnCoin,
    pub(super) digest: [u8; 32],
}

/// A transaction found to do exactly what was expected. It exists only if [`super::check_psbt`] says so.
#[derive(Debug)]
pub struct CheckedTransaction {
    pub(super) psbt: Psbt,
    pub(super) txid: Txid,
    pub(super) inputs: Vec<CheckedInput>,
    pub(super) outputs: Outputs,
    pub(super) fee_sat: u64,
    pub(super) vbytes: u64,
    pub(super) signatures: Option<VerifiedSignatures>,
}

impl CheckedInput {
    /// The coin it spends, as recorded by the party itself.
    pub fn coin(&self) -> &OwnCoin {
        &self.coin
    }

    /// What is signed.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    pub(super) fn message(&self) -> Message {
        Message::from_digest(self.digest)
    }
}

impl CheckedTransaction {
    /// Its id, which signing does not change.
    pub fn txid(&self) -> Txid {
        self.txid
    }

    /// What it is, decided from its outputs.
    pub fn kind(&self) -> TransactionKind {
        self.outputs.kind
    }

    /// The fee in satoshi, computed from the party's own amounts.
    pub fn fee_sat(&self) -> u64 {
        self.fee_sat
    }

    /// Virtual bytes of the signed transaction, at most.
    pub fn vbytes(&self) -> u64 {
        self.vbytes
    }

    /// The inputs with their digests.
    pub fn inputs(&self) -> &[CheckedInput] {
        &self.inputs
    }

    /// What comes back to branch 1.
    pub fn change(&self) -> Option<&OwnOutputFound> {
        self.outputs.change.as_ref()
    }

    /// What goes to the cold wallet.
    pub fn cold(&self) -> Option<&OwnOutputFound> {
        self.outputs.cold.as_ref()
    }

    /// The unsigned transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.psbt.unsigned_tx
    }

    /// The signatures of the other party that the PSBT carried, verified.
    pub fn signatures(&self) -> Option<&VerifiedSignatures> {
        self.signatures.as_ref()
    }

    /// Takes the signatures that must be there out of the maps, and refuses any other.
    pub(super) fn found_signatures(
        &self,
        signed_by: Option<KeySlot>,
    ) -> Result<Option<VerifiedSignatures>, CheckError> {
        let mut found: Vec<ecdsa::Signature> = Vec::with_capacity(self.inputs.len());
        for (at, (map, input)) in self.psbt.inputs.iter().zip(&self.inputs).enumerate() {
            let wrong = CheckError::Input { at, problem: InputProblem::Signature };
            let mut sigs = map.partial_sigs.iter();
            match (signed_by, sigs.next(), sigs.next()) {
                (None, None, None) => {}
                (Some(slot), Some((key, sig)), None)
                    if key.compressed
                        && key.inner == *input.coin.script.pubkey(slot)
                        && sig.sighash_type == EcdsaSighashType::All =>
                {
                    found.push(sig.signature);
                }
                _ => return Err(wrong),
            }
        }
        let verify = |slot| self.verify(slot, found).map_err(CheckError::from);
        signed_by.map(verify).transpose()
    }
}
