//! Building: from a plan to the unsigned transaction, and to the PSBT (BIP-0174) the other party gets.
//!
//! It does not decide what is paid; and it has no randomness of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::bitcoin::absolute::LockTime;
use ::bitcoin::bip32::{ChildNumber, DerivationPath, KeySource};
use ::bitcoin::transaction::Version;
use ::bitcoin::{
    Amount, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, psbt, secp256k1,
};

use super::address::Destination;
use super::coin::OwnCoin;
use super::descriptor::{KeySlot, WalletDescriptor};
use super::fee::{self, INPUTS_MAX, OUTPUTS_MAX};
use super::own_script::OwnScript;
use super::settle::OutputNeed;

/// nSequence of every input: replaceable (BIP-0125), lock time in force, no relative lock.
pub const SEQUENCE: Sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;

/// A payment to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payee {
    /// Where to.
    pub script_pubkey: ScriptBuf,
    /// How much, in satoshi.
    pub amount_sat: u64,
}

impl Payee {
    /// A payment of that many satoshi.
    pub fn new(destination: &Destination, amount_sat: u64) -> Self {
        Self { script_pubkey: destination.script_pubkey().to_owned(), amount_sat }
    }

    /// What a selection needs to know of it.
    pub fn need(&self) -> OutputNeed {
        OutputNeed { amount_sat: self.amount_sat, weight: fee::output_weight(self.script_pubkey.len()) }
    }
}

/// A payment to a script of the hot or the cold wallet.
#[derive(Debug, Clone)]
pub struct OwnOutput {
    /// The script, derived by the party itself.
    pub script: Arc<OwnScript>,
    /// How much, in satoshi.
    pub amount_sat: u64,
}

/// Everything that decides what a transaction is.
#[derive(Debug, Clone)]
pub struct UnsignedPlan {
    /// What is spent.
    pub inputs: Vec<OwnCoin>,
    /// Who is paid.
    pub payees: Vec<Payee>,
    /// What goes to the cold wallet.
    pub cold: Option<OwnOutput>,
    /// What comes back, on branch 1.
    pub change: Option<OwnOutput>,
    /// The height of the last block known: the lock time, so that nobody gains by mining the past again.
    pub tip_height: u32,
}

/// Random numbers from outside.
#[derive(Debug, Clone, Copy)]
pub struct Chance {
    /// Orders inputs and outputs, so that the change's place tells nothing.
    pub order: u64,
    /// Sets one lock time in ten a little back, as Bitcoin Core does.
    pub lock_time: u64,
}

/// Why nothing was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// No inputs or outputs, or too many.
    #[error("a transaction takes 1 to {INPUTS_MAX} inputs and 1 to {OUTPUTS_MAX} outputs")]
    Count,
    /// The height is no block height.
    #[error("{0} is no block height")]
    Height(u32),
    /// More leaves than comes in.
    #[error("the outputs are worth more than the inputs")]
    Overspent,
    /// A script is of neither wallet.
    #[error("a script belongs to another wallet than the one given")]
    OtherWallet,
}

/// An unsigned transaction with what the PSBT says about it.
#[derive(Debug)]
pub struct Unsigned {
    transaction: Transaction,
    inputs: Vec<OwnCoin>,
    own_outputs: Vec<Option<Arc<OwnScript>>>,
    fee_sat: u64,
}

