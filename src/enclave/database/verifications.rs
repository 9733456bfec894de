//! The table of verifications, both sides of them. Persons stand in it sealed.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use super::super::vault::{Place, VaultFault};
use super::{Database, DatabaseFault, signed, unsigned};
use crate::withdrawal::Seconds;

pub(super) const SCHEMA: &str = "
CREATE TABLE verifications (
    role TEXT NOT NULL,
    row_key TEXT NOT NULL,
    verification_uuid TEXT,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    counterparty TEXT NOT NULL,
    asset TEXT NOT NULL,
    network TEXT NOT NULL,
    destination TEXT NOT NULL,
    amount TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    ivms101 BLOB,
    reply_ivms101 BLOB,
    envelope TEXT,
    answer_text TEXT,
    answer_signature BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    PRIMARY KEY (role, row_key)
) STRICT;
CREATE INDEX verifications_due ON verifications (role, state, next_try_at);
";

/// Which side of a verification a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Role {
    Originator,
    Beneficiary,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Originator => "originator",
            Self::Beneficiary => "beneficiary",
        }
    }
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum State {
    Waiting,
    Answered,
    Expired,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Answered => "answered",
            Self::Expired => "expired",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Answered, Self::Expired].into_iter().find(|s| s.as_str() == text)
    }
}

/// An answer with its signature.
pub(in super::super) struct Signed {
    pub(in super::super) text: String,
    pub(in super::super) signature: [u8; 64],
}

/// One verification. `row_key` is the request digest for the originator, `from:uuid` for the beneficiary.
pub(in super::super) struct Verification {
    pub(in super::super) role: Role,
    pub(in super::super) row_key: String,
    pub(in super::super) uuid: Option<String>,
    pub(in super::super) state: State,
    pub(in super::super) kind: String,
    pub(in super::super) counterparty: String,
    pub(in super::super) asset: String,
    pub(in super::super) network: String,
    pub(in super::super) destination: String,
    pub(in super::super) amount: String,
    pub(in super::super) request_digest: String,
    /// The keyed hash of what was asked, personal data included.
    pub(in super::super) fingerprint: Vec<u8>,
    /// The canonical payload; sealed on disk.
    pub(in super::super) ivms: Option<Zeroizing<Vec<u8>>>,
    /// What came back, or what this side gave back; sealed on disk.
    pub(in super::super) reply: Option<Zeroizing<Vec<u8>>>,
    pub(in super::super) envelope: Option<String>,
    pub(in super::super) answer: Option<Signed>,
    pub(in super::super) created_at: Seconds,
    pub(in super::super) expires_at: Seconds,
    pub(in super::super) next_try_at: Seconds,
    pub(in super::super) tries: u32,
}

impl Database {
    /// Writes a verification down unless there is one by that key; says whether it did.
    pub(in super::super) async fn verification_insert(
        &self,
        v: &Verification,
    ) -> Result<bool, DatabaseFault> {
        let ivms = self.seal_some(v, "ivms101", v.ivms.as_ref())?;
        let reply = self.seal_some(v, "reply_ivms101", v.reply.as_ref())?;
        let done = sqlx::query(
            "INSERT INTO verifications (role, row_key, verification_uuid, state, kind, counterparty, asset, network, \
             destination, amount, request_digest, fingerprint, ivms101, reply_ivms101, envelope, answer_text, \
             answer_signature, created_at, expires_at, next_try_at, tries) \
             VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (role, row_key) DO NOTHING",
        )
        .bind(v.role.as_str())
        .bind(&v.row_key)
        .bind(&v.uuid)
        .bind(v.state.as_str())
        .bind(&v.kind)
        .bind(&v.counterparty)
        .bind(&v.asset)
        .bind(&v.network)
        .bind(&v.destination)
        .bind(&v.amount)
        .bind(&v.request_digest)
        .bind(&v.fingerprint)
        .bind(ivms)
        .bind(reply)
        .bind(&v.envelope)
        .bind(v.answer.as_ref().map(|a| a.text.as_str()))
        .bind(v.answer.as_ref().map(|a| a.signature.to_vec()))
        .bind(signed(v.created_at))
        .bind(signed(v.expires_at))
        .bind(signed(v.next_try_at))
        .bind(i64::from(v.tries))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Reads a verification.
    pub(in super::super) async fn verification(
        &self,
        role: Role,
        key: &str,
    ) -> Result<Option<Verification>, DatabaseFault> {
        let row = sqlx::query("SELECT * FROM verifications WHERE role = ? AND row_key = ?")
            .bind(role.as_str())
            .bind(key)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| self.read(role, &row)).transpose()
    }

