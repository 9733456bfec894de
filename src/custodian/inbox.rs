//! The inbox of answers that a custodian calls in: a folder of this party's own, bounded, whose files are whole and synced before
//! anybody is told so. It judges nothing; which of them holds is found where answers are judged.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::Access;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::folder::{apart, fault, put, read, settle};
use super::{Answer, CustodianFault};
use crate::withdrawal::ReservationId;

/// Most answers to one reservation that wait to be judged.
pub const ANSWERS_MAX: usize = 16;
/// Most answers that wait to be judged.
pub const FILES_MAX: usize = 1_024;
/// Most bytes of them together.
pub const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How many answers that were taken are known again when they are repeated after their end.
const TAKEN_MAX: usize = 1_024;
/// What follows the reservation and the number in a file's name.
const ENDING: &str = ".answer";

/// What became of an answer that was called in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is durable, now or since it came before.
    Durable,
    /// Nobody waits for this reservation; nothing was written.
    NotAwaited,
    /// It is not known yet what is waited for; nothing was written.
    TooEarly,
    /// There is no room; nothing was written.
    Full,
}

/// A folder for answers that are called in. It is there before the co-signer starts, and nobody else writes into it.
pub struct Inbox {
    folder: PathBuf,
    desk: Mutex<Desk>,
    rung: Notify,
}

#[derive(Default)]
struct Desk {
    /// What is waited for, once that is known.
    awaited: Option<HashSet<ReservationId>>,
    /// Digests of what was taken, the newest last.
    taken: VecDeque<(ReservationId, [u8; 32])>,
}

/// A file of the inbox.
struct Lying {
    path: PathBuf,
    len: u64,
}

/// Answers in the order in which they came, of each reservation.
type All = BTreeMap<(ReservationId, u64), Lying>;

impl Inbox {
    /// Takes a folder that is there and can be written to.
    pub fn open(folder: PathBuf) -> Result<Self, CustodianFault> {
        if !folder.is_dir() {
            return Err(fault(&folder, "it is no folder; `countersign init` makes it"));
        }
        let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::access(&folder, all).map_err(|error| fault(&folder, &error.to_string()))?;
        Ok(Self { folder, desk: Mutex::default(), rung: Notify::new() })
    }

    /// Makes an answer durable, unless it is, or is not waited for, or there is no room.
    ///
    /// Blocks for as long as the file system does. After a fault nothing is known: the answer may be there.
    pub fn take(&self, id: ReservationId, bytes: &[u8]) -> Result<Taken, CustodianFault> {
        let mut desk = self.desk();
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        match &desk.awaited {
            None => return Ok(Taken::TooEarly),
            Some(awaited) if !awaited.contains(&id) => {
                let came_before = desk.taken.contains(&(id, digest));
                return Ok(if came_before { Taken::Durable } else { Taken::NotAwaited });
            }
            Some(_) => {}
        }
        let all = all(&self.folder)?;
        let of_it = || all.range((id, 0)..=(id, u64::MAX));
        if let Some((_, same)) = of_it().find(|(_, lying)| holds(lying, bytes)) {
            // It may be there because an earlier call broke off before it was synced.
            settle(&self.folder, &same.path)?;
            return Ok(Taken::Durable);
        }
        let held: u64 = all.values().fold(0, |sum, lying| sum.saturating_add(lying.len));
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if of_it().count() >= ANSWERS_MAX || all.len() >= FILES_MAX || held.saturating_add(len) > BYTES_MAX {
            return Ok(Taken::Full);
        }
        let number = of_it().next_back().map_or(0, |((_, number), _)| number.saturating_add(1));
        put(&self.folder, &format!("{id}.{number}{ENDING}"), bytes)?;
        desk.taken.push_back((id, digest));
        if desk.taken.len() > TAKEN_MAX {
            desk.taken.pop_front();
        }
        drop(desk);
        self.rung.notify_one();
        Ok(Taken::Durable)
    }

