//! Checking: does this PSBT do exactly what was reserved or asked? Both parties go through this door, each with its own
//! records; nothing the PSBT says of amounts, scripts or change is believed.
//!
//! It does not know whether the payment is allowed; that is the policy's word.

use std::sync::Arc;

use ::bitcoin::hashes::Hash;
use ::bitcoin::sighash::SighashCache;
use ::bitcoin::transaction::Version;
use ::bitcoin::{Amount, EcdsaSighashType, OutPoint, Psbt, Script, Transaction, TxOut, Txid, absolute, psbt};

use super::build::{Payee, SEQUENCE};
use super::check_error::{CheckError, InputProblem};
use super::check_outputs;
use super::checked::{CheckedInput, CheckedTransaction};
use super::coin::OwnCoin;
use super::descriptor::{KeySlot, WalletDescriptor};
use super::fee::{self, FeeCaps};
use super::own_script::OwnScript;
use super::psbt_reader;

/// How far a lock time may lie ahead of one's own tip, in blocks: two parties hear of a block at different moments.
pub const LOCK_TIME_AHEAD_MAX: u32 = 6;

/// What a transaction is, decided from its outputs alone (law L9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionKind {
    /// Pays others.
    Withdrawal,
    /// Pays the pinned cold wallet.
    Sweep,
    /// Pays only its own branch 1.
    Consolidation,
}

/// A wallet pinned as the place sweeps go to.
#[derive(Debug, Clone, Copy)]
pub struct Pinned<'a> {
    /// Its descriptor, from the party's own trust file.
    pub wallet: &'a WalletDescriptor,
    /// The highest index on its branch 0 that is paid.
    pub index_max: u32,
}

/// What the transaction must be, from the party's own records.
#[derive(Debug)]
pub struct Expectations<'a> {
    /// The transaction reserved, where one is: then nothing at all may differ.
    pub txid: Option<Txid>,
    /// Whose derivations the PSBT carries.
    pub receiver: KeySlot,
    /// Whose partial signature must stand at every input; no other may.
    pub signed_by: Option<KeySlot>,
    /// Who is paid: each exactly once, and nobody else. Empty for a sweep or a consolidation.
    pub payees: &'a [Payee],
    /// Where a sweep may go.
    pub cold: Option<Pinned<'a>>,
    /// The highest index on branch 1 that change may have (law L16).
    pub change_index_max: u32,
    /// The change script the party expects, if it has it derived already; saves deriving it again.
    pub change_ready: Option<Arc<OwnScript>>,
    /// The bounds of the fee.
    pub caps: FeeCaps,
    /// The height of the last block the party knows; zero where it knows none.
    pub tip_height: u32,
}

/// Checks a PSBT against what the party itself knows. `lookup` answers with its own record of a coin, or `None`.
pub fn check_psbt(
    bytes: &[u8],
    wallet: &WalletDescriptor,
    expect: &Expectations<'_>,
    lookup: &dyn Fn(&OutPoint) -> Option<OwnCoin>,
) -> Result<CheckedTransaction, CheckError> {
    let psbt = psbt_reader::read(bytes)?;
    check_frame(&psbt, expect.tip_height)?;
    let coins = check_inputs(&psbt, wallet, expect.receiver, lookup)?;
    let outputs = check_outputs::check(&psbt, wallet, expect, &coins)?;
    let fee_sat = fee_of(&coins, &psbt.unsigned_tx)?;
    let weights = psbt.unsigned_tx.output.iter().map(|out| fee::output_weight(out.script_pubkey.len()));
    let vbytes = fee::vbytes(fee::weight_max(coins.len(), weights));
    expect.caps.check(fee_sat, vbytes)?;
    let inputs = digests(&psbt.unsigned_tx, coins)?;
    let txid = psbt.unsigned_tx.compute_txid();
    if expect.txid.is_some_and(|reserved| reserved != txid) {
        return Err(CheckError::Frame("the transaction is not the one reserved"));
    }
    let mut checked = CheckedTransaction { psbt, txid, inputs, outputs, fee_sat, vbytes, signatures: None };
    checked.signatures = checked.found_signatures(expect.signed_by)?;
    Ok(checked)
}

