//! What a call does: bytes in, an action out, or a no. Strict: a selector that is known, one spelling, nothing after it.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall;

use super::abi::{
    createProxyWithNonceCall, execTransactionCall, multiSendCall, read_call, swapOwnerCall, transferCall,
};
use super::safe_tx::{Operation, SafeCall};
use super::units::Units;
use super::wallet::SafeWallet;
use crate::withdrawal::EvmAsset;
use crate::withdrawal::evm_address::is_payable;

/// The most calls one batch may hold.
pub const CALLS_MAX: usize = 200;

/// The bytes before the data of one call in a batch: operation, address, value, length.
const HEAD_LEN: usize = 1 + 20 + 32 + 32;

/// A payment: who gets how much of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payee {
    /// Who is paid.
    pub to: Address,
    /// What.
    pub asset: EvmAsset,
    /// How much.
    pub amount: Units,
}

/// An owner's seat given to another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerSwap {
    /// The owner before it in the contract's list, or the list's sentinel.
    pub previous: Address,
    /// The owner that goes.
    pub old: Address,
    /// The owner that comes.
    pub new: Address,
}

/// What one call does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Pays.
    Pay(Payee),
    /// Has the canonical factory make a proxy; the data is compared as a whole.
    Deploy(Bytes),
    /// Has another Safe, whose one owner is this one, pay.
    Nested {
        /// The other Safe.
        safe: Address,
        /// What it pays.
        payee: Payee,
        /// The gas kept for it.
        safe_tx_gas: u64,
    },
    /// Gives an owner's seat to another key.
    Swap(OwnerSwap),
}

/// Why a call is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallProblem {
    /// DELEGATECALL to anything but the pinned MultiSendCallOnly.
    #[error("runs foreign code as the Safe (DELEGATECALL)")]
    DelegateCall,
    /// The batch cannot be read to its last byte, or holds more than one spelling allows.
    #[error("is a batch that cannot be read to its last byte")]
    BatchUnreadable,
    /// Too many calls, or none.
    #[error("is a batch of no calls or of more than {CALLS_MAX}")]
    BatchCount,
    /// The zero address, which MultiSend takes for the Safe itself, or a precompiled contract.
    #[error("calls an address that nobody holds")]
    Address,
    /// No such call is known, or it is spelled otherwise than canonically.
    #[error("is not a call that is known, in its one spelling")]
    Unknown,
    /// Value with a call that takes none.
    #[error("sends value along with a call")]
    Value,
    /// Nothing is paid.
    #[error("pays nothing")]
    Nothing,
    /// Gas price, base gas, gas token or refund receiver are set.
    #[error("pays a refund")]
    Refund,
    /// The gas for it is zero or beyond what is counted.
    #[error("keeps no gas for itself, or more than is counted")]
    Gas,
    /// The nested signature is not this Safe's own pre-validated one.
    #[error("carries another signature than the owner's own")]
    NestedSignature,
    /// A nested call does more than pay.
    #[error("has another Safe do more than pay")]
    NestedCall,
}

/// What a Safe transaction does, call by call.
pub fn read_actions(call: &SafeCall, wallet: &SafeWallet) -> Result<Vec<Action>, (usize, CallProblem)> {
    match call.operation {
        Operation::Call => {
            let action = read_one(wallet, call.to, call.value, &call.data).map_err(|problem| (0, problem))?;
            Ok(vec![action])
        }
        Operation::DelegateCall => {
            let calls = read_batch(wallet, call).map_err(|problem| (0, problem))?;
            let read = |(at, (to, value, data)): (usize, (Address, U256, &[u8]))| {
                read_one(wallet, to, value, data).map_err(|problem| (at, problem))
            };
            multi_send_calls(&calls)
                .ok_or((0, CallProblem::BatchUnreadable))?
                .into_iter()
                .enumerate()
                .map(read)
                .collect()
        }
    }
}

fn read_batch(wallet: &SafeWallet, call: &SafeCall) -> Result<Bytes, CallProblem> {
    if call.to != wallet.make().release.multi_send.address {
        return Err(CallProblem::DelegateCall);
    }
    if !call.value.is_zero() {
        return Err(CallProblem::Value);
    }
    let batch = read_call::<multiSendCall>(&call.data).ok_or(CallProblem::BatchUnreadable)?;
    match multi_send_calls(&batch.transactions).map(|calls| calls.len()) {
        Some(1..=CALLS_MAX) => Ok(batch.transactions),
        Some(_) => Err(CallProblem::BatchCount),
        None => Err(CallProblem::BatchUnreadable),
    }
}

/// The calls of a batch as MultiSendCallOnly walks over them; `None` unless they end with its last byte and all are CALL.
fn multi_send_calls(mut rest: &[u8]) -> Option<Vec<(Address, U256, &[u8])>> {
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at_checked(HEAD_LEN)?;
        let (operation, head) = head.split_first()?;
        let (to, head) = head.split_at_checked(20)?;
        let (value, len) = head.split_at_checked(32)?;
        let len = usize::try_from(U256::try_from_be_slice(len)?).ok()?;
        let (data, tail) = tail.split_at_checked(len)?;
        if *operation != Operation::Call.number() {
            return None;
        }
        calls.push((Address::from_slice(to), U256::try_from_be_slice(value)?, data));
        rest = tail;
    }
    Some(calls)
}