    /// Ends when an answer has come since the last time.
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// From now on these are waited for. With `is_certain`, what lies there for others is taken away, and told.
    pub(super) fn expect(
        &self,
        awaited: HashSet<ReservationId>,
        is_certain: bool,
    ) -> Result<(), CustodianFault> {
        // The word first: a folder that cannot be read must not turn away what is waited for.
        let mut desk = self.desk();
        let awaited = desk.awaited.insert(awaited);
        if !is_certain {
            return Ok(());
        }
        for ((id, _), lying) in all(&self.folder)?.iter().filter(|((id, _), _)| !awaited.contains(id)) {
            warn!(reservation = %id, "an answer to what nobody waits for any more is taken out of the inbox");
            remove(&lying.path)?;
        }
        Ok(())
    }

    /// What came for a reservation, in the order in which it became durable.
    pub(super) fn answers(&self, id: ReservationId) -> Result<Vec<Answer>, CustodianFault> {
        let _desk = self.desk();
        let mut found = Vec::new();
        for lying in all(&self.folder)?.range((id, 0)..=(id, u64::MAX)).map(|(_, lying)| lying) {
            let read = read(&lying.path).map_err(|error| fault(&lying.path, &error.to_string()))?;
            let from = lying.path.display().to_string();
            found.extend(read.map(|bytes| Answer { from, bytes }));
        }
        Ok(found)
    }

    /// An answer was judged and does not hold: its place is free for a better one.
    pub(super) fn refused(&self, id: ReservationId, bytes: &[u8]) -> Result<(), CustodianFault> {
        let _desk = self.desk();
        for lying in all(&self.folder)?.range((id, 0)..=(id, u64::MAX)).map(|(_, lying)| lying) {
            if holds(lying, bytes) {
                remove(&lying.path)?;
            }
        }
        Ok(())
    }

    /// The answer is durable elsewhere: nothing for this reservation need lie here, and nothing more is waited for.
    pub(super) fn done(&self, id: ReservationId) -> Result<(), CustodianFault> {
        let mut desk = self.desk();
        if let Some(awaited) = &mut desk.awaited {
            awaited.remove(&id);
        }
        for lying in all(&self.folder)?.range((id, 0)..=(id, u64::MAX)).map(|(_, lying)| lying) {
            remove(&lying.path)?;
            info!(reservation = %id, "an answer that was called in is taken out of the inbox");
        }
        Ok(())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same, where the caller must not block.
pub(super) async fn at<T: Send + 'static>(
    inbox: &std::sync::Arc<Inbox>,
    work: impl FnOnce(&Inbox) -> Result<T, CustodianFault> + Send + 'static,
) -> Result<T, CustodianFault> {
    let inbox = inbox.clone();
    apart(move || work(&inbox)).await
}

/// Every answer that lies there. Files of other names are not looked at.
fn all(folder: &Path) -> Result<All, CustodianFault> {
    let no = |error: std::io::Error| fault(folder, &error.to_string());
    let mut all = All::new();
    for entry in std::fs::read_dir(folder).map_err(no)? {
        let entry = entry.map_err(no)?;
        if let Some(key) = key_of(&entry) {
            let len = entry.metadata().map_err(no)?.len();
            all.insert(key, Lying { path: entry.path(), len });
        }
    }
    Ok(all)
}

/// `<reservation>.<number>.answer`
fn key_of(entry: &DirEntry) -> Option<(ReservationId, u64)> {
    let name = entry.file_name();
    let (id, number) = name.to_str()?.strip_suffix(ENDING)?.split_once('.')?;
    Some((ReservationId::parse(id).ok()?, number.parse().ok()?))
}

fn holds(lying: &Lying, bytes: &[u8]) -> bool {
    read(&lying.path).is_ok_and(|there| there.as_deref() == Some(bytes))
}

fn remove(path: &Path) -> Result<(), CustodianFault> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(fault(path, &error.to_string())),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(byte: u8) -> ReservationId {
        ReservationId::of_txid(&[byte; 32])
    }

