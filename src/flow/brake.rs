//! What the log is told of freezes (laws L15, L21): noted as soon as the store can be written, once each; and how a resume
//! takes effect, after its entry is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::ledger::journal::{Draft, JournalFault};
use super::ledger::rows;
use crate::audit::EntryKind;
use crate::desk::WithdrawalView;
use crate::freeze::{Brake, Due, Freezing, Leaving};
use crate::store::{Row, Table};
use crate::withdrawal::{Outcome, Scope, Seconds};

const PREFIX: &str = "freeze/";
const FROZEN: &str = "frozen";
const RESUMED: &str = "resumed";

/// A freeze as the store has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct FreezeRow {
    freeze: Freezing,
    log_index: u64,
    /// The digests of the resumes that were ordered.
    ordered: Vec<String>,
    /// The digests of those that took effect.
    done: Vec<String>,
    /// When it ended.
    until: Option<u64>,
}

/// The freezes that the log knows, by id.
#[derive(Debug, Default)]
pub struct Noted(BTreeMap<String, FreezeRow>);

impl Noted {
    /// Looks at a row of the table of settings.
    pub fn visit(&mut self, row: &Row) -> Result<(), JournalFault> {
        let Some(id) = row.key().strip_prefix(PREFIX) else { return Ok(()) };
        let read = rows::read(row.key(), row.content());
        let read = read.map_err(|_| JournalFault::Unreadable(row.key().to_owned()))?;
        self.0.insert(id.to_owned(), read);
        Ok(())
    }

    /// At a start: what the log knows of freezes and a lost marker does not.
    pub fn remind(&self, brake: &Brake) {
        for (id, row) in &self.0 {
            match row.until {
                Some(until) => brake.remember(row.freeze.since, until),
                None => brake.bring_back(row.freeze.clone()),
            }
            brake.note(id, row.log_index);
        }
    }

    fn write(&self, draft: &mut Draft, id: &str) {
        if let Some(row) = self.0.get(id) {
            let (state, now) = (if row.until.is_some() { RESUMED } else { FROZEN }, draft.now());
            draft.row(Table::Setting, format!("{PREFIX}{id}"), state, now, rows::write(row));
        }
    }
}

/// What is done to the brake once a draft is durable.
pub enum After {
    /// The freeze stands in the log at that index.
    Noted(String, u64),
    /// The resume stands in the log and takes effect.
    Release(Box<Due>),
}

impl After {
    /// Does it.
    pub fn act(self, brake: &Brake, now: Seconds) {
        match self {
            Self::Noted(id, log_index) => brake.note(&id, log_index),
            Self::Release(due) => {
                brake.release(&due, now);
            }
        }
    }
}

/// Whether the brake has something that the log does not know yet.
pub fn has_news(context: &Context, noted: &Noted) -> bool {
    let standing = context.brake.standing();
    let unknown = standing.id().is_some_and(|id| !noted.0.contains_key(&id.to_string()));
    let unordered = standing
        .waiting()
        .is_some_and(|due| noted.0.get(&due.freeze).is_some_and(|row| !row.ordered.contains(&due.digest)));
    unknown || unordered || context.brake.due(context.now()).is_some()
}

/// Writes down what the log does not know yet.
pub fn note(context: &Context, noted: &mut Noted, draft: &mut Draft) -> Vec<After> {
    let standing = context.brake.standing();
    let mut after = Vec::new();
    if let (Some(id), Some(freeze)) = (standing.id(), standing.in_force()) {
        let id = id.to_string();
        if !noted.0.contains_key(&id) {
            let log_index = enter_frozen(noted, draft, &id, freeze);
            after.push(After::Noted(id, log_index));
        }
    }
    if let Some(due) = standing.waiting() {
        enter_ordered(noted, draft, &due);
    }
    if let Some(due) = context.brake.due(draft.now()) {
        enter_resumed(noted, draft, &due);
        after.push(After::Release(Box::new(due)));
    }
    after
}

fn enter_frozen(noted: &mut Noted, draft: &mut Draft, id: &str, freeze: &Freezing) -> u64 {
    let log_index = draft.entry(
        EntryKind::Frozen,
        &[
            ("freeze", &id),
            ("operator", &freeze.operator),
            ("since", &freeze.since),
            ("reason", &freeze.reason),
            ("frozen_at", &freeze.frozen_at),
            ("key", &freeze.key),
            ("text_digest", &freeze.digest),
        ],
    );
    let freeze = freeze.clone();
    let row = FreezeRow { freeze, log_index, ordered: Vec::new(), done: Vec::new(), until: None };
    noted.0.insert(id.to_owned(), row);
    noted.write(draft, id);
    log_index
}

fn enter_ordered(noted: &mut Noted, draft: &mut Draft, due: &Due) {
    let Some(row) = noted.0.get_mut(&due.freeze) else { return };
    if row.ordered.contains(&due.digest) {
        return;
    }
    draft.entry(
        EntryKind::ResumeOrdered,
        &[
            ("freeze", &due.freeze),
            ("scope", &due.scope.as_str()),
            ("reviewed", &due.reviewed),
            ("effective_at", &due.effective_at.0),
            ("operators", &due.people.join(" ")),
            ("text_digest", &due.digest),
        ],
    );
    row.ordered.push(due.digest.clone());
    noted.write(draft, &due.freeze);
}

/// Written before it takes effect. After a crash between the two the start finds it written, and lets it take effect.
fn enter_resumed(noted: &mut Noted, draft: &mut Draft, due: &Due) {
    let until = draft.now();
    let Some(row) = noted.0.get_mut(&due.freeze) else { return };
    if row.done.contains(&due.digest) {
        return;
    }
    row.done.push(due.digest.clone());
    draft.entry(
        EntryKind::Resumed,
        &[
            ("freeze", &due.freeze),
            ("scope", &due.scope.as_str()),
            ("since", &due.since.0),
            ("until", &until.0),
            ("operators", &due.people.join(" ")),
            ("text_digest", &due.digest),
        ],
    );
    // With the newest all those end whose place it took.
    let ended: Vec<String> = match due.scope {
        Scope::Sweeps => vec![due.freeze.clone()],
        Scope::All => {
            noted.0.iter().filter(|(_, row)| row.until.is_none()).map(|(id, _)| id.clone()).collect()
        }
    };
    for id in ended {
        if let Some(row) = noted.0.get_mut(&id).filter(|_| due.scope == Scope::All) {
            row.until = Some(until.0);
        }
        noted.write(draft, &id);
    }
}

/// What a caller is shown: a transaction that was finished but not yet handed out when the freeze came stays here, and its
/// withdrawal waits.
pub fn shown(brake: &Arc<Brake>, view: WithdrawalView) -> WithdrawalView {
    if view.raw_transaction.is_empty() || !brake.withholds(Leaving::Payment, view.log_index) {
        return view;
    }
    let outcome = Outcome::Held(vec![brake.finding()]);
    WithdrawalView { raw_transaction: Vec::new(), prevouts: Vec::new(), outcome, ..view }
}
