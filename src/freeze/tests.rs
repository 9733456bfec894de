//! Tests of the brake alone: permits, the file, and the order of what is durable and what is in force.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Brake, Counter, Leaving};
use crate::desk::{Caller, FreezeDesk, FreezeOrder, FreezeView, ResumeOrder, Role};
use crate::evidence::fixture::{NOW, freeze, ssh_private, trust};
use crate::evidence::{FreezeText, NAMESPACE_FREEZE, NAMESPACE_RESUME, ResumeText, sign_ssh, verify_freeze};
use crate::withdrawal::{Code, FreezeId, KeyRole, Scope, Seconds};

fn text(number: u8) -> FreezeText {
    FreezeText { freeze: FreezeId::of_bytes([number; 16]), ..freeze() }
}

fn order(number: u8) -> FreezeOrder {
    let text = text(number).render();
    FreezeOrder { signature: sign_ssh(&ssh_private(11), NAMESPACE_FREEZE, &text).unwrap(), text }
}

fn pull(brake: &Brake, number: u8) -> Result<(), Code> {
    let order = order(number);
    let verified = verify_freeze(&order.text, &order.signature, &trust(), KeyRole::Signer, NOW).unwrap();
    brake.freeze(&verified, NOW).map_err(|no| no.code())
}

fn open(folder: &Path) -> Brake {
    let brake = Brake::open(folder, KeyRole::Signer).unwrap();
    brake.know_log(|| 100);
    brake
}

/// A counter of one person's quorum and a minute's delay, at a time that moves.
struct Office {
    brake: Arc<Brake>,
    counter: Counter,
    ahead: Arc<AtomicU64>,
}

impl Office {
    fn open(folder: &Path) -> Self {
        let brake = Arc::new(open(folder));
        let ahead = Arc::new(AtomicU64::new(0));
        let mut rules = wallet_policy::settings::FreezeRules { resume_delay_s: 60, ..Default::default() };
        rules.resume_needs.0 = [("treasury".to_owned(), 1)].into();
        let later = ahead.clone();
        let clock = Arc::new(move || NOW.plus(later.load(Ordering::Relaxed)));
        let counter = Counter::new(brake.clone(), Arc::new(trust()), rules, clock);
        Self { brake, counter, ahead }
    }

    fn caller() -> Caller {
        Caller { role: Role::Operator, name: "x".into(), not_after: Seconds(u64::MAX) }
    }

    fn now(&self) -> Seconds {
        NOW.plus(self.ahead.load(Ordering::Relaxed))
    }

    async fn freeze(&self, number: u8) -> FreezeView {
        self.counter.freeze(&Self::caller(), order(number)).await.unwrap()
    }

    async fn resume(&self, number: u8, reviewed: u64, scope: Scope) -> Result<FreezeView, Code> {
        let at = self.now();
        let freeze = FreezeId::of_bytes([number; 16]);
        let text =
            ResumeText { freeze, party: KeyRole::Signer, scope, reviewed, at, expires_at: at.plus(600) };
        let text = text.render();
        let signatures = vec![sign_ssh(&ssh_private(11), NAMESPACE_RESUME, &text).unwrap()];
        let order = ResumeOrder { text, signatures };
        self.counter.resume(&Self::caller(), order).await.map_err(|no| no.code())
    }
}

#[test]
fn a_marker_survives_whatever_comes_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let brake = open(dir.path());
    assert!(brake.permit(Leaving::Payment).is_ok());
    pull(&brake, 1).unwrap();
    let again = open(dir.path());
    for brake in [&brake, &again] {
        assert_eq!(brake.permit(Leaving::Payment).err().unwrap().code, Code::Frozen);
        assert_eq!(brake.permit(Leaving::Sweep).err().unwrap().code, Code::Frozen);
    }
    assert_eq!(brake.standing(), again.standing());
    assert!(again.withholds(Leaving::Payment, 100) && !again.withholds(Leaving::Payment, 99));
}

#[test]
fn a_freeze_waits_for_the_signature_that_is_being_made_and_lets_none_follow() {
    let dir = tempfile::tempdir().unwrap();
    let brake = Arc::new(open(dir.path()));
    let permit = brake.permit(Leaving::Payment).unwrap();
    let (done, told) = std::sync::mpsc::channel();
    let freezing = {
        let brake = brake.clone();
        std::thread::spawn(move || {
            pull(&brake, 1).unwrap();
            done.send(()).unwrap();
        })
    };
    assert!(told.recv_timeout(std::time::Duration::from_millis(50)).is_err(), "a permit is out");
    drop(permit);
    told.recv().unwrap();
    assert!(brake.permit(Leaving::Payment).is_err());
    freezing.join().unwrap();
}

