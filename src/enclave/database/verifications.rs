//! The table of verifications, both sides of them: what asking writes down. Persons stand in it sealed.

use sqlx::Row;

use super::commands::NewCommand;
use super::row::{Role, Signed, State, Verification, read_answer, row_place};
use super::{Database, DatabaseFault, signed};
use crate::withdrawal::{Seconds, VaspId};

pub(super) const SCHEMA: &str = "
CREATE TABLE verifications (
    verification_id INTEGER PRIMARY KEY,
    role TEXT NOT NULL,
    row_key TEXT NOT NULL,
    verification_uuid TEXT,
    sent_uuid TEXT,
    origin TEXT NOT NULL,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    key_type TEXT NOT NULL,
    result TEXT NOT NULL DEFAULT 'WAIT',
    reason TEXT,
    message BLOB,
    network TEXT NOT NULL,
    symbol TEXT NOT NULL,
    amount TEXT NOT NULL,
    trade_price TEXT,
    trade_currency TEXT,
    trade_iso_datetime TEXT,
    is_exceeding_threshold INTEGER NOT NULL DEFAULT 1,
    required_beneficiary_info TEXT NOT NULL DEFAULT '',
    asset TEXT NOT NULL,
    units TEXT NOT NULL,
    tx_hash TEXT,
    vout TEXT,
    transfer_status TEXT,
    report_number INTEGER NOT NULL DEFAULT 0,
    originating_vasp_id TEXT NOT NULL,
    beneficiary_vasp_id TEXT NOT NULL,
    originator_account_number TEXT NOT NULL,
    beneficiary_account_number TEXT NOT NULL,
    ivms101_originator BLOB,
    ivms101_originating_vasp BLOB,
    ivms101_beneficiary BLOB,
    ivms101_beneficiary_vasp BLOB,
    reply BLOB,
    request_digest TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    envelope TEXT,
    answer_text TEXT,
    answer_signature BLOB,
    verified_at INTEGER,
    ordered_at INTEGER,
    created_at INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    UNIQUE (role, row_key)
) STRICT;
CREATE INDEX verifications_due ON verifications (role, state, next_try_at);
CREATE INDEX verifications_digest ON verifications (request_digest);
CREATE INDEX verifications_uuid ON verifications (verification_uuid);
CREATE INDEX idx_verifications_created_at ON verifications (created_at);
CREATE INDEX verifications_originator ON verifications (originator_account_number);
CREATE INDEX verifications_beneficiary ON verifications (beneficiary_account_number);
CREATE INDEX verifications_beneficiary_nocase ON verifications (beneficiary_account_number COLLATE NOCASE)
    WHERE role = 'beneficiary';
CREATE INDEX verifications_tx ON verifications (tx_hash) WHERE tx_hash IS NOT NULL;
CREATE TABLE former_uuids (
    verification_uuid TEXT PRIMARY KEY,
    row_key TEXT NOT NULL
) STRICT;
";

const INSERT: &str = "\
INSERT INTO verifications (role, row_key, verification_uuid, sent_uuid, origin, state, kind, key_type, result, reason, message, \
network, symbol, amount, trade_price, trade_currency, trade_iso_datetime, is_exceeding_threshold, required_beneficiary_info, \
asset, units, originating_vasp_id, beneficiary_vasp_id, originator_account_number, beneficiary_account_number, \
ivms101_originator, ivms101_beneficiary, reply, request_digest, fingerprint, envelope, answer_text, answer_signature, \
verified_at, created_at, asked_at, expires_at, next_try_at, tries, ivms101_originating_vasp, ivms101_beneficiary_vasp) \
VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (role, row_key) DO NOTHING";

