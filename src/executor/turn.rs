//! One turn: facts in; changes, troubles and what is to be sent out. It waits for nothing and asks nobody.

use std::collections::BTreeMap;

use crate::withdrawal::{Code, Seconds};

use super::change::Change;
use super::facts::Facts;
use super::job::{Held, JobKey};
use super::ledger::Ledger;
use super::rules::Rules;

/// What a trouble is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The account as a whole.
    Account,
    /// One of its nonces.
    Nonce(u64),
    /// A job.
    Job(JobKey),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account => f.write_str("account"),
            Self::Nonce(nonce) => write!(f, "nonce {nonce}"),
            Self::Job(key) => write!(f, "safe {key}"),
        }
    }
}

/// A trouble that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ailing {
    /// More, for people.
    pub detail: String,
    /// Since when.
    pub since: Seconds,
    /// Whether an alarm was written.
    pub told: bool,
}

/// Troubles by what they are about; remembered from turn to turn, in memory only.
pub type Troubles = BTreeMap<(Subject, Code), Ailing>;

/// A turn under way. The ledger is a copy that becomes true when the changes are durable.
pub struct Turn<'a> {
    pub(super) ledger: Ledger,
    pub(super) facts: &'a Facts,
    pub(super) rules: &'a Rules,
    pub(super) changes: Vec<Change>,
    now_ailing: BTreeMap<(Subject, Code), (String, bool)>,
}

/// What a turn comes to.
#[derive(Debug)]
pub struct Decided {
    /// The ledger once the changes are durable.
    pub ledger: Ledger,
    /// What is to be written, in order.
    pub changes: Vec<Change>,
    /// The troubles that last.
    pub troubles: Troubles,
}

/// Decides one turn.
pub fn decide(ledger: &Ledger, facts: &Facts, rules: &Rules, troubles: &Troubles) -> Decided {
    let (changes, now_ailing) = (Vec::new(), BTreeMap::new());
    let mut turn = Turn { ledger: ledger.clone(), facts, rules, changes, now_ailing };
    if turn.observe() {
        turn.plan();
    }
    turn.close(troubles)
}

impl Turn<'_> {
    pub(super) fn push(&mut self, change: Change) {
        self.ledger.apply(&change);
        self.changes.push(change);
    }

    /// Something is not as it should be. It is an alarm at once, or when it has lasted.
    pub(super) fn ails(&mut self, subject: Subject, code: Code, detail: String, at_once: bool) {
        self.now_ailing.entry((subject, code)).or_insert((detail, at_once));
    }

    /// A job is not sent: held with this code, and written down when that is news.
    pub(super) fn hold(&mut self, key: JobKey, code: Code, detail: String) {
        let known = self.ledger.jobs.get(&key).and_then(|job| job.held.as_ref());
        if known.is_none_or(|held| held.code != code) {
            let held = Held { code, detail: detail.clone(), at: self.facts.basics.now };
            self.push(Change::Held { job: key, held });
        }
        self.ails(Subject::Job(key), code, detail, false);
    }

    fn close(mut self, before: &Troubles) -> Decided {
        let (now, patience) = (self.facts.basics.now, self.rules.alarm_after_s);
        let mut troubles = Troubles::new();
        for ((subject, code), (detail, at_once)) in std::mem::take(&mut self.now_ailing) {
            let known = before.get(&(subject, code));
            let since = known.map_or(now, |ailing| ailing.since);
            let long = now.since(since).is_some_and(|lasted| lasted >= patience);
            let told = known.is_some_and(|ailing| ailing.told);
            let due = at_once || long;
            if due && !told {
                let subject = subject.to_string();
                self.push(Change::Alarm { code, subject, detail: detail.clone() });
            }
            troubles.insert((subject, code), Ailing { detail, since, told: told || due });
        }
        Decided { ledger: self.ledger, changes: self.changes, troubles }
    }
}
