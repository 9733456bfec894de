//! Deposits and what possible senders said of them. A transfer that one deposit has used up is no other's.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::backend::Transfer;
use super::super::deposits::matching::Found;
use super::super::deposits::words::{DepositReason, DepositSeen};
use super::arrived::look;
use super::{Database, DatabaseFault, Standing, signed, unsigned};
use crate::withdrawal::Seconds;

pub(super) const SCHEMA: &str = "
CREATE TABLE deposits (
    deposit_id INTEGER PRIMARY KEY,
    symbol TEXT NOT NULL,
    network TEXT NOT NULL,
    asset TEXT NOT NULL,
    tx_hash TEXT NOT NULL,
    vout TEXT NOT NULL,
    address TEXT NOT NULL,
    amount TEXT NOT NULL,
    units TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    verification_uuid TEXT,
    transfer TEXT UNIQUE,
    created_at INTEGER NOT NULL,
    settled_at INTEGER,
    next_try_at INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    UNIQUE (asset, tx_hash, vout)
) STRICT;
CREATE INDEX deposits_due ON deposits (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE TABLE inquiries (
    inquiry_id INTEGER PRIMARY KEY,
    verification_uuid TEXT NOT NULL,
    originating_vasp_id TEXT NOT NULL,
    deposit_id INTEGER,
    status TEXT,
    tx_hash TEXT,
    vout TEXT,
    asked_at INTEGER NOT NULL
) STRICT;
CREATE INDEX inquiries_deposit ON inquiries (deposit_id, verification_uuid);
CREATE INDEX inquiries_asked ON inquiries (asked_at);
";

/// What is written down of coins that were handed in, in base units and with the asset's CAIP-19 id.
pub(in super::super) struct NewDeposit<'a> {
    pub(in super::super) seen: &'a DepositSeen,
    pub(in super::super) asset: &'a str,
    pub(in super::super) units: &'a str,
}

/// A deposit that is being looked into.
pub(in super::super) struct OpenDeposit {
    pub(in super::super) id: i64,
    pub(in super::super) created_at: Seconds,
    pub(in super::super) tries: u32,
}

impl Database {
    /// Writes a deposit down, unless it stands already; its number, and whether it stands as it is handed in now.
    pub(in super::super) async fn deposit_insert(
        &self,
        deposit: &NewDeposit<'_>,
        now: Seconds,
    ) -> Result<(i64, bool), DatabaseFault> {
        let (seen, vout) = (deposit.seen, deposit.seen.vout.as_deref().unwrap_or_default());
        let insert = sqlx::query(
            "INSERT INTO deposits (symbol, network, asset, tx_hash, vout, address, amount, units, received_at, state, created_at, \
             next_try_at) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,'WAITING',?10,?10) ON CONFLICT (asset, tx_hash, vout) DO NOTHING",
        );
        let insert = insert.bind(&seen.symbol).bind(seen.network.as_deref().unwrap_or_default());
        let insert = insert.bind(deposit.asset).bind(&seen.tx_hash).bind(vout).bind(&seen.address);
        let insert = insert.bind(&seen.amount).bind(deposit.units).bind(signed(seen.received_at));
        insert.bind(signed(now)).execute(&self.writer).await?;
        let kept = sqlx::query(
            "SELECT deposit_id, address, units FROM deposits WHERE asset = ? AND tx_hash = ? AND vout = ?",
        );
        let kept = kept.bind(deposit.asset).bind(&seen.tx_hash).bind(vout).fetch_one(&self.pool).await?;
        let (address, units): (String, String) = (kept.try_get("address")?, kept.try_get("units")?);
        Ok((kept.try_get("deposit_id")?, address == seen.address && units == deposit.units))
    }

    /// Looks once more for the verification of a deposit that has none, and writes down what was found; `None` if it has one.
    ///
    /// One that people were to decide is open again if somebody can be asked.
    pub(in super::super) async fn deposit_match(
        &self,
        id: i64,
        now: Seconds,
    ) -> Result<Option<Found>, DatabaseFault> {
        // Nobody else uses the same transfer up meanwhile: the transaction has its turn from its first word on.
        let mut all = self.begin().await?;
        let row = sqlx::query("SELECT * FROM deposits WHERE deposit_id = ? AND state <> 'MATCHED'");
        let Some(row) = row.bind(id).fetch_optional(&mut *all).await? else { return Ok(None) };
        let (found, transfer) = look(&mut all, &row).await?;
        let was_open = row.try_get::<Option<i64>, _>("next_try_at")?.is_some();
        match &found {
            Found::One(one, by) => {
                let query = sqlx::query(
                    "UPDATE deposits SET state = 'MATCHED', reason = ?, verification_uuid = ?, transfer = ?, settled_at = ?, \
                     next_try_at = NULL WHERE deposit_id = ?",
                );
                let query = query.bind(by.as_str()).bind(&one.uuid).bind(transfer).bind(signed(now));
                query.bind(id).execute(&mut *all).await?;
            }
            Found::Several(_) | Found::None { .. } => {
                let state = if matches!(found, Found::Several(_)) { "AMBIGUOUS" } else { "WAITING" };
                let query = sqlx::query(
                    "UPDATE deposits SET state = ?1, reason = NULL, settled_at = NULL, created_at = CASE WHEN ?2 THEN created_at ELSE ?3 END, \
                     tries = CASE WHEN ?2 THEN tries ELSE 0 END, next_try_at = coalesce(next_try_at, ?3) WHERE deposit_id = ?4",
                );
                query.bind(state).bind(was_open).bind(signed(now)).bind(id).execute(&mut *all).await?;
            }
        }
        all.commit().await?;
        Ok(Some(found))
    }