#[test]
fn a_marker_that_was_cut_altered_or_emptied_is_a_freeze_and_a_folder_that_is_not_there_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("freeze.json");
    open(dir.path());
    let good = std::fs::read_to_string(&file).unwrap();
    for wrong in ["", "x", &good[..good.len() - 1], &good.replace("null", "true"), &format!("{good}\n")] {
        std::fs::write(&file, wrong).unwrap();
        let brake = open(dir.path());
        assert!(!brake.is_free(Leaving::Payment) && !brake.is_free(Leaving::Sweep), "{wrong:?}");
        assert!(brake.is_queued(Seconds(1), None), "whatever was asked was asked during it");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), wrong, "it is left for people to look at");
    }
    std::fs::write(&file, &good).unwrap();
    assert!(open(dir.path()).is_free(Leaving::Payment));
    // a file that is half written beside it is nothing
    std::fs::write(dir.path().join("freeze.json.new"), "half").unwrap();
    assert!(open(dir.path()).is_free(Leaving::Payment));
    assert!(Brake::open(&dir.path().join("nowhere"), KeyRole::Signer).is_err());
}

#[test]
fn a_freeze_whose_marker_cannot_be_written_stands_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let brake = open(dir.path());
    std::fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(pull(&brake, 1), Err(Code::FreezeNotDurable));
    assert!(!brake.is_free(Leaving::Payment));
    // the disk is repaired, and the same freeze again makes it durable
    std::fs::create_dir(dir.path()).unwrap();
    pull(&brake, 1).unwrap();
    assert!(!open(dir.path()).is_free(Leaving::Payment));
}

#[tokio::test]
async fn a_resume_waits_for_the_log_and_its_delay_and_then_frees_what_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let office = Office::open(dir.path());
    let brake = &office.brake;
    office.freeze(1).await;
    assert_eq!(office.resume(1, 99, Scope::All).await.unwrap_err(), Code::ResumeInvalid, "not in the log");
    brake.note(&FreezeId::of_bytes([1; 16]).to_string(), 42);
    assert_eq!(office.resume(1, 41, Scope::All).await.unwrap_err(), Code::ResumeInvalid, "not reviewed");
    assert_eq!(office.resume(1, 100, Scope::All).await.unwrap_err(), Code::ResumeInvalid, "not there yet");
    assert_eq!(office.resume(2, 42, Scope::All).await.unwrap_err(), Code::ResumeInvalid, "another freeze");
    let view = office.resume(1, 42, Scope::Sweeps).await.unwrap();
    assert_eq!(view.in_force.unwrap().resume.unwrap().effective_at, NOW.plus(60));
    assert!(brake.due(NOW.plus(59)).is_none());
    let due = brake.due(NOW.plus(60)).unwrap();
    assert!(!brake.release(&due, NOW.plus(59)), "before its time");
    assert!(brake.release(&due, NOW.plus(60)));
    assert!(brake.is_free(Leaving::Sweep) && !brake.is_free(Leaving::Payment));
    assert!(!brake.release(&due, NOW.plus(61)), "once");
    office.ahead.store(100, Ordering::Relaxed);
    office.resume(1, 42, Scope::All).await.unwrap();
    let due = brake.due(NOW.plus(160)).unwrap();
    assert!(brake.release(&due, NOW.plus(160)));
    assert!(brake.is_free(Leaving::Payment) && open(dir.path()).is_free(Leaving::Payment));
    // what was asked meanwhile is remembered, over restarts
    for brake in [brake, &Arc::new(open(dir.path()))] {
        assert!(brake.is_queued(NOW, None) && brake.is_queued(Seconds(1), Some(NOW.plus(159))));
        assert!(!brake.is_queued(Seconds(NOW.0 - 1), None) && !brake.is_queued(NOW.plus(160), None));
    }
}

#[tokio::test]
async fn a_new_freeze_voids_the_resume_that_is_about_to_take_effect() {
    let dir = tempfile::tempdir().unwrap();
    let office = Office::open(dir.path());
    let brake = &office.brake;
    office.freeze(1).await;
    brake.note(&FreezeId::of_bytes([1; 16]).to_string(), 42);
    office.resume(1, 42, Scope::All).await.unwrap();
    let due = brake.due(NOW.plus(60)).unwrap();
    pull(brake, 2).unwrap();
    assert!(!brake.release(&due, NOW.plus(60)));
    assert!(brake.due(NOW.plus(1_000)).is_none());
    assert!(!open(dir.path()).is_free(Leaving::Payment));
    // seen before: neither freezes anew, nor voids anything
    let standing = brake.standing();
    pull(brake, 1).unwrap();
    assert_eq!(brake.standing(), standing);
}
