//! Which data keys the database knows, what is sealed with them, and that nothing is sealed with another.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row, SqliteConnection, SqlitePool};

use super::DatabaseFault;
use crate::enclave::database::vault::{Place, Vault, VaultFault};

pub(super) const SCHEMA: &str = "
CREATE TABLE data_keys (
    key_id BLOB PRIMARY KEY,
    check_value BLOB NOT NULL
) STRICT;
CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
";

const FINGERPRINT: &str = "fingerprint_key";

/// Every sealed column: its table, its name, and what its row is called in the seal.
pub(super) const SEALED: &[(&str, &str, &str)] = &[
    ("secrets", "value", "name"),
    ("own_keys", "private_key", "key_id"),
    ("commands", "command_body", "lane || '/' || number"),
    ("adapter_orders", "personal", "digest"),
    ("verifications", "message", "role || ':' || row_key"),
    ("verifications", "ivms101_originator", "role || ':' || row_key"),
    ("verifications", "ivms101_originating_vasp", "role || ':' || row_key"),
    ("verifications", "ivms101_beneficiary", "role || ':' || row_key"),
    ("verifications", "ivms101_beneficiary_vasp", "role || ':' || row_key"),
    ("verifications", "reply", "role || ':' || row_key"),
];

fn fingerprint_place() -> Place<'static> {
    Place { table: "secrets", column: "value", row: FINGERPRINT }
}

/// How many sealed values one data key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key's public id, in hex.
    pub key_id: String,
    /// How many values it has sealed.
    pub values: u64,
}

/// Whether every key that sealed something is there. A new database begins with the current one; a new key is taken in if it
/// brings one along that the database knows.
pub(super) async fn take_keys(pool: &SqlitePool, vault: &mut Vault) -> Result<bool, DatabaseFault> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    if !has_all(&mut tx, vault).await? {
        return Ok(false);
    }
    let current = vault.check_values().next();
    if let Some((id, value)) = current {
        let known =
            sqlx::query("INSERT INTO data_keys (key_id, check_value) VALUES (?, ?) ON CONFLICT DO NOTHING");
        let known = known.bind(id.bytes().to_vec()).bind(value.to_vec()).execute(&mut *tx).await?;
        if known.rows_affected() > 0 {
            // Who has taken an older one over does not have this one.
            sqlx::query("DELETE FROM handovers WHERE taken_at IS NOT NULL").execute(&mut *tx).await?;
        }
    }
    let kept: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM secrets WHERE name = ?")
        .bind(FINGERPRINT)
        .fetch_optional(&mut *tx)
        .await?;
    match kept {
        Some(sealed) => {
            let plain = vault.open(fingerprint_place(), &sealed)?;
            let kept = plain.as_slice().try_into().map_err(|_| VaultFault::Unreadable(FINGERPRINT))?;
            vault.keep_fingerprint_key(kept);
        }
        None => {
            let sealed = vault.seal(fingerprint_place(), vault.fingerprint_key())?;
            let keep = sqlx::query("INSERT INTO secrets (name, value) VALUES (?, ?)").bind(FINGERPRINT);
            keep.bind(sealed).execute(&mut *tx).await?;
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// Lets nothing be written that was sealed with a key the database does not know: who has missed a new key fails, and loses nothing.
pub(super) fn fences() -> Vec<String> {
    let fence = |(table, column, _): &(&str, &str, &str)| {
        ["INSERT".to_owned(), format!("UPDATE OF {column}")].map(|what| {
            let name = format!("fence_{table}_{column}_{}", what.split(' ').next().unwrap_or_default());
            format!(
                "CREATE TRIGGER {name} BEFORE {what} ON {table} WHEN NEW.{column} IS NOT NULL \
                 AND substr(NEW.{column}, 2, 4) NOT IN (SELECT key_id FROM data_keys) \
                 BEGIN SELECT RAISE(ABORT, 'sealed with a data key that is not the database''s any more'); END;"
            )
        })
    };
    SEALED.iter().flat_map(fence).collect()
}

/// Whether every key the database knows is among these.
pub(super) async fn has_all(within: &mut SqliteConnection, vault: &Vault) -> Result<bool, DatabaseFault> {
    let known = known(within).await?;
    let is_here = |(id, value): &(Vec<u8>, Vec<u8>)| {
        vault.check_values().any(|(own, check)| own.bytes()[..] == id[..] && check[..] == value[..])
    };
    Ok(known.iter().all(is_here))
}

/// The public id and check value of every key the database knows.
pub(super) async fn known(within: &mut SqliteConnection) -> Result<Vec<(Vec<u8>, Vec<u8>)>, DatabaseFault> {
    let rows = sqlx::query("SELECT key_id, check_value FROM data_keys").fetch_all(within).await?;
    rows.iter().map(|row| Ok((row.try_get("key_id")?, row.try_get("check_value")?))).collect()
}

/// How many values stand sealed with which key, in a database that need not be opened for it: the ids stand in the clear.
pub(super) async fn uses(pool: &SqlitePool) -> Result<Vec<KeyUse>, DatabaseFault> {
    let mut within = pool.acquire().await?;
    let known = known(&mut within).await?;
    let mut uses: BTreeMap<Vec<u8>, u64> = known.into_iter().map(|(id, _)| (id, 0)).collect();
    for (table, column, _) in SEALED {
        let count = format!(
            "SELECT substr({column}, 2, 4) AS id, count(*) AS values_of FROM {table} WHERE {column} IS NOT NULL GROUP BY 1"
        );
        for row in sqlx::query(AssertSqlSafe(count)).fetch_all(&mut *within).await? {
            let values: i64 = row.try_get("values_of")?;
            let of = uses.entry(row.try_get("id")?).or_default();
            *of = of.saturating_add(values.unsigned_abs());
        }
    }
    let hex = |id: &[u8]| data_encoding::HEXLOWER.encode(id);
    Ok(uses.into_iter().map(|(id, values)| KeyUse { key_id: hex(&id), values }).collect())
}
