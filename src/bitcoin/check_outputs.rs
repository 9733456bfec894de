//! Checking outputs: each is a payee that was asked for, the own change, or the pinned cold wallet; and what that makes
//! of the transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::bitcoin::bip32::{ChildNumber, KeySource};
use ::bitcoin::{Psbt, TxOut, psbt, secp256k1};

use super::build::Payee;
use super::check::{Expectations, TransactionKind};
use super::check_error::{CheckError, OutputProblem};
use super::coin::OwnCoin;
use super::descriptor::{KeySlot, WalletDescriptor};
use super::fee::OWN_DUST_SAT;
use super::own_script::{Branch, OwnScript};
use super::psbt_reader;

/// An output to the hot or the cold wallet, derived by the party itself.
#[derive(Debug)]
pub struct OwnOutputFound {
    vout: u32,
    amount_sat: u64,
    script: Arc<OwnScript>,
}

impl OwnOutputFound {
    /// Its place.
    pub fn vout(&self) -> u32 {
        self.vout
    }

    /// Its amount in satoshi.
    pub fn amount_sat(&self) -> u64 {
        self.amount_sat
    }

    /// Its script, with branch and index.
    pub fn script(&self) -> &Arc<OwnScript> {
        &self.script
    }
}

#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) kind: TransactionKind,
    pub(super) change: Option<OwnOutputFound>,
    pub(super) cold: Option<OwnOutputFound>,
}

pub(super) fn check(
    psbt: &Psbt,
    wallet: &WalletDescriptor,
    expect: &Expectations<'_>,
    coins: &[OwnCoin],
) -> Result<Outputs, CheckError> {
    let mut unpaid: Vec<&Payee> = expect.payees.iter().collect();
    let (mut change, mut cold) = (None, None);
    for (at, (out, map)) in psbt.unsigned_tx.output.iter().zip(&psbt.outputs).enumerate() {
        let wrong = |problem| CheckError::Output { at, problem };
        if psbt_reader::has_foreign_output_fields(map) {
            return Err(wrong(OutputProblem::ForeignField));
        }
        let place = match own_output(at, out, map, wallet, expect).map_err(wrong)? {
            None => {
                settle_payee(out, &mut unpaid).map_err(wrong)?;
                continue;
            }
            Some(own) if own.script.wallet() == wallet.digest() => (&mut change, own),
            Some(own) => (&mut cold, own),
        };
        if place.0.replace(place.1).is_some() {
            return Err(wrong(OutputProblem::Second));
        }
    }
    if !unpaid.is_empty() {
        return Err(CheckError::PayeeUnpaid);
    }
    no_payee_is_own(psbt, expect.payees, coins, change.as_ref())?;
    let kind = match (expect.payees.is_empty(), &cold, &change) {
        (false, None, _) => TransactionKind::Withdrawal,
        (true, Some(_), _) => TransactionKind::Sweep,
        (true, None, Some(_)) => TransactionKind::Consolidation,
        _ => return Err(CheckError::KindUnclear),
    };
    Ok(Outputs { kind, change, cold })
}

/// Takes the payee this output pays off the list; each is paid exactly once.
fn settle_payee(out: &TxOut, unpaid: &mut Vec<&Payee>) -> Result<(), OutputProblem> {
    let is_paid =
        |payee: &&Payee| payee.script_pubkey == out.script_pubkey && payee.amount_sat == out.value.to_sat();
    let at = unpaid.iter().position(is_paid).ok_or(OutputProblem::NotExpected)?;
    unpaid.swap_remove(at);
    Ok(())
}

/// Reads the derivation an output carries, and derives there. `None` without a derivation.
fn own_output(
    at: usize,
    out: &TxOut,
    map: &psbt::Output,
    wallet: &WalletDescriptor,
    expect: &Expectations<'_>,
) -> Result<Option<OwnOutputFound>, OutputProblem> {
    let Some((_, (fingerprint, path))) = map.bip32_derivation.first_key_value() else {
        return Ok(None);
    };
    let own = expect.receiver;
    let is_key = |wallet: &WalletDescriptor, slot: KeySlot| {
        slot.of(wallet.keys()).fingerprint() == fingerprint.to_bytes()
    };
    let (paid, slot, branch, index_max) = match expect.cold {
        _ if is_key(wallet, own) => (wallet, own, Branch::Change, expect.change_index_max),
        Some(cold) if is_key(cold.wallet, KeySlot::A) => {
            (cold.wallet, KeySlot::A, Branch::Deposit, cold.index_max)
        }
        _ => return Err(OutputProblem::NotOwn),
    };
    let Some(&ChildNumber::Normal { index }) = path.as_ref().last() else {
        return Err(OutputProblem::NotOwn);
    };
    if index > index_max {
        return Err(OutputProblem::IndexTooFar);
    }
    let script = ready_or_derived(expect.change_ready.as_ref(), paid, branch, index)?;
    let derived = is_derivation_of(&map.bip32_derivation, paid, slot, &script);
    if !derived || *out.script_pubkey != *script.script_pubkey() {
        return Err(OutputProblem::NotOwn);
    }
    let amount_sat = out.value.to_sat();
    if amount_sat < OWN_DUST_SAT {
        return Err(OutputProblem::Dust);
    }
    let vout = u32::try_from(at).map_err(|_| OutputProblem::NotExpected)?;
    Ok(Some(OwnOutputFound { vout, amount_sat, script }))
}

fn ready_or_derived(
    ready: Option<&Arc<OwnScript>>,
    wallet: &WalletDescriptor,
    branch: Branch,
    index: u32,
) -> Result<Arc<OwnScript>, OutputProblem> {
    let fits = |own: &&Arc<OwnScript>| {
        own.wallet() == wallet.digest() && own.branch() == branch && own.index() == index
    };
    match ready.filter(fits) {
        Some(own) => Ok(Arc::clone(own)),
        None => wallet.script(branch, index).map(Arc::new).map_err(|_| OutputProblem::IndexTooFar),
    }
}

/// Whether the map holds exactly one derivation: that of `slot`'s key for this script.
pub(super) fn is_derivation_of(
    map: &BTreeMap<secp256k1::PublicKey, KeySource>,
    wallet: &WalletDescriptor,
    slot: KeySlot,
    script: &OwnScript,
) -> bool {
    let mut entries = map.iter();
    let (Some((pubkey, (fingerprint, path))), None) = (entries.next(), entries.next()) else {
        return false;
    };
    let key = slot.of(wallet.keys());
    let steps = key.path().into_iter().chain([script.branch().number(), script.index()]);
    pubkey == script.pubkey(slot)
        && fingerprint.to_bytes() == key.fingerprint()
        && path.into_iter().map(|step| u32::from(*step)).eq(steps)
}

/// Whoever is paid is not one of the scripts in play (law L16). All other own addresses are the caller's to know.
fn no_payee_is_own(
    psbt: &Psbt,
    payees: &[Payee],
    coins: &[OwnCoin],
    change: Option<&OwnOutputFound>,
) -> Result<(), CheckError> {
    let own = || coins.iter().map(|coin| &coin.script).chain(change.map(|found| &found.script));
    let is_own = |payee: &&Payee| own().any(|script| *script.script_pubkey() == *payee.script_pubkey);
    let Some(payee) = payees.iter().find(is_own) else {
        return Ok(());
    };
    let at = psbt.unsigned_tx.output.iter().position(|out| out.script_pubkey == payee.script_pubkey);
    Err(CheckError::Output { at: at.unwrap_or(0), problem: OutputProblem::PayeeIsOwn })
}
