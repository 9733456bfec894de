//! What can be told of a Safe's executions by somebody who built none of them: whoever sent the transaction, the Safe's own log
//! names a hash, and what hashes to it stands somewhere in the data that was sent, or in the words of a Safe that tells.

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{SolCall, SolEvent};

use super::abi::{ExecutionFailure, ExecutionSuccess, SafeMultiSigTransaction, execTransactionCall};
use super::action::{read_actions, read_gas};
use super::execution::TRANSACTION_LEN_MAX;
use super::receipt::{Log, Receipt, Verdict, judge_receipt};
use super::safe_tx::{Operation, SafeCall};
use super::wallet::SafeWallet;

/// How many places of the data are tried.
const PLACES_MAX: usize = 64;

/// A Safe transaction that was executed, as its Safe tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Its hash.
    pub hash: B256,
    /// What became of it; `None` where it went through, and what it does cannot be read.
    pub verdict: Option<Verdict>,
}

/// Every Safe transaction that this transaction executed, in order. `nonce` is the Safe's before the first of them.
pub fn witness(receipt: &Receipt, input: &[u8], wallet: &SafeWallet, nonce: u64) -> Vec<Witnessed> {
    let parts = parts(receipt, wallet);
    let nonces = (0..).map(|at: u64| nonce.checked_add(at));
    parts
        .into_iter()
        .zip(nonces)
        .map(|((hash, part), nonce)| one(&part, input, wallet, (nonce, hash)))
        .collect()
}

fn one(part: &Receipt, input: &[u8], wallet: &SafeWallet, (nonce, hash): (Option<u64>, B256)) -> Witnessed {
    let judged = |actions: &[_]| judge_receipt(part, wallet.address(), hash, actions);
    let verdict = match judged(&[]) {
        // what it does is of interest only where it went through
        Verdict::Paid => nonce
            .and_then(|nonce| {
                let told = || told_call(part, wallet, nonce, hash);
                find_call(input, wallet, nonce, hash).or_else(told)
            })
            .and_then(|call| read_actions(&call, wallet).ok())
            .map(|actions| judged(&actions)),
        other => Some(other),
    };
    Witnessed { hash, verdict }
}

/// The logs of each execution: those since the one before it, and its own last word. So no token's movement counts twice.
fn parts(receipt: &Receipt, wallet: &SafeWallet) -> Vec<(B256, Receipt)> {
    let (mut found, mut since) = (Vec::new(), Vec::new());
    for log in receipt.logs.iter().filter(|_| receipt.succeeded) {
        since.push(log.clone());
        if let Some(hash) = ending_of(log, wallet) {
            found.push((hash, Receipt { succeeded: true, logs: std::mem::take(&mut since) }));
        }
    }
    found
}

fn ending_of(log: &Log, wallet: &SafeWallet) -> Option<B256> {
    match log.topics.as_slice() {
        [ExecutionSuccess::SIGNATURE_HASH | ExecutionFailure::SIGNATURE_HASH, hash]
            if log.address == wallet.address() =>
        {
            Some(*hash)
        }
        _ => None,
    }
}

/// Finds the Safe transaction with this nonce and hash, alone or within whatever else was called.
fn find_call(input: &[u8], wallet: &SafeWallet, nonce: u64, hash: B256) -> Option<SafeCall> {
    let input = input.get(..input.len().min(TRANSACTION_LEN_MAX))?;
    let begins =
        |at: &usize| input.get(*at..).is_some_and(|rest| rest.starts_with(&execTransactionCall::SELECTOR));
    let places = (0..input.len()).filter(begins).take(PLACES_MAX);
    places.filter_map(|at| read_call_at(input.get(at..)?, nonce)).find(|call| call.hash(wallet) == Ok(hash))
}

/// Finds the Safe transaction with this nonce and hash in what the Safe itself told of it: whoever hides the call from the data of
/// the transaction cannot hide it from there.
fn told_call(part: &Receipt, wallet: &SafeWallet, nonce: u64, hash: B256) -> Option<SafeCall> {
    let own = part.logs.iter().filter(|log| {
        log.address == wallet.address() && log.topics == [SafeMultiSigTransaction::SIGNATURE_HASH]
    });
    let told = own.filter_map(|log| SafeMultiSigTransaction::abi_decode_data(&log.data).ok());
    let calls = told.filter_map(|told| {
        let (to, value, data, operation, gas, base, price, token, receiver, ..) = told;
        let execution = execTransactionCall {
            to,
            value,
            data,
            operation,
            safeTxGas: gas,
            baseGas: base,
            gasPrice: price,
            gasToken: token,
            refundReceiver: receiver,
            signatures: Bytes::new(),
        };
        call_of(execution, nonce)
    });
    calls.into_iter().find(|call| call.hash(wallet) == Ok(hash))
}

/// The hash decides whether it is the one; how it is spelled is of no meaning, for the Safe itself reads it generously.
fn read_call_at(data: &[u8], nonce: u64) -> Option<SafeCall> {
    call_of(execTransactionCall::abi_decode(data).ok()?, nonce)
}

fn call_of(execution: execTransactionCall, nonce: u64) -> Option<SafeCall> {
    let safe_tx_gas = read_gas(&execution).ok()?;
    let operation = Operation::from_number(execution.operation)?;
    let execTransactionCall { to, value, data, .. } = execution;
    Some(SafeCall { to, value, data, operation, safe_tx_gas, nonce })
}
