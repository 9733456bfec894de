//! The desk: what the program around the executor calls. It hands over, reads, and decides nothing.

use tokio::sync::{mpsc, oneshot, watch};

use crate::ethereum::{Address, CheckError};
use crate::flow::ledger::journal::JournalFault;
use crate::store::StoreFault;
use crate::withdrawal::Code;

use super::job::JobKey;
use super::view::{Changes, JobView, Reader, Standing};

/// A finished Safe transaction as it is handed over. Nothing in it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The Safe, which must be one of the executor's own.
    pub safe: Address,
    /// The Safe's nonce that it takes.
    pub nonce: u64,
    /// The data of `execTransaction`.
    pub data: Vec<u8>,
}

/// A submission was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// It is no finished Safe transaction of this Safe.
    #[error(transparent)]
    Unreadable(#[from] CheckError),
    /// It is refused; nothing was written but the refusal.
    #[error("{code}: {detail}")]
    Refused {
        /// The stable code.
        code: Code,
        /// More.
        detail: String,
    },
    /// The ledger cannot be written. Where it may have happened, submitting again tells.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The ledger cannot be read.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The executor has stopped.
    #[error("the executor has stopped")]
    Stopped,
}

impl SubmitError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Unreadable(no) => no.code(),
            Self::Refused { code, .. } => *code,
            Self::Journal(fault) => fault.code(),
            Self::Store(fault) => fault.code(),
            Self::Stopped => Code::ShuttingDown,
        }
    }
}

/// What the loop is asked to do.
pub(super) enum Command {
    Submit(Submission, Option<String>, oneshot::Sender<Result<JobView, SubmitError>>),
}

/// The way to a running executor.
#[derive(Clone)]
pub struct Desk {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) reader: Reader,
}

impl Desk {
    /// Hands over a finished Safe transaction. When this returns it is durable. The same one again is the same job.
    pub async fn submit(&self, submission: Submission) -> Result<JobView, SubmitError> {
        self.submit_at(submission, None).await
    }

    /// The same; with a new job it is kept where in the signer's list to go on after a start.
    pub(super) async fn submit_at(
        &self,
        submission: Submission,
        cursor: Option<String>,
    ) -> Result<JobView, SubmitError> {
        let (answer, told) = oneshot::channel();
        let command = Command::Submit(submission, cursor, answer);
        self.commands.try_send(command).map_err(|no| match no {
            mpsc::error::TrySendError::Full(_) => {
                let detail = "too many submissions at once; nothing was written".to_owned();
                SubmitError::Refused { code: Code::QueueFull, detail }
            }
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopped,
        })?;
        told.await.unwrap_or(Err(SubmitError::Stopped))
    }

    /// How far a job has come.
    pub async fn job(&self, key: &JobKey) -> Result<Option<JobView>, StoreFault> {
        self.reader.job(key).await
    }

    /// Jobs that changed after the cursor, oldest change first; an empty cursor is the beginning. At most 1000 at once.
    pub async fn changes(&self, cursor: &str, limit: usize) -> Result<Changes, StoreFault> {
        self.reader.changes(cursor, limit).await
    }

    /// The cursor of what changes from now on.
    pub fn newest(&self) -> String {
        self.reader.newest()
    }

    /// Where in the signer's list to go on; empty for its beginning.
    pub(super) async fn followed(&self) -> Result<String, StoreFault> {
        self.reader.followed().await
    }

    /// How the executor stands now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Waits until the executor stands otherwise; `false` when it has stopped.
    pub async fn changed(&mut self) -> bool {
        self.standing.changed().await.is_ok()
    }
}
