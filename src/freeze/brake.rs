//! Who may sign at this moment. A signature is made under a permit; a freeze waits for those that are out, and gives none
//! after.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use super::marker::{FolderFault, Marker};
use super::standing::{Due, Freezing, Standing};
use crate::desk::{DeskError, FreezeView, InForce, ResumePending};
use crate::evidence::{VerifiedFreeze, VerifiedResume};
use crate::withdrawal::{Code, Finding, KeyRole, Seconds};

/// What is to leave the hot wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// To a customer, or anywhere but cold.
    Payment,
    /// To the pinned cold wallet, and nowhere else.
    Sweep,
}

/// The right to sign while it is held. Held for the making of one transaction's signatures, never across a wait.
pub struct Permit<'a>(#[allow(dead_code)] RwLockReadGuard<'a, Standing>);

/// How many entries the party's log has.
type LogSize = Box<dyn Fn() -> u64 + Send + Sync>;

/// One party's brake.
pub struct Brake {
    party: KeyRole,
    standing: RwLock<Standing>,
    /// Whoever writes the file holds it; never held by whoever only signs or reads.
    marker: Mutex<Marker>,
    log_size: OnceLock<LogSize>,
}

impl Brake {
    /// Opens the folder of a party's marker. A marker that cannot be read is a freeze; a folder that cannot be written is
    /// a fault.
    pub fn open(folder: &Path, party: KeyRole) -> Result<Self, FolderFault> {
        let (marker, standing) = Marker::open(folder)?;
        if let Some(freeze) = standing.in_force() {
            tracing::error!(code = %Code::Frozen, freeze = freeze.id, "{} is frozen: {}", party.as_str(), freeze.reason);
        }
        Ok(Self {
            party,
            standing: RwLock::new(standing),
            marker: Mutex::new(marker),
            log_size: OnceLock::new(),
        })
    }

    /// Which party it stops.
    pub const fn party(&self) -> KeyRole {
        self.party
    }

    /// Learns where the size of the party's log is read. It must not wait for the store.
    pub fn know_log(&self, size: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.log_size.set(Box::new(size));
    }

    fn log_size(&self) -> u64 {
        self.log_size.get().map_or(0, |size| size())
    }