impl Unsigned {
    /// Builds the transaction of a plan: version 2, replaceable, locked to the tip, in random order.
    pub fn build(plan: UnsignedPlan, chance: Chance) -> Result<Self, BuildError> {
        let UnsignedPlan { mut inputs, payees, cold, change, tip_height } = plan;
        let mut outputs: Vec<(TxOut, Option<Arc<OwnScript>>)> =
            payees
                .into_iter()
                .map(|payee| (pay(payee.script_pubkey, payee.amount_sat), None))
                .chain(cold.into_iter().chain(change).map(|own| {
                    (pay(own.script.script_pubkey().to_owned(), own.amount_sat), Some(own.script))
                }))
                .collect();
        if !(1..=INPUTS_MAX).contains(&inputs.len()) || !(1..=OUTPUTS_MAX).contains(&outputs.len()) {
            return Err(BuildError::Count);
        }
        let fee_sat = fee_of(&inputs, &outputs).ok_or(BuildError::Overspent)?;
        let mut shuffle = Shuffle(chance.order);
        shuffle.order(&mut inputs);
        shuffle.order(&mut outputs);
        let (output, own_outputs) = outputs.into_iter().unzip();
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: lock_time(tip_height, chance.lock_time)?,
            input: inputs.iter().map(spend).collect(),
            output,
        };
        Ok(Self { transaction, inputs, own_outputs, fee_sat })
    }

    /// The unsigned transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Its id, which signing does not change.
    pub fn txid(&self) -> Txid {
        self.transaction.compute_txid()
    }

    /// The fee in satoshi.
    pub fn fee_sat(&self) -> u64 {
        self.fee_sat
    }

    /// The coins in the order of the inputs.
    pub fn inputs(&self) -> &[OwnCoin] {
        &self.inputs
    }

    /// The place of the output that pays this own script.
    pub fn vout_of(&self, script: &OwnScript) -> Option<u32> {
        let at = self.own_outputs.iter().position(|own| own.as_deref() == Some(script))?;
        u32::try_from(at).ok()
    }

    /// The PSBT for one party: amounts, witness scripts, and derivations of that party's key only (each public key in
    /// a PSBT costs its reader a square root). A cold output carries the derivation of the cold wallet's first key.
    pub fn psbt(
        &self,
        receiver: KeySlot,
        hot: &WalletDescriptor,
        cold: Option<&WalletDescriptor>,
    ) -> Result<Vec<u8>, BuildError> {
        let input = |coin: &OwnCoin| -> Result<psbt::Input, BuildError> {
            let script = &coin.script;
            Ok(psbt::Input {
                witness_utxo: Some(pay(script.script_pubkey().to_owned(), coin.amount_sat)),
                witness_script: Some(script.witness_script().to_owned()),
                bip32_derivation: derivation(receiver, hot, script)?,
                ..psbt::Input::default()
            })
        };
        let output = |own: &Option<Arc<OwnScript>>| -> Result<psbt::Output, BuildError> {
            let bip32_derivation = match (own, cold) {
                (None, _) => BTreeMap::new(),
                (Some(script), _) if script.wallet() == hot.digest() => derivation(receiver, hot, script)?,
                (Some(script), Some(cold)) => derivation(KeySlot::A, cold, script)?,
                (Some(_), None) => return Err(BuildError::OtherWallet),
            };
            Ok(psbt::Output { bip32_derivation, ..psbt::Output::default() })
        };
        let psbt = Psbt {
            unsigned_tx: self.transaction.clone(),
            version: 0,
            xpub: BTreeMap::new(),
            proprietary: BTreeMap::new(),
            unknown: BTreeMap::new(),
            inputs: self.inputs.iter().map(input).collect::<Result<_, _>>()?,
            outputs: self.own_outputs.iter().map(output).collect::<Result<_, _>>()?,
        };
        Ok(psbt.serialize())
    }
}

fn derivation(
    slot: KeySlot,
    wallet: &WalletDescriptor,
    script: &OwnScript,
) -> Result<BTreeMap<secp256k1::PublicKey, KeySource>, BuildError> {
    if script.wallet() != wallet.digest() {
        return Err(BuildError::OtherWallet);
    }
    let key = slot.of(wallet.keys());
    let steps = key.path().into_iter().chain([script.branch().number(), script.index()]);
    let path: DerivationPath = steps.map(ChildNumber::from).collect();
    Ok(BTreeMap::from([(*script.pubkey(slot), (key.fingerprint().into(), path))]))
}

fn fee_of(inputs: &[OwnCoin], outputs: &[(TxOut, Option<Arc<OwnScript>>)]) -> Option<u64> {
    let in_sat = inputs.iter().try_fold(0u64, |sum, coin| sum.checked_add(coin.amount_sat))?;
    let out_sat = outputs.iter().try_fold(0u64, |sum, (out, _)| sum.checked_add(out.value.to_sat()))?;
    in_sat.checked_sub(out_sat)
}

fn pay(script_pubkey: ScriptBuf, amount_sat: u64) -> TxOut {
    TxOut { value: Amount::from_sat(amount_sat), script_pubkey }
}

fn spend(coin: &OwnCoin) -> TxIn {
    let previous_output = coin.outpoint;
    TxIn { previous_output, script_sig: ScriptBuf::new(), sequence: SEQUENCE, witness: Witness::new() }
}

/// A transaction with this lock time counts as a mint of the CAT-21 protocol, and Bitcoin Knots does not relay it. Only the
/// chain of a test network is short enough to reach it.
const MINTS: u32 = 21;

/// The tip, or one time in ten up to 99 blocks less.
fn lock_time(tip_height: u32, chance: u64) -> Result<LockTime, BuildError> {
    let back = if chance.is_multiple_of(10) { u32::try_from(chance / 10 % 100).unwrap_or(0) } else { 0 };
    let height = match tip_height.saturating_sub(back) {
        MINTS => MINTS - 1,
        height => height,
    };
    LockTime::from_height(height).map_err(|_| BuildError::Height(tip_height))
}

/// SplitMix64, enough to put things in an order that a seed decides.
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn order<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // at most 250 items: the remainder's bias is below 2^-55
            let other = usize::try_from(self.next() % (last as u64 + 1)).unwrap_or(last);
            items.swap(last, other);
        }
    }
}
