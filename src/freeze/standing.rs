//! What a freeze and a resume change, as plain steps on a value. Reads no clock and no file.

use serde::{Deserialize, Serialize};

use crate::evidence::{VerifiedFreeze, VerifiedResume};
use crate::withdrawal::{Code, Finding, FreezeId, Scope, Seconds};

/// How many ids of freezes and resumes are remembered. The oldest is forgotten; by then its time is over.
const USED_MAX: usize = 256;
/// How many past freezes are remembered. The two oldest become one.
const PAST_MAX: usize = 64;

/// A resume that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    pub(super) scope: String,
    pub(super) reviewed: u64,
    pub(super) effective_at: u64,
    pub(super) people: Vec<String>,
    pub(super) digest: String,
}

/// A freeze in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freezing {
    /// Its id; empty where the marker could not be read.
    pub id: String,
    /// Who froze.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// What was asked from then on needs approval, in Unix seconds.
    pub since: u64,
    /// When it was taken, in Unix seconds.
    pub frozen_at: u64,
    /// How many entries the log had: what was written from then on is not handed out.
    pub log_size: u64,
    /// The fingerprint of the operator's key.
    pub key: String,
    /// SHA-256 of the text, hex.
    pub digest: String,
    /// The index of its log entry.
    pub noted: Option<u64>,
    /// Whether sweeps go on.
    pub sweeps_resumed: bool,
    pub(super) resume: Option<Pending>,
}

/// The time of a freeze that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    since: u64,
    until: u64,
}

/// A resume whose delay may have passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The freeze it ends.
    pub freeze: String,
    /// How much resumes.
    pub scope: Scope,
    /// The largest log index reviewed.
    pub reviewed: u64,
    /// When it takes effect.
    pub effective_at: Seconds,
    /// Who signed.
    pub people: Vec<String>,
    /// SHA-256 of its text, hex.
    pub digest: String,
    /// The time from which on requests need approval.
    pub since: Seconds,
}

/// Whether a party may sign, and what was asked while it might not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    freeze: Option<Freezing>,
    past: Vec<Window>,
    used: Vec<String>,
}

impl Standing {
    /// That of a party whose marker cannot be read: frozen, since ever, until somebody freezes it by a name.
    pub(super) fn unreadable() -> Self {
        let freeze = Freezing {
            id: String::new(),
            operator: "-".to_owned(),
            reason: "the marker cannot be read".to_owned(),
            since: 0,
            frozen_at: 0,
            log_size: 0,
            key: String::new(),
            digest: String::new(),
            noted: None,
            sweeps_resumed: false,
            resume: None,
        };
        Self { freeze: Some(freeze), past: Vec::new(), used: Vec::new() }
    }

    /// The freeze in force.
    pub fn in_force(&self) -> Option<&Freezing> {
        self.freeze.as_ref()
    }

    /// Whether payments are signed.
    pub fn pays(&self) -> bool {
        self.freeze.is_none()
    }

    /// Whether sweeps are signed.
    pub fn sweeps(&self) -> bool {
        self.freeze.as_ref().is_none_or(|freeze| freeze.sweeps_resumed)
    }

    /// Whether a time lies within a freeze.
    pub fn is_within(&self, at: Seconds) -> bool {
        let past = self.past.iter().any(|window| (window.since..window.until).contains(&at.0));
        past || self.freeze.as_ref().is_some_and(|freeze| freeze.since <= at.0)
    }

    /// Begins a freeze. One that was seen before changes nothing, be it in force or ended: an id is used once. A new one
    /// voids the resume that waits, and keeps the earlier time of the freeze it takes the place of.
    pub(super) fn freeze(&mut self, order: &VerifiedFreeze, now: Seconds, log_size: u64) {
        let text = order.text();
        let id = text.freeze.to_string();
        if !self.use_up(&id) {
            return;
        }
        let old = self.freeze.take();
        let (since, log_size) = match &old {
            Some(old) => (old.since.min(text.at.0), old.log_size.min(log_size)),
            None => (text.at.0, log_size),
        };
        self.freeze = Some(Freezing {
            id,
            operator: text.operator.clone(),
            reason: text.reason.clone(),
            since,
            frozen_at: now.0,
            log_size,
            key: order.key_fingerprint().to_owned(),
            digest: data_encoding::HEXLOWER.encode(order.digest()),
            noted: None,
            sweeps_resumed: false,
            resume: None,
        });
    }