/// Writes a batch as MultiSendCallOnly reads it.
pub(super) fn multi_send(calls: &[(Address, U256, Bytes)]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(calls.len().saturating_mul(HEAD_LEN + 68));
    for (to, value, data) in calls {
        packed.push(Operation::Call.number());
        packed.extend_from_slice(to.as_slice());
        packed.extend_from_slice(&value.to_be_bytes::<32>());
        packed.extend_from_slice(&U256::from(data.len()).to_be_bytes::<32>());
        packed.extend_from_slice(data);
    }
    multiSendCall { transactions: packed.into() }.abi_encode()
}

fn read_one(wallet: &SafeWallet, to: Address, value: U256, data: &[u8]) -> Result<Action, CallProblem> {
    if !is_payable(to) {
        return Err(CallProblem::Address);
    }
    let selector = data.first_chunk::<4>().copied();
    match selector {
        None if data.is_empty() => read_payee(wallet, to, value, data).map(Action::Pay),
        Some(transferCall::SELECTOR) => read_payee(wallet, to, value, data).map(Action::Pay),
        Some(_) if !value.is_zero() => Err(CallProblem::Value),
        Some(swapOwnerCall::SELECTOR) if to == wallet.address() => {
            let swap = read_call::<swapOwnerCall>(data).ok_or(CallProblem::Unknown)?;
            Ok(Action::Swap(OwnerSwap { previous: swap.prevOwner, old: swap.oldOwner, new: swap.newOwner }))
        }
        Some(createProxyWithNonceCall::SELECTOR) if to == wallet.make().release.factory.address => {
            Ok(Action::Deploy(Bytes::copy_from_slice(data)))
        }
        Some(execTransactionCall::SELECTOR) => read_nested(wallet, to, data),
        _ => Err(CallProblem::Unknown),
    }
}

fn read_payee(wallet: &SafeWallet, to: Address, value: U256, data: &[u8]) -> Result<Payee, CallProblem> {
    let chain = wallet.chain();
    let payee = if data.is_empty() {
        Payee { to, asset: EvmAsset::Ether(chain), amount: Units::new(value) }
    } else {
        let call = read_call::<transferCall>(data).ok_or(CallProblem::Unknown)?;
        if !value.is_zero() {
            return Err(CallProblem::Value);
        }
        Payee { to: call.to, asset: EvmAsset::Token(chain, to), amount: Units::new(call.amount) }
    };
    if payee.amount.is_zero() {
        return Err(CallProblem::Nothing);
    }
    if is_payable(payee.to) { Ok(payee) } else { Err(CallProblem::Address) }
}

fn read_nested(wallet: &SafeWallet, safe: Address, data: &[u8]) -> Result<Action, CallProblem> {
    let call = read_call::<execTransactionCall>(data).ok_or(CallProblem::Unknown)?;
    if call.operation != Operation::Call.number() {
        return Err(CallProblem::DelegateCall);
    }
    let safe_tx_gas = read_gas(&call)?;
    if call.signatures != pre_validated(wallet.address()) {
        return Err(CallProblem::NestedSignature);
    }
    if !is_payable(call.to) {
        return Err(CallProblem::Address);
    }
    let payee = read_payee(wallet, call.to, call.value, &call.data).map_err(|problem| match problem {
        CallProblem::Unknown => CallProblem::NestedCall,
        other => other,
    })?;
    Ok(Action::Nested { safe, payee, safe_tx_gas })
}

/// The gas kept for an execution: something, nothing of a refund, and a number that is counted here.
pub(super) fn read_gas(call: &execTransactionCall) -> Result<u64, CallProblem> {
    let refund = !call.baseGas.is_zero()
        || !call.gasPrice.is_zero()
        || !call.gasToken.is_zero()
        || !call.refundReceiver.is_zero();
    if refund {
        return Err(CallProblem::Refund);
    }
    u64::try_from(call.safeTxGas).ok().filter(|gas| *gas > 0).ok_or(CallProblem::Gas)
}

/// The signature of an owner who makes the call itself: `r` the owner, `s` nothing, `v` one.
pub fn pre_validated(owner: Address) -> Vec<u8> {
    [owner.into_word().as_slice(), &[0; 32], &[1]].concat()
}

/// Writes the call of a payment: to whom, with how many wei, and which data.
pub(super) fn payment_call(payee: &Payee) -> (Address, U256, Bytes) {
    match payee.asset {
        EvmAsset::Ether(_) => (payee.to, payee.amount.units(), Bytes::new()),
        EvmAsset::Token(_, contract) => {
            let call = transferCall { to: payee.to, amount: payee.amount.units() };
            (contract, U256::ZERO, call.abi_encode().into())
        }
    }
}
