//! Building: from a plan to the Safe transaction, and to the proposal the other party gets. It does not decide what is paid.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;

use super::abi::{execTransactionCall, swapOwnerCall};
use super::action::{CALLS_MAX, OwnerSwap, Payee, multi_send, payment_call, pre_validated};
use super::deposit::Deposits;
use super::proposal::Proposal;
use super::reading::TrustedSafe;
use super::safe_tx::{HashesDisagree, Operation, SafeCall};
use super::units::Units;
use super::wallet::{SENTINEL, SafeWallet};
use crate::withdrawal::EvmAsset;
use crate::withdrawal::KeyRole;
use crate::withdrawal::evm_address::is_payable;

/// One asset of one deposit address, to be taken to a hot Safe as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepositDue {
    /// Whose.
    pub index: u64,
    /// What lies there.
    pub asset: EvmAsset,
    /// All of it.
    pub amount: Units,
    /// Whether its Safe is to be deployed first.
    pub deploy: bool,
    /// The gas kept for the transfer.
    pub safe_tx_gas: u64,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Task<'a> {
    /// Pay these, all or none.
    Pay(Vec<Payee>),
    /// Empty deposit addresses of this treasury into a hot Safe.
    Empty {
        /// Where they come from.
        deposits: &'a Deposits,
        /// The hot Safe.
        hot: Address,
        /// Which of them.
        due: Vec<DepositDue>,
    },
    /// Give an owner's seat to another key.
    Rotate(OwnerSwap),
}

/// Everything that decides what a Safe transaction is.
#[derive(Debug, Clone)]
pub struct UnsignedPlan<'a> {
    /// The Safe's nonce it takes: its anchor.
    pub nonce: u64,
    /// The gas kept for it, the estimate with a margin.
    pub safe_tx_gas: u64,
    /// What it does.
    pub task: Task<'a>,
}

/// Why nothing was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// No calls, or too many.
    #[error("a Safe transaction takes 1 to {CALLS_MAX} calls")]
    Count,
    /// A payment of nothing, to nobody, of another chain, or to the token itself.
    #[error("payment {0} pays nothing, nobody, the token's own contract, or an asset of another chain")]
    Payment(usize),
    /// Without gas of its own a payee that reverts would block every nonce behind it.
    #[error("no gas is kept for the transaction or for one within it")]
    Gas,
    /// The nonce was used up before.
    #[error("nonce {nonce} was used up; the Safe is at {at}")]
    NonceUsed {
        /// The plan's.
        nonce: u64,
        /// The Safe's.
        at: u64,
    },
    /// The deposits belong to another Safe.
    #[error("the deposit addresses belong to another treasury")]
    OtherTreasury,
    /// The seat is nobody's, or the new owner cannot be one.
    #[error("the seat to be given away is no owner's, or the new owner is one already or cannot be one")]
    Rotation,
    /// The two computations of the hash disagree.
    #[error(transparent)]
    Hash(#[from] HashesDisagree),
}

/// A Safe transaction without signatures.
#[derive(Debug)]
pub struct Unsigned {
    proposal: Proposal,
    hash: B256,
}

impl Unsigned {
    /// Builds the Safe transaction of a plan.
    pub fn build(safe: &TrustedSafe, plan: &UnsignedPlan<'_>) -> Result<Self, BuildError> {
        if plan.nonce < safe.nonce() {
            return Err(BuildError::NonceUsed { nonce: plan.nonce, at: safe.nonce() });
        }
        if plan.safe_tx_gas == 0 {
            return Err(BuildError::Gas);
        }
        let wallet = safe.wallet();
        let (calls, batched) = match &plan.task {
            Task::Pay(payees) => (payments(wallet, payees)?, payees.len() > 1),
            Task::Empty { deposits, hot, due } => (emptying(wallet, deposits, *hot, due)?, true),
            Task::Rotate(swap) => (vec![rotation(safe, swap)?], false),
        };
        if !(1..=CALLS_MAX).contains(&calls.len()) {
            return Err(BuildError::Count);
        }
        let call = safe_call(wallet, plan, calls, batched)?;
        let hash = call.hash(wallet)?;
        Ok(Self { proposal: Proposal::new(wallet, call), hash })
    }

    /// What the owners sign.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The Safe transaction.
    pub const fn call(&self) -> &SafeCall {
        self.proposal.call()
    }

    /// The bytes for the other party.
    pub fn proposal(&self) -> Vec<u8> {
        self.proposal.bytes()
    }
}

