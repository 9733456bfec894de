//! Hand-over by files: whole files only, put in their place by a rename, each named by its reservation.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::{Answer, CustodianFault, Errand};
use crate::bitcoin::custody::ANSWER_LEN_MAX;
use crate::withdrawal::ReservationId;

/// What an answer may be called, after the reservation.
const ANSWERS: [&str; 3] = ["psbt", "sig", "refusal"];

/// An outbox and an inbox. Both are there before the co-signer starts; neither is made here.
#[derive(Debug, Clone)]
pub struct Folder {
    outbox: PathBuf,
    inbox: PathBuf,
}

impl Folder {
    /// Takes two folders that are there.
    pub fn open(outbox: PathBuf, inbox: PathBuf) -> Result<Self, CustodianFault> {
        for folder in [&outbox, &inbox] {
            if !folder.is_dir() {
                return Err(fault(folder, "it is no folder; `countersign init` makes it"));
            }
        }
        Ok(Self { outbox, inbox })
    }

    /// Puts the order and then the PSBT into the outbox, each whole and synced.
    pub(super) async fn hand_over(&self, errand: &Errand) -> Result<(), CustodianFault> {
        let (folder, errand) = (self.outbox.clone(), errand.clone());
        let order = format!("{}signature: {}\n", errand.order, HEXLOWER.encode(&errand.signature));
        apart(move || {
            put(&folder, &format!("{}.order", errand.reservation), order.as_bytes())?;
            put(&folder, &format!("{}.psbt", errand.reservation), &errand.psbt)
        })
        .await
    }

    /// Reads what lies in the inbox for this reservation. Files of other names are not looked at.
    pub(super) async fn answers(&self, reservation: ReservationId) -> Result<Vec<Answer>, CustodianFault> {
        let inbox = self.inbox.clone();
        apart(move || {
            let mut found = Vec::new();
            for ending in ANSWERS {
                let path = inbox.join(format!("{reservation}.{ending}"));
                if let Some(bytes) = read(&path).map_err(|error| fault(&path, &error.to_string()))? {
                    found.push(Answer { from: path.display().to_string(), bytes });
                }
            }
            Ok(found)
        })
        .await
    }

    /// Takes what is done out of the outbox. The inbox is the custodian's side to tidy.
    pub(super) async fn done(&self, reservation: ReservationId) -> Result<(), CustodianFault> {
        let outbox = self.outbox.clone();
        apart(move || {
            for ending in ["psbt", "order"] {
                let path = outbox.join(format!("{reservation}.{ending}"));
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(fault(&path, &error.to_string()));
                    }
                    Ok(()) | Err(_) => {}
                }
            }
            Ok(())
        })
        .await
    }
}

/// File systems may hang; the runtime must not.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CustodianFault> + Send + 'static,
) -> Result<T, CustodianFault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|broken| Err(CustodianFault::Silent(broken.to_string())))
}

/// Makes a file durable under its name; one with the same content stays as it is.
pub(super) fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), CustodianFault> {
    let (new, place) = (folder.join(format!(".{name}.new")), folder.join(name));
    let same = std::fs::read(&place).is_ok_and(|there| there == bytes);
    if same {
        return Ok(());
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &place)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error: std::io::Error| {
        let _ = std::fs::remove_file(&new);
        fault(&place, &error.to_string())
    })
}

/// Makes a file that is in its place durable there.
pub(super) fn settle(folder: &Path, place: &Path) -> Result<(), CustodianFault> {
    let sync = || {
        File::open(place)?.sync_all()?;
        File::open(folder)?.sync_all()
    };
    sync().map_err(|error: std::io::Error| fault(place, &error.to_string()))
}

/// A regular file's bytes, bounded; nothing where there is none. No link is followed and no pipe waited for.
pub(super) fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => File::open(path)?,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let most = u64::try_from(ANSWER_LEN_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

pub(super) fn fault(path: &Path, problem: &str) -> CustodianFault {
    CustodianFault::Folder { path: path.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn errand() -> Errand {
        Errand {
            reservation: ReservationId::of_txid(&[7; 32]),
            txid: "07".repeat(32),
            psbt: b"psbt\xff...".to_vec(),
            order: "countersign custody-order v1\n".into(),
            signature: [5; 64],
        }
    }

    #[tokio::test]
    async fn what_is_handed_over_lies_there_whole_once_and_goes_when_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let (outbox, inbox) = (dir.path().join("out"), dir.path().join("in"));
        assert!(Folder::open(outbox.clone(), inbox.clone()).is_err(), "nothing is made here");
        std::fs::create_dir(&outbox).unwrap();
        std::fs::create_dir(&inbox).unwrap();
        let folder = Folder::open(outbox.clone(), inbox.clone()).unwrap();
        let id = errand().reservation;
        folder.hand_over(&errand()).await.unwrap();
        folder.hand_over(&errand()).await.unwrap();
        assert_eq!(std::fs::read_dir(&outbox).unwrap().count(), 2);
        assert_eq!(std::fs::read(outbox.join(format!("{id}.psbt"))).unwrap(), errand().psbt);
        // half a file of a crash is no hand-over, and is mended
        std::fs::write(outbox.join(format!("{id}.psbt")), b"psb").unwrap();
        folder.hand_over(&errand()).await.unwrap();
        assert_eq!(std::fs::read(outbox.join(format!("{id}.psbt"))).unwrap(), errand().psbt);

        assert_eq!(folder.answers(id).await.unwrap(), []);
        std::fs::write(inbox.join(format!("{id}.psbt.part")), b"no").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", inbox.join(format!("{id}.refusal"))).unwrap();
        assert_eq!(folder.answers(id).await.unwrap(), [], "another name, and a link");
        std::fs::write(inbox.join(format!("{id}.sig")), b"30").unwrap();
        std::fs::write(inbox.join(format!("{id}.psbt")), vec![1; ANSWER_LEN_MAX + 9]).unwrap();
        let found = folder.answers(id).await.unwrap();
        let lengths: Vec<usize> = found.iter().map(|answer| answer.bytes.len()).collect();
        assert_eq!(lengths, [ANSWER_LEN_MAX + 1, 2]);

        folder.done(id).await.unwrap();
        folder.done(id).await.unwrap();
        assert_eq!(std::fs::read_dir(&outbox).unwrap().count(), 0);
    }
}
