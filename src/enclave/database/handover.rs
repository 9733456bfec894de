//! What passes between an enclave that runs and the command that brings a new data key: nothing in it can be opened with a data key alone.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Database, DatabaseFault, signed, unsigned};
use crate::withdrawal::Seconds;

pub(super) const SCHEMA: &str = "
CREATE TABLE handovers (
    instance TEXT PRIMARY KEY,
    public_key TEXT NOT NULL,
    envelope TEXT,
    seen_at INTEGER NOT NULL,
    taken_at INTEGER
) STRICT;
";

/// How an enclave that asks for a new data key stands.
pub(in super::super) struct Handover {
    /// Its name, new with each start.
    pub(in super::super) instance: String,
    /// Its public key, sealed with the data key it has, in hex.
    pub(in super::super) public_key: String,
    /// The new data key, sealed to that public key.
    pub(in super::super) envelope: Option<String>,
    /// When it was last there.
    pub(in super::super) seen_at: Seconds,
    /// Whether it has the key.
    pub(in super::super) is_taken: bool,
}

impl Database {
    /// Asks for a new data key, or goes on asking; what it was given so far.
    pub(in super::super) async fn handover_ask(
        &self,
        instance: &str,
        public_key: &str,
        now: Seconds,
    ) -> Result<Option<String>, DatabaseFault> {
        let query = sqlx::query_scalar(
            "INSERT INTO handovers (instance, public_key, seen_at) VALUES (?1, ?2, ?3) \
             ON CONFLICT (instance) DO UPDATE SET seen_at = ?3 RETURNING envelope",
        );
        Ok(query.bind(instance).bind(public_key).bind(signed(now)).fetch_one(&self.writer).await?)
    }

    /// It has the key.
    pub(in super::super) async fn handover_taken(
        &self,
        instance: &str,
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query("UPDATE handovers SET taken_at = ?2, envelope = NULL WHERE instance = ?1");
        query.bind(instance).bind(signed(now)).execute(&self.writer).await?;
        Ok(())
    }

    /// It asks no more.
    pub(in super::super) async fn handover_left(&self, instance: &str) -> Result<(), DatabaseFault> {
        let query = sqlx::query("DELETE FROM handovers WHERE instance = ?").bind(instance);
        query.execute(&self.writer).await?;
        Ok(())
    }

    /// Gives an enclave that asks its envelope.
    pub(in super::super) async fn handover_give(
        &self,
        instance: &str,
        envelope: &str,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query("UPDATE handovers SET envelope = ? WHERE instance = ? AND taken_at IS NULL");
        query.bind(envelope).bind(instance).execute(&self.writer).await?;
        Ok(())
    }

    /// Everybody who has asked.
    pub(in super::super) async fn handovers(&self) -> Result<Vec<Handover>, DatabaseFault> {
        let read = |row: &SqliteRow| {
            Ok(Handover {
                instance: row.try_get("instance")?,
                public_key: row.try_get("public_key")?,
                envelope: row.try_get("envelope")?,
                seen_at: unsigned(row.try_get("seen_at")?),
                is_taken: row.try_get::<Option<i64>, _>("taken_at")?.is_some(),
            })
        };
        sqlx::query("SELECT * FROM handovers").fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// Lets go of what was asked and given.
    pub(in super::super) async fn handovers_forget(&self) -> Result<(), DatabaseFault> {
        sqlx::query("DELETE FROM handovers").execute(&self.writer).await?;
        Ok(())
    }
}