    fn inbox(dir: &Path) -> Inbox {
        let inbox = Inbox::open(dir.to_owned()).unwrap();
        inbox.expect([id(1), id(2)].into(), true).unwrap();
        inbox
    }

    fn bytes(inbox: &Inbox, of: ReservationId) -> Vec<Vec<u8>> {
        inbox.answers(of).unwrap().into_iter().map(|answer| answer.bytes).collect()
    }

    #[test]
    fn what_is_waited_for_is_kept_once_and_in_order_over_a_start() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Inbox::open(dir.path().join("none")).is_err(), "nothing is made here");
        let early = Inbox::open(dir.path().to_owned()).unwrap();
        assert_eq!(early.take(id(1), b"a").unwrap(), Taken::TooEarly);
        let first = inbox(dir.path());
        for answer in [b"b", b"a", b"b", b"c"] {
            assert_eq!(first.take(id(1), answer).unwrap(), Taken::Durable);
        }
        assert_eq!(first.take(id(3), b"a").unwrap(), Taken::NotAwaited);
        let again = inbox(dir.path());
        assert_eq!(bytes(&again, id(1)), [b"b", b"a", b"c"]);
        assert_eq!(again.take(id(1), b"a").unwrap(), Taken::Durable);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "the same bytes are no new answer");
    }

    #[test]
    fn a_wrong_answer_makes_room_and_what_is_done_is_known_again_and_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = inbox(dir.path());
        for number in 0..ANSWERS_MAX {
            assert_eq!(inbox.take(id(1), number.to_string().as_bytes()).unwrap(), Taken::Durable);
        }
        assert_eq!(inbox.take(id(1), b"right").unwrap(), Taken::Full);
        assert_eq!(inbox.take(id(2), b"right").unwrap(), Taken::Durable, "another's room is its own");
        inbox.refused(id(1), b"0").unwrap();
        assert_eq!(inbox.take(id(1), b"right").unwrap(), Taken::Durable);
        assert_eq!(bytes(&inbox, id(1)).last().unwrap(), b"right", "what came last is judged last");
        inbox.done(id(1)).unwrap();
        assert!(bytes(&inbox, id(1)).is_empty());
        assert_eq!(inbox.take(id(1), b"right").unwrap(), Taken::Durable);
        assert_eq!(inbox.take(id(1), b"other").unwrap(), Taken::NotAwaited);
        assert!(bytes(&inbox, id(1)).is_empty(), "nothing is written for what is done");
    }

    #[test]
    fn the_inbox_is_bounded_in_files_and_in_bytes_and_orphans_go_when_that_is_certain() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = inbox(dir.path());
        let big = std::fs::File::create(dir.path().join(format!("{}.0{ENDING}", id(9)))).unwrap();
        big.set_len(BYTES_MAX - 1).unwrap();
        assert_eq!(inbox.take(id(1), b"ab").unwrap(), Taken::Full);
        assert_eq!(inbox.take(id(1), b"a").unwrap(), Taken::Durable);
        inbox.expect([id(1)].into(), false).unwrap();
        assert_eq!(inbox.take(id(1), b"b").unwrap(), Taken::Full, "it still lies there");
        inbox.expect([id(1)].into(), true).unwrap();
        assert_eq!(inbox.take(id(1), b"b").unwrap(), Taken::Durable);
        for number in 2..FILES_MAX {
            std::fs::write(dir.path().join(format!("{}.{number}{ENDING}", id(9))), b"").unwrap();
        }
        assert_eq!(inbox.take(id(1), b"c").unwrap(), Taken::Full);
        // what is called otherwise is nobody's answer
        std::fs::write(dir.path().join(format!("{}.psbt", id(1))), b"x").unwrap();
        assert_eq!(bytes(&inbox, id(1)), [b"a", b"b"]);
    }
}
