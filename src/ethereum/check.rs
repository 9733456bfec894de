//! Checking: does this proposal do exactly what was reserved or asked? Both parties go through this door, each with its
//! own records; the calldata is decoded here, and nothing anybody says about it is believed.
//!
//! It does not know whether the payment is allowed; that is the policy's word.

use alloy_primitives::{Address, B256, Bytes};

use super::action::{Action, OwnerSwap, Payee, read_actions};
use super::build::{DepositDue, swap_of};
use super::check_error::{CheckError, PaymentProblem};
use super::checked::CheckedSafeTx;
use super::deposit::Deposits;
use super::proposal::Proposal;
use super::reading::TrustedSafe;
use super::safe_tx::SafeCall;
use super::signature::PackedSignatures;
use super::units::Units;
use super::wallet::SafeWallet;
use crate::withdrawal::EvmAsset;
use crate::withdrawal::KeyRole;

/// What a Safe transaction is, decided from its calls alone (law L9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionKind {
    /// Pays others: one, or several at once.
    Withdrawal,
    /// Pays the pinned cold Safe.
    Sweep,
    /// Gives ether to the pinned account that pays gas.
    Refuel,
    /// Empties deposit addresses into a hot Safe.
    Emptying,
    /// Gives an owner's seat to another key.
    Rotation,
}

/// The account that pays gas, and what it may be given at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executor {
    /// The account.
    pub address: Address,
    /// The most ether for one refuel.
    pub amount_max: Units,
}

/// What the transaction must be, from the party's own records.
pub struct Expectations<'a> {
    /// The hash reserved, where one is: then nothing at all may differ.
    pub hash: Option<B256>,
    /// The nonce reserved: the anchor.
    pub nonce: u64,
    /// Whose signature must be there; no other may.
    pub signed_by: Option<KeyRole>,
    /// The most gas that may be kept for it.
    pub safe_tx_gas_max: u64,
    /// Who is paid: each exactly once, and nobody else. Empty where none but pinned places are paid.
    pub payees: &'a [Payee],
    /// Where a sweep may go.
    pub cold: Option<Address>,
    /// What a refuel may give to.
    pub executor: Option<Executor>,
    /// What is due of which deposit addresses, to which hot Safe, in order.
    pub emptying: Option<(&'a Deposits, Address, &'a [DepositDue])>,
    /// Which seat is to be given to whom.
    pub rotation: Option<(KeyRole, Address)>,
    /// Whether an address is one's own: a hot Safe, the treasury, a deposit address.
    pub is_own: &'a dyn Fn(Address) -> bool,
    /// Whether there is code at an address, by the party's own chain view; where it has none it says yes. Ether to code
    /// is never batched: one payee that refuses it would take the whole batch back.
    pub has_code: &'a dyn Fn(Address) -> bool,
}

impl Expectations<'_> {
    /// Of a transaction under this nonce that may do nothing at all: what it may do is opened by whoever expects it. Nothing is
    /// known of other addresses, so each may be one's own and have code.
    pub fn nothing(nonce: u64, safe_tx_gas_max: u64) -> Self {
        Self {
            hash: None,
            nonce,
            signed_by: None,
            safe_tx_gas_max,
            payees: &[],
            cold: None,
            executor: None,
            emptying: None,
            rotation: None,
            is_own: &|_| true,
            has_code: &|_| true,
        }
    }
}

/// Checks a proposal against what the party itself knows.
pub fn check_proposal(
    bytes: &[u8],
    safe: &TrustedSafe,
    expect: &Expectations<'_>,
) -> Result<CheckedSafeTx, CheckError> {
    let proposal = Proposal::read(bytes)?;
    let wallet = safe.wallet();
    check_frame(&proposal, safe, expect)?;
    let actions =
        read_actions(proposal.call(), wallet).map_err(|(at, problem)| CheckError::Call { at, problem })?;
    let kind = kind_of(&actions, expect)?;
    check_kind(kind, &actions, safe, expect)?;
    check_spelling(kind, proposal.call(), wallet, &actions)?;
    let hash = proposal.call().hash(wallet)?;
    if expect.hash.is_some_and(|reserved| reserved != hash) {
        return Err(CheckError::Frame("the transaction is not the one reserved"));
    }
    let packed = PackedSignatures::read(proposal.signatures(), hash, wallet.owners())?;
    let signed = packed.only_of(expect.signed_by, hash)?;
    Ok(CheckedSafeTx::new(proposal, wallet.clone(), hash, kind, actions, signed))
}

fn check_frame(proposal: &Proposal, safe: &TrustedSafe, expect: &Expectations<'_>) -> Result<(), CheckError> {
    let (call, wallet) = (proposal.call(), safe.wallet());
    if proposal.chain() != wallet.chain() {
        return Err(CheckError::Frame("the proposal is for another chain"));
    }
    if proposal.safe() != wallet.address() {
        return Err(CheckError::Frame("the proposal is for another Safe"));
    }
    if call.nonce != expect.nonce {
        return Err(CheckError::OtherNonce { found: call.nonce, reserved: expect.nonce });
    }
    if call.nonce < safe.nonce() {
        return Err(CheckError::NonceUsed { found: call.nonce, at: safe.nonce() });
    }
    if call.safe_tx_gas > expect.safe_tx_gas_max {
        return Err(CheckError::Frame("more gas is kept for it than may be"));
    }
    Ok(())
}