    /// Nobody is asked any more: people decide.
    pub(in super::super) async fn deposit_left(
        &self,
        id: i64,
        reason: DepositReason,
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE deposits SET state = CASE state WHEN 'WAITING' THEN 'UNMATCHED' ELSE state END, reason = ?, settled_at = ?, \
             next_try_at = NULL WHERE deposit_id = ? AND state IN ('WAITING', 'AMBIGUOUS')",
        );
        query.bind(reason.as_str()).bind(signed(now)).bind(id).execute(&self.writer).await?;
        Ok(())
    }

    /// Puts a deposit off that is still being looked into.
    pub(in super::super) async fn deposit_put_off(
        &self,
        id: i64,
        tries: u32,
        until: Seconds,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE deposits SET tries = ?, next_try_at = ? WHERE deposit_id = ? AND next_try_at IS NOT NULL",
        );
        query.bind(i64::from(tries)).bind(signed(until)).bind(id).execute(&self.writer).await?;
        Ok(())
    }

    /// What should be looked into now, the longest due first.
    pub(in super::super) async fn deposits_due(
        &self,
        now: Seconds,
        most: u32,
    ) -> Result<Vec<OpenDeposit>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT deposit_id, created_at, tries FROM deposits WHERE next_try_at <= ? ORDER BY next_try_at LIMIT ?",
        );
        let rows = query.bind(signed(now)).bind(i64::from(most)).fetch_all(&self.pool).await?;
        let open = |row: &SqliteRow| {
            let tries: i64 = row.try_get("tries")?;
            Ok(OpenDeposit {
                id: row.try_get("deposit_id")?,
                created_at: unsigned(row.try_get("created_at")?),
                tries: u32::try_from(tries).unwrap_or(u32::MAX),
            })
        };
        rows.iter().map(open).collect()
    }

    /// A transaction was named: what waits for it is looked into at once. Says whether something does.
    pub(in super::super) async fn deposits_called(
        &self,
        tx_hash: &str,
        now: Seconds,
    ) -> Result<bool, DatabaseFault> {
        let query =
            sqlx::query("UPDATE deposits SET next_try_at = ? WHERE tx_hash = ? AND next_try_at IS NOT NULL");
        Ok(query.bind(signed(now)).bind(tx_hash).execute(&self.writer).await?.rows_affected() > 0)
    }

    /// Writes down what a sender said of a transfer, or that it said nothing. The transaction it named is the record's from now on,
    /// unless a report came meanwhile.
    pub(in super::super) async fn inquiry_heard(
        &self,
        standing: &Standing,
        deposit: Option<i64>,
        said: Option<&Transfer>,
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        let mut all = self.begin().await?;
        let hash = said.and_then(|said| said.tx_hash.as_deref()).filter(|hash| !hash.is_empty());
        let vout = said.and_then(|said| said.vout.as_deref()).filter(|vout| !vout.is_empty());
        let query = sqlx::query(
            "INSERT INTO inquiries (verification_uuid, originating_vasp_id, deposit_id, status, tx_hash, vout, asked_at) \
             VALUES (?,?,?,?,?,?,?)",
        );
        let query = query.bind(&standing.uuid).bind(standing.originating_vasp.to_string()).bind(deposit);
        let query = query.bind(said.map(|said| said.status.as_str())).bind(hash).bind(vout);
        query.bind(signed(now)).execute(&mut *all).await?;
        if let Some(hash) = hash {
            let query = sqlx::query(
                "UPDATE verifications SET tx_hash = ?1, vout = ?2, ordered_at = ?3 WHERE role = 'beneficiary' AND row_key = ?4 \
                 AND result = 'VERIFIED' AND report_number = ?5 AND (tx_hash IS NOT ?1 OR vout IS NOT ?2)",
            );
            let number = i64::try_from(standing.reported).unwrap_or(i64::MAX);
            let query = query.bind(hash).bind(vout).bind(signed(now)).bind(&standing.row_key).bind(number);
            query.execute(&mut *all).await?;
        }
        Ok(all.commit().await?)
    }
}