fn safe_call(
    wallet: &SafeWallet,
    plan: &UnsignedPlan<'_>,
    mut calls: Vec<(Address, U256, Bytes)>,
    batched: bool,
) -> Result<SafeCall, BuildError> {
    let (nonce, safe_tx_gas) = (plan.nonce, plan.safe_tx_gas);
    if batched {
        let to = wallet.make().release.multi_send.address;
        let data = multi_send(&calls).into();
        let operation = Operation::DelegateCall;
        return Ok(SafeCall { to, value: U256::ZERO, data, operation, safe_tx_gas, nonce });
    }
    let (to, value, data) = calls.pop().ok_or(BuildError::Count)?;
    Ok(SafeCall { to, value, data, operation: Operation::Call, safe_tx_gas, nonce })
}

fn payments(wallet: &SafeWallet, payees: &[Payee]) -> Result<Vec<(Address, U256, Bytes)>, BuildError> {
    let pay = |(at, payee): (usize, &Payee)| {
        let fits = payee.asset.chain() == wallet.chain()
            && payee.asset.contract() != Some(payee.to)
            && is_payable(payee.to)
            && !payee.amount.is_zero();
        if fits { Ok(payment_call(payee)) } else { Err(BuildError::Payment(at)) }
    };
    payees.iter().enumerate().map(pay).collect()
}

fn emptying(
    wallet: &SafeWallet,
    deposits: &Deposits,
    hot: Address,
    due: &[DepositDue],
) -> Result<Vec<(Address, U256, Bytes)>, BuildError> {
    if deposits.treasury() != wallet.address() {
        return Err(BuildError::OtherTreasury);
    }
    let mut calls = Vec::with_capacity(due.len());
    for (at, one) in due.iter().enumerate() {
        if one.safe_tx_gas == 0 {
            return Err(BuildError::Gas);
        }
        if one.deploy {
            calls.push((deposits.factory(), U256::ZERO, deposits.deployment(one.index).into()));
        }
        let payee = Payee { to: hot, asset: one.asset, amount: one.amount };
        let inner = payments(wallet, &[payee]).map_err(|_| BuildError::Payment(at))?.pop();
        let (to, value, data) = inner.ok_or(BuildError::Payment(at))?;
        let nested =
            SafeCall { to, value, data, operation: Operation::Call, safe_tx_gas: one.safe_tx_gas, nonce: 0 };
        let data = execution(&nested, pre_validated(wallet.address()));
        calls.push((deposits.address(one.index), U256::ZERO, data.into()));
    }
    Ok(calls)
}

fn rotation(safe: &TrustedSafe, swap: &OwnerSwap) -> Result<(Address, U256, Bytes), BuildError> {
    let role = safe.wallet().owners().role_of(swap.old).ok_or(BuildError::Rotation)?;
    if swap_of(safe, role, swap.new) != Some(*swap) {
        return Err(BuildError::Rotation);
    }
    let call = swapOwnerCall { prevOwner: swap.previous, oldOwner: swap.old, newOwner: swap.new };
    Ok((safe.wallet().address(), U256::ZERO, call.abi_encode().into()))
}

/// The swap that gives one owner's seat to a new key; `None` where that key cannot be an owner.
pub fn swap_of(safe: &TrustedSafe, role: KeyRole, new: Address) -> Option<OwnerSwap> {
    let (wallet, listed) = (safe.wallet(), safe.owners_in_order());
    let old = wallet.owners().of(role);
    let at = listed.iter().position(|owner| *owner == old)?;
    let previous = at.checked_sub(1).and_then(|before| listed.get(before)).copied().unwrap_or(SENTINEL);
    let fits = is_payable(new) && !listed.contains(&new) && new != wallet.address();
    fits.then_some(OwnerSwap { previous, old, new })
}

/// The data of `execTransaction` with these packed signatures.
pub(super) fn execution(call: &SafeCall, signatures: Vec<u8>) -> Vec<u8> {
    execTransactionCall {
        to: call.to,
        value: call.value,
        data: call.data.clone(),
        operation: call.operation.number(),
        safeTxGas: U256::from(call.safe_tx_gas),
        baseGas: U256::ZERO,
        gasPrice: U256::ZERO,
        gasToken: Address::ZERO,
        refundReceiver: Address::ZERO,
        signatures: signatures.into(),
    }
    .abi_encode()
}