    /// The right to sign now, or FROZEN. The last thing before a signature.
    pub fn permit(&self, leaving: Leaving) -> Result<Permit<'_>, Finding> {
        let standing = self.read();
        if is_free(&standing, leaving) { Ok(Permit(standing)) } else { Err(frozen(&standing)) }
    }

    /// Whether that is signed at present.
    pub fn is_free(&self, leaving: Leaving) -> bool {
        is_free(&self.read(), leaving)
    }

    /// What is said of something that waits for the end of the freeze.
    pub fn finding(&self) -> Finding {
        frozen(&self.read())
    }

    /// Whether something lies within a freeze, by the first of these times that does: when it was asked, as its asker
    /// says; and when the party saw it first.
    pub fn is_queued(&self, asked_at: Seconds, seen_at: Option<Seconds>) -> bool {
        let standing = self.read();
        standing.is_within(asked_at) || seen_at.is_some_and(|at| standing.is_within(at))
    }

    /// Whether something written at that index is not to be handed out: it was not durable when the freeze came.
    pub fn withholds(&self, leaving: Leaving, log_index: u64) -> bool {
        let standing = self.read();
        let after = standing.in_force().is_some_and(|freeze| log_index >= freeze.log_size);
        after && !is_free(&standing, leaving)
    }

    /// The whole standing, as it is now.
    pub fn standing(&self) -> Standing {
        self.read().clone()
    }

    /// Freezes: stops at once, waits for the signatures being made, and makes it durable. If it cannot be made durable it
    /// is in force all the same, until a restart.
    pub fn freeze(&self, order: &VerifiedFreeze, now: Seconds) -> Result<(), DeskError> {
        let log_size = self.log_size();
        self.write().freeze(order, now, log_size);
        tracing::error!(code = %Code::Frozen, freeze = %order.text().freeze, operator = order.text().operator, "frozen: {}", order.text().reason);
        let marker = self.marker();
        let standing = self.standing();
        marker.write(&standing).map_err(|error| {
            DeskError::may_have_happened(
                Code::FreezeNotDurable,
                format!("the marker cannot be written: {error}"),
            )
        })
    }

    /// Takes a resume whose quorum is complete.
    pub fn resume(&self, order: &VerifiedResume, effective_at: Seconds) -> Result<(), DeskError> {
        let log_size = self.log_size();
        self.step(|standing| standing.resume(order, effective_at, log_size)).map_err(|no| match no {
            NotTaken::Refused(finding) => DeskError::Refused(finding),
            NotTaken::Disk(error) => DeskError::nothing_happened(
                Code::FreezeNotDurable,
                format!("the marker cannot be written: {error}"),
            ),
            NotTaken::Frozen => {
                let detail = "somebody froze again meanwhile";
                DeskError::Refused(Finding::new(Code::ResumeInvalid, detail))
            }
        })
    }

    /// The resume whose delay has passed.
    pub fn due(&self, now: Seconds) -> Option<Due> {
        self.read().waiting().filter(|due| due.effective_at <= now)
    }

    /// Does what a resume says, once its entry is in the log. Gives whether it did: a freeze that came since voids it.
    pub fn release(&self, due: &Due, now: Seconds) -> bool {
        let released = self.step(|standing| {
            let no = || Finding::new(Code::ResumeInvalid, "it waits no more");
            standing.release(due, now).then_some(()).ok_or_else(no)
        });
        match released {
            Ok(()) => {
                tracing::warn!(freeze = due.freeze, scope = due.scope.as_str(), "resumed");
                true
            }
            Err(NotTaken::Disk(error)) => {
                tracing::error!(code = %Code::FreezeNotDurable, "still frozen: the marker cannot be written: {error}");
                false
            }
            Err(NotTaken::Refused(_) | NotTaken::Frozen) => false,
        }
    }

    /// Remembers at which index a freeze stands in the log.
    pub fn note(&self, freeze: &str, log_index: u64) {
        let noted = self.step(|standing| {
            standing.note(freeze, log_index);
            Ok(())
        });
        if let Err(NotTaken::Disk(error)) = noted {
            tracing::error!(code = %Code::FreezeNotDurable, "the marker cannot be written: {error}");
        }
    }

    /// A freeze that the log knows and the marker does not is in force.
    pub fn bring_back(&self, freeze: Freezing) {
        if !self.write().bring_back(freeze) {
            return;
        }
        let marker = self.marker();
        if let Err(error) = marker.write(&self.standing()) {
            tracing::error!(code = %Code::FreezeNotDurable, "the marker cannot be written: {error}");
        }
    }

    /// The time of a freeze that ended: a marker that was lost is told of it by the log.
    pub fn remember(&self, since: u64, until: u64) {
        self.write().remember(since, until);
    }

    /// How the party stands, as people are shown it.
    pub fn view(&self, resume_delay_s: u64, at: Seconds) -> FreezeView {
        let standing = self.standing();
        let resume = standing.waiting().map(|due| ResumePending {
            scope: due.scope,
            reviewed: due.reviewed,
            effective_at: due.effective_at,
            people: due.people,
        });
        let in_force = standing.in_force().map(|freeze| InForce {
            freeze: standing.id(),
            operator: freeze.operator.clone(),
            reason: freeze.reason.clone(),
            since: Seconds(freeze.since),
            frozen_at: Seconds(freeze.frozen_at),
            log_index: freeze.noted,
            sweeps_resumed: freeze.sweeps_resumed,
            resume,
        });
        FreezeView { party: self.party, in_force, log_size: self.log_size(), resume_delay_s, at }
    }

    /// A step that loosens: durable first, then in memory, and only if nobody froze meanwhile. A freeze that comes while the
    /// file is written waits for the file, and then writes its own.
    fn step(&self, step: impl Fn(&mut Standing) -> Result<(), Finding>) -> Result<(), NotTaken> {
        let marker = self.marker();
        let old = self.standing();
        let mut new = old.clone();
        step(&mut new).map_err(NotTaken::Refused)?;
        if new == old {
            return Ok(());
        }
        marker.write(&new).map_err(NotTaken::Disk)?;
        let mut standing = self.write();
        if *standing != old {
            return Err(NotTaken::Frozen);
        }
        *standing = new;
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Standing> {
        self.standing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Standing> {
        self.standing.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn marker(&self) -> MutexGuard<'_, Marker> {
        self.marker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a step was not taken.
enum NotTaken {
    Refused(Finding),
    Disk(std::io::Error),
    Frozen,
}

fn is_free(standing: &Standing, leaving: Leaving) -> bool {
    match leaving {
        Leaving::Payment => standing.pays(),
        Leaving::Sweep => standing.sweeps(),
    }
}

fn frozen(standing: &Standing) -> Finding {
    let detail = match standing.in_force() {
        Some(freeze) => format!("{} froze it: {}", freeze.operator, freeze.reason),
        None => "it was frozen a moment ago".to_owned(),
    };
    Finding::new(Code::Frozen, detail)
}
