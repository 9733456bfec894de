//! Taking a submission: read strictly, one job for each nonce of a Safe, durable before it is answered.

use crate::ethereum::SignedSafeTx;
use crate::store::Table;
use crate::withdrawal::Code;

use super::change::Change;
use super::desk::{Command, Submission, SubmitError};
use super::job::{Job, JobKey};
use super::rows::JobRow;
use super::run::{Executor, now};
use super::view::JobView;

impl Executor {
    pub(super) async fn command(&mut self, command: Command) {
        match command {
            Command::Submit(submission, cursor, answer) => {
                // whoever asked may have gone: what was taken is taken
                let _ = answer.send(self.submit(submission, cursor).await);
            }
        }
    }

    async fn submit(
        &mut self,
        submission: Submission,
        cursor: Option<String>,
    ) -> Result<JobView, SubmitError> {
        let height = self.height.filter(|_| !self.stale).ok_or_else(|| {
            let other = self.stands_by.clone().unwrap_or_default();
            refused(Code::ExecutorStandby, format!("no turn of its own yet; working: `{other}`"))
        })?;
        let unknown =
            || refused(Code::FieldMalformed, format!("{} is no Safe of this executor", submission.safe));
        let wallet = self.wallets.get(&submission.safe).ok_or_else(unknown)?;
        let tx = SignedSafeTx::read(&submission.data, submission.nonce, wallet)?;
        let key = JobKey { safe: tx.safe(), nonce: tx.nonce() };
        if let Some(known) = self.known(&key).await? {
            return if known.hash == tx.hash() { Ok(known) } else { self.conflict(&known, &tx).await };
        }
        if self.ledger.jobs.len() >= self.rules.jobs_max {
            return Err(refused(Code::QueueFull, "as many jobs are unfinished as may be".to_owned()));
        }
        let most = self.rules.gas_limit_max;
        let gas_limit = tx
            .gas_limit(self.rules.gas_more)
            .filter(|gas| *gas <= most)
            .ok_or_else(|| refused(Code::ExecutionTooLarge, format!("it takes more than {most} gas")))?;
        let since = height.saturating_sub(self.rules.search_blocks);
        let job = Job::new(tx, gas_limit, now(), since);
        let taken = Change::Taken(Box::new(job));
        let mut ledger = self.ledger.clone();
        ledger.apply(&taken);
        let changes: Vec<Change> =
            [Some(taken), cursor.map(Change::Followed)].into_iter().flatten().collect();
        self.write(ledger, &changes).await?;
        self.known(&key).await?.ok_or(SubmitError::Stopped)
    }

    /// The job of that place, finished ones too.
    async fn known(&self, key: &JobKey) -> Result<Option<JobView>, SubmitError> {
        if let Some(job) = self.ledger.jobs.get(key) {
            return Ok(JobView::read(*key, JobRow::of(job, &self.ledger)));
        }
        let rows = self.journal.rows(Table::Execution, &[key.to_string()]).await?;
        Ok(rows.first().and_then(|row| JobView::of(row.key(), row.content())))
    }

    /// Two transactions were signed under one nonce of the Safe (L17). The second is refused, and people are told.
    async fn conflict(&mut self, known: &JobView, tx: &SignedSafeTx) -> Result<JobView, SubmitError> {
        let detail =
            format!("{} is known under {}, and {} was handed over", known.hash, known.key, tx.hash());
        let (code, subject) = (Code::ExecutionConflict, format!("safe {}", known.key));
        let alarm = Change::Alarm { code, subject, detail: detail.clone() };
        self.write(self.ledger.clone(), &[alarm]).await?;
        Err(refused(code, detail))
    }
}

fn refused(code: Code, detail: String) -> SubmitError {
    SubmitError::Refused { code, detail }
}