impl Database {
    /// Writes a verification down unless there is one by that key, with what the backend is to be told; says whether it did.
    pub(in super::super) async fn verification_insert(
        &self,
        v: &Verification,
        callback: Option<&NewCommand>,
    ) -> Result<bool, DatabaseFault> {
        let row = row_place(v.role, &v.row_key);
        let info = v.asset_info.as_ref();
        let settled_at = (v.state != State::Waiting).then(|| signed(v.asked_at));
        let query = sqlx::query(INSERT)
            .bind(v.role.as_str())
            .bind(&v.row_key)
            .bind(&v.uuid)
            .bind(&v.uuid)
            .bind(v.origin.as_str())
            .bind(v.state.as_str())
            .bind(&v.kind)
            .bind(v.key_type.as_str())
            .bind(v.settled.result.as_str())
            .bind(&v.settled.reason)
            .bind(self.seal_some(&row, "message", v.settled.message.as_ref().map(String::as_bytes))?)
            .bind(&v.network)
            .bind(&v.symbol)
            .bind(&v.coins)
            .bind(info.map(|i| i.trade_price.as_str()))
            .bind(info.map(|i| i.trade_currency.as_str()))
            .bind(info.map(|i| i.trade_iso_datetime.as_str()))
            .bind(info.map_or(v.kind == "user", |i| i.is_exceeding_threshold))
            .bind(v.required.join(","))
            .bind(&v.asset)
            .bind(&v.amount)
            .bind(v.originating_vasp.to_string())
            .bind(v.beneficiary_vasp.to_string())
            .bind(&v.originator_account)
            .bind(&v.destination)
            .bind(self.seal_some(&row, "ivms101_originator", v.originator.as_ref().map(|t| t.as_bytes()))?)
            .bind(self.seal_some(
                &row,
                "ivms101_beneficiary",
                v.beneficiary.as_ref().map(|t| t.as_bytes()),
            )?)
            .bind(self.seal_some(&row, "reply", v.reply.as_ref().map(|b| b.as_slice()))?)
            .bind(&v.request_digest)
            .bind(&v.fingerprint)
            .bind(&v.envelope)
            .bind(v.answer.as_ref().map(|a| a.text.as_str()))
            .bind(v.answer.as_ref().map(|a| a.signature.to_vec()))
            .bind(settled_at)
            .bind(signed(v.asked_at))
            .bind(signed(v.asked_at))
            .bind(signed(v.expires_at))
            .bind(signed(v.next_try_at))
            .bind(i64::from(v.tries))
            .bind(self.sealed_vasp(&row, "ivms101_originating_vasp", v.originating_vasp)?)
            .bind(self.sealed_vasp(&row, "ivms101_beneficiary_vasp", v.beneficiary_vasp)?);
        let Some(callback) = callback else {
            return Ok(query.execute(&self.writer).await?.rows_affected() == 1);
        };
        let mut both = self.begin().await?;
        let done = query.execute(&mut *both).await?.rows_affected() == 1;
        if done {
            self.command_insert(&mut both, callback, v.asked_at).await?;
        }
        both.commit().await?;
        Ok(done)
    }

    fn sealed_vasp(
        &self,
        row: &str,
        column: &'static str,
        vasp: VaspId,
    ) -> Result<Option<Vec<u8>>, DatabaseFault> {
        Ok(self.seal_some(row, column, self.vasps.get(&vasp).map(String::as_bytes))?)
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

    /// Notes under which uuid and as what a waiting verification is about to be sent; without an envelope it must be sealed anew.
    pub(in super::super) async fn verification_sent(
        &self,
        key: &str,
        uuid: Option<&str>,
        envelope: Option<&str>,
    ) -> Result<(), DatabaseFault> {
        // A record has the uuid of its answer; until there is one, the uuid under which it is asked.
        let query = sqlx::query(
            "UPDATE verifications SET sent_uuid = ?1, envelope = ?2, \
             verification_uuid = CASE WHEN answer_text IS NULL THEN ?1 ELSE verification_uuid END \
             WHERE role = 'originator' AND row_key = ?3 AND state = 'waiting'",
        );
        query.bind(uuid).bind(envelope).bind(key).execute(&self.writer).await?;
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
        query.bind(i64::from(tries)).bind(signed(until)).bind(key).execute(&self.writer).await?;
        Ok(())
    }

    /// Asks anew about an answered verification: it waits again, under no uuid yet. Its answer stays until there is a newer one.
    /// Whoever saw another answer than the one kept (by its uuid) renews nothing. The uuid of before still finds its record.
    pub(in super::super) async fn verification_renewed(
        &self,
        v: &Verification,
        now: Seconds,
        expires_at: Seconds,
    ) -> Result<(), DatabaseFault> {
        let mut both = self.begin().await?;
        let query = sqlx::query(
            "UPDATE verifications SET state = 'waiting', sent_uuid = NULL, envelope = NULL, asked_at = ?, \
             expires_at = ?, next_try_at = ?, tries = 0 \
             WHERE role = 'originator' AND row_key = ? AND state = 'answered' AND sent_uuid IS ?",
        );
        let query = query.bind(signed(now)).bind(signed(expires_at)).bind(signed(now));
        query.bind(&v.row_key).bind(&v.uuid).execute(&mut *both).await?;
        let former = sqlx::query(
            "INSERT INTO former_uuids (verification_uuid, row_key) VALUES (?,?) ON CONFLICT DO NOTHING",
        );
        if let Some(uuid) = &v.uuid {
            former.bind(uuid).bind(&v.row_key).execute(&mut *both).await?;
        }
        Ok(both.commit().await?)
    }

    /// The answer kept for a withdrawal's request digest.
    pub(in super::super) async fn answer(&self, digest: &str) -> Result<Option<Signed>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT answer_text, answer_signature FROM verifications \
             WHERE role = 'originator' AND row_key = ? AND origin = 'withdrawal'",
        );
        let row = query.bind(digest).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| read_answer(&row)).transpose()?.flatten())
    }

    /// The newest answers about withdrawals with their request digests, the newest first.
    pub(in super::super) async fn answers(
        &self,
        most: usize,
    ) -> Result<Vec<(String, Signed)>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT row_key, answer_text, answer_signature FROM verifications \
             WHERE role = 'originator' AND origin = 'withdrawal' AND answer_text IS NOT NULL \
             ORDER BY verification_id DESC LIMIT ?",
        );
        let rows = query.bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_all(&self.pool).await?;
        let mut answers = Vec::with_capacity(rows.len());
        for row in rows {
            let digest: String = row.try_get("row_key")?;
            answers.extend(read_answer(&row)?.map(|answer| (digest, answer)));
        }
        Ok(answers)
    }
}
