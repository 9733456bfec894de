//! Placing signatures: verifying each over one's own digest, putting it into the PSBT, and finishing the transaction.
//!
//! It never makes a signature; that is a closure from above.

use ::bitcoin::consensus::encode;
use ::bitcoin::secp256k1::ecdsa::Signature;
use ::bitcoin::{PublicKey, Transaction, TxOut, Txid, Witness, ecdsa};

use super::checked::{CheckedInput, CheckedTransaction};
use super::consensus::{self, ConsensusError};
use super::descriptor::KeySlot;
use super::verifier;

/// Why signatures were not placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// As many signatures as inputs are needed.
    #[error("{given} signatures are given for {inputs} inputs")]
    Count {
        /// How many are given.
        given: usize,
        /// How many inputs there are.
        inputs: usize,
    },
    /// It does not verify, or its S is high.
    #[error("the signature of key {slot:?} for input {at} does not hold")]
    Wrong {
        /// Which input.
        at: usize,
        /// Whose key.
        slot: KeySlot,
    },
    /// The two sets are of one key, or of another transaction.
    #[error("the two sets of signatures are not of two keys over this transaction")]
    NotTwoKeys,
    /// The finished transaction has another id than the one checked.
    #[error("the finished transaction has another id than the one checked")]
    OtherTransaction,
    /// The consensus rules say no.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
}

/// One key's signatures for every input of one transaction, each verified. Only [`CheckedTransaction::verify`] makes it,
/// and [`CheckedTransaction::danger_vouch_own`] for signatures that the keys room has verified.
#[derive(Debug)]
pub struct VerifiedSignatures {
    slot: KeySlot,
    txid: Txid,
    signatures: Vec<Signature>,
}

impl VerifiedSignatures {
    /// Whose they are.
    pub fn slot(&self) -> KeySlot {
        self.slot
    }

    /// The signatures in the order of the inputs.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

/// A transaction with both signatures that the consensus rules accept. Only [`CheckedTransaction::finish`] makes it.
#[derive(Debug)]
pub struct FinishedTransaction {
    bytes: Vec<u8>,
    txid: Txid,
    prevouts: Vec<TxOut>,
}

impl FinishedTransaction {
    /// The transaction as the network takes it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its id: the one that was reserved.
    pub fn txid(&self) -> Txid {
        self.txid
    }

    /// What its inputs spend, in order.
    pub fn prevouts(&self) -> &[TxOut] {
        &self.prevouts
    }
}

impl CheckedTransaction {
    /// Verifies signatures of one key, one for each input in order, over the digests computed here. A high S is refused
    /// (BIP-0146).
    pub fn verify(
        &self,
        slot: KeySlot,
        signatures: Vec<Signature>,
    ) -> Result<VerifiedSignatures, SignatureError> {
        self.one_for_each_input(&signatures)?;
        for (at, (input, signature)) in self.inputs().iter().zip(&signatures).enumerate() {
            let pubkey = input.coin().script.pubkey(slot);
            verifier()
                .verify_ecdsa(&input.message(), signature, pubkey)
                .map_err(|_| SignatureError::Wrong { at, slot })?;
        }
        Ok(VerifiedSignatures { slot, txid: self.txid(), signatures })
    }

    /// Takes a party's own signatures, one for each input in order, without verifying them a third time: the caller
    /// vouches that the keys room made each of them for exactly these inputs, which verifies every signature under the
    /// key that the script names, with a second implementation, before it hands it out. What leaves is judged again, by
    /// the other party or by the consensus rules.
    pub fn danger_vouch_own(
        &self,
        slot: KeySlot,
        signatures: Vec<Signature>,
    ) -> Result<VerifiedSignatures, SignatureError> {
        self.one_for_each_input(&signatures)?;
        Ok(VerifiedSignatures { slot, txid: self.txid(), signatures })
    }

    fn one_for_each_input(&self, signatures: &[Signature]) -> Result<(), SignatureError> {
        let (given, inputs) = (signatures.len(), self.inputs().len());
        if given == inputs { Ok(()) } else { Err(SignatureError::Count { given, inputs }) }
    }

    /// Asks `sign` for a signature of each input and verifies what comes back.
    pub fn sign_with<E: From<SignatureError>>(
        &self,
        slot: KeySlot,
        sign: impl FnMut(&CheckedInput) -> Result<Signature, E>,
    ) -> Result<VerifiedSignatures, E> {
        let signatures = self.inputs().iter().map(sign).collect::<Result<Vec<_>, E>>()?;
        Ok(self.verify(slot, signatures)?)
    }

    /// The PSBT with these as its only partial signatures.
    pub fn psbt_with(&self, signed: &VerifiedSignatures) -> Result<Vec<u8>, SignatureError> {
        self.is_of_this(signed)?;
        let mut psbt = self.psbt.clone();
        for ((map, input), signature) in psbt.inputs.iter_mut().zip(self.inputs()).zip(&signed.signatures) {
            let key = PublicKey::new(*input.coin().script.pubkey(signed.slot));
            map.partial_sigs = [(key, ecdsa::Signature::sighash_all(*signature))].into();
        }
        Ok(psbt.serialize())
    }

    /// Puts two keys' signatures into the witnesses by hand, and has the consensus rules judge the result.
    pub fn finish(
        &self,
        one: &VerifiedSignatures,
        other: &VerifiedSignatures,
    ) -> Result<FinishedTransaction, SignatureError> {
        self.is_of_this(one)?;
        self.is_of_this(other)?;
        if one.slot == other.slot {
            return Err(SignatureError::NotTwoKeys);
        }
        let mut transaction: Transaction = self.psbt.unsigned_tx.clone();
        let pairs = one.signatures.iter().zip(&other.signatures);
        for ((txin, input), (a, b)) in transaction.input.iter_mut().zip(self.inputs()).zip(pairs) {
            txin.witness = witness(input, [(one.slot, a), (other.slot, b)]);
        }
        if transaction.compute_txid() != self.txid() {
            return Err(SignatureError::OtherTransaction);
        }
        let prevouts = self.prevouts();
        let bytes = encode::serialize(&transaction);
        consensus::verify_bytes(&bytes, &prevouts)?;
        Ok(FinishedTransaction { bytes, txid: self.txid(), prevouts })
    }

    /// What the inputs spend, from the party's own records.
    pub fn prevouts(&self) -> Vec<TxOut> {
        let prevout = |input: &CheckedInput| TxOut {
            value: ::bitcoin::Amount::from_sat(input.coin().amount_sat),
            script_pubkey: input.coin().script.script_pubkey().to_owned(),
        };
        self.inputs().iter().map(prevout).collect()
    }

    fn is_of_this(&self, signed: &VerifiedSignatures) -> Result<(), SignatureError> {
        let same = signed.txid == self.txid() && signed.signatures.len() == self.inputs().len();
        if same { Ok(()) } else { Err(SignatureError::NotTwoKeys) }
    }
}

/// The empty element CHECKMULTISIG eats, two signatures in the order of their keys in the script, the script.
pub(super) fn witness(input: &CheckedInput, mut signed: [(KeySlot, &Signature); 2]) -> Witness {
    let script = &input.coin().script;
    signed.sort_by_key(|(slot, _)| script.pubkey(*slot).serialize());
    let mut witness = Witness::new();
    witness.push([]);
    for (_, signature) in signed {
        witness.push_ecdsa_signature(&ecdsa::Signature::sighash_all(*signature));
    }
    witness.push(script.witness_script());
    witness
}
