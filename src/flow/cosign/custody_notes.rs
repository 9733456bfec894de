//! What this process knows of a custodian's answers: which did not hold, and what the signer is told. Lost at each start.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{error, warn};

use crate::custodian::{Answer, Custodian, CustodianFault, Inbox};
use crate::flow::ledger::rows::CosignedRow;
use crate::keys::IdentityKey;
use crate::withdrawal::{Code, Finding, ReservationId};

/// How many different answers to one transaction raise an alarm; the others are only told on standard error.
const ALARMS_MAX: usize = 16;
/// How many of them are remembered; the others are looked at again at each turn.
const REFUSED_MAX: usize = 256;

/// A custodian, and what this process knows of its answers.
pub struct Custody {
    pub(super) custodian: Custodian,
    pub(super) identity: Arc<IdentityKey>,
    every: Duration,
    pub(super) woken: Notify,
    notes: Mutex<HashMap<ReservationId, Note>>,
}

/// What is known of one transaction that is waited for.
#[derive(Default)]
struct Note {
    /// What to say of it, where there is more than that it is late.
    finding: Option<Finding>,
    /// Digests of answers that did not hold.
    refused: HashSet<[u8; 32]>,
}

impl Custody {
    /// A custodian who is asked `every` so often; `identity` signs the orders.
    pub fn new(custodian: Custodian, identity: Arc<IdentityKey>, every: Duration) -> Self {
        Self { custodian, identity, every, woken: Notify::new(), notes: Mutex::default() }
    }

    /// Where the custodian's own calls end, if it calls.
    pub fn inbox(&self) -> Option<Arc<Inbox>> {
        self.custodian.inbox()
    }

    /// Until the next turn is due, something was booked, or the custodian has called.
    pub(super) async fn pause(&self) {
        tokio::select! {
            () = tokio::time::sleep(self.every) => {}
            () = self.woken.notified() => {}
            () = self.custodian.rung() => {}
        }
    }

    /// Forgets what is over, and lets answers be called in for these.
    pub(super) async fn expect(&self, pending: &BTreeMap<ReservationId, Arc<CosignedRow>>, is_certain: bool) {
        self.notes().retain(|id, _| pending.contains_key(id));
        if let Err(fault) = self.custodian.expect(pending.keys().copied().collect(), is_certain).await {
            error!("the inbox of called-in answers cannot be used: {fault}");
        }
    }

    /// What does not hold leaves its place in the inbox to a better answer.
    pub(super) async fn drop_refused(&self, id: ReservationId, answer: Answer) {
        if let Err(fault) = self.custodian.refused(id, answer).await {
            warn!(reservation = %id, "an answer that does not hold still lies in the inbox: {fault}");
        }
    }

    fn notes(&self) -> MutexGuard<'_, HashMap<ReservationId, Note>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, id: ReservationId, finding: Option<Finding>) {
        self.notes().entry(id).or_default().finding = finding;
    }

    /// What the signer is told of a transaction that waits.
    pub(super) fn finding(&self, id: ReservationId) -> Finding {
        let known = self.notes().get(&id).and_then(|note| note.finding.clone());
        known.unwrap_or_else(|| {
            Finding::new(Code::CustodianPending, "booked; the custodian has not handed back a signature yet")
        })
    }

    pub(super) fn unreachable(&self, id: ReservationId, fault: &CustodianFault) {
        let finding = Finding::new(Code::CustodianUnreachable, fault.to_string());
        let said = self.notes().get(&id).is_some_and(|note| note.finding.as_ref() == Some(&finding));
        if !said {
            warn!(code = %finding.code, reservation = %id, "{fault}");
        }
        self.note(id, Some(finding));
    }

    /// Whether one more answer that does not hold raises an alarm.
    pub(super) fn still_alarms(&self, id: ReservationId) -> bool {
        self.notes().get(&id).is_none_or(|note| note.refused.len() < ALARMS_MAX)
    }

    /// This answer is not looked at again, and this is what the signer is told.
    pub(super) fn refuse(&self, id: ReservationId, digest: [u8; 32], waits: Finding) {
        let mut notes = self.notes();
        let note = notes.entry(id).or_default();
        if note.refused.len() < REFUSED_MAX {
            note.refused.insert(digest);
        }
        note.finding = Some(waits);
    }

    /// Whether this answer was looked at before and did not hold.
    pub(super) fn was_refused(&self, id: ReservationId, digest: &[u8; 32]) -> bool {
        self.notes().get(&id).is_some_and(|note| note.refused.contains(digest))
    }
}
