//! Everything one batch does, until it is committed.

use std::collections::{BTreeSet, HashMap};

use ::bitcoin::OutPoint;

use crate::audit::EntryKind;
use crate::desk::{DeskError, WithdrawalView};
use crate::flow::found::Found;
use crate::flow::ledger::journal::Draft;
use crate::flow::ledger::rows::CoinRow;
use crate::flow::transactions::Transactions;
use crate::flow::{Effect, Reply};
use crate::withdrawal::{Finding, WithdrawalId};

/// What is told after the commit, or instead of it.
pub type Told = Box<dyn FnOnce(Result<(), DeskError>) + Send>;

/// Something that people must look at: about what, by the name of the log entry's field, and what is wrong.
pub type Alarm = ((&'static str, String), Finding);

/// Everything one batch does.
pub struct Turn {
    /// What will be committed.
    pub draft: Draft,
    /// What is done once it is durable.
    pub effects: Vec<Effect>,
    /// Who is told.
    pub told: Vec<Told>,
    /// Which withdrawals changed.
    pub changed: BTreeSet<WithdrawalId>,
    /// Final withdrawals, as the store has them or as they just became.
    pub found: HashMap<WithdrawalId, Found>,
    /// The transactions of those that are released.
    pub transactions: Transactions,
    /// Who waits for which withdrawal.
    pub waiting: Vec<(WithdrawalId, Reply<WithdrawalView>, bool)>,
    /// Rows of coins that were spent before.
    pub spent: HashMap<OutPoint, CoinRow>,
    /// What people must look at: it is said once, so it is kept until it is written.
    pub(super) alarms: Vec<Alarm>,
}

impl Turn {
    pub(super) fn new(
        draft: Draft,
        (found, transactions): (HashMap<WithdrawalId, Found>, Transactions),
        spent: HashMap<OutPoint, CoinRow>,
    ) -> Self {
        Self {
            draft,
            effects: Vec::new(),
            told: Vec::new(),
            changed: BTreeSet::new(),
            found,
            transactions,
            waiting: Vec::new(),
            spent,
            alarms: Vec::new(),
        }
    }

    /// Writes an alarm down with this batch; one that the store does not take is kept for the next.
    pub fn enter_alarm(&mut self, ((field, name), finding): Alarm) {
        // What the log cannot spell would fail this commit, and with the alarm kept every one after it.
        let (about, detail) = (Draft::spelled(&name), Draft::spelled(&finding.detail));
        self.draft.entry(EntryKind::Alarm, &[("code", &finding.code), (field, &about), ("detail", &detail)]);
        self.alarms.push(((field, name), finding));
    }

    /// Tells `value` to `to` once the batch is durable; a no is told as it is, after the commit that records it.
    pub fn tell<T: Send + 'static>(&mut self, to: Reply<T>, value: Result<T, DeskError>) {
        self.told.push(Box::new(move |done| {
            let _ = to.send(done.and(value));
        }));
    }
}
