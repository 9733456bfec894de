//! What a receipt says of one Safe transaction: paid, failed, or nothing of it. Whoever submitted it, and whether it is
//! final, is not known here.

use alloy_primitives::{Address, B256, LogData};
use alloy_sol_types::SolEvent;

use super::abi::{ExecutionFailure, ExecutionSuccess, Transfer};
use super::action::{Action, Payee};
use super::units::Units;
use crate::withdrawal::EvmAsset;

/// One log of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The contract that wrote it.
    pub address: Address,
    /// Its topics.
    pub topics: Vec<B256>,
    /// Its data.
    pub data: Vec<u8>,
}

/// A transaction's receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whether the transaction as a whole went through.
    pub succeeded: bool,
    /// Its logs in order.
    pub logs: Vec<Log>,
}

/// What became of a Safe transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was executed and every token moved exactly as asked.
    Paid,
    /// It was executed and reverted: the nonce is used up, and nobody was paid.
    Reverted,
    /// It was executed, and this payment did not happen as asked: the token took a fee, moved nothing, or lied.
    NotAsAsked(Payee),
    /// A deposit address did not pay: its own execution reverted, or said nothing.
    DepositLeft(Address),
    /// This transaction holds nothing of it.
    Absent,
    /// The logs contradict each other: an alarm, never a payment.
    Contradiction,
}

/// Reads a receipt for the Safe transaction with this hash, which does these things.
pub fn judge_receipt(receipt: &Receipt, safe: Address, hash: B256, actions: &[Action]) -> Verdict {
    if !receipt.succeeded {
        return Verdict::Absent;
    }
    let count = |topic: B256| {
        receipt.logs.iter().filter(|log| log.address == safe && log.topics == [topic, hash]).count()
    };
    match (count(ExecutionSuccess::SIGNATURE_HASH), count(ExecutionFailure::SIGNATURE_HASH)) {
        (0, 0) => Verdict::Absent,
        (0, 1) => Verdict::Reverted,
        (1, 0) => judge_actions(receipt, safe, actions),
        _ => Verdict::Contradiction,
    }
}

fn judge_actions(receipt: &Receipt, safe: Address, actions: &[Action]) -> Verdict {
    let mut moved = transfers(receipt);
    let mut executed = executions(receipt);
    for action in actions {
        match action {
            Action::Pay(payee) => {
                if !take(&mut moved, safe, payee) {
                    return Verdict::NotAsAsked(*payee);
                }
            }
            Action::Nested { safe: deposit, payee, .. } => {
                if !next_of(&mut executed, *deposit) {
                    return Verdict::DepositLeft(*deposit);
                }
                if !take(&mut moved, *deposit, payee) {
                    return Verdict::NotAsAsked(*payee);
                }
            }
            Action::Deploy(_) | Action::Swap(_) => {}
        }
    }
    Verdict::Paid
}

/// A movement of a token: contract, from, to, how much.
type Movement = (Address, Address, Address, Units);

fn transfers(receipt: &Receipt) -> Vec<Movement> {
    let read = |log: &Log| {
        // the decoder takes more data than the event has
        if log.data.len() != 32 {
            return None;
        }
        let data = LogData::new(log.topics.clone(), log.data.clone().into())?;
        let event = Transfer::decode_log_data_validate(&data).ok()?;
        Some((log.address, event.from, event.to, Units::new(event.value)))
    };
    receipt.logs.iter().filter_map(read).collect()
}

/// Uses up the one log that says exactly this; ether leaves no log, and its success is the execution's.
fn take(moved: &mut Vec<Movement>, from: Address, payee: &Payee) -> bool {
    let EvmAsset::Token(_, contract) = payee.asset else { return true };
    let wanted = (contract, from, payee.to, payee.amount);
    match moved.iter().position(|movement| *movement == wanted) {
        Some(at) => {
            moved.swap_remove(at);
            true
        }
        None => false,
    }
}

/// Every execution that a Safe tells of, in order: whose, and whether it went through.
fn executions(receipt: &Receipt) -> Vec<(Address, bool)> {
    let read = |log: &Log| match log.topics.as_slice() {
        [ExecutionSuccess::SIGNATURE_HASH, _] => Some((log.address, true)),
        [ExecutionFailure::SIGNATURE_HASH, _] => Some((log.address, false)),
        _ => None,
    };
    receipt.logs.iter().filter_map(read).collect()
}

/// Whether the next execution of a deposit's own Safe went through; each is used up once.
fn next_of(executed: &mut Vec<(Address, bool)>, deposit: Address) -> bool {
    let at = executed.iter().position(|(safe, _)| *safe == deposit);
    at.is_some_and(|at| executed.remove(at).1)
}
