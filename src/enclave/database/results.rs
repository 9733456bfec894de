//! How a verification that waits gets its result, in one transaction with what its orderer is to be told.

use zeroize::Zeroizing;

use super::commands::NewCommand;
use super::row::{Role, Settled, Signed, Verification, row_place};
use super::{Database, DatabaseFault, signed};
use crate::withdrawal::Seconds;

impl Database {
    /// Keeps the answer to a waiting verification, in place of an older one, with what the backend is to be told; says whether it
    /// still waited.
    pub(in super::super) async fn verification_answered(
        &self,
        v: &Verification,
        (answer, reply): (&Signed, &Zeroizing<Vec<u8>>),
        settled: &Settled,
        callback: Option<&NewCommand>,
        now: Seconds,
    ) -> Result<bool, DatabaseFault> {
        let row = row_place(v.role, &v.row_key);
        let query = sqlx::query(
            "UPDATE verifications SET state = 'answered', answer_text = ?, answer_signature = ?, reply = ?, result = ?, reason = ?, \
             message = ?, verified_at = ?, verification_uuid = sent_uuid, envelope = NULL \
             WHERE role = 'originator' AND row_key = ? AND state = 'waiting'",
        );
        let query = query
            .bind(&answer.text)
            .bind(answer.signature.to_vec())
            .bind(self.seal_some(&row, "reply", Some(reply.as_slice()))?)
            .bind(settled.result.as_str())
            .bind(&settled.reason)
            .bind(self.seal_some(&row, "message", settled.message.as_ref().map(String::as_bytes))?)
            .bind(signed(now))
            .bind(&v.row_key);
        let Some(callback) = callback else {
            return Ok(query.execute(&self.writer).await?.rows_affected() == 1);
        };
        let mut both = self.begin().await?;
        let done = query.execute(&mut *both).await?.rows_affected() == 1;
        if done {
            self.command_insert(&mut both, callback, now).await?;
        }
        both.commit().await?;
        Ok(done)
    }

    /// Ends a waiting verification without an answer, with what the backend is to be told. An older answer stays what it was.
    pub(in super::super) async fn verification_ended(
        &self,
        key: &str,
        settled: &Settled,
        callback: Option<&NewCommand>,
        now: Seconds,
    ) -> Result<bool, DatabaseFault> {
        let mut both = self.begin().await?;
        let query = sqlx::query(
            "UPDATE verifications SET state = 'expired', envelope = NULL, \
             result = CASE WHEN answer_text IS NULL THEN ?1 ELSE result END, \
             reason = CASE WHEN answer_text IS NULL THEN ?2 ELSE reason END, \
             message = CASE WHEN answer_text IS NULL THEN ?5 ELSE message END, \
             verified_at = CASE WHEN answer_text IS NULL THEN ?3 ELSE verified_at END \
             WHERE role = 'originator' AND row_key = ?4 AND state = 'waiting'",
        );
        let row = row_place(Role::Originator, key);
        let message = self.seal_some(&row, "message", settled.message.as_ref().map(String::as_bytes))?;
        let query = query.bind(settled.result.as_str()).bind(&settled.reason).bind(signed(now)).bind(key);
        let query = query.bind(message);
        let done = query.execute(&mut *both).await?.rows_affected() == 1;
        if let Some(callback) = callback.filter(|_| done) {
            self.command_insert(&mut both, callback, now).await?;
        }
        both.commit().await?;
        Ok(done)
    }
}
