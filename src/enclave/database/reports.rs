//! What followed a verification: its transactions and its end, each written down once, on both sides.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::backend::{Transfer, TransferStatus};
use super::super::record::Outcome;
use super::super::wire::key::KeyType;
use super::commands::NewCommand;
use super::row::{Origin, Role, row_place, vasp};
use super::{Database, DatabaseFault, signed};
use crate::enclave::database::vault::VaultFault;
use crate::withdrawal::{Seconds, VaspId};

pub(super) const SCHEMA: &str = "
CREATE TABLE reports (
    role TEXT NOT NULL,
    row_key TEXT NOT NULL,
    number INTEGER NOT NULL,
    verification_uuid TEXT NOT NULL,
    report TEXT NOT NULL,
    tx_hash TEXT,
    vout TEXT,
    result TEXT,
    reason TEXT,
    reported_at INTEGER NOT NULL,
    PRIMARY KEY (role, row_key, number)
) STRICT;
";

/// How a verification stands for what may follow it. Holds nobody's name.
#[derive(Debug, Clone)]
pub(in super::super) struct Standing {
    pub(in super::super) role: Role,
    pub(in super::super) row_key: String,
    pub(in super::super) origin: Origin,
    pub(in super::super) uuid: String,
    pub(in super::super) originating_vasp: VaspId,
    pub(in super::super) beneficiary_vasp: VaspId,
    pub(in super::super) key_type: KeyType,
    pub(in super::super) destination: String,
    pub(in super::super) result: Outcome,
    pub(in super::super) reason: Option<String>,
    pub(in super::super) tx_hash: Option<String>,
    pub(in super::super) vout: Option<String>,
    /// The last one heard of.
    pub(in super::super) status: Option<TransferStatus>,
    /// The number of the last report.
    pub(in super::super) reported: u64,
}

/// What is written down of a report.
pub(in super::super) enum Written<'a> {
    /// A transaction.
    Tx { hash: &'a str, vout: Option<&'a str> },
    /// The end of a transfer.
    Error { result: &'a str, reason: &'a str, message: Option<&'a str> },
}

impl Database {
    /// By the uuid of a verification, also one it had before it was asked for again.
    pub(in super::super) async fn standing(
        &self,
        role: Role,
        uuid: &str,
    ) -> Result<Option<Standing>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT * FROM verifications WHERE role = ?1 AND (verification_uuid = ?2 OR (role = 'originator' AND row_key = \
             (SELECT row_key FROM former_uuids WHERE verification_uuid = ?2))) ORDER BY verification_id LIMIT 1",
        );
        let row = query.bind(role.as_str()).bind(uuid).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| read(&row)).transpose()?.flatten())
    }

    /// By the key of its row.
    pub(in super::super) async fn standing_of(
        &self,
        role: Role,
        key: &str,
    ) -> Result<Option<Standing>, DatabaseFault> {
        let query = sqlx::query("SELECT * FROM verifications WHERE role = ? AND row_key = ?");
        let row = query.bind(role.as_str()).bind(key).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| read(&row)).transpose()?.flatten())
    }

    /// Writes a report down with the command that passes it on; says whether the verification still stood as `standing` says.
    pub(in super::super) async fn report_insert(
        &self,
        standing: &Standing,
        number: u64,
        written: &Written<'_>,
        command: &NewCommand,
        now: Seconds,
    ) -> Result<bool, DatabaseFault> {
        let mut all = self.begin().await?;
        let key = row_place(standing.role, &standing.row_key);
        let (number, before) = (whole(number), whole(standing.reported));
        let update = match written {
            Written::Tx { hash, vout } => sqlx::query(
                "UPDATE verifications SET tx_hash = ?, vout = ?, ordered_at = ?, report_number = ? \
                 WHERE role = ? AND row_key = ? AND result = 'VERIFIED' AND report_number = ?",
            )
            .bind(*hash)
            .bind(*vout)
            .bind(signed(now)),
            Written::Error { reason, message, .. } => sqlx::query(
                "UPDATE verifications SET result = 'ERROR', reason = ?, message = ?, report_number = ? \
                 WHERE role = ? AND row_key = ? AND result = 'VERIFIED' AND report_number = ?",
            )
            .bind(*reason)
            .bind(self.seal_some(&key, "message", message.map(str::as_bytes))?),
        };
        let update = update.bind(number).bind(standing.role.as_str()).bind(&standing.row_key).bind(before);
        if update.execute(&mut *all).await?.rows_affected() != 1 {
            return Ok(false);
        }
        let (report, hash, vout, result, reason) = match written {
            Written::Tx { hash, vout } => ("tx", Some(*hash), *vout, None, None),
            Written::Error { result, reason, .. } => ("error", None, None, Some(*result), Some(*reason)),
        };
        sqlx::query(
            "INSERT INTO reports (role, row_key, number, verification_uuid, report, tx_hash, vout, result, reason, reported_at) \
             VALUES (?,?,?,?,?,?,?,?,?,?)",
        )
        .bind(standing.role.as_str())
        .bind(&standing.row_key)
        .bind(number)
        .bind(&standing.uuid)
        .bind(report)
        .bind(hash)
        .bind(vout)
        .bind(result)
        .bind(reason)
        .bind(signed(now))
        .execute(&mut *all)
        .await?;
        self.command_insert(&mut all, command, now).await?;
        all.commit().await?;
        Ok(true)
    }

    /// Notes what was last heard of a transfer. What was final once stays final.
    pub(in super::super) async fn transfer_noted(
        &self,
        standing: &Standing,
        transfer: &Transfer,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE verifications SET transfer_status = ? WHERE role = ? AND row_key = ? AND transfer_status IS NOT 'CONFIRMED'",
        );
        let query = query.bind(transfer.status.as_str()).bind(standing.role.as_str());
        query.bind(&standing.row_key).execute(&self.writer).await?;
        Ok(())
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Nothing for a verification that has no uuid yet.
fn read(row: &SqliteRow) -> Result<Option<Standing>, DatabaseFault> {
    let word = |column: &'static str| row.try_get::<String, _>(column);
    let odd = VaultFault::Unreadable;
    let Some(uuid) = row.try_get("verification_uuid")? else { return Ok(None) };
    let reported: i64 = row.try_get("report_number")?;
    let status: Option<String> = row.try_get("transfer_status")?;
    Ok(Some(Standing {
        role: Role::parse(&word("role")?).ok_or(odd("role"))?,
        row_key: word("row_key")?,
        origin: Origin::parse(&word("origin")?).ok_or(odd("origin"))?,
        uuid,
        originating_vasp: vasp(row, "originating_vasp_id")?,
        beneficiary_vasp: vasp(row, "beneficiary_vasp_id")?,
        key_type: KeyType::parse(&word("key_type")?).ok_or(odd("key_type"))?,
        destination: word("beneficiary_account_number")?,
        result: Outcome::parse(&word("result")?).ok_or(odd("result"))?,
        reason: row.try_get("reason")?,
        tx_hash: row.try_get("tx_hash")?,
        vout: row.try_get("vout")?,
        status: status.as_deref().and_then(TransferStatus::parse),
        reported: reported.unsigned_abs(),
    }))
}