    /// Takes a resume whose quorum is complete. It must name the freeze in force, once that is in the log, and an index
    /// that the log has, at or above the freeze's own entry.
    pub(super) fn resume(
        &mut self,
        order: &VerifiedResume,
        effective_at: Seconds,
        log_size: u64,
    ) -> Result<(), Finding> {
        let no = |detail: String| Err(Finding::new(Code::ResumeInvalid, detail));
        let text = order.text();
        let digest = data_encoding::HEXLOWER.encode(order.digest());
        let Some(freeze) = self.freeze.as_ref().filter(|freeze| freeze.id == text.freeze.to_string()) else {
            return no(format!("{} is not in force", text.freeze));
        };
        if freeze.resume.as_ref().is_some_and(|pending| pending.digest == digest) {
            return Ok(());
        }
        let Some(noted) = freeze.noted else {
            return no("the freeze is not in the log yet: the store must be writable first".to_owned());
        };
        if text.reviewed < noted || text.reviewed >= log_size {
            return no(format!("index {} was reviewed, the freeze is {noted} of {log_size}", text.reviewed));
        }
        if !self.use_up(&digest) {
            return no("this very resume was taken before".to_owned());
        }
        if let Some(freeze) = &mut self.freeze {
            freeze.resume = Some(Pending {
                scope: text.scope.as_str().to_owned(),
                reviewed: text.reviewed,
                effective_at: effective_at.0,
                people: order.people().keys().cloned().collect(),
                digest,
            });
        }
        Ok(())
    }

    /// The resume that waits.
    pub fn waiting(&self) -> Option<Due> {
        let freeze = self.freeze.as_ref()?;
        let pending = freeze.resume.as_ref()?;
        Some(Due {
            freeze: freeze.id.clone(),
            // A scope that cannot be read resumes nothing.
            scope: Scope::parse(&pending.scope)?,
            reviewed: pending.reviewed,
            effective_at: Seconds(pending.effective_at),
            people: pending.people.clone(),
            digest: pending.digest.clone(),
            since: Seconds(freeze.since),
        })
    }

    /// Does what a resume says, if it still waits; a freeze that came since has voided it.
    pub(super) fn release(&mut self, due: &Due, now: Seconds) -> bool {
        if self.waiting().as_ref() != Some(due) || now < due.effective_at {
            return false;
        }
        match due.scope {
            Scope::All => {
                self.past.push(Window { since: due.since.0, until: now.0 });
                self.join_oldest();
                self.freeze = None;
            }
            Scope::Sweeps => {
                if let Some(freeze) = &mut self.freeze {
                    freeze.sweeps_resumed = true;
                    freeze.resume = None;
                }
            }
        }
        true
    }

    /// Remembers at which index the freeze stands in the log.
    pub(super) fn note(&mut self, id: &str, log_index: u64) {
        if let Some(freeze) = self.freeze.as_mut().filter(|freeze| freeze.id == id && freeze.noted.is_none())
        {
            freeze.noted = Some(log_index);
        }
    }

    /// A freeze that the log knows and the marker does not: the marker was lost, and it is in force.
    pub(super) fn bring_back(&mut self, freeze: Freezing) -> bool {
        let lost = self.freeze.is_none() && self.use_up(&freeze.id);
        if lost {
            self.freeze = Some(freeze);
        }
        lost
    }

    /// The time of a freeze that ended, which a lost marker does not know any more.
    pub(super) fn remember(&mut self, since: u64, until: u64) {
        let window = Window { since, until };
        let covers = |past: &Window| past.since <= since && until <= past.until;
        if !self.past.iter().any(covers) {
            self.past.insert(0, window);
            self.join_oldest();
        }
    }

    /// The id of the freeze in force, if it has one.
    pub fn id(&self) -> Option<FreezeId> {
        self.freeze.as_ref().and_then(|freeze| FreezeId::parse(&freeze.id).ok())
    }

    fn use_up(&mut self, name: &str) -> bool {
        if self.used.iter().any(|used| used == name) {
            return false;
        }
        if self.used.len() >= USED_MAX {
            self.used.remove(0);
        }
        self.used.push(name.to_owned());
        true
    }

    fn join_oldest(&mut self) {
        if self.past.len() <= PAST_MAX {
            return;
        }
        let oldest = self.past.remove(0);
        if let Some(next) = self.past.first_mut() {
            next.since = next.since.min(oldest.since);
            next.until = next.until.max(oldest.until);
        }
    }
}
