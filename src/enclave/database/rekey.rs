//! Which data keys the database is sealed with, and sealing it anew with the current one while everything goes on.

use std::sync::{Arc, PoisonError};

use sqlx::{AssertSqlSafe, Row};

use super::data_keys::{KeyUse, SEALED, known, uses};
use super::{Database, DatabaseFault};
use crate::enclave::database::vault::{DataKey, Place, VaultFault};

/// How many values are sealed anew in one go.
const AT_ONCE: i64 = 64;

/// A key that the database knows and this process does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Missing {
    id: Vec<u8>,
    value: Vec<u8>,
}

impl Database {
    /// The check values by which the keys are known that are not here; and whether the current key is the database's.
    pub(in super::super) async fn missing_keys(&self) -> Result<(Vec<Missing>, bool), DatabaseFault> {
        let mut within = self.pool.acquire().await?;
        let (known, vault) = (known(&mut within).await?, self.vault());
        let is_current = known.iter().any(|(id, _)| id[..] == vault.key_id().bytes()[..]);
        let is_here = |id: &[u8], value: &[u8]| {
            vault.check_values().any(|(own, check)| own.bytes()[..] == *id && check[..] == *value)
        };
        let missing = known.into_iter().filter(|(id, value)| !is_here(id, value));
        Ok((missing.map(|(id, value)| Missing { id, value }).collect(), is_current))
    }

    /// Seals with this key from now on, if it is one that is missing; whether it is.
    pub(in super::super) fn take_over(&self, missing: &[Missing], key: &DataKey) -> Result<bool, VaultFault> {
        let mut vault = self.vault.write().unwrap_or_else(PoisonError::into_inner);
        let next = vault.succeeded_by(key)?;
        let is_it = next.check_values().next().is_some_and(|(id, check)| {
            missing.iter().any(|one| id.bytes()[..] == one.id && check[..] == one.value)
        });
        if is_it {
            *vault = Arc::new(next);
        }
        Ok(is_it)
    }

    /// How many values stand sealed with which key.
    pub(in super::super) async fn key_uses(&self) -> Result<Vec<KeyUse>, DatabaseFault> {
        uses(&self.pool).await
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
        self.forget_keys().await
    }

    /// Lets go of the older keys, if at this very moment nothing stands sealed with them; says whether something does.
    async fn forget_keys(&self) -> Result<bool, DatabaseFault> {
        let current = self.vault().key_id();
        let mut alone = self.begin().await?;
        for (table, column, _) in SEALED {
            let left = format!(
                "SELECT EXISTS (SELECT 1 FROM {table} WHERE {column} IS NOT NULL AND substr({column}, 2, 4) <> ?)"
            );
            let left = sqlx::query_scalar(AssertSqlSafe(left)).bind(current.bytes().to_vec());
            if left.fetch_one(&mut *alone).await? {
                return Ok(true);
            }
        }
        let gone = sqlx::query("DELETE FROM data_keys WHERE key_id <> ?").bind(current.bytes().to_vec());
        gone.execute(&mut *alone).await?;
        alone.commit().await?;
        tracing::info!(key = %current, "everything is sealed with the current data key: take the older ones out of the configuration");
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
        let find = sqlx::query(AssertSqlSafe(find)).bind(self.vault().key_id().bytes().to_vec());
        let rows = find.fetch_all(&self.pool).await?;
        for row in &rows {
            let (at, name, value): (i64, String, Vec<u8>) =
                (row.try_get("at")?, row.try_get("name")?, row.try_get("value")?);
            let place = Place { table, column, row: &name };
            let vault = self.vault();
            let sealed = vault.seal(place, &vault.open(place, &value)?)?;
            // Whoever has written something else meanwhile has sealed it with the current key.
            let put = format!("UPDATE {table} SET {column} = ? WHERE rowid = ? AND {column} = ?");
            sqlx::query(AssertSqlSafe(put)).bind(sealed).bind(at).bind(value).execute(&self.writer).await?;
        }
        Ok(rows.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use zeroize::Zeroizing;

    use super::super::super::wire::key::KeyType;
    use super::super::OwnKey;
    use super::*;
    use crate::enclave::database::vault::Vault;
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
        let pair = db.own_key(Suite::X25519, (KeyType::PerAddress, "b"), Seconds(1)).await.unwrap().unwrap();
        assert_eq!(pair.private.to_vec(), [7; 32]);
        assert!(!db.reseal_some().await.unwrap());
    }

    #[tokio::test]
    async fn what_was_sealed_with_a_key_that_was_given_up_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let late = open(&path, key(1)).await.unwrap();
        let put = async |db: &Database, name: &str| {
            let public = PublicKey::new(Suite::X25519, vec![1; 32]).unwrap();
            let pair = OwnKey::new(public, Zeroizing::new(vec![7; 32]));
            db.own_key_insert((KeyType::PerAddress, name), VaspId(7), name, &pair, Seconds(1)).await
        };
        put(&late, "before").await.unwrap();
        let db = open(&path, key(2).after(key(1))).await.unwrap();
        let uses = |keys: Vec<KeyUse>| {
            keys.into_iter().map(|one| (one.key_id, one.values)).collect::<BTreeMap<_, _>>()
        };
        let (old, new) = (late.vault().key_id().to_string(), db.vault().key_id().to_string());
        let before = uses(db.key_uses().await.unwrap());
        assert_eq!(
            (before.get(&old), before.get(&new)),
            (Some(&2), Some(&0)),
            "the private key and the fingerprint key"
        );
        while db.reseal_some().await.unwrap() {}
        assert_eq!(uses(db.key_uses().await.unwrap()), BTreeMap::from([(new, 2)]));
        assert!(put(&late, "after").await.is_err(), "nobody could read it any more");
        assert!(!late.missing_keys().await.unwrap().1);
        put(&db, "after").await.unwrap();
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