fn check_frame(psbt: &Psbt, tip_height: u32) -> Result<(), CheckError> {
    let transaction = &psbt.unsigned_tx;
    if psbt_reader::has_foreign_globals(psbt) {
        return Err(CheckError::Frame("the PSBT holds a global field that has no place here"));
    }
    if transaction.version != Version::TWO {
        return Err(CheckError::Frame("the transaction's version is not 2"));
    }
    if transaction.input.is_empty() || transaction.output.is_empty() {
        return Err(CheckError::Frame("the transaction has no inputs or no outputs"));
    }
    let absolute::LockTime::Blocks(height) = transaction.lock_time else {
        return Err(CheckError::Frame("the lock time is a time, not a height"));
    };
    let height = height.to_consensus_u32();
    if height > tip_height.saturating_add(LOCK_TIME_AHEAD_MAX) {
        return Err(CheckError::AheadOfTip { height, tip_height });
    }
    Ok(())
}

fn check_inputs(
    psbt: &Psbt,
    wallet: &WalletDescriptor,
    receiver: KeySlot,
    lookup: &dyn Fn(&OutPoint) -> Option<OwnCoin>,
) -> Result<Vec<OwnCoin>, CheckError> {
    let mut spent: Vec<&OutPoint> =
        psbt.unsigned_tx.input.iter().map(|input| &input.previous_output).collect();
    spent.sort_unstable();
    let twice = spent.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
    if twice {
        return Err(CheckError::Frame("a coin is spent twice"));
    }
    let mut coins = Vec::with_capacity(psbt.inputs.len());
    for (at, (input, map)) in psbt.unsigned_tx.input.iter().zip(&psbt.inputs).enumerate() {
        let wrong = |problem| CheckError::Input { at, problem };
        if input.sequence != SEQUENCE {
            return Err(wrong(InputProblem::Sequence));
        }
        if !input.script_sig.is_empty() || !input.witness.is_empty() {
            return Err(wrong(InputProblem::ForeignField));
        }
        let coin = lookup(&input.previous_output).ok_or(wrong(InputProblem::Unknown))?;
        if coin.outpoint != input.previous_output || coin.script.wallet() != wallet.digest() {
            return Err(wrong(InputProblem::OtherWallet));
        }
        check_input_map(map, &coin, wallet, receiver).map_err(wrong)?;
        coins.push(coin);
    }
    Ok(coins)
}

fn check_input_map(
    map: &psbt::Input,
    coin: &OwnCoin,
    wallet: &WalletDescriptor,
    receiver: KeySlot,
) -> Result<(), InputProblem> {
    let recorded = |out: &TxOut| {
        out.value.to_sat() == coin.amount_sat && *out.script_pubkey == *coin.script.script_pubkey()
    };
    if !map.witness_utxo.as_ref().is_some_and(recorded) {
        return Err(InputProblem::NotAsRecorded);
    }
    let same = |script: &Script| *script == *coin.script.witness_script();
    if !map.witness_script.as_deref().is_some_and(same) {
        return Err(InputProblem::WitnessScript);
    }
    if map.sighash_type.is_some_and(|kind| kind != EcdsaSighashType::All.into()) {
        return Err(InputProblem::Sighash);
    }
    if !check_outputs::is_derivation_of(&map.bip32_derivation, wallet, receiver, &coin.script) {
        return Err(InputProblem::Derivation);
    }
    if psbt_reader::has_foreign_input_fields(map) {
        return Err(InputProblem::ForeignField);
    }
    Ok(())
}

fn fee_of(coins: &[OwnCoin], transaction: &Transaction) -> Result<u64, CheckError> {
    let in_sat = coins.iter().try_fold(0u64, |sum, coin| sum.checked_add(coin.amount_sat));
    let out_sat = transaction.output.iter().try_fold(0u64, |sum, out| sum.checked_add(out.value.to_sat()));
    let fee_sat = in_sat.zip(out_sat).and_then(|(inn, out)| inn.checked_sub(out));
    fee_sat.ok_or(CheckError::Frame("the outputs are worth more than the inputs"))
}

fn digests(transaction: &Transaction, coins: Vec<OwnCoin>) -> Result<Vec<CheckedInput>, CheckError> {
    let mut cache = SighashCache::new(transaction);
    let digest = |(at, coin): (usize, OwnCoin)| {
        let digest = digest_of(&mut cache, at, coin.script.witness_script(), coin.amount_sat)
            .ok_or(CheckError::Frame("an input has no digest"))?;
        Ok(CheckedInput { coin, digest })
    };
    coins.into_iter().enumerate().map(digest).collect()
}

/// The signature digest of an input: segwit version 0, SIGHASH_ALL (BIP-0143).
pub(super) fn digest_of(
    cache: &mut SighashCache<&Transaction>,
    at: usize,
    witness_script: &Script,
    amount_sat: u64,
) -> Option<[u8; 32]> {
    let amount = Amount::from_sat(amount_sat);
    let hash = cache.p2wsh_signature_hash(at, witness_script, amount, EcdsaSighashType::All).ok()?;
    Some(hash.to_byte_array())
}
