//! A transaction that passed its chain's check, as the other party sees it: what it is, what leaves with it, and what it spends.

use std::sync::Arc;

use super::{bitcoin, emptying, gas};
use crate::bitcoin::{CheckedTransaction, OwnScript};
use crate::ethereum::{Action, Address, CheckedSafeTx, Payee, TransactionKind as SafeKind};
use crate::flow::context::Context;
use crate::flow::facts::FeeSeen;
use crate::flow::ledger::rows::{ChangeRow, EmptiedRow, Errand, SpentRow};
use crate::freeze::Leaving;
use crate::withdrawal::{Amount, Asset, ChainId, ReservationId};

/// What a transaction is, decided from what it does (law L9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It pays others.
    Withdrawal,
    /// It pays the pinned cold wallet.
    Sweep,
    /// It pays the pinned account that pays gas.
    Refuel,
    /// It brings what lies at deposit addresses to a hot Safe.
    Emptying,
    /// None of these; nobody decides on it here.
    Other(&'static str),
}

impl Kind {
    /// The word in rows and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Withdrawal => "withdrawal",
            Self::Sweep => "sweep",
            Self::Refuel => "refuel",
            Self::Emptying => "emptying",
            Self::Other(word) => word,
        }
    }

    /// Which errand of the house it is.
    pub const fn errand(self) -> Option<Errand> {
        match self {
            Self::Sweep => Some(Errand::Sweep),
            Self::Refuel => Some(Errand::Refuel),
            Self::Emptying => Some(Errand::Emptying),
            Self::Withdrawal | Self::Other(_) => None,
        }
    }

    /// What leaves with it.
    pub const fn leaving(self) -> Leaving {
        match self {
            Self::Sweep => Leaving::Sweep,
            Self::Withdrawal | Self::Refuel | Self::Emptying | Self::Other(_) => Leaving::Payment,
        }
    }
}

/// A checked transaction of either chain.
pub enum Checked {
    /// A PSBT of the wallet of this asset.
    Bitcoin(Asset, Box<CheckedTransaction>),
    /// A Safe transaction that moves this asset, with its anchor and the rate by which its fee is judged.
    Safe {
        /// The transaction.
        tx: Box<CheckedSafeTx>,
        /// What it moves; nothing else moves with it.
        asset: Asset,
        /// Its anchor.
        anchor: String,
        /// Wei for 1,000 units of gas.
        rate: u128,
        /// What it empties, where it is the treasury's.
        emptied: Arc<Vec<EmptiedRow>>,
    },
}

impl Checked {
    /// The asset that leaves.
    pub const fn asset(&self) -> Asset {
        match self {
            Self::Bitcoin(asset, _) | Self::Safe { asset, .. } => *asset,
        }
    }

    /// Its id, as its chain prints it.
    pub fn txid(&self) -> String {
        match self {
            Self::Bitcoin(_, tx) => tx.txid().to_string(),
            Self::Safe { tx, .. } => tx.hash().to_string(),
        }
    }

    /// The id of its reservation.
    pub fn reservation(&self) -> ReservationId {
        match self {
            Self::Bitcoin(_, tx) => ReservationId::of_txid(&bitcoin::txid_bytes(&tx.txid())),
            Self::Safe { tx, .. } => ReservationId::of_txid(&tx.hash().0),
        }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        use crate::bitcoin::TransactionKind;
        match self {
            Self::Bitcoin(_, tx) => match tx.kind() {
                TransactionKind::Withdrawal => Kind::Withdrawal,
                TransactionKind::Sweep => Kind::Sweep,
                TransactionKind::Consolidation => Kind::Other("consolidation"),
            },
            Self::Safe { tx, .. } => match tx.kind() {
                SafeKind::Withdrawal => Kind::Withdrawal,
                SafeKind::Sweep => Kind::Sweep,
                SafeKind::Refuel => Kind::Refuel,
                SafeKind::Emptying => Kind::Emptying,
                SafeKind::Rotation => Kind::Other("rotation"),
            },
        }
    }

    /// What it spends; the first is the anchor (law L17).
    pub fn inputs(&self) -> Vec<String> {
        match self {
            Self::Bitcoin(_, tx) => tx.inputs().iter().map(|i| i.coin().outpoint.to_string()).collect(),
            Self::Safe { anchor, .. } => vec![anchor.clone()],
        }
    }

    /// The coins behind its inputs.
    pub fn coins(&self) -> Vec<SpentRow> {
        match self {
            Self::Bitcoin(_, tx) => tx.inputs().iter().map(|i| SpentRow::of(i.coin())).collect(),
            Self::Safe { .. } => Vec::new(),
        }
    }

    /// The fee.
    pub fn fee(&self) -> FeeSeen {
        match self {
            Self::Bitcoin(_, tx) => FeeSeen::of_bytes(tx.fee_sat(), tx.vbytes()),
            Self::Safe { tx, rate, .. } if tx.kind() == SafeKind::Emptying => {
                emptying::fee_of_checked(tx, *rate)
            }
            Self::Safe { tx, rate, .. } => gas::fee_of(tx.call().safe_tx_gas, payees(tx).count(), *rate),
        }
    }

    /// What leaves the wallet, with the fee where the wallet pays it.
    pub fn outgoing(&self) -> u128 {
        match self {
            Self::Bitcoin(_, tx) => {
                let spent: u64 = tx.inputs().iter().map(|i| i.coin().amount_sat).sum();
                u128::from(spent.saturating_sub(tx.change().map_or(0, |found| found.amount_sat())))
            }
            Self::Safe { tx, .. } => paid(tx),
        }
    }

    /// What it empties.
    pub fn emptied(&self) -> &[EmptiedRow] {
        match self {
            Self::Bitcoin(..) => &[],
            Self::Safe { emptied, .. } => emptied,
        }
    }

    /// The hot Safe that it brings what it empties to, and its chain.
    pub fn brings_to(&self, context: &Context) -> Option<(ChainId, Address)> {
        let Self::Safe { tx, asset, .. } = self else { return None };
        let chain = asset.chain().evm()?;
        Some((chain, emptying::bound_for(context.safes.get(&chain)?, tx.actions())?))
    }

    /// What comes back, with its script.
    pub fn change(&self) -> Option<(ChangeRow, Arc<OwnScript>)> {
        let Self::Bitcoin(_, tx) = self else { return None };
        tx.change().map(|found| {
            let (vout, amount_sat, script) = (found.vout(), found.amount_sat(), found.script());
            (ChangeRow { vout, amount_sat, index: script.index() }, script.clone())
        })
    }

    /// What goes to the cold wallet, and at which index there.
    pub fn swept(&self) -> Option<(u128, u32)> {
        match self {
            Self::Bitcoin(_, tx) => {
                tx.cold().map(|found| (u128::from(found.amount_sat()), found.script().index()))
            }
            Self::Safe { tx, .. } => (self.kind() == Kind::Sweep).then(|| (paid(tx), 0)),
        }
    }
}

/// What the payments of a Safe transaction come to; beyond 128 bits it is more than anything that is counted.
fn paid(tx: &CheckedSafeTx) -> u128 {
    payees(tx)
        .fold(0u128, |sum, payee| sum.saturating_add(payee.amount.amount().map_or(u128::MAX, Amount::units)))
}

/// Whom a Safe transaction pays.
pub fn payees(tx: &CheckedSafeTx) -> impl Iterator<Item = &Payee> {
    tx.actions().iter().filter_map(|action| match action {
        Action::Pay(payee) => Some(payee),
        Action::Deploy(_) | Action::Nested { .. } | Action::Swap(_) => None,
    })
}
