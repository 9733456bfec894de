//! Which data keys the database is sealed with, and sealing it anew with the current one while everything goes on.

use sqlx::{AssertSqlSafe, Row};

use super::{Database, DatabaseFault};
use crate::enclave::database::vault::{Place, VaultFault};

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
const SEALED: &[(&str, &str, &str)] = &[
    ("secrets", "value", "name"),
    ("own_keys", "private_key", "key_id"),
    ("commands", "command_body", "lane || '/' || number"),
    ("verifications", "message", "role || ':' || row_key"),
    ("verifications", "ivms101_originator", "role || ':' || row_key"),
    ("verifications", "ivms101_originating_vasp", "role || ':' || row_key"),
    ("verifications", "ivms101_beneficiary", "role || ':' || row_key"),
    ("verifications", "ivms101_beneficiary_vasp", "role || ':' || row_key"),
    ("verifications", "reply", "role || ':' || row_key"),
];

/// How many values are sealed anew in one go.
const AT_ONCE: i64 = 64;

fn fingerprint_place() -> Place<'static> {
    Place { table: "secrets", column: "value", row: FINGERPRINT }
}

impl Database {
    /// Whether every key that sealed something is there. A new database begins with the current one; a new key is taken in if it
    /// brings one along that the database knows.
    pub(super) async fn take_keys(&mut self) -> Result<bool, DatabaseFault> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query("SELECT key_id, check_value FROM data_keys").fetch_all(&mut *tx).await?;
        for row in &rows {
            let (id, value): (Vec<u8>, Vec<u8>) = (row.try_get("key_id")?, row.try_get("check_value")?);
            let is_here = |(own, check): (_, &[u8; 32])| own_bytes(&own) == id && check[..] == value[..];
            if !self.vault.check_values().any(is_here) {
                return Ok(false);
            }
        }
        let current = self.vault.check_values().next();
        if let Some((id, value)) = current {
            let known = sqlx::query(
                "INSERT INTO data_keys (key_id, check_value) VALUES (?, ?) ON CONFLICT DO NOTHING",
            );
            known.bind(id.bytes().to_vec()).bind(value.to_vec()).execute(&mut *tx).await?;
        }
        let kept: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM secrets WHERE name = ?")
            .bind(FINGERPRINT)
            .fetch_optional(&mut *tx)
            .await?;
        match kept {
            Some(sealed) => {
                let plain = self.vault.open(fingerprint_place(), &sealed)?;
                let kept = plain.as_slice().try_into().map_err(|_| VaultFault::Unreadable(FINGERPRINT))?;
                self.vault.keep_fingerprint_key(kept);
            }
            None => {
                let sealed = self.vault.seal(fingerprint_place(), self.vault.fingerprint_key())?;
                let keep = sqlx::query("INSERT INTO secrets (name, value) VALUES (?, ?)").bind(FINGERPRINT);
                keep.bind(sealed).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Seals some of what an older key has sealed with the current one; says whether there may be more. When nothing is left, the
    /// database knows the current key alone, and says so once.
    pub(in super::super) async fn reseal_some(&self) -> Result<bool, DatabaseFault> {
        let keys: i64 = sqlx::query_scalar("SELECT count(*) FROM data_keys").fetch_one(&self.pool).await?;
        if keys <= 1 {
            return Ok(false);
        }
        for column in SEALED {
            if self.reseal_column(*column).await? > 0 {
                return Ok(true);
            }
        }
        let current = self.vault.key_id();
        let gone = sqlx::query("DELETE FROM data_keys WHERE key_id <> ?").bind(current.bytes().to_vec());
        gone.execute(&self.writer).await?;
        tracing::info!(key = %current, "everything is sealed with the current data key: take the older ones out of `enclave.old_data_keys`");
        Ok(false)
    }

    async fn reseal_column(
        &self,
        (table, column, name): (&'static str, &'static str, &'static str),
    ) -> Result<usize, DatabaseFault> {
        // Bytes 2 to 5 of a sealed value are the id of its key.
        let find = format!(
            "SELECT rowid AS at, {name} AS name, {column} AS value FROM {table} \
             WHERE {column} IS NOT NULL AND substr({column}, 2, 4) <> ? LIMIT {AT_ONCE}"
        );
        let find = sqlx::query(AssertSqlSafe(find)).bind(self.vault.key_id().bytes().to_vec());
        let rows = find.fetch_all(&self.pool).await?;
        for row in &rows {
            let (at, name, value): (i64, String, Vec<u8>) =
                (row.try_get("at")?, row.try_get("name")?, row.try_get("value")?);
            let place = Place { table, column, row: &name };
            let sealed = self.vault.seal(place, &self.vault.open(place, &value)?)?;
            // Whoever has written something else meanwhile has sealed it with the current key.
            let put = format!("UPDATE {table} SET {column} = ? WHERE rowid = ? AND {column} = ?");
            sqlx::query(AssertSqlSafe(put)).bind(sealed).bind(at).bind(value).execute(&self.writer).await?;
        }
        Ok(rows.len())
    }
}

fn own_bytes(id: &crate::enclave::database::vault::KeyId) -> Vec<u8> {
    id.bytes().to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use zeroize::Zeroizing;

    use super::super::super::wire::key::KeyType;
    use super::super::OwnKey;
    use super::*;
    use crate::enclave::database::vault::{DataKey, Vault};
    use crate::enclave::wire::seal::{PublicKey, Suite};
    use crate::withdrawal::{Seconds, VaspId};

    async fn open(path: &std::path::Path, key: DataKey) -> Result<Database, DatabaseFault> {
        Database::open(path, Vault::new(&key).unwrap()).await
    }

    fn key(n: u8) -> DataKey {
        DataKey::new(&[n; 32])
    }

    #[tokio::test]
    async fn a_new_key_takes_over_everything_and_the_old_one_is_needed_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = open(&path, key(1)).await.unwrap();
        let fingerprint = db.vault().fingerprint("x");
        for (n, name) in [(1, "a"), (2, "b")] {
            let public = PublicKey::new(Suite::X25519, vec![n; 32]).unwrap();
            let pair = OwnKey::new(public, Zeroizing::new(vec![7; 32]));
            db.own_key_insert((KeyType::PerAddress, name), VaspId(7), name, &pair, Seconds(1)).await.unwrap();
        }
        db.close().await;
        assert!(
            matches!(open(&path, key(2)).await, Err(DatabaseFault::OtherKey(_))),
            "a key that brings nothing along"
        );
        let db = open(&path, key(2).after(key(1))).await.unwrap();
        assert_eq!(db.vault().fingerprint("x"), fingerprint, "a request asked again is the same request");
        db.close().await;
        assert!(
            matches!(open(&path, key(2)).await, Err(DatabaseFault::OtherKey(_))),
            "rows of the old key are left"
        );
        let db = open(&path, key(2).after(key(1))).await.unwrap();
        while db.reseal_some().await.unwrap() {}
        db.close().await;
        assert!(matches!(open(&path, key(1)).await, Err(DatabaseFault::OtherKey(_))));
        let db = open(&path, key(2)).await.unwrap();
        assert_eq!(db.vault().fingerprint("x"), fingerprint);
        let pair = db.own_key(Suite::X25519, (KeyType::PerAddress, "b")).await.unwrap().unwrap();
        assert_eq!(pair.private.to_vec(), [7; 32]);
        assert!(!db.reseal_some().await.unwrap());
    }

    /// A column that is sealed and not in the list would be lost with the old key.
    #[tokio::test]
    async fn every_blob_that_is_sealed_is_in_the_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = open(&path, key(1)).await.unwrap();
        let columns = "SELECT m.name || '.' || p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p \
             WHERE m.type = 'table' AND p.type = 'BLOB' ORDER BY 1";
        let found: Vec<String> = sqlx::query_scalar(columns).fetch_all(&db.pool).await.unwrap();
        let open = [
            "data_keys.check_value",
            "data_keys.key_id",
            "own_keys.public_key",
            "verifications.answer_signature",
            "verifications.fingerprint",
        ];
        let mut expected: Vec<String> =
            SEALED.iter().map(|(table, column, _)| format!("{table}.{column}")).collect();
        expected.extend(open.map(str::to_owned));
        expected.sort();
        assert_eq!(found, expected);
    }
}