fn kind_of(actions: &[Action], expect: &Expectations<'_>) -> Result<TransactionKind, CheckError> {
    if let [Action::Swap(_)] = actions {
        return Ok(TransactionKind::Rotation);
    }
    if actions.iter().all(|action| matches!(action, Action::Deploy(_) | Action::Nested { .. })) {
        return Ok(TransactionKind::Emptying);
    }
    let payees = payees_of(actions).ok_or(CheckError::KindUnclear)?;
    let executor = expect.executor.map(|executor| executor.address);
    let to = |address: Option<Address>| payees.iter().filter(|payee| Some(payee.to) == address).count();
    match (to(expect.cold), to(executor)) {
        (0, 0) => Ok(TransactionKind::Withdrawal),
        (cold, 0) if cold == payees.len() => Ok(TransactionKind::Sweep),
        (0, 1) if payees.len() == 1 => Ok(TransactionKind::Refuel),
        _ => Err(CheckError::KindUnclear),
    }
}

fn payees_of(actions: &[Action]) -> Option<Vec<Payee>> {
    let pay = |action: &Action| match action {
        Action::Pay(payee) => Some(*payee),
        Action::Deploy(_) | Action::Nested { .. } | Action::Swap(_) => None,
    };
    actions.iter().map(pay).collect()
}

fn check_kind(
    kind: TransactionKind,
    actions: &[Action],
    safe: &TrustedSafe,
    expect: &Expectations<'_>,
) -> Result<(), CheckError> {
    let payees = || payees_of(actions).ok_or(CheckError::KindUnclear);
    // what is to be paid is paid by a withdrawal and by nothing else
    if kind != TransactionKind::Withdrawal && !expect.payees.is_empty() {
        return Err(CheckError::PayeeUnpaid);
    }
    match kind {
        TransactionKind::Withdrawal => check_payees(&payees()?, safe.wallet(), expect),
        TransactionKind::Sweep => Ok(()),
        TransactionKind::Refuel => check_refuel(&payees()?, expect),
        TransactionKind::Emptying => check_emptying(actions, safe.wallet(), expect),
        TransactionKind::Rotation => check_rotation(actions, safe, expect),
    }
}

fn check_payees(payees: &[Payee], wallet: &SafeWallet, expect: &Expectations<'_>) -> Result<(), CheckError> {
    let mut due: Vec<&Payee> = expect.payees.iter().collect();
    for (at, payee) in payees.iter().enumerate() {
        let wrong = |problem| Err(CheckError::Payment { at, problem });
        if payee.to == wallet.address() || (expect.is_own)(payee.to) {
            return wrong(PaymentProblem::PayeeIsOwn);
        }
        if payee.asset.contract() == Some(payee.to) {
            return wrong(PaymentProblem::PayeeIsToken);
        }
        let ether = matches!(payee.asset, EvmAsset::Ether(_));
        if payees.len() > 1 && ether && (expect.has_code)(payee.to) {
            return wrong(PaymentProblem::CodeInBatch);
        }
        match due.iter().position(|due| *due == payee) {
            Some(found) => drop(due.swap_remove(found)),
            None => return wrong(PaymentProblem::NotExpected),
        }
    }
    if due.is_empty() { Ok(()) } else { Err(CheckError::PayeeUnpaid) }
}

fn check_refuel(payees: &[Payee], expect: &Expectations<'_>) -> Result<(), CheckError> {
    let wrong = |problem| Err(CheckError::Payment { at: 0, problem });
    match (payees, expect.executor) {
        ([payee], Some(_)) if !matches!(payee.asset, EvmAsset::Ether(_)) => {
            wrong(PaymentProblem::NotExpected)
        }
        ([payee], Some(executor)) if payee.amount > executor.amount_max => wrong(PaymentProblem::TooMuch),
        ([_], Some(_)) => Ok(()),
        _ => Err(CheckError::KindUnclear),
    }
}

fn check_emptying(
    actions: &[Action],
    wallet: &SafeWallet,
    expect: &Expectations<'_>,
) -> Result<(), CheckError> {
    let (deposits, hot, due) = expect.emptying.ok_or(CheckError::KindUnclear)?;
    if deposits.treasury() != wallet.address() {
        return Err(CheckError::Frame("the deposit addresses belong to another treasury"));
    }
    let expected = due.iter().flat_map(|one| {
        let deploy = one.deploy.then(|| Action::Deploy(Bytes::from(deposits.deployment(one.index))));
        let payee = Payee { to: hot, asset: one.asset, amount: one.amount };
        let safe = deposits.address(one.index);
        deploy.into_iter().chain([Action::Nested { safe, payee, safe_tx_gas: one.safe_tx_gas }])
    });
    let expected: Vec<Action> = expected.collect();
    let differs = actions.iter().zip(&expected).position(|(found, due)| found != due);
    match differs {
        None if actions.len() == expected.len() => Ok(()),
        at => {
            let at = at.unwrap_or(actions.len().min(expected.len()));
            Err(CheckError::Payment { at, problem: PaymentProblem::NotDue })
        }
    }
}

fn check_rotation(
    actions: &[Action],
    safe: &TrustedSafe,
    expect: &Expectations<'_>,
) -> Result<(), CheckError> {
    let (role, new) = expect.rotation.ok_or(CheckError::KindUnclear)?;
    let expected: Option<OwnerSwap> = swap_of(safe, role, new);
    match (actions, expected) {
        ([Action::Swap(found)], Some(expected)) if *found == expected => Ok(()),
        _ => Err(CheckError::Frame("another owner's seat is given away than was decided, or to another key")),
    }
}

/// One payment is a plain call and several are a batch: what is done has one spelling.
fn check_spelling(
    kind: TransactionKind,
    call: &SafeCall,
    wallet: &SafeWallet,
    actions: &[Action],
) -> Result<(), CheckError> {
    let batched = call.to == wallet.make().release.multi_send.address;
    let should = kind == TransactionKind::Emptying || actions.len() > 1;
    if batched == should {
        Ok(())
    } else {
        Err(CheckError::Frame("a batch of one, or nested calls outside a batch"))
    }
}
