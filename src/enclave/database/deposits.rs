//! Deposits and what possible senders said of them. A transfer that one deposit has used up is no other's.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::super::backend::{Transfer, TransferStatus};
use super::super::deposits::matching::{Candidate, Found, Output, matched};
use super::super::deposits::words::{
    Deposit, DepositInquiry, DepositReason, DepositSearch, DepositSeen, DepositState,
};
use super::row::vasp;
use super::{Database, DatabaseFault, Standing, signed, unsigned};
use crate::enclave::database::vault::VaultFault;
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

/// How many open verifications of one address are looked at. With more of them nothing is unambiguous.
const CANDIDATES_MAX: usize = 64;
/// How old a verification may be to which coins still belong, in seconds.
const REACH_S: u64 = 7 * 86_400;
/// How many deposits are shown at once.
const PAGE_MAX: u32 = 100;

const CANDIDATES: &str = "\
SELECT row_key, verification_uuid, originating_vasp_id || '/' || request_digest AS transfer, kind, origin, units, tx_hash, vout \
FROM verifications AS v WHERE role = 'beneficiary' AND result = 'VERIFIED' AND beneficiary_account_number = ?1 AND asset = ?2 \
AND created_at >= ?3 AND NOT EXISTS (SELECT 1 FROM deposits AS d WHERE d.transfer = v.originating_vasp_id || '/' || v.request_digest) \
ORDER BY verification_id DESC LIMIT ?4";

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

    /// One deposit with everything that is known of it.
    pub(in super::super) async fn deposit(&self, id: i64) -> Result<Option<Deposit>, DatabaseFault> {
        let row = sqlx::query("SELECT * FROM deposits WHERE deposit_id = ?").bind(id);
        match row.fetch_optional(&self.pool).await? {
            Some(row) => self.read_deposit(&row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The newest deposits that are wanted, at most a hundred.
    pub(in super::super) async fn deposits(
        &self,
        search: &DepositSearch,
    ) -> Result<Vec<Deposit>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT * FROM deposits WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR tx_hash = ?2) \
             AND (?3 IS NULL OR deposit_id < ?3) ORDER BY deposit_id DESC LIMIT ?4",
        );
        let before = search.before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
        let query = query.bind(search.state.map(DepositState::as_str)).bind(&search.tx_hash).bind(before);
        let mut deposits = Vec::new();
        for row in query.bind(PAGE_MAX).fetch_all(&self.pool).await? {
            deposits.push(self.read_deposit(&row).await?);
        }
        Ok(deposits)
    }

    async fn read_deposit(&self, row: &SqliteRow) -> Result<Deposit, DatabaseFault> {
        let id: i64 = row.try_get("deposit_id")?;
        let word = |column: &'static str| row.try_get::<String, _>(column);
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let state = DepositState::parse(&word("state")?).ok_or(VaultFault::Unreadable("state"))?;
        let candidates = match state {
            DepositState::Ambiguous => {
                let mut within = self.pool.acquire().await?;
                match look(&mut within, row).await?.0 {
                    Found::Several(several) => several.into_iter().map(|one| one.uuid).collect(),
                    Found::One(one, _) => vec![one.uuid],
                    Found::None { .. } => Vec::new(),
                }
            }
            DepositState::Waiting | DepositState::Matched | DepositState::Unmatched => Vec::new(),
        };
        Ok(Deposit {
            id: id.unsigned_abs(),
            seen: DepositSeen {
                symbol: word("symbol")?,
                network: some(word("network")?),
                tx_hash: word("tx_hash")?,
                vout: some(word("vout")?),
                address: word("address")?,
                amount: word("amount")?,
                received_at: unsigned(row.try_get("received_at")?),
            },
            state,
            reason: row.try_get::<Option<String>, _>("reason")?.as_deref().and_then(DepositReason::parse),
            uuid: row.try_get("verification_uuid")?,
            candidates,
            inquiries: self.inquiries(id).await?,
            is_open: row.try_get::<Option<i64>, _>("next_try_at")?.is_some(),
            created_at: unsigned(row.try_get("created_at")?),
            settled_at: row.try_get::<Option<i64>, _>("settled_at")?.map(unsigned),
        })
    }

    /// The last word about each verification.
    async fn inquiries(&self, deposit: i64) -> Result<Vec<DepositInquiry>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT * FROM inquiries WHERE inquiry_id IN (SELECT max(inquiry_id) FROM inquiries WHERE deposit_id = ? \
             GROUP BY verification_uuid) ORDER BY inquiry_id",
        );
        let read = |row: &SqliteRow| {
            let status: Option<String> = row.try_get("status")?;
            Ok(DepositInquiry {
                uuid: row.try_get("verification_uuid")?,
                vasp: vasp(row, "originating_vasp_id")?,
                status: status.as_deref().and_then(TransferStatus::parse),
                tx_hash: row.try_get("tx_hash")?,
                vout: row.try_get("vout")?,
                asked_at: unsigned(row.try_get("asked_at")?),
            })
        };
        query.bind(deposit).fetch_all(&self.pool).await?.iter().map(read).collect()
    }
}

/// What fits a deposit, and the transfer it would use up.
async fn look(
    within: &mut SqliteConnection,
    row: &SqliteRow,
) -> Result<(Found, Option<String>), DatabaseFault> {
    let word = |column: &'static str| row.try_get::<String, _>(column);
    let (hash, vout, units) = (word("tx_hash")?, word("vout")?, word("units")?);
    let received: i64 = row.try_get("received_at")?;
    let query = sqlx::query(CANDIDATES).bind(word("address")?).bind(word("asset")?);
    let query = query
        .bind(received.saturating_sub_unsigned(REACH_S))
        .bind(i64::try_from(CANDIDATES_MAX).unwrap_or(i64::MAX));
    let rows = query.fetch_all(&mut *within).await?;
    let is_full = rows.len() >= CANDIDATES_MAX;
    let all = rows.iter().map(candidate).collect::<Result<Vec<_>, _>>()?;
    let output =
        Output { tx_hash: &hash, vout: Some(vout.as_str()).filter(|vout| !vout.is_empty()), units: &units };
    let found = match matched(output, all) {
        // There may be more that fit than were looked at.
        Found::One(one, DepositReason::Amount) if is_full => Found::Several(vec![one]),
        found => found,
    };
    let transfer = match &found {
        Found::One(one, _) => Some(one.transfer.clone()),
        Found::Several(_) | Found::None { .. } => None,
    };
    Ok((found, transfer))
}

fn candidate(row: &SqliteRow) -> Result<Candidate, sqlx::Error> {
    let word = |column: &'static str| row.try_get::<String, _>(column);
    // An order about an address alone has no amount.
    let units = Some(word("units")?)
        .filter(|units| !(word("kind").is_ok_and(|kind| kind == "account") && units == "1"));
    Ok(Candidate {
        row_key: word("row_key")?,
        uuid: word("verification_uuid")?,
        transfer: word("transfer")?,
        units,
        tx_hash: row.try_get("tx_hash")?,
        vout: row.try_get("vout")?,
    })
}