    /// The originator's keys of verifications that should be tried now, the longest due first.
    pub(in super::super) async fn verifications_due(
        &self,
        now: Seconds,
        most: u32,
    ) -> Result<Vec<String>, DatabaseFault> {
        let query = sqlx::query_scalar(
            "SELECT row_key FROM verifications WHERE role = 'originator' AND state = 'waiting' AND next_try_at <= ? \
             ORDER BY next_try_at LIMIT ?",
        );
        Ok(query.bind(signed(now)).bind(i64::from(most)).fetch_all(&self.pool).await?)
    }

    /// How many verifications wait for an answer.
    pub(in super::super) async fn verifications_waiting(&self) -> Result<u64, DatabaseFault> {
        let query = "SELECT count(*) FROM verifications WHERE role = 'originator' AND state = 'waiting'";
        let count: i64 = sqlx::query_scalar(query).fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }

    /// Notes under which uuid a waiting verification is about to be sent (or, with `None`, that it must be sealed anew).
    pub(in super::super) async fn verification_sent(
        &self,
        key: &str,
        sent: Option<(&str, &str)>,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE verifications SET verification_uuid = ?, envelope = ? \
             WHERE role = 'originator' AND row_key = ? AND state = 'waiting'",
        );
        query.bind(sent.map(|s| s.0)).bind(sent.map(|s| s.1)).bind(key).execute(&self.pool).await?;
        Ok(())
    }

    /// Puts off a waiting verification.
    pub(in super::super) async fn verification_put_off(
        &self,
        key: &str,
        tries: u32,
        until: Seconds,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE verifications SET tries = ?, next_try_at = ? \
             WHERE role = 'originator' AND row_key = ? AND state = 'waiting'",
        );
        query.bind(i64::from(tries)).bind(signed(until)).bind(key).execute(&self.pool).await?;
        Ok(())
    }

    /// Asks anew about an answered verification: it waits again, under no uuid yet. Its answer stays until there is a newer one.
    /// Whoever saw another answer than the one kept (by its uuid) renews nothing.
    pub(in super::super) async fn verification_renewed(
        &self,
        v: &Verification,
        now: Seconds,
        expires_at: Seconds,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE verifications SET state = 'waiting', verification_uuid = NULL, envelope = NULL, created_at = ?, \
             expires_at = ?, next_try_at = ?, tries = 0 \
             WHERE role = 'originator' AND row_key = ? AND state = 'answered' AND verification_uuid IS ?",
        );
        let query = query.bind(signed(now)).bind(signed(expires_at)).bind(signed(now));
        query.bind(&v.row_key).bind(&v.uuid).execute(&self.pool).await?;
        Ok(())
    }

    /// The answer kept for a request digest.
    pub(in super::super) async fn answer(&self, digest: &str) -> Result<Option<Signed>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT answer_text, answer_signature FROM verifications WHERE role = 'originator' AND row_key = ?",
        );
        let row = query.bind(digest).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| read_answer(&row)).transpose()?.flatten())
    }

    /// The newest answers with their request digests, the newest first.
    pub(in super::super) async fn answers(
        &self,
        most: usize,
    ) -> Result<Vec<(String, Signed)>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT row_key, answer_text, answer_signature FROM verifications \
             WHERE role = 'originator' AND answer_text IS NOT NULL ORDER BY rowid DESC LIMIT ?",
        );
        let rows = query.bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_all(&self.pool).await?;
        let mut answers = Vec::with_capacity(rows.len());
        for row in rows {
            let digest: String = row.try_get("row_key")?;
            answers.extend(read_answer(&row)?.map(|answer| (digest, answer)));
        }
        Ok(answers)
    }

    /// Keeps the answer to a waiting verification, in place of an older one; says whether it still waited.
    pub(in super::super) async fn verification_answered(
        &self,
        v: &Verification,
        answer: &Signed,
        reply: &Zeroizing<Vec<u8>>,
    ) -> Result<bool, DatabaseFault> {
        let reply = self.seal_some(v, "reply_ivms101", Some(reply))?;
        let query = sqlx::query(
            "UPDATE verifications SET state = 'answered', answer_text = ?, answer_signature = ?, reply_ivms101 = ?, \
             envelope = NULL WHERE role = 'originator' AND row_key = ? AND state = 'waiting'",
        );
        let query = query.bind(&answer.text).bind(answer.signature.to_vec()).bind(reply).bind(&v.row_key);
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Gives up on a waiting verification.
    pub(in super::super) async fn verification_expired(&self, key: &str) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE verifications SET state = 'expired', envelope = NULL \
             WHERE role = 'originator' AND row_key = ? AND state = 'waiting'",
        );
        query.bind(key).execute(&self.pool).await?;
        Ok(())
    }

    fn seal_some(
        &self,
        v: &Verification,
        column: &'static str,
        value: Option<&Zeroizing<Vec<u8>>>,
    ) -> Result<Option<Vec<u8>>, VaultFault> {
        let row = row_place(v.role, &v.row_key);
        value.map(|plain| self.vault.seal(place(column, &row), plain)).transpose()
    }

    fn open_some(
        &self,
        row: &SqliteRow,
        column: &'static str,
        key: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, DatabaseFault> {
        let sealed: Option<Vec<u8>> = row.try_get(column)?;
        Ok(sealed.map(|sealed| self.vault.open(place(column, key), &sealed)).transpose()?)
    }

    fn read(&self, role: Role, row: &SqliteRow) -> Result<Verification, DatabaseFault> {
        let row_key: String = row.try_get("row_key")?;
        let sealed_under = row_place(role, &row_key);
        let state: String = row.try_get("state")?;
        let tries: i64 = row.try_get("tries")?;
        Ok(Verification {
            role,
            uuid: row.try_get("verification_uuid")?,
            state: State::parse(&state).ok_or(VaultFault::Unreadable("state"))?,
            kind: row.try_get("kind")?,
            counterparty: row.try_get("counterparty")?,
            asset: row.try_get("asset")?,
            network: row.try_get("network")?,
            destination: row.try_get("destination")?,
            amount: row.try_get("amount")?,
            request_digest: row.try_get("request_digest")?,
            fingerprint: row.try_get("fingerprint")?,
            ivms: self.open_some(row, "ivms101", &sealed_under)?,
            reply: self.open_some(row, "reply_ivms101", &sealed_under)?,
            envelope: row.try_get("envelope")?,
            answer: read_answer(row)?,
            created_at: unsigned(row.try_get("created_at")?),
            expires_at: unsigned(row.try_get("expires_at")?),
            next_try_at: unsigned(row.try_get("next_try_at")?),
            tries: u32::try_from(tries).unwrap_or(u32::MAX),
            row_key,
        })
    }
}

fn read_answer(row: &SqliteRow) -> Result<Option<Signed>, sqlx::Error> {
    let text: Option<String> = row.try_get("answer_text")?;
    let signature: Option<Vec<u8>> = row.try_get("answer_signature")?;
    let signature = signature.and_then(|s| s.try_into().ok());
    Ok(text.zip(signature).map(|(text, signature)| Signed { text, signature }))
}

fn place<'a>(column: &'static str, row: &'a str) -> Place<'a> {
    Place { table: "verifications", column, row }
}

fn row_place(role: Role, key: &str) -> String {
    format!("{}:{key}", role.as_str())
}
